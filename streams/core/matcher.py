"""An event pattern (`event`, `where`) compiled to a predicate.

1. A missing field fails every test but ``exists: false``, ``ne`` and ``not_in``.
2. Equality does not cross kinds: ``0`` is not ``"0"`` and not ``false``; ``1`` is ``1.0``.
3. Order is defined between numbers, and between strings; anything else fails the test.
4. ``matches`` runs on RE2 and a glob on a single forward scan, so no pattern can hang the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import re2

from streams.core.definition import FieldTest, Matcher, Operator, Scalar
from streams.core.event import MISSING, Event, field_value
from streams.core.visitor import id_hash

if TYPE_CHECKING:
    from streams.core.visitor import Session

Entry = TypeVar("Entry")
ValueTest = Callable[[Any], bool]
Predicate = Callable[[Event, "Session"], bool]


def glob_test(pattern: str) -> ValueTest:
    """A test of strings against a glob whose only special character is ``*`` (any run, also an empty one)."""
    head, *middle = pattern.split("*")
    if not middle:
        return lambda value: value == pattern
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

    return test


def same_value(left: Any, right: Any) -> bool:
    """Equality that does not take True for 1."""
    return left == right and (type(left) is bool) == (type(right) is bool)


def _eq(value: Any) -> ValueTest:
    if type(value) is str:
        return lambda found: found == value
    return lambda found: same_value(found, value)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any], ValueTest]:
    def build(bound: Any) -> ValueTest:
        if type(bound) is str:
            return lambda found: type(found) is str and compare(found, bound)
        return lambda found: type(found) in (int, float) and compare(found, bound)

    return build


def _between(bounds: Any) -> ValueTest:
    low, high = bounds
    return lambda found: type(found) in (int, float) and low <= found <= high


def _in(values: Any) -> ValueTest:
    globs = [glob_test(value) for value in values if type(value) is str and "*" in value]
    plain = [value for value in values if not (type(value) is str and "*" in value)]
    return lambda found: any(same_value(found, value) for value in plain) or any(test(found) for test in globs)


def _contains(part: Any) -> ValueTest:
    def test(found: Any) -> bool:
        if type(found) is str:
            return type(part) is str and part in found
        return type(found) is list and any(same_value(item, part) for item in found)

    return test


def _matches(pattern: Any) -> ValueTest:
    compiled = re2.compile(pattern)
    return lambda found: type(found) is str and compiled.search(found) is not None


def _negated(build: Callable[[Any], ValueTest]) -> Callable[[Any], ValueTest]:
    def build_negated(value: Any) -> ValueTest:
        test = build(value)
        return lambda found: found is MISSING or not test(found)

    return build_negated


_TESTS: dict[Operator, Callable[[Any], ValueTest]] = {
    Operator.EQ: _eq,
    Operator.NE: _negated(_eq),
    Operator.IN: _in,
    Operator.NOT_IN: _negated(_in),
    Operator.GT: _ordered(lambda left, right: bool(left > right)),
    Operator.GTE: _ordered(lambda left, right: bool(left >= right)),
    Operator.LT: _ordered(lambda left, right: bool(left < right)),
    Operator.LTE: _ordered(lambda left, right: bool(left <= right)),
    Operator.BETWEEN: _between,
    Operator.CONTAINS: _contains,
    Operator.STARTS_WITH: lambda value: lambda found: type(found) is str and found.startswith(value),
    Operator.ENDS_WITH: lambda value: lambda found: type(found) is str and found.endswith(value),
    Operator.GLOB: glob_test,
    Operator.MATCHES: _matches,
    Operator.EXISTS: lambda wanted: lambda found: (found is not MISSING) == wanted,
}

_WANTS_TEXT = (Operator.STARTS_WITH, Operator.ENDS_WITH, Operator.GLOB, Operator.MATCHES)
_WANTS_ORDER = (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE)
_WANTS_SEVERAL = (Operator.IN, Operator.NOT_IN, Operator.BETWEEN)


def value_problem(test: FieldTest) -> str | None:
    """What is wrong with the test's own value, as a sentence; None when nothing is."""
    operator, value = test.operator, test.value
    if operator in _WANTS_TEXT and type(value) is not str:
        return f"`{operator}` takes a text, not {value!r}"
    if operator in _WANTS_ORDER and type(value) not in (str, int, float):
        return f"`{operator}` takes a number or a text, not {value!r}"
    if (operator in _WANTS_SEVERAL) != (type(value) is tuple):
        return f"`{operator}` takes {'a list' if operator in _WANTS_SEVERAL else 'one value'}, not {value!r}"
    if operator is Operator.BETWEEN and not _is_range(value):
        return f"`between` takes two numbers, the lower one first, not {value!r}"
    if operator is Operator.MATCHES:
        try:
            re2.compile(value)
        except re2.error as error:
            return f"`matches`: {error}"
    return None


