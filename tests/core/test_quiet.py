"""Silence in a sequence: at its end, by timer, and between two steps."""

from __future__ import annotations

import pytest

from streams.core import definition as d
from streams.core.quiet import QuietLeaf
from tests.core.build import MINUTE, Log, both, compiled, fires, matcher, rule, seen, step_of, where

END = 20 * MINUTE


def ending(*steps, span=100, of=None, **fields) -> d.Sequence:
    written = tuple(step_of(step) if isinstance(step, str) else step for step in steps)
    return d.Sequence(written, quiet=d.Quiet(span, None if of is None else matcher(*of)), **fields)


@pytest.mark.parametrize(("at", "fired"), [(109, []), (110, [110]), (111, [110])])
def test_the_clock_starts_at_the_last_step(at, fired):
    assert fires(ending("a", "b"), (0, "a"), (10, "b"), (at, "c"), until=END) == fired


@pytest.mark.parametrize(("until", "fired"), [(99, []), (100, [100]), (101, [100])])
def test_one_step_and_silence(until, fired):
    assert fires(ending("a"), (0, "a"), until=until) == fired


def test_each_match_has_its_own_clock():
    assert fires(ending("a", of=("x",)), (0, "a"), (40, "a"), until=END) == [100, 140]


def test_only_the_named_events_break_the_silence():
    assert fires(ending("a", of=("x",)), (0, "a"), (50, "y"), until=END) == [100]
    assert fires(ending("a", of=("x",)), (0, "a"), (50, "x"), until=END) == []


def test_a_match_holds_until_the_next_violation():
    condition = both(ending("a", of=("x",)), seen("b"))
    assert fires(condition, (0, "a"), (200, "b")) == [200]
    assert fires(condition, (0, "a"), (150, "x"), (200, "b")) == []


def test_a_violation_compares_with_a_step():
    more = matcher("x", d.FieldTest("props.n", d.Operator.GT, d.StepValue("one", "props.n")))
    condition = d.Sequence((step_of("a", name="one"),), quiet=d.Quiet(100, more))
    start = (0, "a", {"n": 5})
    assert fires(condition, start, (50, "x", {"n": 5}), until=END) == [100]
    assert fires(condition, start, (50, "x", {"n": 6}), until=END) == []
    assert fires(condition, start, (50, "x"), until=END) == [100]


def test_a_late_violation_still_breaks_the_silence():
    log = Log(compiled(ending("a", of=("x",)))).add(0, "a").add(90, "x", ts=50).tick(END)
    assert log.at == []


def test_a_late_step_meets_the_violation_that_came_before_it():
    log = Log(compiled(ending("a", of=("x",)))).add(50, "x").add(60, "a", ts=20).tick(END)
    assert log.at == []
    after = Log(compiled(ending("a", of=("x",)))).add(50, "x").add(60, "a", ts=55).tick(END)
    assert after.at == [155]


def test_a_violation_long_ago_is_forgotten():
    log = Log(compiled(ending("a", of=("x",)))).add(0, "x").add(11 * MINUTE, "x").add(12 * MINUTE, "a")
    assert log.tick(END).at == [12 * MINUTE + 100]


def test_a_timer_shows_the_steps_values():
    suggest = d.Content("p", (("en", "{{ steps.one.props.x }}"),))
    condition = ending(step_of("a", name="one"))
    log = Log(compiled(rule(condition, suggest=suggest))).add(0, "a", props={"x": "tea"}).recode().tick(100)
    assert log.suggestions[0].title == {"en": "tea"}


def test_the_state_is_bounded():
    log = Log(compiled(ending("a", "b", of=("x",))))
    leaf = next(leaf for leaf in log.ruleset.rules[0].tree.leaves if isinstance(leaf, QuietLeaf))
    for at in range(300):
        log.add(at, "axb"[at % 3])

    def items(value) -> int:
        return sum(map(items, value)) if isinstance(value, list) else 1

    assert items(log.state.sessions[0].states[leaf.key]) <= leaf.bound()


# --- between two steps


def pause(span=1000, of="x") -> d.Sequence:
    quiet = d.Quiet(span, None if of is None else matcher(of))
    return d.Sequence((step_of("a"), d.Step(matcher("c"), after=quiet)))


@pytest.mark.parametrize(("at", "fired"), [(999, False), (1000, True), (1001, True)])
def test_the_next_step_comes_after_the_silence(at, fired):
    assert fires(pause(), (0, "a"), (at, "c")) == ([at] if fired else [])


@pytest.mark.parametrize(("broken", "fired"), [(999, []), (1000, [1200]), (1001, [1200])])
def test_what_breaks_the_silence_between_steps(broken, fired):
    assert fires(pause(), (0, "a"), (broken, "x"), (1200, "c")) == fired


def test_any_event_breaks_a_silence_without_of():
    assert fires(pause(of=None), (0, "a"), (500, "q"), (1200, "c")) == []
    assert fires(pause(of=None), (0, "a"), (1200, "c")) == [1200]


def test_an_early_step_is_passed_over():
    assert fires(pause(), (0, "a"), (500, "c"), (1200, "c")) == [1200]


def test_a_negated_quiet_sequence():
    condition = both(seen("b"), d.Not(ending("a", of=("x",))))
    assert fires(condition, (0, "b"), (10, "a"), (200, "x"), until=END) == [0, 200]


def test_where_alone_does_not_count_against_silence():
    condition = d.Sequence((step_of("a"),), quiet=d.Quiet(100, matcher("x", where("props.n", "gte", 3))))
    assert fires(condition, (0, "a"), (50, "x", {"n": 2}), until=END) == [100]


def test_a_leaf_that_is_not_due_does_not_wake():
    log = Log(compiled(ending("a"))).add(0, "a")
    (leaf,) = log.ruleset.rules[0].tree.leaves
    assert leaf.wake(log.state.sessions[0], 0, False) == 0
