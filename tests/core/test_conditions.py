"""The conditions one by one: what they keep, what they say, what they wait for."""

from __future__ import annotations

import pytest

from streams.core import definition as d
from streams.core.conditions import (
    ANCHORS_MAX,
    CountLeaf,
    EventLeaf,
    IdleLeaf,
    Leaf,
    MemoryLeaf,
    MissingLeaf,
    SessionLeaf,
)
from streams.core.event import MISSING, Event
from streams.core.matcher import values_equal
from streams.core.ruleset import DefinitionErrors
from streams.core.value_tests import value_test
from streams.core.visitor import NEVER, Session
from tests.core.build import (
    HOUR,
    MINUTE,
    Log,
    both,
    compiled,
    count,
    either,
    event,
    fires,
    matcher,
    missing,
    never,
    seen,
    where,
)

KEY = 1
NOTHING = Event(id="e", visitor="v", type="a", ts=0)


def fed(leaf: Leaf, *events: tuple[int, int]) -> Session:
    """A session in which the leaf was fed (time, mask) each."""
    session = Session(id="s", start=0, last=0)
    for ts, mask in events:
        session.last = max(session.last, ts)
        leaf.feed(session, mask, ts, NOTHING)
    return session


# --- count, seen, never


@pytest.mark.parametrize(
    ("at_least", "at_most", "expected"),
    [
        (2, None, [False, False, True, True, True]),
        (None, 2, [True, True, True, False, False]),
        (2, 2, [False, False, True, False, False]),
        (1, 3, [False, True, True, True, False]),
        (None, 0, [True, False, False, False, False]),
        (1, None, [False, True, True, True, True]),
    ],
)
@pytest.mark.parametrize("within", [None, 1000])
def test_a_count_is_in_range(at_least, at_most, expected, within):
    leaf = CountLeaf(KEY, at_least, at_most, within)
    assert [leaf.holds(fed(leaf, *[(ts, 1) for ts in range(number)]), 10) for number in range(5)] == expected


@pytest.mark.parametrize(("within", "bound"), [(None, 1), (1000, 3)])
def test_a_count_keeps_no_more_than_it_was_asked_about(within, bound):
    leaf = CountLeaf(KEY, 3, None, within)
    session = fed(leaf, *[(ts, 1) for ts in range(50)])
    assert len(session.states[KEY]) == leaf.bound() == bound
    assert leaf.value(session, 50) == 3


def test_an_upper_bound_needs_one_more():
    leaf = CountLeaf(KEY, None, 3, 1000)
    assert leaf.value(fed(leaf, *[(ts, 1) for ts in range(50)]), 50) == leaf.bound() == 4


def test_a_count_finds_the_place_of_a_late_event():
    leaf = CountLeaf(KEY, 3, None, 100)
    session = fed(leaf, (50, 1), (10, 1), (30, 1))
    assert session.states[KEY] == [10, 30, 50]
    assert [leaf.value(session, at) for at in (60, 109, 110, 111, 129, 130, 150)] == [3, 3, 2, 2, 2, 1, 0]


def test_a_count_waits_for_its_oldest_event():
    leaf = CountLeaf(KEY, 3, None, 100)
    session = fed(leaf, (10, 1), (30, 1))
    assert leaf.next_change(session) == 110
    leaf.wake(session, 110, False)
    assert (session.states[KEY], leaf.next_change(session)) == ([30], 130)
    leaf.wake(session, 130, False)
    assert (session.states, leaf.next_change(session)) == ({}, NEVER)


@pytest.mark.parametrize("leaf", [CountLeaf(KEY, 1, None, None), CountLeaf(KEY, 1, None, 100)])
def test_an_empty_count_waits_for_nothing(leaf):
    session = Session("s", 0, 0)
    assert (leaf.next_change(session), leaf.wake(session, 5, False), leaf.value(session, 5)) == (NEVER, 0, 0)


def test_a_count_of_the_session_waits_for_nothing():
    leaf = CountLeaf(KEY, 1, None, None)
    session = fed(leaf, (0, 1))
    assert (leaf.next_change(session), leaf.wake(session, 5, False), leaf.value(session, 5)) == (NEVER, 0, 1)


def test_exactly():
    assert fires(both(event("ask"), count("a", at_least=2, at_most=2)), (0, "a"), (1, "ask"), (2, "a"), (3, "ask")) == [
        3
    ]