def _is_range(value: Any) -> bool:
    return len(value) == 2 and all(type(bound) in (int, float) for bound in value) and value[0] <= value[1]


# Tests that look beyond the event at hand: `changed` at the session's memory, `same_as` at an earlier step.
RELATIVE = frozenset({Operator.CHANGED, Operator.SAME_AS})


def value_test(test: FieldTest) -> ValueTest:
    """The test of one value. `test.operator` must not be a relative one."""
    return _TESTS[test.operator](test.value)


def split_path(path: str) -> tuple[str, ...]:
    """``props.cart.0.total`` -> ``("props", "cart", "0", "total")``."""
    return tuple(path.split("."))


def _field_predicate(test: FieldTest) -> Predicate:
    check = value_test(test)
    path = split_path(test.field)
    if len(path) == 2 and path[0] == "props":  # nearly all tests; spares the walk
        name = path[1]
        if test.operator is Operator.EQ and type(test.value) is str:
            wanted = test.value
            return lambda event, session: event.props.get(name) == wanted
        return lambda event, session: check(event.props.get(name, MISSING))
    return lambda event, session: check(field_value(event, path))


def _changed_predicate(test: FieldTest, memory_key: int) -> Predicate:
    path, wanted = split_path(test.field), bool(test.value)

    def changed(event: Event, session: Session) -> bool:
        found = field_value(event, path)
        before = session.states.get(memory_key)
        if found is MISSING or before is None:
            return False  # what was never there before has not changed
        return same_value(memorable(found), before[1]) != wanted

    return changed


MEMORABLE_CHARS_MAX = 256
SHORT_CHARS_MAX = 16  # a longer text is compared by its hash, of nine bytes
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
    return [id_hash(repr(value))]  # a list or an object is not shown to anybody; it can be compared


def comparable(value: Any) -> Any:
    """A short stand-in for `value` that can be kept in a state row and compared for equality, and nothing else."""
    if type(value) is str and len(value) > SHORT_CHARS_MAX:
        return id_hash(value)
    return memorable(value)


def compile_predicate(matcher: Matcher, memory_key: Callable[[Matcher, FieldTest], int]) -> Predicate | None:
    """The `where` of `matcher` as one predicate; None when there is nothing to test.

    ``same_as`` is left out: only the sequence that the matcher stands in can decide it. `memory_key` gives the key
    of the session state in which the previous value for a ``changed`` test is kept.
    """
    predicates = [
        _changed_predicate(test, memory_key(matcher, test))
        if test.operator is Operator.CHANGED
        else _field_predicate(test)
        for test in matcher.where
        if test.operator is not Operator.SAME_AS
    ]
    if not predicates:
        return None
    if len(predicates) == 1:
        return predicates[0]
    together = tuple(predicates)
    return lambda event, session: all(predicate(event, session) for predicate in together)


def indexable(matcher: Matcher) -> tuple[tuple[str, ...], Scalar] | None:
    """The path and value of a test that an index can look up, if the matcher makes one: a plain equality."""
    for test in matcher.where:
        if test.operator is Operator.EQ and type(test.value) in _INDEXED:
            return split_path(test.field), test.value  # type: ignore[return-value]  # a scalar: just tested
    return None


# True is 1 to a dict, so bools are left to the predicate; an event's own True is not looked up for the same reason.
_INDEXED = (str, int, float)


def looked_up(table: dict[Scalar, tuple[Entry, ...]], found: Any) -> tuple[Entry, ...]:
    """What an index of equalities has for the value that an event has."""
    return table.get(found, ()) if type(found) in _INDEXED else ()


def listens_to(matcher: Matcher, event_type: str) -> bool:
    """Whether an event of this type can match at all."""
    return any(name == event_type or ("*" in name and glob_test(name)(event_type)) for name in matcher.types)
