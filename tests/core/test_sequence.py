"""Sequences: order, gaps, what may come between, what is used up, what is remembered."""

from __future__ import annotations

import itertools

import pytest

from streams.core.conditions import ALIKE_MAX
from streams.core.event import MISSING
from streams.core.sequence import SequenceLeaf
from streams.core.visitor import Session
from tests.core.build import T0, Log, both, compiled, content, event, fires, matcher, rule, sequence, step_of, where


def written(text: str) -> list[tuple[int, str]]:
    """``"a b c"`` -> one event a millisecond."""
    return [(at, kind) for at, kind in enumerate(text.split())]


@pytest.mark.parametrize(
    ("steps", "log", "expected"),
    [
        # order
        ("a b", "a b", [1]),
        ("a b", "b a", []),
        ("a b", "a x y b", [3]),
        ("a b c", "a c b", []),
        ("a b c", "a c b c", [3]),
        # what is used is used up
        ("a b", "a b b", [1]),
        ("a b", "a a b b", [2]),
        ("a b", "a b a b", [1, 3]),
        ("a a", "a a a", [1]),
        ("a a", "a a a a", [1, 3]),
        ("a a a", "a a a a a a", [2, 5]),
        ("a b a", "a b a b a", [2]),
        ("a b a", "a b a a b a", [2, 5]),
        # later starts are matches of their own
        ("a b c", "a b a c b c", [3, 5]),
        ("a b c", "a b a b c c", [4]),
    ],
)
def test_relaxed(steps, log, expected):
    assert fires(sequence(*steps.split()), *written(log)) == expected


@pytest.mark.parametrize(
    ("steps", "log", "expected"),
    [
        ("a b", "a b", [1]),
        ("a b", "a x b", []),
        ("a b", "a a b", [2]),
        ("a b", "a x a b", [3]),
        ("a b c", "a b x c", []),
        ("a b c", "a b c", [2]),
        ("a b c", "a b a b c", [4]),
        ("a a b", "a a a b", [3]),
    ],
)
def test_strict(steps, log, expected):
    assert fires(sequence(*steps.split(), strict=True), *written(log)) == expected


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("a c", [1]),
        ("a x c", []),
        ("x a c", [2]),
        ("a x a c", [3]),
        ("a c x", [1]),
        ("a y c", [2]),
    ],
)
def test_forbidden_between(log, expected):
    assert fires(sequence("a", step_of("c", forbid=[matcher("x")])), *written(log)) == expected


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("a b c", [2]),
        ("a x b c", []),
        ("a b x c", [3]),
        ("a x a b x c", [5]),
        ("a b a x c b c", [4]),
    ],
)
def test_forbidden_before_one_step_only(log, expected):
    """The last: x stands between the second a and its b, and is not forgotten with the first match."""
    assert fires(sequence("a", step_of("b", forbid=[matcher("x")]), "c"), *written(log)) == expected


def test_several_forbidden_kinds():
    steps = sequence("a", step_of("c", forbid=[matcher("x"), matcher("y")]))
    assert [fires(steps, *written(log)) for log in ("a x c", "a y c", "a z c")] == [[], [], [2]]


def test_the_forbidden_event_may_be_the_step_before():
    """One that is both: as a step it counts, and as forbidden it stands between an older one and the next step."""
    steps = sequence("a", step_of("b", forbid=[matcher("a")]))
    assert fires(steps, *written("a a b b")) == [2]


@pytest.mark.parametrize(("gap", "expected"), [(9, [9]), (10, []), (11, [])])
def test_within_counts_from_the_first_step(gap, expected):
    assert fires(sequence("a", "b", within=10), (0, "a"), (gap, "b")) == expected


def test_what_is_too_far_apart_uses_nothing_up():
    assert fires(sequence("a", "a", within=10), (0, "a"), (10, "a"), (15, "a")) == [15]


def test_a_step_within_looks_for_a_pair_that_is_close_enough():
    steps = sequence("a", step_of("b", within=10), "c")
    assert fires(steps, (0, "a"), (5, "b"), (50, "b"), (60, "c")) == [60]
    assert fires(steps, (0, "a"), (50, "b"), (60, "c")) == []


def test_the_hold_lasts_until_the_first_step_is_old():
    steps = both(sequence("a", "b", within=100), event("x"))
    assert fires(steps, (0, "a"), (50, "b"), (60, "x"), (99, "x"), (100, "x")) == [60, 99]


