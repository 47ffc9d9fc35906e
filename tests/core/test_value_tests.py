"""The tests of one value: every operator, globs, equality."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.definition import FieldTest, Operator
from streams.core.event import MISSING
from streams.core.value_tests import glob_test, ordered_test, same_value, value_test


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
    ("kind", "bound", "passing"), [("gt", 1, [2]), ("gte", 1, [1, 2]), ("lt", 1, [0]), ("lte", "b", [])]
)
def test_an_order_against_a_bound_known_only_now(kind, bound, passing):
    assert [found for found in (0, 1, 2) if ordered_test(Operator(kind), bound)(found)] == passing
