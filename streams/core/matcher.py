"""An event pattern (`event`, `where`) compiled to a predicate; value_tests.py has the tests of single values.

1. A missing field fails every test but ``exists: false``, ``ne`` and ``not_in``.
2. Equality does not cross kinds: ``0`` is not ``"0"`` and not ``false``; ``1`` is ``1.0``.
3. Order is defined between numbers, and between strings; anything else fails the test.
4. ``matches`` runs on RE2 and a glob on a single forward scan, so no pattern can hang the stream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import re2

from streams.core.definition import FieldTest, Matcher, Operator, Scalar, StepValue
from streams.core.event import MISSING, Event, field_value
from streams.core.session import text_hash
from streams.core.value_tests import ValueTest, glob_test, ordered_test, same_value, value_test

if TYPE_CHECKING:
    from streams.core.session import Session

Entry = TypeVar("Entry")


class Predicate(ABC):
    """The `where` of a matcher."""

    __slots__ = ()

    @abstractmethod
    def __call__(self, event: Event, session: Session) -> bool:
        """Whether the event passes; the session knows what came before it."""


_WANTS_TEXT = (Operator.STARTS_WITH, Operator.ENDS_WITH, Operator.GLOB, Operator.MATCHES)
_WANTS_ORDER = (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE)
_WANTS_SEVERAL = (Operator.IN, Operator.NOT_IN, Operator.BETWEEN)


def value_problem(test: FieldTest) -> str | None:
    """What is wrong with the test's own value, as a sentence; None when nothing is."""
    kind, value = test.operator, test.value
    if isinstance(value, StepValue):
        return None if kind in STEP_OPERATORS else f"`{kind}` cannot compare with an earlier step"
    if kind in _WANTS_TEXT and type(value) is not str:
        return f"`{kind}` takes a text, not {value!r}"
    if kind in _WANTS_ORDER and type(value) not in (str, int, float):
        return f"`{kind}` takes a number or a text, not {value!r}"
    if (kind in _WANTS_SEVERAL) != (type(value) is tuple):
        return f"`{kind}` takes {'a list' if kind in _WANTS_SEVERAL else 'one value'}, not {value!r}"
    if kind is Operator.BETWEEN and not _is_range(value):
        return f"`between` takes two numbers, the lower one first, not {value!r}"
    if kind is Operator.MATCHES:
        try:
            re2.compile(value)
        except re2.error as error:
            return f"`matches`: {error}"
    return None


def _is_range(value: Any) -> bool:
    return len(value) == 2 and all(type(bound) in (int, float) for bound in value) and value[0] <= value[1]


# Tests that look beyond the event at hand: `changed` at the session's memory, `same_as` at an earlier step.
RELATIVE = frozenset({Operator.CHANGED, Operator.SAME_AS})


# Tests that can compare with a value of an earlier step.
STEP_OPERATORS = frozenset({Operator.EQ, Operator.NE, *_WANTS_ORDER})


def step_value(test: FieldTest) -> StepValue | None:
    """The earlier step's field that the test compares with, if it does: only the sequence it stands in can decide."""
    if test.operator is Operator.SAME_AS:
        step, _, path = str(test.value).partition(".")
        return StepValue(step, path)
    return test.value if isinstance(test.value, StepValue) else None


def step_test(kind: Operator) -> Callable[[Any, Any], bool]:
    """The test of a value against that of an earlier step; None stands for a field that was not there."""
    if kind is Operator.NE:
        return lambda found, other: not values_equal(found, other)
    if kind in _WANTS_ORDER:
        return lambda found, other: type(other) in (str, int, float) and ordered_test(kind, other)(found)
    return values_equal


def values_equal(left: Any, right: Any) -> bool:
    """Whether two remembered values are the same; a missing one equals nothing."""
    return left is not None and right is not None and same_value(left, right)


def split_path(path: str) -> tuple[str, ...]:
    """``props.cart.0.total`` -> ``("props", "cart", "0", "total")``."""
    return tuple(path.split("."))


class _PropIs(Predicate):
    """``props.NAME`` is this very text: nearly all tests; spares the walk."""

    __slots__ = ("_name", "_wanted")

    def __init__(self, name: str, wanted: str) -> None:
        self._name = name
        self._wanted = wanted

    def __call__(self, event: Event, session: Session) -> bool:
        return bool(event.props.get(self._name) == self._wanted)


