"""Every operator, on every kind of value, and on no value at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.definition import FieldTest, Operator
from streams.core.event import MISSING, Event
from streams.core.matcher import (
    compile_predicate,
    glob_test,
    indexable,
    listens_to,
    looked_up,
    memorable,
    same_value,
    split_path,
    value_test,
)
from streams.core.visitor import Session
from tests.core.build import Log, compiled, count, fires, matcher, seen, where

SESSION = Session(id="s", start=0, last=0)


def passes(operator: str, value, found) -> bool:
    return value_test(FieldTest("props.x", Operator(operator), value))(found)


@pytest.mark.parametrize(
    ("operator", "value", "yes", "no"),
    [
        ("eq", 0, [0, 0.0], [False, "0", None, 1, [0], MISSING]),
        ("eq", 1, [1, 1.0], [True, "1", 2, MISSING]),
        ("eq", True, [True], [1, "true", False, MISSING]),
        ("eq", False, [False], [0, None, MISSING]),
        ("eq", "a", ["a"], ["A", "aa", "", None, 1, MISSING]),
        ("eq", "a*", ["a*"], ["ab", MISSING]),
        ("eq", None, [None], ["", 0, False, MISSING]),
        ("eq", 1.5, [1.5], [1, "1.5", MISSING]),
        ("ne", 0, [1, False, "0", None, MISSING], [0, 0.0]),
        ("ne", "a", ["b", 1, MISSING], ["a"]),
        ("in", (1, "a", True), [1, 1.0, "a", True], [0, "1", False, None, MISSING]),
        ("in", ("a*", "b"), ["a", "abc", "b"], ["ba", "bb", 1, MISSING]),
        ("in", (), [], [1, "a", MISSING]),
        ("not_in", (1, "a*"), [2, "b", True, MISSING], [1, "a", "ab"]),
        ("gt", 5, [5.1, 6], [5, 4, True, "6", None, [6], MISSING]),
        ("gte", 5, [5, 5.0, 6], [4.9, True, "5", MISSING]),
        ("lt", 5, [4.9, -1], [5, 6, False, "4", None, MISSING]),
        ("lte", 5, [5, 4], [5.1, False, "4", MISSING]),
        ("gt", "b", ["c", "ba"], ["b", "a", 3, MISSING]),
        ("lte", "b", ["b", "a", ""], ["c", 1, MISSING]),
        ("between", (1, 3), [1, 2, 2.5, 3], [0.9, 3.1, True, "2", None, MISSING]),
        ("contains", "ell", ["hello", ["ell"]], ["HELLO", "el", ["hello"], 1, None, MISSING]),
        ("contains", 1, [[1, 2], [1.0]], ["1", [True], [2], 1, MISSING]),
        ("starts_with", "/a", ["/a", "/ab"], ["a", "b/a", 1, None, MISSING]),
        ("ends_with", "/a", ["/a", "b/a"], ["/ab", 1, None, MISSING]),
        ("glob", "/a/*", ["/a/", "/a/b/c"], ["/a", "x/a/", 1, None, MISSING]),
        ("matches", r"^/p/\d+$", ["/p/1"], ["/p/", "/p/1x", 1, None, MISSING]),
        ("matches", "b", ["abc"], ["ac", MISSING]),
        ("exists", True, [0, "", None, False, []], [MISSING]),
        ("exists", False, [MISSING], [0, "", None, False]),
    ],
)
def test_operators(operator, value, yes, no):
    assert [found for found in yes if not passes(operator, value, found)] == []
    assert [found for found in no if passes(operator, value, found)] == []


@pytest.mark.parametrize("operator", sorted(set(Operator) - {Operator.CHANGED, Operator.SAME_AS}))
def test_a_missing_field_passes_only_three_tests(operator):
    value = {"exists": False, "between": (0, 9), "in": (1,), "not_in": (1,)}.get(operator, "1")
    assert passes(operator, value, MISSING) == (operator in ("exists", "ne", "not_in"))


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*", ["", "a", "a*b"], []),
        ("", [""], ["a"]),
        ("a", ["a"], ["", "ab", "ba"]),
        ("a*", ["a", "ab"], ["", "ba"]),
        ("*a", ["a", "ba"], ["ab"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("a*b*c", ["abc", "axbxc", "abbc"], ["ac", "acb", "abcx", "xabc"]),
        ("a**b", ["ab", "axb"], ["a"]),
        ("*x*", ["x", "axa"], ["", "a"]),
        ("ab*ba", ["abba", "abxba"], ["aba"]),
        ("*ab*ab", ["abab", "xabyab"], ["ab", "xab"]),
        ("a.c", ["a.c"], ["abc"]),
        ("a?c", ["a?c"], ["abc"]),
        ("[a]", ["[a]"], ["a"]),
    ],
)
def test_globs(pattern, yes, no):
    test = glob_test(pattern)
    assert ([text for text in yes if not test(text)], [text for text in no if test(text)]) == ([], [])


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_a_glob_means_what_its_regular_expression_means(pattern, text):
    import re  # noqa: PLC0415 - the oracle

    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None
    assert bool(glob_test(pattern)(text)) == expected


def test_a_regular_expression_cannot_hang():
    assert passes("matches", "(a+)+$", "a" * 2000 + "b") is False


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [(1, 1.0, True), (1, True, False), (0, False, False), (True, True, True), ("1", 1, False), (None, None, True)],
)
def test_equality_does_not_cross_kinds(left, right, same):
    assert same_value(left, right) is same


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
    import msgspec  # noqa: PLC0415 - what rows are written with

    assert len(msgspec.msgpack.encode(memorable(value))) <= 300


@pytest.mark.parametrize(("one", "other"), [([1], [2]), ({"a": 1}, {"a": 2}), (2**70, 2**71), ([1], "[1]")])
def test_different_things_are_remembered_differently(one, other):
    assert not same_value(memorable(one), memorable(other))


@given(st.integers() | st.text() | st.lists(st.integers()) | st.floats(allow_nan=False))
def test_what_is_remembered_can_be_written_in_a_row(value):
    import msgspec  # noqa: PLC0415 - what rows are written with

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