def test_without_a_window_the_hold_lasts_as_long_as_the_session():
    steps = both(sequence("a", "b"), event("x"))
    assert fires(steps, (0, "a"), (50, "b"), (999_999, "x")) == [999_999]


def test_a_late_older_match_does_not_shorten_the_hold():
    log = Log(compiled(both(sequence("a", "b", within=100), event("x"))))
    log.add(50, "a").add(60, "b").add(61, "a", ts=10).add(62, "b", ts=20).add(140, "x")
    assert log.at[-1] == 140


# --- same_as


def same(field: str = "props.n") -> tuple:
    return sequence(step_of("a", name="one"), step_of("b", where(field, "same_as", "one.props.n")))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"n": 1}, {"n": 1}, [1]),
        ({"n": 1}, {"n": 1.0}, [1]),
        ({"n": "x"}, {"n": "x"}, [1]),
        ({"n": 1}, {"n": 2}, []),
        ({"n": 1}, {"n": "1"}, []),
        ({"n": 1}, {"n": True}, []),
        ({"n": True}, {"n": True}, [1]),
        ({}, {"n": 1}, []),
        ({"n": 1}, {}, []),
        ({}, {}, []),
        ({"n": None}, {"n": None}, []),
        ({"n": [1, 2]}, {"n": [1, 2]}, [1]),
        ({"n": "x" * 500}, {"n": "x" * 500}, [1]),
        ({"n": 2**70}, {"n": 2**70}, [1]),
    ],
)
def test_same_as(first, second, expected):
    assert fires(same(), (0, "a", first), (1, "b", second)) == expected


def test_same_as_finds_the_right_one_among_several():
    events = [(at, "a", {"n": at}) for at in range(5)]
    assert fires(same(), *events, (9, "b", {"n": 1})) == [9]
    assert fires(same(), *events, (9, "b", {"n": 7})) == []


def test_same_as_may_compare_other_fields():
    assert fires(same("props.m"), (0, "a", {"n": 1, "m": 2}), (1, "b", {"n": 2, "m": 1})) == [1]


def test_same_as_may_look_two_steps_back():
    steps = sequence(step_of("a", name="one"), "b", step_of("c", where("props.n", "same_as", "one.props.n")))
    assert fires(steps, (0, "a", {"n": 1}), (1, "b", {"n": 5}), (2, "c", {"n": 1})) == [2]
    assert fires(steps, (0, "a", {"n": 1}), (1, "b", {"n": 1}), (2, "c", {"n": 5})) == []


def test_same_as_and_an_own_test():
    steps = sequence(
        step_of("a", name="one"),
        step_of("b", where("props.ok", "eq", 1), where("props.n", "same_as", "one.props.n")),
    )
    assert fires(steps, (0, "a", {"n": 1}), (1, "b", {"n": 1}), (2, "b", {"n": 1, "ok": 1})) == [2]


# --- late events


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_forbidden_event_counts_in_any_order_before_the_last_step(order):
    """In event time: a x a c. Whatever came first, the second a and c are a match."""
    kinds = ["a", "x", "a", "c"]
    log = Log(compiled(sequence("a", step_of("c", forbid=[matcher("x")]))))
    for index in order:
        log.add(100, kinds[index], ts=10 + index)
    assert len(log.at) == 1


def test_one_late_event_may_complete_a_match_between_others():
    log = Log(compiled(sequence("a", "b", "c")))
    log.add(10, "a").add(30, "c").add(31, "b", ts=20)
    assert log.at == [20]


# --- bounds


@pytest.mark.parametrize(
    "steps",
    [
        sequence("a", "b", "c"),
        sequence("a", "b", strict=True),
        sequence("a", step_of("b", forbid=[matcher("x")]), step_of("c", forbid=[matcher("a")])),
        sequence(step_of("a", name="n"), step_of("b", where("props.n", "same_as", "n.props.n")), within=50),
        sequence("*", "*", "c"),
    ],
)
def test_the_state_of_a_sequence_is_bounded(steps):
    ruleset = compiled(rule(steps, suggest=content()))
    (leaf,) = (one for one in ruleset.rules[0].tree.leaves if isinstance(one, SequenceLeaf))
    for pattern in ("a", "b", "c", "x", "ab", "abx", "xab", "aaab", "cba", "abcx"):
        log = Log(ruleset)
        for at in range(200):
            log.add(at, pattern[at % len(pattern)], props={"n": at})
            state = log.state.sessions[0].states.get(leaf.key, [])
            assert _items(state) <= leaf.bound()


