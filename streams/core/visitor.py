"""The bounded state of one visitor and its live sessions; its codec.

1. Nothing here grows without bound: every list has its limit beside it.
2. A row is ``version | offset | due | MessagePack``; offset and due can be read without decoding the rest.
3. A row of an older version is still read (`_READERS`); an unknown version is refused with a message.
   What stands in a row says packing.py, of older ones old_rows.py.
4. The visitor's id is the row's key and does not stand in the row.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from streams.core.old_rows import read_v1, read_v3, read_v4
from streams.core.packing import pack_visitor
from streams.core.session import (
    ID_BYTES,
    NEVER,
    RECENT_IDS_MAX,
    WITHDRAWN,
    Exposure,
    History,
    LiveSuggestion,
    Session,
    State,
    Visitor,
)
from streams.core.unpacking import unpack_visitor
from streams.errors import RowVersionError

SESSIONS_MAX = 4
EXPOSURES_MAX = 16
SUGGESTIONS_MAX = 8
CREDITS_MAX = 64  # outcomes by name that one exposure is credited with; outcomes.yaml declares no more
REPORTED_MAX = 64  # late and reported outcomes of one visitor whose ids are kept: more calls than anybody makes in days
HISTORIES_MAX = 64  # rules with a remembered firing; the one longest ago goes
ROW_VERSION = 5

__all__ = [
    "NEVER", "RECENT_IDS_MAX", "WITHDRAWN", "Exposure", "History", "LiveSuggestion", "RowHeader", "Session", "State",
    "Visitor", "decode_visitor", "encode_visitor", "history_of", "remember_exposure", "remember_report", "row_header",
]  # fmt: skip


class _SessionRow(msgspec.Struct, array_like=True, gc=False):
    """A `Session` as it stands in a row: packing.py has what the last six are, and the times."""

    id: Any  # text, or bytes
    start: int
    last: int
    explicit: bool
    events: int
    page_views: int
    returning: bool
    entry_path: str | None
    referrer_host: str | None
    device: str | None
    country: str | None
    locale: str | None
    campaign: dict[str, str]
    keys: bytes
    codes: State
    holding: int
    fired: list[int]
    timers: list[int]
    due: int


class _VisitorRow(msgspec.Struct, array_like=True, gc=False):
    """A `Visitor` as it stands in a row: packing.py says what is what. Fields are only ever added at the end."""

    clock: int
    visits: int
    recent: bytes
    texts: list[str]
    near: bytes
    far: list[int]
    sessions: list[_SessionRow]
    exposures: list[int]
    versions: bytes
    programme: list[int]  # the exposure to any rule, in the arm of the global holdout
    live: list[int]
    ids: bytes
    history: list[int]
    reported: dict[int, int]  # hashed ids of late and reported outcomes -> when they were told of, s
    unmeasured: bool
    minute: int  # of the log: how many minutes before the clock's
    taken: int
    journeys: dict[int, State]  # of funnels whose journeys outlive visits, by the funnel's key


class RowHeader(NamedTuple):
    """What can be read of a row without decoding it."""

    offset: int
    due: int


_HEADER = struct.Struct(">Bqq")
_encode_body = msgspec.msgpack.Encoder().encode
_decode_body = msgspec.msgpack.Decoder(_VisitorRow).decode


def encode_visitor(state: Visitor) -> bytes:
    """The visitor's row, current version. Equal states give equal bytes; never empty."""
    return _HEADER.pack(ROW_VERSION, state.offset, state.due) + _encode_body(pack_visitor(state))


def _read(visitor: str, row: bytes) -> Visitor:
    read = _decode_body(memoryview(row)[_HEADER.size :])
    if len(read.recent) % ID_BYTES:
        raise msgspec.DecodeError(f"{len(read.recent)} bytes of recent ids")
    _, offset, due = _HEADER.unpack_from(row)
    return unpack_visitor(visitor, offset, due, read)


_READERS: dict[int, Callable[[str, bytes], Visitor]] = {1: read_v1, 2: read_v3, 3: read_v3, 4: read_v4, 5: _read}


def decode_visitor(visitor: str, row: bytes) -> Visitor:
    """The state in `row`. Raises RowVersionError for a version that this program does not know, or a torn row."""
    reader = _READERS.get(row[0]) if row else None
    if reader is None:
        raise _unreadable(row)
    try:
        return reader(visitor, row)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError, struct.error) as error:
        raise RowVersionError(f"the state row of a visitor is damaged: {error}") from error


def _unreadable(row: bytes) -> RowVersionError:
    if row and row[0] in _READERS:
        return RowVersionError("the state row of a visitor is cut short")
    known = ", ".join(map(str, sorted(_READERS)))
    return RowVersionError(
        f"the state row of a visitor has version {row[0] if row else 'none'}, this program reads {known}: "
        "it was written by a newer Avert; upgrade this worker, or restore the changelog of before"
    )


def row_header(row: bytes) -> RowHeader:
    """Offset and due of a row. Raises RowVersionError as `decode_visitor` does."""
    if len(row) < _HEADER.size or row[0] not in _READERS:
        raise _unreadable(row)
    _, offset, due = _HEADER.unpack_from(row)
    return RowHeader(offset, due)


def remember_exposure(state: Visitor, exposure: Exposure) -> None:
    """Keep the newest EXPOSURES_MAX exposures."""
    state.exposures.append(exposure)
    if len(state.exposures) > EXPOSURES_MAX:
        del state.exposures[0]


def remember_report(state: Visitor, hashed: int, told_at: int, forgotten: int) -> None:
    """Keep the id of an outcome that is told of at `told_at`; those told of before `forgotten`, ms, are let go."""
    reported = state.reported
    for known in [known for known, second in reported.items() if second * 1000 < forgotten]:
        del reported[known]
    while len(reported) >= REPORTED_MAX:
        del reported[next(iter(reported))]
    reported[hashed] = max(0, told_at // 1000)


def history_of(state: Visitor, rule: str) -> History:
    """The history of `rule`, made when it is missing; bounded, the one used longest ago goes."""
    history = state.history.get(rule)
    if history is None:
        if len(state.history) >= HISTORIES_MAX:
            oldest = min(
                state.history, key=lambda name: max((state.history[name].dismissed, *state.history[name].times))
            )
            del state.history[oldest]
        history = state.history[rule] = History()
    return history
