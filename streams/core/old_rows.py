"""Rows of older versions, which are still read: visitor.py tells by the first byte who reads a row.

1. Version 1 knew no totals: its exposures were never counted, so they are not credited either.
2. Up to version 2 the recent ids were a list of numbers.
3. Up to version 3 every time stood there in full. In version 4 a large number stood once in a table: as its difference
   to the one before, or as bytes; and was named by its place there, as keys and texts were by theirs.
4. Up to version 4 ids of events were eight bytes, of which the first six are kept; and a live suggestion named the
   event that led to it.
"""

from __future__ import annotations

import struct
from typing import Any, TypeVar

import msgspec

from streams.core.effects import Arm
from streams.core.session import (
    ANSWERED,
    ID_BYTES,
    NEVER,
    Exposure,
    History,
    LiveSuggestion,
    Session,
    State,
    Visitor,
)

Item = TypeVar("Item")

_ID_BYTES = 8  # of an event's id, in these rows
_HEADER = struct.Struct(">Bqq")  # version, offset, due


class _Exposure3(msgspec.Struct, array_like=True, gc=False):
    rule: str
    version: str
    arm: Arm
    at: int
    variant: str | None = None
    target: str = ""
    credits: dict[str, list[int]] = {}


class _Live3(msgspec.Struct, array_like=True, gc=False):
    id: str
    rule: str
    expires: int
    trigger: str = ""
    variant: str | None = None
    answered: int = ANSWERED


class _History3(msgspec.Struct, array_like=True, gc=False):
    times: list[int] = []
    dismissed: int = 0


class _SessionFacts(msgspec.Struct, array_like=True, gc=False):
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


class _Session3(_SessionFacts, array_like=True, gc=False):
    states: dict[int, State] = {}
    holding: list[int] = []
    fired: dict[int, int] = {}
    timers: dict[int, int] = {}
    due: int = NEVER


class _Visitor3(msgspec.Struct, array_like=True, gc=False):
    """Its rows may end early."""

    visitor: str = ""
    offset: int = -1
    due: int = NEVER
    clock: int = 0
    visits: int = 0
    recent: bytes | list[int] = b""
    sessions: list[_Session3] = []
    exposures: list[_Exposure3] = []
    live: list[_Live3] = []
    history: dict[str, _History3] = {}
    programme: _Exposure3 | None = None
    reported: dict[int, int] = {}
    unmeasured: bool = False
    minute: int = 0  # absent in rows of before shedding
    taken: int = 0
    journeys: dict[int, State] = {}  # absent in rows of before funnels


class _Session4(_SessionFacts, array_like=True, gc=False):
    """These six and the times are what `_Tables` reads."""

    keys: list[int] = []
    states: list[State] = []
    holding: list[int] = []
    fired: list[int] = []
    timers: list[int] = []
    due: int = 0


class _Exposure4(msgspec.Struct, array_like=True, gc=False):
    rule: int
    version: int
    control: bool
    at: int
    variant: int | None
    target: int
    credits: dict[str, list[int]] = {}


class _Live4(msgspec.Struct, array_like=True, gc=False):
    id: Any
    rule: int
    expires: int
    trigger: str  # empty; once the id of the event that led to it
    variant: int | None
    answered: int


class _Visitor4(msgspec.Struct, array_like=True, gc=False):
    clock: int = 0
    visits: int = 0
    recent: bytes = b""
    texts: list[str] = []
    times: list[int | bytes] = []
    sessions: list[_Session4] = []
    exposures: list[_Exposure4] = []
    live: list[_Live4] = []
    history: list[list[int]] = []  # rule, dismissed, times
    programme: _Exposure4 | None = None  # to any rule, in the arm of the global holdout
    reported: dict[int, int] = {}  # hashed ids of late and reported outcomes -> when they were told of, s
    unmeasured: bool = False
    minute: int = 0  # of the log
    taken: int = 0
    journeys: dict[int, State] = {}  # of funnels whose journeys outlive visits, by the funnel's key


_decode_v3 = msgspec.msgpack.Decoder(_Visitor3).decode
_decode_v4 = msgspec.msgpack.Decoder(_Visitor4).decode
_items = msgspec.structs.astuple


def read_v3(visitor: str, row: bytes) -> Visitor:
    """The state in a row of version 2 or 3."""
    read = _decode_v3(memoryview(row)[_HEADER.size :])
    recent = read.recent
    if isinstance(recent, list):
        recent = struct.pack(f">{len(recent)}Q", *recent)
    return Visitor(
        visitor, read.offset, read.due, read.clock, read.visits, _recent(recent),
        [Session(*_items(session)) for session in read.sessions],
        [Exposure(*_items(exposure)) for exposure in read.exposures],
        [LiveSuggestion(live.id, live.rule, live.expires, live.variant, live.answered) for live in read.live],
        {rule: History(*_items(history)) for rule, history in read.history.items()},
        None if read.programme is None else Exposure(*_items(read.programme)),
        _reported(read.reported), read.unmeasured, read.minute, read.taken, read.journeys,
    )  # fmt: skip


