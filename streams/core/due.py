"""When there is something to do for a visitor without an event: a timer, a session's end, the row's own end."""

from __future__ import annotations

from streams.core.conditions import Leaf
from streams.core.journey import journeys_due
from streams.core.ruleset import Ruleset
from streams.core.session import NEVER, Session, Visitor
from streams.core.suggestion import history_matters_until


def session_due(session: Session, ruleset: Ruleset) -> int:
    """When the session ends, or one of its timers fires before."""
    due = session.last + ruleset.options.session_timeout_ms
    if session.timers:
        for timer in session.timers.values():
            if timer < due:
                due = timer
    for leaf in ruleset.idle:
        due = min(due, leaf.next_change(session))
    return due


def set_timer(timers: dict[int, int], leaf: Leaf, session: Session) -> None:
    """Note the next moment for which the leaf waits; it may be none."""
    due = leaf.next_change(session)
    if due != NEVER:
        timers[leaf.key] = due
    elif leaf.key in timers:
        del timers[leaf.key]


def reschedule(state: Visitor, ruleset: Ruleset) -> None:
    """Set the next moment at which there is something to do: a session's timer, or the row's own end."""
    if len(state.sessions) == 1:  # nearly all visitors
        session = state.sessions[0]
        session.due = state.due = session_due(session, ruleset)
    elif state.sessions:
        state.due = NEVER
        for session in state.sessions:
            session.due = due = session_due(session, ruleset)
            state.due = min(state.due, due)
    else:
        state.due = matters_until(state, ruleset)
    if state.journeys:
        state.due = min(state.due, journeys_due(state, ruleset))


def matters_until(state: Visitor, ruleset: Ruleset) -> int:
    """Until when something in a state without sessions can still change an answer."""
    options = ruleset.options
    # Late events of a known visitor must still find the ids that were seen.
    until = state.clock + max(options.max_lateness_ms, ruleset.returning_memory_ms)
    memory = ruleset.exposure_memory_ms
    for exposure in state.exposures:
        until = max(until, exposure.at + memory)
    if state.programme is not None:
        until = max(until, state.programme.at + memory)
    for second in state.reported.values():
        until = max(until, second * 1000 + options.outcome_delay_ms + 1000)
    if state.journeys and (due := journeys_due(state, ruleset)) != NEVER:
        until = max(until, due)
    for live in state.live:
        until = max(until, live.expires)
    for name, history in state.history.items():
        rule = ruleset.by_rule_id.get(name)
        if rule is not None:
            until = max(until, history_matters_until(rule.definition.limits, history))
    return until
