"""The bounded state of one visitor and its live sessions; its codec.

1. Nothing here grows without bound: every list has its limit beside it.
2. A row is ``version | offset | due | MessagePack``; offset and due can be read without decoding the rest.
3. A row of an older version is still read (`_READERS`); an unknown version is refused with a message.
   Up to version 3 every time stood there in full (old_rows.py); what stands in its place since says packing.py.
4. The visitor's id is the row's key and does not stand in the row.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from streams.core.old_rows import check_recent, read_v1, read_v3
from streams.core.packing import Tables, at, keyed, pack_visitor
from streams.core.session import (
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
from streams.errors import RowVersionError

SESSIONS_MAX = 4
EXPOSURES_MAX = 16
SUGGESTIONS_MAX = 8
CREDITS_MAX = 64  # outcomes by name that one exposure is credited with; outcomes.yaml declares no more
REPORTED_MAX = 64  # late and reported outcomes of one visitor whose ids are kept: more calls than anybody makes in days
HISTORIES_MAX = 64  # rules with a remembered firing; the one longest ago goes
ROW_VERSION = 4

__all__ = [
    "NEVER", "RECENT_IDS_MAX", "WITHDRAWN", "Exposure", "History", "LiveSuggestion", "RowHeader", "Session", "State",
    "Visitor", "decode_visitor", "encode_visitor", "history_of", "remember_exposure", "remember_report", "row_header",
]  # fmt: skip


class _SessionRow(msgspec.Struct, array_like=True, gc=False):
    """A `Session` as it stands in a row: packing.py has what the last six are, and the times."""

    id: str
    start: int
    last: int
    explicit: bool = False
    events: int = 0
    page_views: int = 0
    returning: bool = False
    entry_path: str | None = None
    referrer_host: str | None = None
    device: str | None = None
    country: str | None = None
    locale: str | None = None
    campaign: dict[str, str] = {}
    keys: list[int] = []
    states: list[State] = []
    holding: list[int] = []
    fired: list[int] = []
    timers: list[int] = []
    due: int = 0


class _ExposureRow(msgspec.Struct, array_like=True, gc=False):
    """An `Exposure` as it stands in a row; its texts by their places."""

    rule: int
    version: int
    control: bool
    at: int
    variant: int | None
    target: int
    credits: dict[str, list[int]] = {}


class _LiveRow(msgspec.Struct, array_like=True, gc=False):
    """A `LiveSuggestion` as it stands in a row."""

    id: Any
    rule: int
    expires: int
    trigger: str  # empty; once the id of the event that led to it
    variant: int | None
    answered: int


class _VisitorRow(msgspec.Struct, array_like=True, gc=False):
    """A `Visitor` as it stands in a row. Fields are only ever added at the end."""

    clock: int = 0
    visits: int = 0
    recent: bytes = b""
    texts: list[str] = []
    times: list[int | bytes] = []
    sessions: list[_SessionRow] = []
    exposures: list[_ExposureRow] = []
    live: list[_LiveRow] = []
    history: list[list[int]] = []  # rule, dismissed, times
    programme: _ExposureRow | None = None  # to any rule, in the arm of the global holdout
    reported: dict[int, int] = {}  # hashed ids of late and reported outcomes -> when they were told of, s
    unmeasured: bool = False
    minute: int = 0  # of the log
    taken: int = 0
    journeys: dict[int, State] = {}  # of funnels whose journeys outlive visits, by the funnel's key


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
    check_recent(read.recent)
    _, offset, due = _HEADER.unpack_from(row)
    tables = Tables(read.texts, read.times)
    return Visitor(
        visitor, offset, due, read.clock, read.visits, read.recent,
        [_session(session, tables) for session in read.sessions],
        [_exposure(exposure, tables) for exposure in read.exposures],
        [_live(live, tables) for live in read.live],
        {
            tables.text(at(known, 0)): History([tables.number(time) for time in known[2:]], tables.number(at(known, 1)))
            for known in read.history
        },
        None if read.programme is None else _exposure(read.programme, tables),
        read.reported, read.unmeasured, read.minute, read.taken,
        {key: tables.state(journey) for key, journey in read.journeys.items()},
    )  # fmt: skip


def _session(read: _SessionRow, tables: Tables) -> Session:
    number, keys = tables.number, read.keys
    return Session(
        read.id, number(read.start), number(read.last), read.explicit, read.events, read.page_views, read.returning,
        read.entry_path, read.referrer_host, read.device, read.country, read.locale, read.campaign,
        tables.states(keys, read.states), [at(keys, place) for place in read.holding], keyed(keys, read.fired),
        tables.timers(keys, read.timers), number(read.due),
    )  # fmt: skip


def _exposure(read: _ExposureRow, tables: Tables) -> Exposure:
    return Exposure(
        tables.text(read.rule), tables.text(read.version), "control" if read.control else "treated",
        tables.number(read.at), tables.variant(read.variant), tables.text(read.target), read.credits,
    )  # fmt: skip


def _live(read: _LiveRow, tables: Tables) -> LiveSuggestion:
    return LiveSuggestion(
        tables.name(read.id), tables.text(read.rule), tables.number(read.expires),
        tables.variant(read.variant), read.answered,
    )  # fmt: skip


_READERS: dict[int, Callable[[str, bytes], Visitor]] = {1: read_v1, 2: read_v3, 3: read_v3, 4: _read}


def decode_visitor(visitor: str, row: bytes) -> Visitor:
    """The state in `row`. Raises RowVersionError for a version that this program does not know, or a torn row."""
    reader = _READERS.get(row[0]) if row else None
    if reader is None:
        raise _unreadable(row)
    try:
        return reader(visitor, row)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, struct.error) as error:
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
