"""Random rules over random events: the engine against the reference, and against itself under every disturbance."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streams.core.engine import Position, step, tick
from streams.core.event import Event
from streams.core.ruleset import EngineOptions, Ruleset
from streams.core.visitor import decode_visitor, encode_visitor
from tests.core.build import HOUR, T0, Log, compiled
from tests.core.programs import (
    TIMEOUT,
    at_most_counts,
    conditions,
    histories,
    histories_with_sessions,
    missings,
    positive_counts,
    sequences,
)
from tests.core.reference import Seen, firings

OPTIONS = EngineOptions(session_timeout_ms=TIMEOUT)
END = 10_000  # long after everything


def rules_of(parts) -> Ruleset:
    return compiled(*parts, options=OPTIONS)


def feed(log: Log, seen: Seen) -> None:
    log.add(seen.ts, seen.type, props=dict(seen.props), session=seen.session)


def to_the_byte(log: Log) -> bytes:
    return msgspec.json.encode(log.effects) + (b"-" if log.state is None else encode_visitor(log.state))


programs = st.lists(conditions, min_size=1, max_size=3)


def found(parts, history):
    """What the engine finds, as `said` finds it."""
    log = Log(rules_of(parts))
    for seen in history:
        feed(log, seen)
    return sorted(log.tick(END).fired)


def said(parts, history):
    """What the definitions say of the history."""
    return firings({f"r{index}": part for index, part in enumerate(parts)}, history, TIMEOUT, END)


@given(programs, histories)
def test_the_engine_finds_what_the_definitions_say(parts, history):
    assert found(parts, history) == said(parts, history)


@given(programs, histories_with_sessions)
def test_explicit_sessions_are_judged_each_by_itself(parts, history):
    assert found(parts, history) == said(parts, history)


@given(programs, histories_with_sessions)
def test_a_restart_between_any_two_events_changes_nothing(parts, history):
    ruleset = rules_of(parts)
    plain, restarted = Log(ruleset), Log(ruleset)
    for seen in history:
        feed(plain, seen)
        feed(restarted.recode(), seen)
    assert to_the_byte(restarted.recode().tick(END)) == to_the_byte(plain.tick(END))


@given(programs, histories)
def test_rules_compiled_again_go_on_where_the_others_stopped(parts, history):
    plain, split = Log(rules_of(parts)), Log(rules_of(parts))
    for index, seen in enumerate(history):
        if index == len(history) // 2:
            split.recode().ruleset = rules_of(parts)
        feed(plain, seen)
        feed(split, seen)
    assert to_the_byte(split.tick(END)) == to_the_byte(plain.tick(END))


@given(programs, histories)
def test_every_prefix_says_what_the_whole_says_of_it(parts, history):
    ruleset = rules_of(parts)
    whole = Log(ruleset)
    so_far = []
    for seen in history:
        feed(whole, seen)
        so_far.append(len(whole.effects))
    for length, effects in enumerate(so_far, 1):
        prefix = Log(ruleset)
        for seen in history[:length]:
            feed(prefix, seen)
        assert prefix.effects == whole.effects[:effects]


def tick_before(log, seen, data):
    """Time is looked at up to twice between the last event and this one."""
    if log.offset >= 0:
        for at in sorted(data.draw(st.lists(st.integers(log.now, seen.ts), max_size=2))):
            log.tick(at)


@given(programs, histories_with_sessions, st.data())
def test_ticks_at_any_moments_change_nothing(parts, history, data):
    ruleset = rules_of(parts)
    plain, ticked = Log(ruleset), Log(ruleset)
    for seen in history:
        feed(plain, seen)
        tick_before(ticked, seen, data)
        feed(ticked, seen)
    plain.tick(END)
    for at in (END // 50, END // 20, END // 2, END):
        ticked.tick(at)
    assert sorted(map(repr, ticked.effects)) == sorted(map(repr, plain.effects))


@given(programs, histories_with_sessions, st.integers(1, 6), st.data())
def test_with_shedding_too_neither_ticks_nor_restarts_change_anything(parts, history, most, data):
    ruleset = compiled(*parts, options=EngineOptions(session_timeout_ms=TIMEOUT, visitor_events_per_minute_max=most))
    plain, disturbed = Log(ruleset), Log(ruleset)
    for seen in history:
        feed(plain, seen)
        tick_before(disturbed, seen, data)
        feed(disturbed.recode(), seen)
    assert disturbed.results == plain.results
    plain.tick(END)
    disturbed.tick(END)
    assert sorted(map(repr, disturbed.effects)) == sorted(map(repr, plain.effects))


@given(programs, histories, st.data())
def test_a_replay_from_any_earlier_offset_changes_nothing(parts, history, data):
    """A crash after the state was written and before the offset was committed."""
    ruleset = rules_of(parts)
    plain, crashed = Log(ruleset), Log(ruleset)
    for seen in history:
        feed(plain, seen)
        feed(crashed, seen)
    before = encode_visitor(crashed.state)
    for offset in range(data.draw(st.integers(0, len(history) - 1)), len(history)):
        seen = history[offset]
        crashed.recode().add(seen.ts, seen.type, offset=offset, props=dict(seen.props), session=seen.session)
        assert crashed.last == []
    assert encode_visitor(crashed.state) == before
    assert to_the_byte(crashed.tick(END)) == to_the_byte(plain.tick(END))


@given(programs, histories, st.data())
def test_work_lost_with_the_state_is_done_again_with_the_same_ids(parts, history, data):
    """A crash after effects were sent and before the state was written: the older row meets the same events again."""
    ruleset = rules_of(parts)
    state, rows, sent = None, [None], []
    for offset, seen in enumerate(history):
        written = Event(id=f"e{offset}", visitor="v", type=seen.type, ts=T0 + seen.ts, props=dict(seen.props))
        state, _, effects = step(state, written, Position(offset, T0 + seen.ts), ruleset, T0 + seen.ts)
        rows.append(encode_visitor(state))
        sent.append(effects)
    start = data.draw(st.integers(0, len(history)))
    state = None if rows[start] is None else decode_visitor("v", rows[start])
    for offset in range(start, len(history)):
        seen = history[offset]
        written = Event(id=f"e{offset}", visitor="v", type=seen.type, ts=T0 + seen.ts, props=dict(seen.props))
        state, _, effects = step(state, written, Position(offset, T0 + seen.ts), ruleset, T0 + seen.ts)
        assert effects == sent[offset]
        assert encode_visitor(state) == rows[offset + 1]


@given(programs, histories_with_sessions)
def test_the_row_says_when_something_is_due(parts, history):
    """Up to `due` nothing happens; a worker may sleep until then."""
    log = Log(rules_of(parts))
    for seen in history:
        feed(log, seen)
        due = log.state.due - T0
        if due > log.now + 1:
            before = encode_visitor(log.state)
            assert tick(decode_visitor("v", before), log.ruleset, T0 + due - 1) == (decode_visitor("v", before), [])


# --- late events

LATE = EngineOptions(session_timeout_ms=HOUR)


def told_apart(history: list[Seen]) -> list[Seen]:
    """No two at one moment: their order would be that of the log."""
    return [Seen(seen.ts + index, seen.type, (*seen.props, ("i", index))) for index, seen in enumerate(history)]


def all_at(ruleset: Ruleset, history: list[Seen], end: int) -> Log:
    """Everything reaches the log at `end`: within the lateness bound, in one session, in the order given."""
    log = Log(ruleset)
    for seen in history:
        log.add(end, seen.type, ts=seen.ts, props=dict(seen.props))
    return log


@given(st.lists(positive_counts | at_most_counts, min_size=1, max_size=3), histories, st.data())
def test_counts_do_not_depend_on_the_order_of_arrival(parts, history, data):
    ruleset = compiled(*parts, options=LATE)
    end = history[-1].ts
    one = all_at(ruleset, history, end).state.sessions[0]
    other = all_at(ruleset, data.draw(st.permutations(history)), end).state.sessions[0]
    assert (one.start, one.last, one.events) == (other.start, other.last, other.events)
    for rule in ruleset.rules:
        (leaf,) = rule.tree.leaves
        for at in range(T0 + end, T0 + end + 70, 5):
            assert leaf.value(one, at) == leaf.value(other, at)


@given(sequences.filter(lambda part: part.within_ms is None), histories, st.data())
def test_a_sequence_is_found_in_any_order_of_arrival(part, history, data):
    """At least one match where there is one; which of several is found first depends on what came first.

    Without a window: a match that is completed late and has run out by the latest event's time is no edge any more.
    """
    history = told_apart(history)
    if firings({"r": part}, history, HOUR, END):
        assert all_at(compiled(part, options=LATE), data.draw(st.permutations(history)), history[-1].ts).at != []


@given(missings.filter(lambda part: part.for_ms is not None), histories, st.data())
def test_an_absence_is_found_in_any_order_of_arrival(part, history, data):
    """Of absences that are complete after everything has arrived, nothing depends on the order."""
    history = told_apart(history)
    end, later = history[-1].ts, history[-1].ts + HOUR - 1
    log = all_at(compiled(part, options=LATE), data.draw(st.permutations(history)), end).tick(later)
    expected = {at for _, at in firings({"r": part}, history, HOUR, later) if at > end}
    assert {at for at in log.at if at > end} == expected


@given(programs, programs, histories, st.data())
def test_a_reload_between_any_two_events_keeps_what_did_not_change(kept, others, history, data):
    """Other rules come and go; those that stay find the same."""
    here, there = compiled(*kept, options=OPTIONS), compiled(*kept, *others, options=OPTIONS)
    plain, reloaded = Log(here), Log(here)
    for seen in history:
        feed(plain, seen)
        reloaded.ruleset = data.draw(st.sampled_from([here, there]))
        feed(reloaded.recode(), seen)
    plain.tick(END)
    reloaded.ruleset = here
    reloaded.tick(END)
    names = {f"r{index}" for index in range(len(kept))}
    assert [one for one in reloaded.fired if one[0] in names] == plain.fired