def _items(value) -> int:
    return sum(map(_items, value)) if isinstance(value, list) else 1


def test_forgetting_never_makes_a_match_that_is_none():
    """x was forbidden, long ago; many later ones of its kind do not make it forgotten while its start is known."""
    steps = sequence("a", step_of("c", forbid=[matcher("x")]))
    assert fires(steps, (0, "a"), *[(1 + at, "x") for at in range(100)], (200, "c")) == []
    mixed = sequence("a", "b", step_of("c", forbid=[matcher("x")]))
    events = [(0, "a"), (1, "b"), (2, "x")] + [(3 + at, "y") for at in range(50)]
    assert fires(mixed, *events, (99, "c")) == []


# --- what people who ask why are told


def progress(steps, log: str) -> int:
    run = Log(compiled(steps)).all(*written(log))
    (leaf,) = run.ruleset.rules[0].tree.leaves
    return leaf.value(run.state.sessions[0], run.state.sessions[0].last)


@pytest.mark.parametrize(("log", "reached"), [("x", 0), ("a", 1), ("a b", 2), ("a x b", 2), ("b", 0), ("a b c", 3)])
def test_how_far_it_has_come(log, reached):
    assert progress(sequence("a", "b", "c"), log) == reached


def test_a_name_finds_what_its_step_had():
    steps = sequence(step_of("a", name="one"), "b")
    ruleset = compiled(rule(steps, suggest=content("{{ steps.one.props.q }}")))
    (leaf,) = ruleset.rules[0].tree.leaves
    log = Log(ruleset)
    found = []
    for kind, props in [("a", {"q": "x"}), ("b", {}), ("a", {}), ("b", {})]:
        log.add(log.now + 1, kind, props=props)
        found.append(leaf.named_value(log.state.sessions[0], "one.props.q"))
    assert found == [MISSING, "x", "x", MISSING]
    assert leaf.named_value(log.state.sessions[0], "two.props.q") is MISSING
    assert leaf.named_value(Session("s", 0, 0), "one.props.q") is MISSING


def test_a_sequence_that_is_woken_too_early_goes_on():
    ruleset = compiled(sequence("a", "b", within=100))
    (leaf,) = ruleset.rules[0].tree.leaves
    session = Log(ruleset).all((0, "a"), (50, "b")).state.sessions[0]
    assert (leaf.wake(session, T0 + 99, False), leaf.holds(session, T0 + 99)) == (0, True)
    assert (leaf.wake(session, T0 + 100, False), leaf.holds(session, T0 + 99)) == (1, False)


def test_a_sequence_of_many_kinds_forgets_the_oldest():
    kinds = "abcdefgh"
    log = Log(compiled(sequence(*kinds)))
    for at in range(7 * 8):
        log.add(at, kinds[at // 8])
    assert log.add(100, "h").at == []
    for at, kind in enumerate(kinds, 200):
        log.add(at, kind)
    assert log.at == [207]


def test_many_later_starts_do_not_push_out_the_one_that_the_next_step_needs():
    later = [(20 + at, "a") for at in range(3 * ALIKE_MAX)]
    assert fires(sequence("a", "b", "c"), (0, "a"), (10, "b"), *later, (100, "c")) == [100]
    assert fires(sequence("a", "b", "c", within=100), (0, "a"), (10, "b"), *later, (100, "c")) == []


def test_a_start_stays_for_each_of_the_next_steps_as_long_as_there_is_room():
    """Where none has another right behind it, the oldest goes."""
    turns = [event for at in range(ALIKE_MAX + 1) for event in ((10 * at, "a"), (10 * at + 5, "b"))]
    assert fires(sequence("a", "b", "c"), *turns, (200, "c")) == [200]


def test_a_late_step_that_is_one_too_many_of_its_kind_is_forgotten_at_once():
    ruleset = compiled(sequence("a", "b"))
    (leaf,) = ruleset.rules[0].tree.leaves
    session = Log(ruleset).all(*[(at, "b") for at in range(10, 10 + ALIKE_MAX)], (9, "b")).state.sessions[0]
    assert [mark[0] - T0 for mark in session.states[leaf.key][3:]] == list(range(10, 10 + ALIKE_MAX))
