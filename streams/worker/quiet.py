"""Foreign logs, made bearable: aiokafka says ten times a second that a broker is away."""

from __future__ import annotations

import logging
import time

REPEAT_S = 10.0  # the same message of the same logger at most this often
_REMEMBERED_MAX = 256


class Sparse(logging.Filter):
    """Lets a message (by its template, whatever its arguments) pass once in REPEAT_S."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is told."""
        what = record.name, str(record.msg)
        now_s = time.monotonic()
        if now_s - self._passed.get(what, -REPEAT_S) < REPEAT_S:
            return False
        if len(self._passed) >= _REMEMBERED_MAX:
            self._passed.clear()
        self._passed[what] = now_s
        return True


def quiet_foreign_logs() -> None:
    """Have what comes through the standard library's root handlers (Faust's, aiokafka's) repeated sparingly."""
    for handler in logging.getLogger().handlers:
        if not any(isinstance(each, Sparse) for each in handler.filters):
            handler.addFilter(Sparse())
