"""step() and tick(): what becomes of each event, timers, rows. What else they do: test_engine_*.py."""

from __future__ import annotations

from streams.core.definition import Idle, Limits, Not
from streams.core.effects import EventResult
from streams.core.engine import Position, step, tick
from streams.core.event import Event
from streams.core.visitor import Visitor
from tests.core.build import (
    DAY,
    MINUTE,
    T0,
    Log,
    both,
    compiled,
    count,
    event,
    fires,
    missing,
    never,
    rule,
    seen,
    sequence,
)

# --- what becomes of an event


def test_an_event_without_rules_is_applied():
    log = Log(compiled()).add(0, "a")
    assert (log.results, log.effects, log.state.offset) == ([EventResult.APPLIED], [], 0)


def test_the_state_returned_is_the_state_given():
    ruleset = compiled()
    state, _, _ = step(None, Event(id="e", visitor="v", type="a", ts=T0), Position(0, T0), ruleset, T0)
    again, _, _ = step(state, Event(id="f", visitor="v", type="a", ts=T0), Position(1, T0), ruleset, T0)
    assert again is state
    assert tick(state, ruleset, T0)[0] is state


def test_a_shown_receipt_is_no_activity():
    """It is the site's act: it neither counts nor ends an idleness nor keeps a session alive."""
    log = Log(compiled(Idle(100), count("*", at_least=2))).add(0, "a").add(50, "suggestion_shown").tick(100)
    assert log.fired == [("r0", 100)]
    assert log.results == [EventResult.APPLIED] * 2


def test_a_clicked_receipt_is_activity():
    assert fires(seen("suggestion_clicked"), (0, "suggestion_clicked")) == [0]


# --- timers and rows


def test_a_tick_with_nothing_due_changes_nothing():
    log = Log(compiled(missing("b", "a", 100))).add(0, "a")
    due = log.state.due
    assert log.tick(50).effects == []
    assert log.state.due == due == T0 + 100


def test_the_earliest_timer_is_the_rows():
    log = Log(compiled(missing("b", "a", 300), missing("b", "a", 100), Idle(200))).add(0, "a", session="x")
    log.add(50, "z", session="y")
    assert [log.state.due - T0] + [log.tick(log.state.due - T0).state.due - T0 for _ in range(3)] == [
        100,
        200,
        250,
        300,
    ]


def test_timers_of_several_sessions_fire_in_order():
    log = Log(compiled(missing("b", "a", 100)))
    log.add(0, "a", session="x").add(10, "a", session="y").add(20, "a", session="x").tick(500)
    assert [(decision.session, decision.at - T0) for decision in log.decisions] == [("x", 100), ("y", 110), ("x", 120)]


def test_a_timer_of_a_rule_that_is_gone_is_forgotten():
    log = Log(compiled(missing("b", "a", 100))).add(0, "a")
    log.recode().ruleset = compiled()
    assert log.tick(200).effects == []
    assert log.state.due - T0 == 30 * MINUTE


def test_a_rule_that_is_gone_holds_nothing_up():
    log = Log(compiled(rule(seen("a"), "old"))).add(0, "a")
    log.recode().ruleset = compiled(rule(both(seen("a"), seen("b")), "new"))
    assert log.add(1, "a").add(2, "b").fired == [("old", 0), ("new", 2)]


def test_a_history_of_a_rule_that_is_gone_keeps_no_row():
    log = Log(compiled(rule(event("a"), limits=Limits(cooldown_ms=90 * DAY)))).add(0, "a")
    log.recode().ruleset = compiled()
    log.tick(5 * DAY)
    assert log.state is None


def test_a_window_that_runs_out_is_noticed_by_a_timer():
    quiet = both(seen("a"), never("b", within=100))
    log = Log(compiled(quiet)).all((0, "b"), (1, "a"), (50, "b"))
    assert log.tick(500).at == [150]


def test_a_rule_of_a_sequence_that_has_run_out():
    over = both(seen("a"), Not(sequence("a", "b", within=100)))
    assert fires(over, (0, "a"), (10, "b"), until=500) == [0, 100]


def test_a_tick_of_a_visitor_without_anything():
    state, effects = tick(Visitor(visitor="v", clock=T0), compiled(), T0)
    assert (state is not None, effects) == (True, [])
    assert tick(state, compiled(), state.due)[0] is None
