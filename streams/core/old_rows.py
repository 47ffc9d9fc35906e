"""Rows of older versions, which are still read: visitor.py tells by the first byte who reads a row.

1. Version 1 knew no totals: its exposures were never counted, so they are not credited either.
2. Up to version 2 the recent ids were a list of numbers.
3. Up to version 3 every time stood there in full.
"""

from __future__ import annotations

import struct

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

HEADER_BYTES = 17  # version, offset, due


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


class _Session3(msgspec.Struct, array_like=True, gc=False):
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


_decode_v3 = msgspec.msgpack.Decoder(_Visitor3).decode
_items = msgspec.structs.astuple


def read_v3(visitor: str, row: bytes) -> Visitor:
    """The state in a row of version 2 or 3."""
    read = _decode_v3(memoryview(row)[HEADER_BYTES:])
    recent = read.recent
    if isinstance(recent, list):
        recent = struct.pack(f">{len(recent)}Q", *recent)
    check_recent(recent)
    return Visitor(
        visitor, read.offset, read.due, read.clock, read.visits, recent,
        [Session(*_items(session)) for session in read.sessions],
        [Exposure(*_items(exposure)) for exposure in read.exposures],
        [LiveSuggestion(live.id, live.rule, live.expires, live.variant, live.answered) for live in read.live],
        {rule: History(*_items(history)) for rule, history in read.history.items()},
        None if read.programme is None else Exposure(*_items(read.programme)),
        read.reported, read.unmeasured, read.minute, read.taken, read.journeys,
    )  # fmt: skip


def read_v1(visitor: str, row: bytes) -> Visitor:
    """The state in a row of version 1."""
    state = read_v3(visitor, row)
    state.exposures = []
    return state


def check_recent(recent: bytes) -> None:
    """Whether they are whole ids. Raises msgspec.DecodeError."""
    if len(recent) % ID_BYTES:
        raise msgspec.DecodeError(f"{len(recent)} bytes of recent ids")
