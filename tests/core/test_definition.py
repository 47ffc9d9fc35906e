"""Definitions are values: where they stand in a file does not matter."""

from __future__ import annotations

import pytest

from streams.core import definition as d
from tests.core.build import compiled, matcher, rule, seen


def test_a_mark_is_a_place_that_editors_understand():
    assert str(d.Mark("rules/a.yaml", 3, 7)) == "rules/a.yaml:3:7"


def test_the_same_words_on_another_line_are_the_same():
    here, there = d.Mark("a", 1, 1), d.Mark("b", 9, 9)
    assert d.Matcher(("a",), (), here) == d.Matcher(("a",), (), there)
    assert hash(d.Not(seen("a"), here)) == hash(d.Not(seen("a"), there))
    assert repr(d.Matcher(("a",), (), here)) == repr(d.Matcher(("a",), (), there))


def test_a_rule_moved_within_its_file_keeps_its_version():
    moved = rule(d.Count(d.Matcher(("a",), (), d.Mark("x", 9, 9)), 1, mark=d.Mark("x", 9, 9)), mark=d.Mark("x", 8, 1))
    assert compiled(moved).rules[0].version == compiled(rule(seen("a"))).rules[0].version
    assert compiled(moved).version == compiled(rule(seen("a"))).version


@pytest.mark.parametrize(
    "changed", [rule(seen("b")), rule(seen("a"), priority=51), rule(seen("a"), holdout=0.1), rule(seen("a", within=1))]
)
def test_a_rule_that_says_something_else_has_another_version(changed):
    assert compiled(changed).rules[0].version != compiled(rule(seen("a"))).rules[0].version
    assert compiled(changed).version != compiled(rule(seen("a"))).version


def test_definitions_cannot_be_changed():
    with pytest.raises(AttributeError):
        matcher("a").types = ("b",)
