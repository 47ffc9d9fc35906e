"""Distinct counts, aggregates and ratios: what they say at their bounds, in windows, out of order."""

from __future__ import annotations

import pytest

from streams.core import definition as d
from streams.core.aggregates import (
    DISTINCT_MAX,
    NUMBER_MAX,
    WINDOW_EVENTS_MAX,
    AggregateLeaf,
    DistinctLeaf,
    RatioLeaf,
    number,
    value_hash,
)
from streams.core.event import MISSING, Event
from streams.core.visitor import NEVER, Session
from tests.core.build import Log, both, compiled, event, fires, matcher, never, where

END = 10_000


def distinct(at_least=None, at_most=None, within=None) -> d.Count:
    return d.Count(matcher("a"), at_least, at_most, within, "props.q")


def aggregate(function, operator, value, within=None, field="props.n") -> d.Aggregate:
    return d.Aggregate(function, field, matcher("a"), (where("", operator, value),), within)


def ratio(operator, value, least=1, within=None) -> d.Ratio:
    return d.Ratio(matcher("a"), matcher("b"), (where("", operator, value),), least, within)


def a(at, n):
    return (at, "a", {"n": n, "q": n})


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [(1, 1.0, True), (1, "1", False), (1, True, False), (0, None, False), ([1], [1], True), ("x", "x", True)],
)
def test_values_are_told_apart_as_tests_tell_them_apart(left, right, same):
    assert (value_hash(left) == value_hash(right)) is same


@pytest.mark.parametrize("value", [True, "5", None, float("nan"), float("inf"), NUMBER_MAX, -NUMBER_MAX, [1]])
def test_what_is_no_number(value):
    assert number(value) is MISSING


# --- distinct


def test_different_values_count_once_each():
    assert fires(distinct(3), a(0, 1), a(10, 2), a(20, 1), a(30, 2), a(40, 3), a(50, 4)) == [40]


def test_an_event_without_the_field_has_no_value():
    assert fires(distinct(2), a(0, 1), (10, "a"), a(20, 2)) == [20]


@pytest.mark.parametrize(("gap", "fired"), [(99, True), (100, False), (101, False)])
def test_distinct_values_in_a_window(gap, fired):
    assert fires(distinct(2, within=100), a(0, 1), a(gap, 2)) == ([gap] if fired else [])


def test_a_value_seen_again_stays_in_the_window():
    assert fires(distinct(2, within=100), a(0, 1), a(90, 1), a(150, 2)) == [150]


def test_the_latest_time_of_a_value_counts_whatever_comes_late():
    log = Log(compiled(distinct(2, within=100))).add(90, "a", props={"q": 1}).add(95, "a", ts=10, props={"q": 1})
    assert log.add(180, "a", props={"q": 2}).at == [180]


def test_at_most_so_many_values_holds_again_when_one_has_left():
    condition = both(d.Count(matcher("b"), 1), distinct(at_most=1, within=100))
    assert fires(condition, a(0, 1), a(50, 2), (60, "b"), until=END) == [100]


def test_distinct_keeps_no_more_than_it_needs():
    leaf = DistinctLeaf(1, ("props", "q"), 3, None, 1000)
    session = Session(id="s", start=0, last=0)
    for at in range(10):
        leaf.feed(session, 1, at, Event(id="e", visitor="v", type="a", ts=at, props={"q": at}))
    assert leaf.value(session, 10) == 3
    assert len(session.states[1]) == 3
    assert leaf.bound() == 6
    plain = DistinctLeaf(2, ("props", "q"), None, 4, None)
    for at in range(10):
        plain.feed(session, 1, at, Event(id="e", visitor="v", type="a", ts=at, props={"q": at}))
    assert len(session.states[2]) == plain.bound() == 5
    assert plain.next_change(session) == NEVER
    assert plain.wake(session, 99, False) == 0
    assert leaf.wake(Session(id="s", start=0, last=0), 99, False) == 0


def test_too_many_different_values_are_refused():
    compiled(distinct(DISTINCT_MAX))
    with pytest.raises(ValueError, match="distinct counts beyond 64"):
        compiled(distinct(DISTINCT_MAX + 1))


# --- sum ... first


@pytest.mark.parametrize(
    ("function", "expected"),
    [("sum", 12), ("average", 4), ("min", 1), ("max", 9), ("last", 1), ("first", 2)],
)
@pytest.mark.parametrize("within", [None, 1000])
def test_each_function(function, expected, within):
    events = (a(0, 2), a(10, 9), a(20, 1), (30, "b"))
    assert fires(both(event("b"), aggregate(function, "eq", expected, within)), *events) == [30]


@pytest.mark.parametrize("function", ["sum", "average", "min", "max", "last", "first"])
@pytest.mark.parametrize("within", [None, 1000])
def test_without_a_value_nothing_holds(function, within):
    assert fires(aggregate(function, "lt", 100, within), (0, "a"), (10, "b"), until=END) == []


