"""The tests of one value, as matchers and conditions make them.

What a missing field means, how kinds compare, and why no pattern can hang the stream: see matcher.py.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import re2

from streams.core.definition import FieldTest, Operator
from streams.core.event import MISSING


# A class rather than a closure: compiled (see setup.py), its method is called directly.
class ValueTest(ABC):
    """A test of one value; MISSING stands for a field that is not there."""

    __slots__ = ()

    @abstractmethod
    def __call__(self, found: Any) -> bool:
        """Whether the value passes."""


class _Equals(ValueTest):
    """Equality that does not take True for 1."""

    __slots__ = ("_of_bool", "_wanted")

    def __init__(self, wanted: Any) -> None:
        self._wanted = wanted
        self._of_bool = type(wanted) is bool

    def __call__(self, found: Any) -> bool:
        return bool(found == self._wanted) and (type(found) is bool) == self._of_bool


class _Passes(ValueTest):
    """Any other test."""

    __slots__ = ("_test",)

    def __init__(self, test: Callable[[Any], bool]) -> None:
        self._test = test

    def __call__(self, found: Any) -> bool:
        return self._test(found)


class _Negated(ValueTest):
    """Passes what is missing, and what fails the test."""

    __slots__ = ("_test",)

    def __init__(self, test: ValueTest) -> None:
        self._test = test

    def __call__(self, found: Any) -> bool:
        return found is MISSING or not self._test(found)


def glob_test(pattern: str) -> ValueTest:
    """A test of strings against a glob whose only special character is ``*`` (any run, also an empty one)."""
    head, *middle = pattern.split("*")
    if not middle:
        return _Equals(pattern)
    tail = middle.pop()

    def test(value: Any) -> bool:
        if type(value) is not str or not value.startswith(head):
            return False
        at, end = len(head), len(value) - len(tail)
        if end < at or not value.endswith(tail):
            return False
        for part in middle:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return _Passes(test)


def same_value(left: Any, right: Any) -> bool:
    """Equality that does not take True for 1."""
    return bool(left == right) and (type(left) is bool) == (type(right) is bool)


def _ordered(compare: Callable[[Any, Any], bool], bound: Any) -> ValueTest:
    kinds = (str,) if type(bound) is str else (int, float)
    return _Passes(lambda found: type(found) in kinds and compare(found, bound))


def _between(bounds: Any) -> ValueTest:
    low, high = bounds
    return _Passes(lambda found: type(found) in (int, float) and low <= found <= high)


def _in(values: Any) -> ValueTest:
    globs = [glob_test(value) for value in values if type(value) is str and "*" in value]
    plain = [value for value in values if not (type(value) is str and "*" in value)]

    def test(found: Any) -> bool:
        for value in plain:
            if same_value(found, value):
                return True
        return any(test(found) for test in globs)

    return _Passes(test)


def _contains(part: Any) -> ValueTest:
    def test(found: Any) -> bool:
        if type(found) is str:
            return type(part) is str and part in found
        return type(found) is list and any(same_value(item, part) for item in found)

    return _Passes(test)


def _matches(pattern: Any) -> ValueTest:
    compiled = re2.compile(pattern)
    return _Passes(lambda found: type(found) is str and compiled.search(found) is not None)


def _not_equal(value: Any) -> ValueTest:
    return _Negated(_Equals(value))


def _not_in(values: Any) -> ValueTest:
    return _Negated(_in(values))


def _starts_with(part: Any) -> ValueTest:
    return _Passes(lambda found: type(found) is str and found.startswith(part))


def _ends_with(part: Any) -> ValueTest:
    return _Passes(lambda found: type(found) is str and found.endswith(part))


def _exists(wanted: Any) -> ValueTest:
    return _Passes(lambda found: (found is not MISSING) == wanted)


_TESTS: dict[Operator, Callable[[Any], ValueTest]] = {
    Operator.EQ: _Equals,
    Operator.NE: _not_equal,
    Operator.IN: _in,
    Operator.NOT_IN: _not_in,
    Operator.GT: partial(_ordered, operator.gt),
    Operator.GTE: partial(_ordered, operator.ge),
    Operator.LT: partial(_ordered, operator.lt),
    Operator.LTE: partial(_ordered, operator.le),
    Operator.BETWEEN: _between,
    Operator.CONTAINS: _contains,
    Operator.STARTS_WITH: _starts_with,
    Operator.ENDS_WITH: _ends_with,
    Operator.GLOB: glob_test,
    Operator.MATCHES: _matches,
    Operator.EXISTS: _exists,
}


def value_test(test: FieldTest) -> ValueTest:
    """The test of one value. `test.operator` must not be a relative one."""
    return _TESTS[test.operator](test.value)


def ordered_test(kind: Operator, bound: Any) -> ValueTest:
    """The test of one order (`gt`, `gte`, `lt`, `lte`) against a bound that is known only now."""
    return _TESTS[kind](bound)
