"""What a sequence's definition becomes: times, comparisons with steps, bounds."""

from __future__ import annotations

import pytest

from streams.core import definition as d
from streams.core.sequence_plan import EVENTS_MAX
from tests.core.build import Log, compiled, fires, matcher, sequence, step_of


def times(types: str, n: int, **fields) -> d.Step:
    return d.Step(matcher(types), times=n, **fields)


def compared(operator: str, field="props.n", step="one") -> d.FieldTest:
    return d.FieldTest("props.n", d.Operator(operator), d.StepValue(step, field))


@pytest.mark.parametrize(("before", "fired"), [(2, False), (3, True), (4, True)])
def test_a_step_of_so_many_events(before, fired):
    events = [(at, "a") for at in range(before)]
    assert (fires(sequence(times("a", 3), "b"), *events, (100, "b")) == [100]) is fired


def test_one_step_of_several_events_is_a_sequence():
    assert fires(sequence(times("a", 3)), *[(at, "a") for at in range(7)]) == [2, 5]


@pytest.mark.parametrize(("last", "fired"), [(99, True), (100, False), (101, False)])
def test_within_is_from_the_step_before_to_the_last_of_them(last, fired):
    assert fires(sequence("s", times("a", 2, within_ms=100)), (0, "s"), (50, "a"), (last, "a")) == (
        [last] if fired else []
    )


def test_what_is_forbidden_before_a_step_is_so_until_its_last_event():
    step = times("a", 2, forbid=(matcher("x"),))
    assert fires(sequence("s", step), (0, "s"), (1, "a"), (2, "x"), (3, "a")) == []
    assert fires(sequence("s", step), (0, "s"), (1, "a"), (3, "a")) == [3]


def test_strict_times():
    condition = sequence(times("a", 2), "b", strict=True)
    assert fires(condition, (0, "a"), (1, "a"), (2, "b")) == [2]
    assert fires(condition, (0, "a"), (1, "c"), (2, "a"), (3, "b")) == []


@pytest.mark.parametrize(
    ("operator", "fired"),
    [
        ("gt", {6: True, 5: False, 4: False}),
        ("gte", {6: True, 5: True, 4: False}),
        ("lt", {6: False, 5: False, 4: True}),
        ("lte", {6: False, 5: True, 4: True}),
        ("eq", {6: False, 5: True, 4: False}),
        ("ne", {6: True, 5: False, 4: True}),
    ],
)
def test_a_step_compares_with_an_earlier_one(operator, fired):
    condition = sequence(step_of("a", name="one"), step_of("b", compared(operator)))
    found = {n: fires(condition, (0, "a", {"n": 5}), (1, "b", {"n": n})) == [1] for n in fired}
    assert found == fired


@pytest.mark.parametrize(("operator", "fired"), [("gt", []), ("eq", []), ("ne", [1])])
@pytest.mark.parametrize("props", [({"n": 5}, {}), ({}, {"n": 5})])
def test_a_value_that_is_not_there_passes_only_ne(operator, fired, props):
    condition = sequence(step_of("a", name="one"), step_of("b", compared(operator)))
    assert fires(condition, (0, "a", props[0]), (1, "b", props[1])) == fired


def test_what_is_forbidden_compares_with_an_earlier_step():
    forbidden = matcher("x", compared("gt"))
    condition = sequence(step_of("a", name="one"), "b", step_of("c", forbid=[forbidden]))
    start = [(0, "a", {"n": 5}), (1, "b")]
    assert fires(condition, *start, (2, "x", {"n": 5}), (3, "c")) == [3]
    assert fires(condition, *start, (2, "x", {"n": 6}), (3, "c")) == []


def test_the_named_event_of_several_is_the_last():
    condition = sequence(times("a", 2, name="one"), step_of("b", compared("eq")))
    assert fires(condition, (0, "a", {"n": 1}), (1, "a", {"n": 2}), (2, "b", {"n": 2})) == [2]
    assert fires(condition, (0, "a", {"n": 1}), (1, "a", {"n": 2}), (2, "b", {"n": 1})) == []


def test_a_long_search_without_comparisons_is_not_repeated():
    """Sixteen events of one kind and gaps that never fit: without a memory of failures it would not end."""
    condition = sequence(times("a", 8), times("a", 7, within_ms=2), "b", within=60_000)
    log = Log(compiled(condition))
    for at in range(60):
        log.add(at * 10, "a")
    assert log.add(1000, "b").at == []


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (sequence(times("a", 1)), "2 to 8 steps"),
        (sequence(times("a", EVENTS_MAX), "b"), "16 events at most"),
        (sequence(step_of("a", name="one"), step_of("b", compared("gt", step="two"))), "no earlier step named `two`"),
        (
            sequence("a", step_of("b", d.FieldTest("props.n", d.Operator.CONTAINS, d.StepValue("a", "x")))),
            "cannot compare",
        ),
    ],
)
def test_what_is_refused(condition, words):
    with pytest.raises(ValueError, match=words):
        compiled(condition)