class _PropPasses(Predicate):
    """``props.NAME`` passes the test."""

    __slots__ = ("_name", "_test")

    def __init__(self, name: str, test: ValueTest) -> None:
        self._name = name
        self._test = test

    def __call__(self, event: Event, session: Session) -> bool:
        return self._test(event.props.get(self._name, MISSING))


class _FieldPasses(Predicate):
    """The value at a path passes the test."""

    __slots__ = ("_path", "_test")

    def __init__(self, path: tuple[str, ...], test: ValueTest) -> None:
        self._path = path
        self._test = test

    def __call__(self, event: Event, session: Session) -> bool:
        return self._test(field_value(event, self._path))


class _Changed(Predicate):
    """The value at a path is another one (or not) than what the session remembers under `key`."""

    __slots__ = ("_key", "_path", "_wanted")

    def __init__(self, path: tuple[str, ...], wanted: bool, key: int) -> None:
        self._path = path
        self._wanted = wanted
        self._key = key

    def __call__(self, event: Event, session: Session) -> bool:
        found = field_value(event, self._path)
        before = session.states.get(self._key)
        if found is MISSING or before is None:
            return False  # what was never there before has not changed
        return same_value(memorable(found), before[1]) != self._wanted


class _Every(Predicate):
    """All of them."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Predicate, ...]) -> None:
        self._parts = parts

    def __call__(self, event: Event, session: Session) -> bool:
        for part in self._parts:  # noqa: SIM110  # all() would make a generator for each event
            if not part(event, session):
                return False
        return True


def _field_predicate(test: FieldTest) -> Predicate:
    check = value_test(test)
    path = split_path(test.field)
    if len(path) == 2 and path[0] == "props":
        if test.operator is Operator.EQ and type(test.value) is str:
            return _PropIs(path[1], test.value)
        return _PropPasses(path[1], check)
    return _FieldPasses(path, check)


MEMORABLE_CHARS_MAX: Final = 256
SHORT_CHARS_MAX: Final = 16  # a longer text is compared by its hash, of nine bytes
_INT64 = 1 << 63  # a state row has no larger numbers


def memorable(value: Any) -> Any:
    """A bounded stand-in for `value` that can be kept in a state row and compared later."""
    kind = type(value)
    if kind is str:
        return value[:MEMORABLE_CHARS_MAX]
    if value is None or kind is float or kind is bool or (kind is int and -_INT64 <= value < _INT64):
        return value
    if kind is int:
        return repr(value)[:MEMORABLE_CHARS_MAX]
    return [text_hash(repr(value))]  # a list or an object is not shown to anybody; it can be compared


def comparable(value: Any) -> Any:
    """A short stand-in for `value` that can be kept in a state row and compared for equality, and nothing else."""
    if type(value) is str and len(value) > SHORT_CHARS_MAX:
        return text_hash(value)
    return memorable(value)


def compile_predicate(matcher: Matcher, memory_key: Callable[[Matcher, FieldTest], int]) -> Predicate | None:
    """The `where` of `matcher` as one predicate; None when there is nothing to test.

    What compares with an earlier step is left out: only the sequence can decide it. `memory_key` gives the key
    of the session state in which the previous value for a ``changed`` test is kept.
    """
    predicates: list[Predicate] = [
        _Changed(split_path(test.field), bool(test.value), memory_key(matcher, test))
        if test.operator is Operator.CHANGED
        else _field_predicate(test)
        for test in matcher.where
        if step_value(test) is None
    ]
    if not predicates:
        return None
    if len(predicates) == 1:
        return predicates[0]
    return _Every(tuple(predicates))


def indexable(matcher: Matcher) -> tuple[tuple[str, ...], Scalar] | None:
    """The path and value of a test that an index can look up, if the matcher makes one: a plain equality."""
    for test in matcher.where:
        if test.operator is Operator.EQ and type(test.value) in _INDEXED:
            return split_path(test.field), test.value  # type: ignore[return-value]  # a scalar: just tested
    return None


# True is 1 to a dict, so bools are left to the predicate; an event's own True is not looked up for the same reason.
_INDEXED: Final = (str, int, float)


def looked_up(table: dict[Scalar, tuple[Entry, ...]], found: Any) -> tuple[Entry, ...]:
    """What an index of equalities has for the value that an event has."""
    return table.get(found, ()) if type(found) in _INDEXED else ()


def listens_to(matcher: Matcher, event_type: str) -> bool:
    """Whether an event of this type can match at all."""
    return any(name == event_type or ("*" in name and glob_test(name)(event_type)) for name in matcher.types)
