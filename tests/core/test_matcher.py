"""Every operator, on every kind of value, and on no value at all."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.event import MISSING, Event
from streams.core.matcher import compile_predicate, indexable, listens_to, looked_up, memorable, split_path
from streams.core.value_tests import same_value
from streams.core.visitor import Session
from tests.core.build import Log, compiled, count, fires, matcher, seen, where

SESSION = Session(id="s", start=0, last=0)


@pytest.mark.parametrize(
    ("types", "name", "heard"),
    [
        (("a",), "a", True),
        (("a",), "ab", False),
        (("a", "b"), "b", True),
        (("cart.*",), "cart.add", True),
        (("cart.*",), "cart", False),
        (("*",), "anything", True),
        ((), "a", False),
    ],
)
def test_types_are_names_lists_or_globs(types, name, heard):
    assert listens_to(matcher(types), name) is heard


def predicate(*tests):
    return compile_predicate(matcher("a", *tests), lambda m, t: 1)


def event(**props):
    return Event(id="e", visitor="v", type="a", ts=1, props=props)


def test_no_test_is_no_predicate():
    assert predicate() is None


def test_all_tests_have_to_pass():
    both = predicate(where("props.x", "eq", 1), where("props.y", "eq", "b"))
    assert [both(event(x=1, y="b"), SESSION), both(event(x=1), SESSION), both(event(y="b"), SESSION)] == [
        True,
        False,
        False,
    ]


def test_a_field_deep_inside_is_found():
    assert predicate(where("props.cart.0.sku", "eq", "A"))(event(cart=[{"sku": "A"}]), SESSION)


def test_same_as_is_left_to_the_sequence():
    assert predicate(where("props.x", "same_as", "first.props.x")) is None


def test_a_path_is_split_at_its_dots():
    assert split_path("props.cart.0.total") == ("props", "cart", "0", "total")


@pytest.mark.parametrize("value", ["x", 1, -1, 1.5, True, None, 2**63 - 1, -(2**63)])
def test_what_is_small_is_remembered_as_it_is(value):
    assert memorable(value) == value
    assert type(memorable(value)) is type(value)


@pytest.mark.parametrize("value", ["x" * 16_000, 2**63, -(10**400), list(range(5000)), {"a": "x" * 5000}])
def test_what_is_remembered_is_bounded(value):
    assert len(msgspec.msgpack.encode(memorable(value))) <= 300


@pytest.mark.parametrize(("one", "other"), [([1], [2]), ({"a": 1}, {"a": 2}), (2**70, 2**71), ([1], "[1]")])
def test_different_things_are_remembered_differently(one, other):
    assert not same_value(memorable(one), memorable(other))


@given(st.integers() | st.text() | st.lists(st.integers()) | st.floats(allow_nan=False))
def test_what_is_remembered_can_be_written_in_a_row(value):
    kept = memorable(value)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(kept)) == kept


# --- changed


def test_changed_compares_with_the_event_before():
    changed = seen("plan", where("props.n", "changed", True), within=1)
    events = [(0, "plan", {"n": 1}), (10, "plan", {"n": 1}), (20, "plan", {"n": 2}), (30, "plan", {"n": 2})]
    assert fires(changed, *events) == [20]


def test_unchanged_compares_with_the_event_before():
    same = seen("plan", where("props.n", "changed", False), within=1)
    events = [(0, "plan", {"n": 1}), (10, "plan", {"n": 1}), (20, "plan", {"n": 2})]
    assert fires(same, *events) == [10]


def test_what_was_never_there_has_not_changed():
    changed = seen("plan", where("props.n", "changed", True), within=1)
    assert fires(changed, (0, "plan", {}), (10, "plan", {"n": 1}), (20, "plan", {}), (30, "plan", {"n": 2})) == [30]


def test_an_event_of_another_type_is_not_the_event_before():
    changed = seen("plan", where("props.n", "changed", True))
    assert fires(changed, (0, "plan", {"n": 1}), (5, "other", {"n": 2}), (10, "plan", {"n": 1})) == []


def test_changed_does_not_take_true_for_one():
    changed = seen("plan", where("props.n", "changed", True))
    assert fires(changed, (0, "plan", {"n": 1}), (10, "plan", {"n": True})) == [10]


# --- the index by value


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        ((), None),
        ((where("props.x", "eq", 1),), (("props", "x"), 1)),
        ((where("props.x", "gt", 1), where("page.path", "eq", "/")), (("page", "path"), "/")),
        ((where("props.x", "eq", True),), None),
        ((where("props.x", "eq", None),), None),
        ((where("props.x", "ne", 1),), None),
    ],
)
def test_a_plain_equality_can_be_looked_up(tests, expected):
    assert indexable(matcher("a", *tests)) == expected


@pytest.mark.parametrize(
    ("found", "expected"), [(1, ("one",)), (1.0, ("one",)), (True, ()), ("1", ()), (MISSING, ()), ([1], ()), (None, ())]
)
def test_the_index_looks_up_what_equality_means(found, expected):
    assert looked_up({1: ("one",)}, found) == expected


@pytest.mark.parametrize("found", [0, 0.0, False, "0", None, "a", [0]])
def test_the_index_and_the_plain_test_agree(found):
    """Many rules ask for values of one field; each fires exactly when its own test passes."""
    wanted = [0, 1, "0", "a", False, True]
    ruleset = compiled(*[seen("x", where("props.n", "eq", value)) for value in wanted])
    fired = Log(ruleset).add(0, "x", props={"n": found}).fired
    assert fired == [(f"r{i}", 0) for i, value in enumerate(wanted) if same_value(found, value)]


def test_a_count_of_every_type():
    assert fires(count("*", at_least=3), (0, "a"), (1, "b"), (2, "c")) == [2]
