"""Consent by purpose: what is permitted, what is kept, shown, counted; and what is left of an event without it."""

from __future__ import annotations

import pytest

from streams.core.consent import (
    EVERYTHING,
    MEASUREMENT_NAMES,
    NOTHING,
    PURPOSES,
    Permit,
    bare,
    permitted,
    permitted_by,
    without_personalization,
)
from streams.core.effects import EventResult
from streams.core.event import Event
from streams.core.ruleset import EngineOptions
from tests.core.build import Log, compiled, count, event

PERSONAL, MEASURED = PURPOSES["personalization"], PURPOSES["measurement"]
ONLY_SHOW = {"personalization": True, "measurement": False}
DENIED = EngineOptions(consent_default=False)


@pytest.mark.parametrize(
    ("consent", "expected"),
    [
        (True, True),
        ("granted", True),
        ("GRANTED", True),
        ({"personalization": True}, True),
        ({"personalization": "granted", "ads": False}, True),
        (False, False),
        ("denied", False),
        ("Denied", False),
        ("denied ", False),
        ({"personalization": False}, False),
        ({"personalization": "denied"}, False),
        ({"personalization": {"granted": False}}, False),
        (0, False),
        ("no", False),
        ("off", False),
        ("rejected", False),
        ("", False),
        ([], False),
    ],
)
@pytest.mark.parametrize("default", [True, False])
def test_what_an_event_says_of_consent_counts(consent, expected, default):
    written = Event(id="e", visitor="v", type="a", ts=1, context={"consent": consent})
    assert bool(permitted(None, written, default) & Permit.STATE) is expected


@pytest.mark.parametrize("context", [{}, {"consent": None}])
@pytest.mark.parametrize("default", [True, False])
def test_an_event_that_says_nothing_takes_the_default(context, default):
    written = Event(id="e", visitor="v", type="a", ts=1, context=context)
    assert permitted(None, written, default) == (EVERYTHING if default else NOTHING)


def test_each_purpose_permits_what_the_table_says():
    assert PERSONAL == Permit.LOG | Permit.STATE | Permit.SHOW
    assert MEASURED == Permit.LOG | Permit.COUNT


@pytest.mark.parametrize(
    ("said", "permits"),
    [
        ({"personalization": True, "measurement": True}, EVERYTHING),
        ({"personalization": True}, EVERYTHING),
        (ONLY_SHOW, PERSONAL),
        ({"personalization": False, "measurement": True}, MEASURED),
        ({"measurement": "granted"}, MEASURED),
        ({"personalization": False}, NOTHING),
        ({"marketing": True}, NOTHING),
        ({}, NOTHING),
    ],
)
def test_an_object_answers_by_purpose(said, permits):
    assert permitted_by(said) == permits


@pytest.mark.parametrize("name", MEASUREMENT_NAMES)
def test_measuring_has_several_names(name):
    assert permitted_by({"personalization": True, name: False}) == PERSONAL
    assert permitted_by({name: True}) == MEASURED


def test_of_several_names_all_have_to_be_a_yes():
    assert permitted_by({"personalization": True, "analytics": True, "statistics": False}) == PERSONAL


# --- in the engine


def test_measuring_alone_keeps_no_state():
    log = Log(compiled(event("a"))).add(0, "a", context={"consent": {"measurement": True}})
    assert (log.state, log.results, log.effects) == (None, [EventResult.NO_CONSENT], [])


def test_who_may_not_be_measured_is_shown_suggestions_and_is_no_exposure():
    log = Log(compiled(event("a"))).add(0, "a", context={"consent": ONLY_SHOW})
    assert len(log.suggestions) == 1
    assert [decision.exposure for decision in log.decisions] == [False]
    assert (log.state.exposures, log.state.programme) == ([], None)


def test_who_may_not_be_measured_makes_no_outcome_and_his_suggestion_goes_all_the_same():
    log = Log(compiled(event("a"))).add(0, "a", context={"consent": ONLY_SHOW})
    log.recode().add(1, "chat_opened", context={"consent": ONLY_SHOW})
    assert log.outcomes == []
    assert [withdrawal.reason for withdrawal in log.withdrawals] == ["outcome"]


def test_counting_begins_with_the_consent_to_it():
    log = Log(compiled(count("a", at_least=1))).add(0, "b", context={"consent": ONLY_SHOW})
    log.add(1, "a", context={"consent": True}).add(2, "chat_opened", context={"consent": True})
    assert [decision.exposure for decision in log.decisions] == [True]
    assert len(log.outcomes[0].exposures) == 1


@pytest.mark.parametrize("options", [DENIED, EngineOptions()])
def test_a_receipt_without_a_word_leaves_the_visitors_own_in_force(options):
    log = Log(compiled(event("a"), options=options)).add(0, "a", context={"consent": ONLY_SHOW})
    log.add(1, "suggestion_shown", props={"suggestion": log.suggestions[0].id})
    assert log.results[-1] is EventResult.APPLIED
    assert log.state.unmeasured


def test_a_receipt_of_a_measured_visitor_leaves_him_so():
    log = Log(compiled(event("a"), options=DENIED)).add(0, "a", context={"consent": True})
    log.add(1, "suggestion_shown", props={"suggestion": log.suggestions[0].id})
    assert not log.state.unmeasured


def test_the_visitors_own_silence_is_the_default():
    log = Log(compiled(event("a"), options=DENIED)).add(0, "a", context={"consent": True}).add(1, "b")
    assert log.state is None


# --- what is left of an event


def test_of_an_event_without_consent_stays_that_it_was():
    whole = Event(
        "e", "v", "search", 1, session="s", received=2, page={"path": "/p"}, props={"query": "q"},
        context={"consent": "denied", "device": "tv"},
    )
    assert bare(whole) == Event("e", "v", "search", 1, received=2, context={"consent": "denied"})


@pytest.mark.parametrize(("said", "left"), [({"x": "y"}, False), (7, False), ("no " + "x" * 99, "no " + "x" * 13)])
def test_of_what_was_said_stays_a_word(said, left):
    assert bare(Event("e", "v", "a", 1, context={"consent": said})).context == {"consent": left}


def test_silence_stays_silence():
    assert bare(Event("e", "v", "a", 1, context={"device": "tv"})).context == {}


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (None, False),
        (True, False),
        ("granted", False),
        ({"personalization": True}, False),
        ({"analytics": True, "personalization": True}, {"personalization": False, "measurement": True}),
        ({"analytics": False}, False),
    ],
)
def test_a_browser_that_refuses_leaves_only_what_was_said_yes_to_by_name(said, left):
    assert without_personalization(said) == left
