"""`GET /v1/visitors?visitor=ID` of a worker: all that is kept of a visitor of its partitions, as readable JSON.

1. An admin key that may read visitors, as for `explaining.py`; a partition that is elsewhere is a 421 as there.
2. What is given is the state itself, every field of it by its name: what is not here is not kept.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from streams.core.session import NEVER, Exposure, History, LiveSuggestion, Session, Visitor
from streams.core.visitor import decode_visitor
from streams.worker.explaining import VisitorRoute
from streams.worker.partition import PartitionMemory


class KeptNow(msgspec.Struct, frozen=True):
    """The answer. `at`: the partition's clock, ms; `state`: None when nothing is kept."""

    visitor: str
    partition: int
    at: int
    row_bytes: int
    state: dict[str, Any] | None


class Exporter(VisitorRoute):
    """All that is kept."""

    def answer(self, _request: web.Request, visitor: str, memory: PartitionMemory, row: bytes | None) -> KeptNow:
        """The state, and what its row weighs."""
        state = None if row is None else readable(decode_visitor(visitor, row))
        return KeptNow(visitor, memory.partition, memory.clock, len(row or b""), state)


def readable(state: Visitor) -> dict[str, Any]:
    """Every field of the state by its name. Times in ms; event ids as the hashes of 48 bits that are kept of them."""
    found = _fields(state)
    found["sessions"] = [_fields(session) for session in state.sessions]
    found["exposures"] = [_fields(exposure) for exposure in state.exposures]
    found["live"] = [_fields(live) for live in state.live]
    found["history"] = {rule: _fields(history) for rule, history in state.history.items()}
    found["programme"] = None if state.programme is None else _fields(state.programme)
    return found


def _fields(of: Visitor | Session | Exposure | LiveSuggestion | History) -> dict[str, Any]:
    found = {name: getattr(of, name) for name in sorted(type(of).__slots__)}
    if found.get("due") == NEVER:
        found["due"] = None
    return found