def test_seen_and_never_are_opposites():
    for condition, expected in [(seen("a"), [2]), (never("a"), [0]), (d.Not(seen("a")), [0]), (d.Not(never("a")), [2])]:
        assert fires(both(event("ask"), condition), (0, "ask"), (1, "a"), (2, "ask")) == expected


# --- event at hand


def test_an_event_at_hand_keeps_nothing():
    leaf = EventLeaf(KEY)
    session = fed(leaf, (0, 1))
    assert (session.states, leaf.holds(session, 0), leaf.value(session, 0), leaf.bound()) == ({}, False, False, 0)


def test_an_event_at_hand_is_gone_with_its_step():
    assert fires(both(event("a"), event("b")), (0, "a"), (0, "b")) == []


# --- any, all, not


def test_all_and_any_of_many():
    parts = [seen(kind) for kind in "abc"]
    assert fires(both(*parts), (0, "a"), (1, "b"), (2, "c")) == [2]
    assert fires(either(*parts), (0, "b"), (1, "a")) == [0]


def test_not():
    assert fires(both(seen("a"), d.Not(seen("b"))), (0, "b"), (1, "a")) == []
    assert fires(both(seen("a"), d.Not(seen("b"))), (0, "a"), (1, "b"), (2, "a")) == [0]


def test_not_not():
    assert fires(d.Not(d.Not(seen("a"))), (0, "b"), (1, "a")) == [1]


def test_a_rule_that_holds_of_nobody_yet_fires_with_the_first_event():
    assert fires(never("a"), (0, "b"), (1, "c")) == [0]
    assert fires(never("a"), (0, "a"), (1, "c")) == []


# --- missing


def test_an_absence_says_so_until_a_violation():
    leaf = MissingLeaf(KEY, 100, HOUR)
    session = fed(leaf, (0, MissingLeaf.ANCHOR))
    assert (leaf.holds(session, 99), leaf.next_change(session)) == (False, 100)
    leaf.wake(session, 100, False)
    assert (leaf.holds(session, 100), leaf.next_change(session)) == (True, NEVER)
    leaf.feed(session, MissingLeaf.VIOLATION, 150, NOTHING)
    assert leaf.holds(session, 150) is False


def test_an_absence_that_was_not_begun_waits_for_nothing():
    leaf = MissingLeaf(KEY, 100, HOUR)
    session = Session("s", 0, 0)
    assert (leaf.next_change(session), leaf.wake(session, 100, False), leaf.holds(session, 0)) == (NEVER, 0, False)
    session = fed(leaf, (0, MissingLeaf.VIOLATION))
    assert (leaf.next_change(session), leaf.wake(session, 100, True)) == (NEVER, 0)


def test_an_absence_until_the_end_waits_for_the_end_alone():
    leaf = MissingLeaf(KEY, None, HOUR)
    session = fed(leaf, (0, MissingLeaf.ANCHOR))
    assert (leaf.next_change(session), leaf.wake(session, 50, False), leaf.holds(session, 50)) == (NEVER, 0, False)
    leaf.wake(session, 100, True)
    assert leaf.holds(session, 100) is True


def test_an_event_that_is_both_ends_the_old_and_begins_the_new():
    assert fires(missing("a", "a", 100), (0, "a"), (60, "a"), until=500) == [160]


def test_an_absence_keeps_no_more_than_its_bound():
    leaf = MissingLeaf(KEY, HOUR, HOUR)
    masks = [MissingLeaf.ANCHOR, MissingLeaf.VIOLATION, MissingLeaf.ANCHOR | MissingLeaf.VIOLATION]
    for pattern in ([0], [1], [0, 1], [0, 0, 0, 1], [2], [0, 2, 1]):
        session = Session("s", 0, 0)
        for ts in range(60):
            session.last = ts
            leaf.feed(session, masks[pattern[ts % len(pattern)]], ts, NOTHING)
            assert _items(session.states[KEY]) <= leaf.bound()


def _items(value) -> int:
    return sum(map(_items, value)) if isinstance(value, list) else 1


@pytest.mark.parametrize("starts", [ANCHORS_MAX - 1, ANCHORS_MAX, ANCHORS_MAX + 1])
def test_of_too_many_open_absences_the_oldest_goes(starts):
    found = fires(missing("b", "a", 1000), *[(at, "a") for at in range(starts)], until=5000)
    assert found == [at + 1000 for at in range(starts)][-ANCHORS_MAX:]


