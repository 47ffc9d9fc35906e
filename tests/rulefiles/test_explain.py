"""Why, and why not, for a recorded visitor."""

from __future__ import annotations

from typing import Any

from streams.core import definition as d
from streams.core.event import Event
from streams.rulefiles.explain import Explained, decision_lines, explain_recorded, nearby, rule_lines
from tests.core.build import HOUR, MINUTE, T0, compiled, count, rule

TWO = rule(count("search", at_least=2, within=5 * MINUTE), limits=d.Limits(per_session=1))


def event(at: int, kind: str = "search", visitor: str = "v", **fields: Any) -> Event:
    return Event(id=f"{visitor}{at}", visitor=visitor, type=kind, ts=T0 + at, **fields)


def explained(*events: Event, at: int | None = None, name: str | None = None, rules: Any = (TWO,)) -> Explained:
    found = explain_recorded(events, "v", compiled(*rules), name, None if at is None else T0 + at)
    assert found is not None
    return found


def test_nobody_of_that_name() -> None:
    assert explain_recorded([event(0, visitor="w")], "v", compiled(TWO)) is None
    assert nearby([event(n, visitor=f"w{n // 2}") for n in range(30)]) == ["w0", "w1", "w2", "w3", "w4"]


def test_what_lacks_at_the_last_event() -> None:
    found = explained(event(0), event(5, visitor="w"), event(9, "page_view"))
    assert list(rule_lines(found.rules)) == [
        f"r (live) in session {found.rules[0].session}",
        "   no  count search, at least 2, within 5m = 1; lacks: 1 more",
        "    -> its condition does not hold",
    ]
    assert list(decision_lines(found)) == ["visitor v: 2 events (2 applied)", "  no rule has fired"]


def test_what_stopped_a_firing() -> None:
    found = explained(event(0), event(1), event(10 * MINUTE), event(10 * MINUTE + 1))
    assert list(decision_lines(found)) == [
        "visitor v: 4 events (4 applied)",
        "  10m before: r suggested",
        "  0s before: r suppressed: limit_session",
    ]
    assert found.rules[0].stopped_by[-1] == "it would be suppressed: limit_session"


def test_at_a_moment_of_one_s_choice() -> None:
    events = event(0), event(MINUTE), event(2 * MINUTE, "page_view")
    assert [condition.value for condition in explained(*events, at=1).rules[0].conditions] == [1]
    later = explained(*events, at=5 * MINUTE + 1)
    assert (later.events, [condition.value for condition in later.rules[0].conditions]) == (3, [1])


def test_after_the_session_s_end() -> None:
    assert explained(event(0), event(1), at=31 * MINUTE).rules[0].stopped_by == ("no session is going on",)
    assert "nothing is kept" in explained(event(0), at=HOUR).rules[0].stopped_by[0]


def test_a_timer_between_two_events() -> None:
    found = explained(event(0), event(2 * MINUTE), rules=[rule(d.Idle(MINUTE))])
    assert [(decision.at - T0, decision.kind) for decision in found.decisions] == [(MINUTE, "suggested")]


def test_without_consent() -> None:
    found = explained(event(0), event(1, context={"consent": False}))
    assert found.results == {"applied": 1, "no_consent": 1}
    assert found.rules[0].stopped_by[0] == "no consent: 1 of 2 events say so"
    drafted = explained(event(0, context={"consent": False}), rules=[rule(count("x", at_least=1), mode="draft")])
    assert drafted.rules[0].stopped_by == ("mode: draft",)


def test_one_rule_of_several() -> None:
    other = rule(count("search", at_least=1), "other")
    found = explained(event(0), event(1), rules=(TWO, other), name="other")
    assert {decision.rule for decision in found.decisions} == {"other"}
    assert [now.rule for now in found.rules] == ["other"]


def test_nothing_in_the_way() -> None:
    found = explained(event(0), at=0, rules=[rule(count("search", at_least=2), holdout=0.0)])
    assert list(rule_lines(found.rules))[-1] == "    -> its condition does not hold"
    free = explained(event(0), at=MINUTE - 1, rules=[rule(d.Idle(MINUTE))])
    assert free.rules[0].conditions[0].lacks == "nothing of the kind for another 1ms"
