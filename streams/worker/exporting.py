"""`GET /v1/visitors?visitor=ID` of a worker: all that is kept of a visitor of its partitions, as readable JSON.

1. An admin key that may read visitors, as for `explaining.py`; a partition that is elsewhere is a 421 as there.
2. What is given is the state itself, every field of it by its name: what is not here is not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from streams.core.session import NEVER, Session, Visitor
from streams.core.visitor import decode_visitor
from streams.worker.explaining import admitted, partition_of, refused
from streams.worker.partition import PartitionMemory


class KeptNow(msgspec.Struct, frozen=True):
    """The answer. `at`: the partition's clock, ms; `state`: None when nothing is kept."""

    visitor: str
    partition: int
    at: int
    row_bytes: int
    state: dict[str, Any] | None


class Exporter:
    """Answers from what the worker has in memory; everything in its event loop."""

    def __init__(
        self,
        keys: Callable[[], tuple[str, ...]],
        memories: Callable[[], list[PartitionMemory]],
        partitions: Callable[[], int],
    ) -> None:
        """`memories`: the recovered partitions; `partitions`: how many the clickstream has."""
        self._keys = keys
        self._memories = memories
        self._partitions = partitions

    async def handle(self, request: web.Request) -> web.Response:
        """One request."""
        if not admitted(request, self._keys()):
            return refused(401, "an admin key is needed")
        visitor = request.query.get("visitor")
        if not visitor:
            return refused(400, "`visitor` is needed")
        partition = partition_of(visitor, self._partitions())
        memory = next((memory for memory in self._memories() if memory.partition == partition), None)
        if memory is None:
            return refused(421, f"partition {partition} is with another worker, or not recovered yet")
        row = memory.rows.get(visitor)
        state = None if row is None else readable(decode_visitor(visitor, row))
        kept = KeptNow(visitor, partition, memory.clock, len(row or b""), state)
        return web.Response(body=msgspec.json.encode(kept), content_type="application/json")


def readable(state: Visitor) -> dict[str, Any]:
    """Every field of the state by its name. Times in ms; event ids as the 64-bit hashes that are kept of them."""
    found = _fields(state)
    found["sessions"] = [_fields(session) for session in state.sessions]
    found["exposures"] = [msgspec.structs.asdict(exposure) for exposure in state.exposures]
    found["live"] = [msgspec.structs.asdict(live) for live in state.live]
    found["history"] = {rule: msgspec.structs.asdict(history) for rule, history in state.history.items()}
    found["programme"] = None if state.programme is None else msgspec.structs.asdict(state.programme)
    return found


def _fields(of: Visitor | Session) -> dict[str, Any]:
    found = {name: getattr(of, name) for name in sorted(type(of).__slots__)}
    if found["due"] == NEVER:
        found["due"] = None
    return found
