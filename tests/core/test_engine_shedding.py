"""Shedding: more events of one visitor in a minute of the log than a person makes."""

from __future__ import annotations

from streams.core.definition import Idle
from streams.core.effects import EventResult
from streams.core.ruleset import EngineOptions
from streams.core.visitor import encode_visitor
from tests.core.build import HOUR, MINUTE, T0, Log, compiled, event, outcome, rule

TWO = EngineOptions(visitor_events_per_minute_max=2)


def test_the_events_beyond_the_limit_are_shed_and_the_next_minute_is_applied():
    log = Log(compiled(rule(event("a")), options=TWO)).all((0, "a"), (1, "a"), (2, "a"), (MINUTE, "a"))
    assert log.results == [EventResult.APPLIED, EventResult.APPLIED, EventResult.SHED, EventResult.APPLIED]


def test_a_shed_event_leaves_no_trace():
    log = Log(compiled(rule(event("a")), options=TWO)).all((0, "a"), (1, "a"))
    row = encode_visitor(log.state)
    assert log.add(2, "a").last == []
    assert encode_visitor(log.state) == row


def test_a_shed_event_makes_no_outcome():
    log = Log(compiled(outcomes=[outcome(when=event("chat_opened"))], options=TWO))
    log.all((0, "chat_opened"), (1, "chat_opened"), (2, "chat_opened"))
    assert len(log.outcomes) == 2


def test_an_event_that_was_shed_is_applied_when_it_is_sent_again_later():
    log = Log(compiled(options=TWO)).all((0, "a"), (1, "a")).add(2, "a", name="x").add(MINUTE, "a", name="x")
    assert log.results[2:] == [EventResult.SHED, EventResult.APPLIED]


def test_repeats_and_late_events_are_counted_too():
    """They cost a write of the row like any other."""
    log = Log(compiled(options=TWO)).add(0, "a", name="x").add(1, "a", name="x").add(2, "a")
    assert log.results == [EventResult.APPLIED, EventResult.DUPLICATE, EventResult.SHED]
    log = Log(compiled(options=TWO)).add(0, "a", ts=-HOUR).add(1, "a", ts=-HOUR).add(2, "a", ts=-HOUR)
    assert log.results == [EventResult.LATE, EventResult.LATE, EventResult.SHED]


def test_the_visitors_own_clock_does_not_get_around_the_limit():
    log = Log(compiled(options=TWO)).add(0, "a").add(1, "a", ts=-MINUTE).add(2, "a", ts=-2 * MINUTE)
    assert log.results[-1] is EventResult.SHED


def test_what_others_report_of_a_visitor_is_not_shed():
    log = Log(compiled(options=TWO)).all((0, "a"), (1, "a"), (2, "a"))
    log.add(3, "phone_call", context={"source": "report"})
    assert log.results[-2:] == [EventResult.SHED, EventResult.REPORTED]


def test_a_consent_is_withdrawn_by_an_event_beyond_the_limit():
    log = Log(compiled(options=TWO)).all((0, "a"), (1, "a")).add(2, "a", context={"consent": "denied"})
    assert (log.results[-1], log.state) == (EventResult.NO_CONSENT, None)


def test_a_consent_to_being_counted_that_a_shed_event_takes_back_stays():
    log = Log(compiled(options=TWO)).all((0, "a"), (1, "a"))
    log.add(2, "a", context={"consent": {"personalization": True, "measurement": False}})
    assert (log.results[-1], log.state.unmeasured, log.state.offset) == (EventResult.SHED, True, 2)


def test_a_timer_that_is_due_fires_before_a_shed_event_and_the_row_says_how_far_it_is():
    log = Log(compiled(Idle(100), options=TWO)).all((0, "a"), (1, "a"), (101, "a"))
    assert (log.results[-1], log.at, log.state.offset) == (EventResult.SHED, [101], 2)
    assert log.state.due > T0 + 101


def test_without_a_limit_nothing_is_shed_nor_counted():
    log = Log(compiled(options=EngineOptions(visitor_events_per_minute_max=0)))
    for at in range(5):
        log.add(at, "a")
    assert set(log.results) == {EventResult.APPLIED}
    assert log.state.taken == 0