# --- idle


@pytest.mark.parametrize("after", [None, "a"])
def test_idle_fires_once_for_each_silence(after):
    idle = d.Idle(100, None if after is None else matcher(after))
    assert fires(idle, (0, "a"), (50, "b"), (300, "b"), until=900) == [150, 400]


def test_idle_after_something_waits_for_it():
    idle = d.Idle(100, matcher("a"))
    assert fires(idle, (0, "b"), (300, "a"), until=900) == [400]


def test_idle_does_not_outlast_the_session():
    with pytest.raises(DefinitionErrors, match="a session ends after 1800 s without an event: 1860 s of silence"):
        fires(d.Idle(31 * MINUTE), (0, "a"))
    assert fires(d.Idle(30 * MINUTE), (0, "a"), until=5 * HOUR) == [30 * MINUTE]


def test_a_late_event_does_not_end_an_idleness():
    idle = both(d.Idle(100), seen("x"))
    log = Log(compiled(idle)).add(0, "a").add(90, "b").add(95, "x", ts=10).tick(500)
    assert log.at == [190]


def test_a_negated_idleness_begins_again_with_any_event():
    busy = both(seen("a"), d.Not(d.Idle(60)))
    assert fires(busy, (0, "a"), (100, "q"), until=500) == [0, 100]


def test_the_same_idleness_may_stand_alone_and_negated():
    log = Log(compiled(both(seen("a"), d.Not(d.Idle(60))), d.Idle(60))).all((0, "a"), (100, "q")).tick(500)
    assert log.fired == [("r0", 0), ("r1", 60), ("r0", 100), ("r1", 160)]


def test_idle_keeps_two_numbers():
    leaf = IdleLeaf(KEY, 100, True)
    session = fed(leaf, *[(ts, IdleLeaf.AFTER) for ts in (5, 9, 3)])
    assert _items(session.states[KEY]) <= leaf.bound()
    assert (leaf.holds(session, 108), leaf.holds(session, 109)) == (False, True)
    assert leaf.wake(session, 50, False) == 0


def test_a_session_that_ends_early_does_not_wake_an_idleness_that_is_not_due():
    log = Log(compiled(both(d.Idle(100), seen("a")), missing("z", "a", None)))
    for index in range(5):
        log.add(index, "a", session=f"s{index}")
    assert [(decision.rule, decision.session) for decision in log.decisions] == [("r1", "s0")]


# --- memory


def test_a_memory_is_the_newest_value():
    leaf = MemoryLeaf(KEY, ("props", "q"))
    session = Session("s", 0, 0)
    assert (leaf.value(session, 0), leaf.holds(session, 0)) == (MISSING, False)
    for ts, props in [(5, {"q": "b"}), (3, {"q": "a"}), (9, {})]:
        leaf.feed(session, 1, ts, Event(id="e", visitor="v", type="a", ts=ts, props=props))
    assert (leaf.value(session, 9), leaf.holds(session, 9)) == ("b", True)
    assert len(session.states[KEY]) <= leaf.bound()


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [(1, 1.0, True), ("a", "a", True), (1, True, False), (None, None, False), (None, 1, False), (0, None, False)],
)
def test_what_is_missing_equals_nothing(left, right, equal):
    assert values_equal(left, right) is equal


# --- session


def test_a_session_test_says_when_its_answer_changes():
    leaf = SessionLeaf(KEY, ((lambda session: session.events, value_test(where("events", "eq", 2))),))
    session = Session("s", 0, 0)
    answers = []
    for number in range(5):
        session.events = number
        answers.append((bool(leaf.feed(session, 1, 0, NOTHING)), leaf.holds(session, 0)))
    assert answers == [(False, False), (False, False), (True, True), (True, False), (False, False)]
    assert leaf.bound() == 1


def test_a_condition_by_itself_waits_for_nothing_and_keeps_nothing():
    leaf = EventLeaf(KEY)
    session = Session("s", 0, 0)
    assert (leaf.next_change(session), leaf.wake(session, 0, True), leaf.bound()) == (NEVER, 0, 0)


def test_an_idleness_that_ended_unnoticed_is_a_new_edge_when_it_comes_again():
    """At 10 the absence is complete too, so that the event at 10, which ends the idleness, ends the hold."""
    busy = either(d.Idle(10), d.Not(missing("b", "a", 10)))
    assert fires(busy, (0, "a"), (10, "a"), until=25) == [0, 20]
