"""What takes a suggestion back: its outcome, `withdraw`, a dismissal, a consent that ended."""

from __future__ import annotations

import pytest

from streams.core.definition import Limits
from streams.core.effects import EventResult, Suppression
from tests.core.build import DAY, HOUR, T0, Log, compiled, content, event, matcher, missing, outcome, rule, where


def withdrawals(log: Log) -> list[tuple[str, str, int]]:
    return [(record.rule, record.reason, record.at - T0) for record in log.withdrawals]


def test_its_outcome_withdraws_a_suggestion():
    log = Log(compiled(rule(event("a")))).add(0, "a").add(5, "chat_opened")
    assert withdrawals(log) == [("r", "outcome", 5)]
    assert log.withdrawals[0].suggestion == log.suggestions[0].id
    assert [live.expires - T0 for live in log.state.live] == [5]


def test_another_outcome_does_not():
    outcomes = [outcome(), outcome("call", event("call"))]
    log = Log(compiled(rule(event("a")), outcomes=outcomes)).add(0, "a").add(5, "call")
    assert withdrawals(log) == []


def test_the_outcome_that_a_rule_promotes_withdraws_too():
    bought = outcome("purchase", event("purchase"), "conversion")
    log = Log(compiled(rule(event("a"), prevents=None, promotes="purchase"), outcomes=[bought]))
    assert withdrawals(log.add(0, "a").add(5, "purchase")) == [("r", "outcome", 5)]


def test_an_outcome_by_timer_withdraws_too():
    left = outcome("left", missing("purchase", "cart", 100))
    log = Log(compiled(rule(event("a"), prevents="left"), outcomes=[left])).add(0, "cart").add(1, "a").tick(200)
    assert withdrawals(log) == [("r", "outcome", 100)]


def test_a_match_of_withdraw_withdraws():
    tracked = content(withdraw=matcher("order_tracked", where("props.ok", "eq", True)))
    log = Log(compiled(rule(event("a"), suggest=tracked))).add(0, "a").add(5, "order_tracked", props={"ok": False})
    assert withdrawals(log) == []
    assert withdrawals(log.add(6, "order_tracked", props={"ok": True})) == [("r", "withdraw", 6)]


def test_withdraw_may_look_at_what_changed():
    changed = content(withdraw=matcher("plan", where("props.n", "changed", True)))
    log = Log(compiled(rule(event("a"), suggest=changed))).add(0, "plan", props={"n": 1}).add(1, "a")
    assert withdrawals(log.add(2, "plan", props={"n": 1})) == []
    assert withdrawals(log.add(3, "plan", props={"n": 2})) == [("r", "withdraw", 3)]


def test_an_event_does_not_withdraw_what_it_led_to():
    loop = content(withdraw=matcher("a"))
    log = Log(compiled(rule(event("a"), suggest=loop))).add(0, "a")
    assert withdrawals(log) == []
    log.add(1, "a")
    assert [record.suggestion for record in log.withdrawals] == [log.suggestions[0].id]
    assert [live.id for live in log.state.live if live.expires > T0 + 1] == [log.suggestions[1].id]


def test_a_dismissal_withdraws_and_stops_the_rule():
    log = Log(compiled(rule(event("a")))).add(0, "a")
    log.add(5, "suggestion_dismissed", props={"suggestion": log.suggestions[0].id}).add(6, "a")
    assert withdrawals(log) == [("r", "dismissed", 5)]
    assert log.decisions[-1].reason is Suppression.DISMISSED


def test_a_dismissal_stops_the_rule_in_later_sessions():
    log = Log(compiled(rule(event("a")))).add(0, "a")
    log.add(5, "suggestion_dismissed", props={"suggestion": log.suggestions[0].id}).tick(10 * DAY).add(10 * DAY, "a")
    assert log.decisions[-1].reason is Suppression.DISMISSED


def test_a_dismissal_may_be_declared_harmless():
    limits = Limits(per_session=None, stop_after_dismissal=False)
    log = Log(compiled(rule(event("a"), limits=limits))).add(0, "a")
    log.add(5, "suggestion_dismissed", props={"suggestion": log.suggestions[0].id}).add(6, "a")
    assert (withdrawals(log), log.decisions[-1].kind) == ([("r", "dismissed", 5)], "suggested")


def test_a_dismissal_leaves_other_rules_alone():
    log = Log(compiled(rule(event("a"), "r1"), rule(event("b"), "r2"))).add(0, "a").add(1, "b")
    log.add(5, "suggestion_dismissed", props={"suggestion": log.suggestions[0].id}).add(6, "b")
    assert withdrawals(log) == [("r1", "dismissed", 5)]
    assert log.decisions[-1].kind == "suggested"


@pytest.mark.parametrize("props", [{}, {"suggestion": "unknown"}, {"suggestion": None}, {"suggestion": ["x"]}])
def test_a_dismissal_of_nothing_does_nothing(props):
    log = Log(compiled(rule(event("a")))).add(0, "a").add(5, "suggestion_dismissed", props=props).add(6, "a")
    assert (withdrawals(log), log.decisions[-1].kind) == ([], "suggested")


def test_a_dismissal_just_after_expiry_is_a_no_all_the_same():
    brief = content(expires_ms=100)
    log = Log(compiled(rule(event("a"), suggest=brief))).add(0, "a")
    log.add(150, "suggestion_dismissed", props={"suggestion": log.suggestions[0].id}).add(151, "a")
    assert withdrawals(log) == []
    assert log.decisions[-1].reason is Suppression.DISMISSED


def test_a_dismissal_counts_however_late_it_comes():
    log = Log(compiled(rule(event("a")))).add(0, "a").add(HOUR, "x")
    log.add(HOUR, "suggestion_dismissed", ts=5, props={"suggestion": log.suggestions[0].id}).add(HOUR + 1, "a")
    assert log.results[-2] is EventResult.LATE
    assert log.decisions[-1].reason is Suppression.DISMISSED


@pytest.mark.parametrize("kind", ["suggestion_clicked", "suggestion_dismissed"])
def test_a_receipt_without_a_session_belongs_to_the_visit_that_goes_on(kind):
    log = Log(compiled()).add(0, "a", session="old").add(10, "a", session="tab").add(20, kind)
    assert [(session.id, session.events) for session in log.state.sessions] == [("old", 1), ("tab", 2)]


def test_a_receipt_with_nothing_going_on_begins_a_visit():
    assert len(Log(compiled()).add(0, "suggestion_clicked").state.sessions) == 1


@pytest.mark.parametrize(("at", "expected"), [(99, [("r", "outcome", 99)]), (100, []), (101, [])])
def test_what_has_expired_needs_no_withdrawal(at, expected):
    log = Log(compiled(rule(event("a"), suggest=content(expires_ms=100)))).add(0, "a").add(at, "chat_opened")
    assert withdrawals(log) == expected


def test_a_suggestion_of_a_rule_that_is_gone_is_left_to_expire():
    log = Log(compiled(rule(event("a"), suggest=content(withdraw=matcher("b"))))).add(0, "a")
    log.recode().ruleset = compiled()
    assert withdrawals(log.add(1, "b").add(2, "chat_opened")) == []


def test_no_consent_withdraws_everything():
    other = content(placement="p2")
    log = Log(compiled(rule(event("a"), "r1"), rule(event("a"), "r2", suggest=other))).add(0, "a")
    log.add(5, "x", context={"consent": "denied"})
    assert withdrawals(log) == [("r1", "no_consent", 5), ("r2", "no_consent", 5)]
