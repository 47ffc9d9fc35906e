"""When a visitor has to be looked at without an event."""

from __future__ import annotations

from streams.core.due import matters_until, reschedule, session_due
from streams.core.session import Session, Visitor
from tests.core.build import DAY, HOUR, MINUTE, T0, Log, compiled, funnel, missing

LATENESS = 10 * MINUTE
PLAIN = compiled()


def test_a_session_is_due_at_its_end_or_at_an_earlier_timer():
    assert session_due(Session("s", 0, 5), PLAIN) == 5 + 30 * MINUTE
    log = Log(compiled(missing("b", "a", MINUTE))).all((0, "a"))
    assert session_due(log.state.sessions[0], log.ruleset) == T0 + MINUTE


def test_a_visitor_is_due_with_the_first_of_several_sessions():
    state = Visitor("v", sessions=[Session("a", 0, 500, True), Session("b", 0, 7, True)])
    reschedule(state, PLAIN)
    assert state.due == 7 + 30 * MINUTE


def test_a_row_matters_for_as_long_as_late_events_and_journeys_may_come():
    assert matters_until(Visitor("v", clock=7), PLAIN) == 7 + LATENESS
    log = Log(compiled(funnels=(funnel("a", "b", within_ms=DAY),))).all((0, "a")).tick(HOUR)
    assert matters_until(log.state, log.ruleset) == T0 + DAY + LATENESS
