"""Outcomes as the engine records them: amount, credit, order; those that come late."""

from __future__ import annotations

import pytest

from streams.core.definition import Amount
from streams.core.effects import EventResult, Suppression
from tests.core.build import DAY, HOUR, MINUTE, T0, Log, compiled, count, either, event, missing, outcome, rule, where


def test_an_outcome_is_recorded_with_its_cost():
    log = Log(compiled()).add(5, "chat_opened", name="e7", session="s")
    (record,) = log.outcomes
    assert (record.outcome, record.kind, record.amount, record.currency) == ("chat", "anti_conversion", 6.5, "EUR")
    assert (record.visitor, record.session, record.at, record.trigger) == ("v", "s", T0 + 5, "e7")
    assert record.exposures == ()


def test_a_value_is_read_from_the_event():
    bought = outcome("purchase", event("purchase"), "conversion", amount=Amount(of="props.total", times=0.5))
    log = Log(compiled(outcomes=[bought])).add(0, "purchase", props={"total": 99.9}).add(1, "purchase")
    assert [record.amount for record in log.outcomes] == [49.95, 49.95]


def test_an_absence_is_worth_what_its_events_said():
    abandoned = outcome(
        "abandoned", missing("purchase", "checkout_started", None), amount=Amount(of="props.cart_total", times=0.1)
    )
    log = Log(compiled(outcomes=[abandoned]))
    log.add(0, "checkout_started", props={"cart_total": 50}).add(1, "checkout_started", props={"cart_total": 80})
    log.tick(2 * HOUR)
    assert [(record.amount, record.at - T0) for record in log.outcomes] == [(8.0, 30 * MINUTE + 1)]


def test_an_outcome_without_its_field_has_no_amount():
    bought = outcome("purchase", event("purchase"), "conversion", amount=Amount(of="props.total"))
    assert [record.amount for record in Log(compiled(outcomes=[bought])).add(0, "purchase").outcomes] == [None]


def test_several_outcomes_of_one_event_come_in_the_files_order():
    outcomes = [outcome("b", event("x")), outcome("a", event("x"))]
    log = Log(compiled(rule(event("x"), prevents="a"), outcomes=outcomes)).add(0, "x")
    assert [record.outcome for record in log.outcomes] == ["b", "a"]
    assert [type(effect).__name__ for effect in log.effects] == ["OutcomeRecord", "OutcomeRecord", "Decision"]


@pytest.mark.parametrize(("gap", "credited"), [(DAY - 1, ["r"]), (DAY, []), (DAY + 1, [])])
def test_an_outcome_credits_the_exposures_in_its_window(gap, credited):
    log = Log(compiled(rule(event("a")))).add(0, "a").add(gap, "chat_opened")
    assert [exposure.rule for exposure in log.outcomes[0].exposures] == credited


def test_both_arms_are_credited():
    log = Log(compiled(rule(event("a"), holdout=1.0))).add(0, "a").add(1, "chat_opened")
    assert [(exposure.rule, exposure.arm) for exposure in log.outcomes[0].exposures] == [("r", "control")]


def test_an_outcome_from_before_the_exposure_credits_nothing():
    log = Log(compiled(rule(event("a")))).add(HOUR, "a").add(HOUR, "chat_opened", ts=HOUR - 1)
    assert log.outcomes[0].exposures == ()


def test_a_late_outcome_credits_by_its_own_time():
    log = Log(compiled(rule(event("a")))).add(0, "a").add(2 * DAY, "chat_opened", ts=HOUR)
    assert log.results[-1] is EventResult.LATE
    assert [record.at - T0 for record in log.outcomes] == [HOUR]


def test_a_late_outcome_names_its_own_session():
    log = Log(compiled()).add(HOUR, "x", session="now").add(HOUR, "chat_opened", ts=0, session="then")
    assert [record.session for record in log.outcomes] == ["then"]


def test_a_late_outcome_of_several_events_happens_once():
    either_way = outcome(when=either(event("chat_*"), event("chat_opened")))
    log = Log(compiled(outcomes=[either_way])).add(HOUR, "x").add(HOUR, "chat_opened", ts=0)
    assert len(log.outcomes) == 1


def test_a_late_event_whose_where_fails_is_no_outcome():
    paid = outcome("paid", event("purchase", where("props.total", "gt", 0)), "conversion")
    log = Log(compiled(outcomes=[paid])).add(HOUR, "x").add(HOUR, "purchase", ts=0, props={"total": 0})
    assert log.outcomes == []


def test_a_late_event_is_no_outcome_that_needs_others():
    twice = outcome("twice", count("x", at_least=1))
    assert Log(compiled(outcomes=[twice])).add(HOUR, "y").add(HOUR, "x", ts=0).outcomes == []


def test_a_late_event_of_an_unknown_visitor_counts_too():
    log = Log(compiled()).add(0, "chat_opened", now=HOUR)
    assert (log.results, len(log.outcomes)) == ([EventResult.LATE], 1)


def test_what_happened_cannot_be_prevented_any_more():
    log = Log(compiled(rule(event("chat_opened")))).add(0, "chat_opened")
    assert [decision.reason for decision in log.decisions] == [Suppression.OUTCOME_HAPPENED]
