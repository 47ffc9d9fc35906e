"""The demo's counts: each effect once, each kind in its place."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from streams.core.effects import (
    DeadLetter,
    Decision,
    OutcomeRecord,
    Refusal,
    Suggestion,
    Suppression,
    Withdrawal,
)
from streams.core.event import Event, encode_event
from streams.embedded.tally import Tally


def record(value: object, key: bytes | None = b"v", headers: tuple = ()) -> SimpleNamespace:
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return SimpleNamespace(key=key, value=raw, headers=headers)


def decision(number: int, kind: str = "suggested", reason: Suppression | None = None) -> Decision:
    return Decision(str(number), "v", "s", "rule", "1", 1, kind, "treated", "e", reason=reason)


def outcome(number: int, name: str, kind: str, amount: float | None) -> OutcomeRecord:
    return OutcomeRecord(str(number), "v", "s", name, kind, 1, "e", "EUR", amount)


def test_events_visitors_and_sessions() -> None:
    tally = Tally()
    for visitor, session in [(b"a", "1"), (b"a", "1"), (b"a", "2"), (b"b", None)]:
        event = Event("1", visitor.decode(), "search", 1, session=session)
        tally.count("clickstream", record(encode_event(event), visitor))
    assert (tally.events, len(tally.visitors), len(tally.sessions)) == (4, 2, 3)


def test_word_on_the_clock_is_no_event() -> None:
    tally = Tally()
    tally.count("clickstream", record(b"", b"", (("avert-clock", b"advance"),)))
    assert tally.events == 0


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b"\xff"])
def test_event_that_is_none_counts_and_hurts_nobody(raw: bytes) -> None:
    tally = Tally()
    tally.count("clickstream", record(raw))
    assert (tally.events, len(tally.sessions)) == (1, 0)


def test_repeated_effects_count_once() -> None:
    tally = Tally()
    suggestion = Suggestion("1", "v", "s", "rule", "1", "banner", 1, 1, 2, {"en": "x"})
    for _ in range(2):
        tally.count("decisions", record(decision(1)))
        tally.count("suggestions", record(suggestion))
        tally.count("suggestions", record(Withdrawal("1", "v", "rule", 1, "outcome")))
        tally.count("outcomes", record(outcome(2, "chat", "anti_conversion", 6.5)))
        tally.count("deadletter", record(DeadLetter(Refusal.SCHEMA, "", "clickstream/0@1", 1, "")))
    assert tally.decisions == {"suggested": 1}
    assert (tally.suggestions, tally.withdrawn, tally.outcomes["chat"], tally.dead_letters) == (1, 1, 1, 1)
    assert len(tally.feed) == 1


def test_refusals_at_the_door_are_all_counted() -> None:
    tally = Tally()
    for _ in range(2):
        tally.count("deadletter", record(DeadLetter(Refusal.SCHEMA, "", "http", 1, "")))
    assert tally.dead_letters == 2


def test_suppressed_decisions_are_counted_by_reason() -> None:
    tally = Tally()
    tally.count("decisions", record(decision(1, "suppressed", Suppression.OUTRANKED)))
    assert tally.suppressed == {"outranked": 1}


def test_only_anti_conversions_cost() -> None:
    tally = Tally()
    tally.count("outcomes", record(outcome(1, "chat", "anti_conversion", 6.5)))
    tally.count("outcomes", record(outcome(2, "chat", "anti_conversion", None)))
    tally.count("outcomes", record(outcome(3, "purchase", "conversion", 100.0)))
    assert tally.anti_conversion_cost == 6.5
    assert tally.outcomes == {"chat": 2, "purchase": 1}