@pytest.mark.parametrize(("bound", "fired"), [(9.99, [10]), (10, [10]), (10.01, [])])
def test_the_sum_at_its_bound(bound, fired):
    assert fires(aggregate("sum", "gte", bound), a(0, 4), a(10, 6)) == fired


def test_a_sum_of_parts_is_what_people_think_it_is():
    assert fires(aggregate("sum", "eq", 0.3), a(0, 0.1), a(10, 0.1), a(20, 0.1)) == [20]


@pytest.mark.parametrize(("gap", "fired"), [(99, True), (100, False), (101, False)])
def test_the_sum_of_a_window(gap, fired):
    assert fires(aggregate("sum", "gte", 10, 100), a(0, 5), a(gap, 5)) == ([gap] if fired else [])


def test_what_leaves_the_window_can_make_the_average_rise():
    assert fires(aggregate("average", "gte", 8, 100), a(0, 2), a(50, 9), until=END) == [100]


def test_texts_have_a_last_and_a_first_and_no_sum():
    events = ((0, "a", {"n": "x"}), (10, "a", {"n": "y"}))
    assert fires(aggregate("last", "eq", "y"), *events) == [10]
    assert fires(aggregate("first", "eq", "x"), *events) == [0]
    assert fires(aggregate("sum", "gte", 0), *events) == []


@pytest.mark.parametrize(("function", "expected"), [("last", 2), ("first", 1)])
@pytest.mark.parametrize("within", [None, 1000])
def test_a_late_event_stands_where_it_belongs(function, expected, within):
    log = Log(compiled(aggregate(function, "eq", expected, within)))
    log.add(90, "a", props={"n": 2}).add(95, "a", ts=10, props={"n": 1})
    assert log.at == ([90] if function == "last" else [10])


def test_a_window_keeps_the_newest_values():
    leaf = AggregateLeaf(1, "sum", ("props", "n"), (), 10_000)
    session = Session(id="s", start=0, last=0)
    for at in range(WINDOW_EVENTS_MAX + 5):
        leaf.feed(session, 1, at, Event(id="e", visitor="v", type="a", ts=at, props={"n": 1}))
    assert leaf.value(session, 100) == WINDOW_EVENTS_MAX
    assert 2 * len(session.states[1]) == leaf.bound()
    assert AggregateLeaf(1, "sum", (), (), None).bound() == AggregateLeaf(1, "last", (), (), 5).bound() == 2
    assert leaf.value(session, 20_000) is None
    assert leaf.wake(session, 20_000, False)
    assert session.states == {}


def test_a_result_is_not_compared_with_a_step_or_another_event():
    with pytest.raises(ValueError, match="cannot test the result"):
        compiled(aggregate("sum", "exists", True))
    with pytest.raises(ValueError, match="takes a number or a text"):
        compiled(aggregate("sum", "gt", None))


# --- ratio


@pytest.mark.parametrize(("errors", "fired"), [(1, False), (2, True), (3, True)])
def test_the_ratio_at_its_bound(errors, fired):
    events = [(at, "a") for at in range(errors)] + [(10 + at, "b") for at in range(4)]
    assert (fires(ratio("gte", 0.5, least=4), *events) == [13]) is fired


@pytest.mark.parametrize(("submits", "fired"), [(3, []), (4, [103]), (5, [103])])
def test_too_few_events_make_no_ratio(submits, fired):
    events = [(0, "a"), *((100 + at, "b") for at in range(submits))]
    assert fires(ratio("lt", 0.9, least=4), *events) == fired


def test_the_ratio_of_a_window_changes_by_time():
    assert fires(ratio("lte", 0.5, within=100), (0, "a"), (40, "a"), (50, "b"), (60, "b"), until=END) == [100]


def test_one_event_may_be_both():
    both_ = d.Ratio(matcher("*"), matcher("b"), (where("", "eq", 2),))
    assert fires(both_, (0, "a"), (10, "b")) == [10]


def test_the_window_of_a_ratio_is_bounded():
    leaf = RatioLeaf(1, (), 1, 10_000)
    session = Session(id="s", start=0, last=0)
    assert leaf.value(session, 0) is None
    for at in range(WINDOW_EVENTS_MAX + 5):
        leaf.feed(session, 3, at, Event(id="e", visitor="v", type="a", ts=at))
    assert 2 * len(session.states[1]) == leaf.bound()
    assert leaf.value(session, 100) == 1
    assert RatioLeaf(1, (), 1, None).bound() == 2
    with pytest.raises(ValueError, match="more than 64 events in a window"):
        compiled(ratio("gt", 1, WINDOW_EVENTS_MAX + 1, 1000))


def test_a_negated_sum_rises_when_the_window_empties():
    condition = both(d.Count(matcher("b"), 1), d.Not(aggregate("sum", "gte", 5, 100)))
    assert fires(condition, a(0, 5), (10, "b"), until=END) == [100]


def test_never_beside_a_sum():
    condition = both(aggregate("sum", "gte", 5), never("b"))
    assert fires(condition, a(0, 3), a(10, 3), (20, "b"), a(30, 3)) == [10]
