"""Which streams are open in this process: how many, whose, and their end."""

from __future__ import annotations

from typing import Literal, NoReturn, Protocol

from streams.errors import OverloadedError, TooManyRequestsError
from streams.telemetry import STREAMS, STREAMS_ENDED, STREAMS_REFUSED

Ending = Literal["client", "expired", "slow", "stopped"]
_RETRY_S = 5  # to the one stream too many: another has to end first


class Endable(Protocol):
    """A stream, as far as it matters here."""

    visitor: str

    def end(self, why: Ending) -> None:
        """End it soon."""
        ...


class Streams:
    """Counts them, and refuses the one too many."""

    def __init__(self, per_visitor_max: int, process_max: int) -> None:
        self._per_visitor_max = per_visitor_max
        self._max = process_max
        self._open: dict[str, set[Endable]] = {}
        self._count = 0
        self._stopping = False

    def check(self, visitor: str) -> None:
        """Raises OverloadedError or TooManyRequestsError when there is no place for one more of `visitor`."""
        if self._count >= self._max or self._stopping:
            STREAMS_REFUSED.labels("process").inc()
            raise OverloadedError("no more streams here at the moment", _RETRY_S)
        if len(self._open.get(visitor, ())) >= self._per_visitor_max:
            self.refuse()

    def refuse(self) -> NoReturn:
        """Raises TooManyRequestsError: the visitor has as many streams as he may."""
        STREAMS_REFUSED.labels("visitor").inc()
        raise TooManyRequestsError(f"at most {self._per_visitor_max} streams a visitor", _RETRY_S)

    def enter(self, stream: Endable) -> None:
        """A stream begins."""
        self._open.setdefault(stream.visitor, set()).add(stream)
        self._count += 1
        STREAMS.set(self._count)

    def leave(self, stream: Endable, why: Ending) -> None:
        """A stream has ended."""
        mine = self._open[stream.visitor]
        mine.discard(stream)
        if not mine:
            del self._open[stream.visitor]
        self._count -= 1
        STREAMS.set(self._count)
        STREAMS_ENDED.labels(why).inc()

    def stop(self) -> None:
        """End all of them, and begin no other: the process is about to end."""
        self._stopping = True
        for streams in self._open.values():
            for stream in streams:
                stream.end("stopped")
