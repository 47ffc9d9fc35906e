"""A small engine with the core's signatures, whose right answers are easy to say; and helpers for records.

A visitor's state counts its events. `fire` makes a decision and a suggestion, `boom` raises half way through, `wait`
sets a timer of `props.ms`, at which one outcome happens; then nothing matters any more. Consent as in the core.
Event ids are not looked at: only offsets keep an event from being applied twice, so that tests see when they do not.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from streams.core.effects import Decision, Effect, EventResult, OutcomeRecord, Suggestion
from streams.core.event import Event
from streams.errors import RowVersionError
from streams.worker.machine import Machine

NEVER = (1 << 62) - 1
KEEP_MS = 3_600_000  # how long a visitor matters


class Small(msgspec.Struct):
    visitor: str = ""
    offset: int = -1
    due: int = NEVER
    count: int = 0
    total: int = 0  # sum of props.n: which events were applied, not only how many
    timer: int = NEVER
    until: int = 0
    sessions: list[str] = []


class Header(NamedTuple):
    offset: int
    due: int


class At(NamedTuple):
    offset: int
    timestamp: int


def encode(state: Small) -> bytes:
    return b"S" + msgspec.msgpack.encode(state)


def decode(visitor: str, row: bytes) -> Small:
    if row[:1] != b"S":
        raise RowVersionError("an unknown row")
    state = msgspec.msgpack.decode(row[1:], type=Small)
    state.visitor = visitor
    return state


def header(row: bytes) -> Header:
    state = decode("", row)
    return Header(state.offset, state.due)


def step(
    state: Small | None, event: Event, position: At, rules: Any, now: int
) -> tuple[Small | None, EventResult, list[Effect]]:
    assert now >= position.timestamp
    effects: list[Effect] = []
    if state is not None and position.offset <= state.offset:
        return state, EventResult.REPLAYED, effects
    if event.context.get("consent") is False:
        return None, EventResult.NO_CONSENT, effects
    if state is None:
        state = Small(visitor=event.visitor)
    _due(state, now, effects)
    state.offset = position.offset
    state.count += 1  # before `boom`: half of the mutation must not stay
    if event.type == "boom":
        raise ValueError("boom")
    state.total += event.props.get("n", 0)
    state.sessions = ["s"]
    state.until = now + KEEP_MS
    if event.type == "wait":
        state.timer = now + event.props["ms"]
    if event.type == "fire":
        effects += fired(event)
    state.due = min(state.timer, state.until)
    return state, EventResult.APPLIED, effects


def fired(event: Event) -> list[Effect]:
    return [
        Decision(
            id="d:" + event.id, visitor=event.visitor, session="s", rule="r", version="1", at=event.ts,
            kind="suggested", arm="treated", trigger=event.id, suggestion="s:" + event.id,
        ),
        Suggestion(
            id="s:" + event.id, visitor=event.visitor, session="s", rule="r", version="1", placement="p", priority=1,
            created=event.ts, expires=event.ts + 600_000, title={"en": "t"},
        ),
    ]


def _due(state: Small, now: int, effects: list[Effect]) -> None:
    if state.timer <= now:
        effects.append(OutcomeRecord(
            id=f"o:{state.visitor}:{state.timer}", visitor=state.visitor, session="s", outcome="waited",
            kind="anti_conversion", at=state.timer, trigger=f"@{state.timer}", currency="EUR", amount=1.0,
        ))
        state.timer = NEVER
        state.until = 0
        state.sessions = []
        state.due = 0


def tick(state: Small, rules: Any, now: int) -> tuple[Small | None, list[Effect]]:
    if "tick-boom" in state.visitor:
        state.count += 1000
        raise ValueError("tick boom")
    effects: list[Effect] = []
    _due(state, now, effects)
    state.due = min(state.timer, state.until)
    if state.due <= now:
        return None, effects
    return state, effects


SMALL = Machine(
    step=step, tick=tick, encode=encode, decode=decode, header=header, position=At, rules=None, never=NEVER
)


class Record(NamedTuple):
    """As aiokafka's ConsumerRecord, as far as the worker looks at it."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


def event_bytes(visitor: str, event_id: str, kind: str = "page_view", ts: int = 0, **rest: Any) -> bytes:
    return msgspec.json.encode({"id": event_id, "visitor": visitor, "type": kind, "ts": ts, **rest})


def record(offset: int, visitor: str, kind: str = "page_view", at: int = 1_000_000, **rest: Any) -> Record:
    """An event's record: its id is `e{offset}`, its number (summed in the state's `total`) 2 to the offset."""
    props = {"n": 1 << offset, **rest.pop("props", {})}
    event_id = rest.pop("event_id", f"e{offset}")
    return Record(offset, visitor.encode(), event_bytes(visitor, event_id, kind, at, props=props, **rest), at)