def read_v1(visitor: str, row: bytes) -> Visitor:
    """The state in a row of version 1."""
    state = read_v3(visitor, row)
    state.exposures = []
    return state


def read_v4(visitor: str, row: bytes) -> Visitor:
    """The state in a row of version 4."""
    read = _decode_v4(memoryview(row)[_HEADER.size :])
    _, offset, due = _HEADER.unpack_from(row)
    tables = _Tables(read.texts, read.times)
    return Visitor(
        visitor, offset, due, read.clock, read.visits, _recent(read.recent),
        [_session(session, tables) for session in read.sessions],
        [_exposure(exposure, tables) for exposure in read.exposures],
        [_live(live, tables) for live in read.live],
        {tables.text(_at(known, 0)): _history(known, tables) for known in read.history},
        None if read.programme is None else _exposure(read.programme, tables),
        _reported(read.reported), read.unmeasured, read.minute, read.taken,
        {key: tables.state(journey) for key, journey in read.journeys.items()},
    )  # fmt: skip


def _session(read: _Session4, tables: _Tables) -> Session:
    number, keys = tables.number, read.keys
    return Session(
        read.id, number(read.start), number(read.last), read.explicit, read.events, read.page_views, read.returning,
        read.entry_path, read.referrer_host, read.device, read.country, read.locale, read.campaign,
        tables.states(keys, read.states), [_at(keys, place) for place in read.holding], _keyed(keys, read.fired),
        tables.timers(keys, read.timers), number(read.due),
    )  # fmt: skip


def _exposure(read: _Exposure4, tables: _Tables) -> Exposure:
    return Exposure(
        tables.text(read.rule), tables.text(read.version), "control" if read.control else "treated",
        tables.number(read.at), tables.variant(read.variant), tables.text(read.target), read.credits,
    )  # fmt: skip


def _live(read: _Live4, tables: _Tables) -> LiveSuggestion:
    return LiveSuggestion(
        tables.name(read.id), tables.text(read.rule), tables.number(read.expires),
        tables.variant(read.variant), read.answered,
    )  # fmt: skip


def _history(known: list[int], tables: _Tables) -> History:
    return History([tables.number(time) for time in known[2:]], tables.number(_at(known, 1)))


class _Tables:
    """What a packed state refers to. Reading by a place that is not there raises msgspec.DecodeError."""

    __slots__ = ("_texts", "_times")

    def __init__(self, texts: list[str], differences: list[int | bytes]) -> None:
        self._texts = texts
        self._times: list[int] = []
        time = 0
        for difference in differences:
            if isinstance(difference, bytes):
                self._times.append(int.from_bytes(difference, "big", signed=True))
            else:
                time += difference
                self._times.append(time)

    def states(self, keys: list[int], packed: list[list[Any]]) -> dict[int, State]:
        """The conditions' states, by key."""
        return {_at(keys, place): self.state(state) for place, state in enumerate(packed)}

    def timers(self, keys: list[int], flat: list[int]) -> dict[int, int]:
        """``[place, packed time, ...]`` by key."""
        return {_at(keys, flat[i]): self.number(flat[i + 1]) for i in range(0, len(flat) - 1, 2)}

    def number(self, packed: int) -> int:
        """A number that was packed."""
        return _at(self._times, packed >> 1) if packed & 1 else packed >> 1

    def text(self, place: int) -> str:
        """The text at a place."""
        return _at(self._texts, place)

    def name(self, packed: Any) -> str:
        """The id that was shortened, or left as it is."""
        if isinstance(packed, bytes):
            return packed.hex()
        if not isinstance(packed, str):
            raise msgspec.DecodeError(f"an id of kind {type(packed).__name__}")
        return packed

    def variant(self, place: int | None) -> str | None:
        """The same, where there may be none."""
        return None if place is None else self.text(place)

    def state(self, packed: list[Any]) -> State:
        """A state that was packed."""
        found: State = []
        for item in packed:
            if isinstance(item, list):
                found.append(self.state(item))
            elif isinstance(item, int) and not isinstance(item, bool):
                found.append(self.number(item))
            else:
                found.append(item)
        return found


def _keyed(keys: list[int], flat: list[int]) -> dict[int, int]:
    """``[place, count, place, count, ...]`` by key."""
    return {_at(keys, flat[i]): flat[i + 1] for i in range(0, len(flat) - 1, 2)}


def _at(table: list[Item], place: int) -> Item:
    """What stands at a place. Raises msgspec.DecodeError."""
    if not 0 <= place < len(table):
        raise msgspec.DecodeError(f"place {place} of a table of {len(table)}")
    return table[place]


def _recent(recent: bytes) -> bytes:
    """The ids, each cut to today's length. Raises msgspec.DecodeError."""
    if len(recent) % _ID_BYTES:
        raise msgspec.DecodeError(f"{len(recent)} bytes of recent ids")
    return b"".join(recent[at : at + ID_BYTES] for at in range(0, len(recent), _ID_BYTES))


def _reported(reported: dict[int, int]) -> dict[int, int]:
    """The same of the ids of what was reported."""
    return {hashed >> 8 * (_ID_BYTES - ID_BYTES): second for hashed, second in reported.items()}
