"""What leaves the engine, as it stands on the topics."""

from __future__ import annotations

import msgspec
import pytest

from streams.core.effects import (
    CreditedExposure,
    DeadLetter,
    Decision,
    Effect,
    OutcomeRecord,
    Refusal,
    Suggestion,
    Suppression,
    Withdrawal,
)

EFFECTS = [
    Decision("i", "v", "s", "r", "1", 5, "suppressed", "control", "@9", reason=Suppression.COOLDOWN),
    Suggestion("i", "v", "s", "r", "1", "banner", 50, 1, 2, {"en": "a"}),
    Withdrawal("i", "v", "r", 5, "dismissed"),
    OutcomeRecord("i", "v", "s", "o", "conversion", 5, "e", "EUR", 1.5, (CreditedExposure("r", "1", "treated", 4),)),
]


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
def test_an_effect_is_read_as_it_was_written(effect):
    assert msgspec.json.decode(msgspec.json.encode(effect), type=Effect) == effect


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
def test_every_record_says_what_it_is(effect):
    record = msgspec.json.decode(msgspec.json.encode(effect))["record"]
    assert record == {
        "Decision": "decision", "Suggestion": "suggestion", "Withdrawal": "withdrawal", "OutcomeRecord": "outcome",
    }[type(effect).__name__]  # fmt: skip


def test_a_dead_letter_is_read_as_it_was_written():
    letter = DeadLetter(Refusal.NOT_JSON, "why", "clickstream/0@7", 5, "{", True)
    assert msgspec.json.decode(msgspec.json.encode(letter), type=DeadLetter) == letter


def test_reasons_are_words_for_labels():
    assert all(value.isascii() and value == value.lower() and " " not in value for value in (*Refusal, *Suppression))
