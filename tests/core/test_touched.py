"""The triggers that one step touches: each once, in the order in which they are judged."""

from __future__ import annotations

from itertools import permutations

from streams.core.touched import touch
from tests.core.build import compiled, seen

RULES = compiled(*[seen(name) for name in "abcd"]).rules


def touched_by(*groups: tuple[int, ...]) -> list[str]:
    touched = []
    for group in groups:
        touch(touched, tuple(RULES[place] for place in group))
    return [rule.id for rule in touched]


def test_one_leaf_touches_its_triggers_in_their_order():
    assert touched_by((0, 2, 3)) == [RULES[place].id for place in (0, 2, 3)]


def test_whatever_the_order_of_the_leaves_the_triggers_stand_in_theirs():
    assert {tuple(touched_by(*order)) for order in permutations([(0,), (1, 3), (2,)])} == {
        tuple(rule.id for rule in RULES)
    }


def test_a_trigger_that_two_leaves_touch_stands_there_once():
    ids = [rule.id for rule in RULES]
    assert touched_by((1, 2), (0, 1, 2, 3)) == ids
    assert touched_by((0, 1, 2, 3), (0,)) == ids
    assert touched_by((0, 1, 2, 3), (3,)) == ids


def test_no_trigger_touches_nothing():
    assert touched_by((), ()) == []
