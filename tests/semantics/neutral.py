"""The neutral pattern of a case, read into values. Whatever it says that is not known here is refused by name.

A pattern is a list of elements: an event to take (`Take`), an absence (`Absent`, `AbsentNext`), a group (`Group`), or a
group that begins anew again and again (`Again`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


class Inexpressible(Exception):  # noqa: N818 - a finding about a pattern, not a fault of the program
    """The language has no word for something in the pattern; the text says for what."""


@dataclass(frozen=True)
class Ref:
    """A value of an event that an earlier element took."""

    tag: str
    field: str


@dataclass(frozen=True)
class Test:
    """One test of one field: an operator of the rule language, and a value or a `Ref`."""

    field: str
    operator: str
    value: Any


@dataclass(frozen=True)
class Match:
    """Which events are meant: a type (``*`` is any) and the tests that they pass."""

    type: str
    tests: tuple[Test, ...] = ()

    @property
    def refs(self) -> tuple[Ref, ...]:
        """The earlier events that it looks at."""
        return tuple(test.value for test in self.tests if isinstance(test.value, Ref))


@dataclass(frozen=True)
class Take:
    """An event that the match takes, `low` to `high` times (`high` None: without end)."""

    tag: str
    match: Match
    low: int = 1
    high: int | None = 1
    contiguity: str = "relaxed"
    within_ms: int | None = None


@dataclass(frozen=True)
class Absent:
    """No such event until the next element's, or for `for_ms`."""

    match: Match
    for_ms: int | None = None


@dataclass(frozen=True)
class AbsentNext:
    """The very next event is no such event."""

    match: Match


@dataclass(frozen=True)
class Group:
    """`kind` all: every member, in any order; any: one of them."""

    kind: str
    members: tuple[Element, ...]


@dataclass(frozen=True)
class Again:
    """The elements in order, beginning anew whenever they are complete."""

    members: tuple[Element, ...]


Element = Take | Absent | AbsentNext | Group | Again


@dataclass(frozen=True)
class Pattern:
    """A whole pattern. `every`: it begins anew at each first event; else it matches once."""

    elements: tuple[Element, ...]
    every: bool
    strict: bool
    within_ms: int | None

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of all events that a match can take, in the pattern's order."""
        return tuple(take.tag for take in takes_of(self.elements))


def takes_of(elements: tuple[Element, ...]) -> Iterator[Take]:
    """Every event to take, those in groups included, in order."""
    for element in elements:
        if isinstance(element, Take):
            yield element
        elif isinstance(element, Group | Again):
            yield from takes_of(element.members)


# Names that other languages give to our operators.
OPERATORS = {
    "eq": "eq", "ne": "ne", "neq": "ne", "gt": "gt", "gte": "gte", "ge": "gte", "lt": "lt", "lte": "lte", "le": "lte",
    "in": "in", "not_in": "not_in", "between": "between", "contains": "contains", "starts_with": "starts_with",
    "ends_with": "ends_with", "exists": "exists",
}  # fmt: skip
CONTIGUITIES = ("relaxed", "strict", "any")


def read_pattern(given: dict[str, Any]) -> Pattern:
    """The pattern as values. Raises Inexpressible, with the word that is not known."""
    try:
        return _pattern(given)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Inexpressible(f"a structure that is not known: {error!r}") from error


def _pattern(given: dict[str, Any]) -> Pattern:
    _known(given, {"steps", "contiguity", "restart", "within_ms"}, "a pattern")
    contiguity = _one_of(given.get("contiguity", "relaxed"), CONTIGUITIES, "contiguity")
    if not isinstance(given.get("steps"), list):
        raise Inexpressible("a pattern without a list of steps")
    restart = _one_of(given.get("restart", "once"), ("once", "every"), "restart")
    elements = tuple(_element(step, index, contiguity) for index, step in enumerate(given["steps"]))
    if not elements:
        raise Inexpressible("a pattern without steps")
    later = list(takes_of(elements))[1:]
    strict = contiguity == "strict" and all(take.contiguity == "strict" for take in later)
    return Pattern(elements, restart == "every", strict, given.get("within_ms"))


def _element(given: dict[str, Any], index: int | str, contiguity: str) -> Element:
    for kind in ("all", "any"):
        if kind in given:
            _known(given, {kind}, f"a group `{kind}`")
            return Group(kind, tuple(_element(part, f"{index}_{i}", contiguity) for i, part in enumerate(given[kind])))
    if "group_every" in given:
        _known(given, {"group_every"}, "a `group_every`")
        return Again(tuple(_element(part, f"{index}_{i}", contiguity) for i, part in enumerate(given["group_every"])))
    if "absent" in given:
        _known(given, {"absent", "for_ms"}, "an `absent`")
        return Absent(_match(given["absent"]), given.get("for_ms"))
    if "absent_next" in given:
        _known(given, {"absent_next"}, "an `absent_next`")
        return AbsentNext(_match(given["absent_next"]))
    _known(given, {"tag", "type", "where", "times", "optional", "contiguity", "within_ms"}, "a step")
    low, high = _times(given.get("times", 1))
    return Take(
        tag=given.get("tag", f"step {index}"),
        match=_match({key: given[key] for key in ("type", "where") if key in given}),
        low=0 if given.get("optional") else low,
        high=high,
        contiguity=_one_of(given.get("contiguity", contiguity), CONTIGUITIES, "contiguity"),
        within_ms=given.get("within_ms"),
    )


def _times(given: Any) -> tuple[int, int | None]:
    if isinstance(given, int):
        return given, given
    if isinstance(given, dict):
        _known(given, {"min", "max"}, "`times`")
        return given.get("min", 0), given.get("max")
    low, high = given
    return low, None if high is None or high < 0 else high


def _match(given: dict[str, Any]) -> Match:
    _known(given, {"type", "where"}, "a matcher")
    tests = []
    for field, said in given.get("where", {}).items():
        for word, value in said.items() if isinstance(said, dict) else (("eq", said),):
            if word not in OPERATORS:
                raise Inexpressible(f"the test `{word}`")
            tests.append(Test(field, OPERATORS[word], _value(value)))
    kind = given.get("type", "*")
    if not isinstance(kind, str):
        raise TypeError(kind)
    return Match(kind, tuple(tests))


def _value(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    _known(given, {"ref"}, "a value")
    tag, _, field = given["ref"].partition(".")
    return Ref(tag, field)


def _one_of(word: Any, words: tuple[str, ...], what: str) -> Any:
    if word not in words:
        raise Inexpressible(f"`{what}: {word}`")
    return word


def _known(given: dict[str, Any], words: set[str], what: str) -> None:
    for word in given:
        if word not in words:
            raise Inexpressible(f"the word `{word}` in {what}")
