"""A pattern expanded into lines: groups, repetitions and absences in all the ways in which they can come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations, product

from tests.semantics.language import STEPS_MAX, TYPE_FIELD, event_type
from tests.semantics.neutral import Absent, AbsentNext, Element, Group, Inexpressible, Match, Pattern, Take, Test

Line = tuple[Take | Absent | AbsentNext, ...]
COPY = "#"  # between a tag and the number of its repetition
BETWEEN = "+"  # begins the tag of an event that is taken only to be no other


def lines_of(elements: tuple[Element, ...], pattern: Pattern) -> list[Line]:
    """Every way in which the elements can come, one after the other."""
    ways = [_ways(element, pattern, first=index == 0) for index, element in enumerate(elements)]
    return [tuple(part for way in chosen for part in way) for chosen in product(*ways)]


def _ways(element: Element, pattern: Pattern, first: bool) -> list[Line]:
    match element:
        case Take():
            return _repetitions(element, pattern)
        case Absent() | AbsentNext():
            return [(element,)]
        case Group("any", members):
            return [
                (*(_others(members, member) if pattern.every and not first else ()), *way)
                for member in members
                for way in _ways(member, pattern, first)
            ]
        case Group("all", members):
            if pattern.every:
                raise Inexpressible("a group in any order, in a pattern that begins anew at each first event")
            return list(_in_any_order(members, pattern))
    raise Inexpressible("a group that begins anew, inside of another one")


def _repetitions(take: Take, pattern: Pattern) -> list[Line]:
    low, high = take.low, take.high
    if low == high == 1:
        return [(take,)]
    if low != high and pattern.every:
        raise Inexpressible("a number of repetitions that is not fixed, in a pattern that begins anew: each is a match")
    # Without strictness the least number already lets the next step come. With it, the longest come first: theirs are
    # the names that a text shows.
    most = STEPS_MAX + 1 - len(pattern.elements) if high is None else high
    counts = range(max(most, low), low - 1, -1) if pattern.strict else (low,)
    return [
        tuple(replace(take, tag=f"{take.tag}{COPY}{number}", low=1, high=1) for number in range(count))
        for count in counts
    ]


def _in_any_order(members: tuple[Element, ...], pattern: Pattern) -> Iterator[Line]:
    """Every order of the group's steps; what must be absent beside them must be so before each."""
    absent = tuple(member for member in members if isinstance(member, Absent))
    if any(absence.for_ms is not None for absence in absent):
        raise Inexpressible("a timed absence beside a step, in any order")
    steps = tuple(member for member in members if not isinstance(member, Absent))
    for order in _orders(steps):
        yield from lines_of(tuple(part for step in order for part in (*absent, step)), pattern)


def _others(members: tuple[Element, ...], chosen: Element) -> Line:
    """The other members of a group, which must not have come first."""
    return tuple(Absent(other.match) for other in members if other is not chosen and isinstance(other, Take))


def _orders(members: tuple[Element, ...]) -> Iterator[tuple[Element, ...]]:
    """The orders of a group's members; one event may be several of them."""
    for partition in _partitions(list(members)):
        for order in permutations(partition):
            merged = [_both(block) for block in order]
            if all(merged):
                yield tuple(part for part in merged if part is not None)


def _partitions(members: list[Element]) -> Iterator[list[list[Element]]]:
    if not members:
        yield []
        return
    for rest in _partitions(members[1:]):
        yield [[members[0]], *rest]
        for index, block in enumerate(rest):
            yield [*rest[:index], [members[0], *block], *rest[index + 1 :]]


def _both(block: list[Element]) -> Element | None:
    """One event that is every member of the block; None when no event can be. Its tag has all of theirs."""
    if len(block) == 1:
        return block[0]
    takes = [member for member in block if isinstance(member, Take) and member.low == member.high == 1]
    types = {take.match.type for take in takes} - {"*"}
    if len(takes) < len(block) or len(types) > 1:
        return None
    tests = tuple(dict.fromkeys(test for take in takes for test in take.match.tests))
    return replace(takes[0], tag="&".join(take.tag for take in takes), match=Match((types or {"*"}).pop(), tests))


def begun(line: Line) -> Line:
    """The line, if it has anything to wait for."""
    if not any(isinstance(element, Take) or (isinstance(element, Absent) and element.for_ms) for element in line):
        raise Inexpressible("a pattern all of whose steps may be left out")
    return line


def without_next(line: Line) -> list[Line]:
    """`AbsentNext` in other words: the next event is the next step's own, or one that is neither."""
    for index, element in enumerate(line):
        if not isinstance(element, AbsentNext):
            continue
        before, after = line[:index], line[index + 1 :]
        if not before:
            raise Inexpressible("a very next event before there is a first one")
        lines: list[Line] = []
        if after:
            if not isinstance(after[0], Take) or overlap(after[0].match, element.match):
                raise Inexpressible("a very next event that is absent, before something that it may be as well")
            lines = [(*before, replace(after[0], contiguity="strict"), *after[1:])]
        others = list(_not(element.match))
        if after and isinstance(after[0], Take) and after[0].contiguity == "relaxed":  # that one would take the event
            others = [both for one in others for other in _not(after[0].match) if (both := _and(one, other))]
        if after and isinstance(after[0], Take) and after[0].contiguity == "strict":
            others = []
        lines += [(*before, Take(f"{BETWEEN}{index}", other, contiguity="strict"), *after) for other in others]
        return [whole for one in lines for whole in without_next(one)]
    return [line]


_OPPOSITE = {"eq": "ne", "ne": "eq", "gt": "lte", "lte": "gt", "gte": "lt", "lt": "gte", "in": "not_in", "not_in": "in"}


def _not(match: Match) -> Iterator[Match]:
    """Matchers of all events that are not meant by `match`; no event is meant by two of them but by chance."""
    if match.type != "*":
        yield Match("*", (Test(TYPE_FIELD, "ne", event_type(match.type)),))
    for test in match.tests:
        if test.operator not in _OPPOSITE:
            raise Inexpressible(f"a very next event that is absent, with the test `{test.operator}`")
        yield Match(match.type, (replace(test, operator=_OPPOSITE[test.operator]),))
        if test.operator not in ("ne", "not_in", "eq", "in"):
            yield Match(match.type, (Test(test.field, "exists", False),))


def _and(one: Match, other: Match) -> Match | None:
    """What both mean; None when nothing can be both."""
    types = {match.type for match in (one, other)} - {"*"}
    tests = tuple(dict.fromkeys((*one.tests, *other.tests)))
    excluded = [test.value for test in tests if test.field == TYPE_FIELD]
    rest = tuple(test for test in tests if test.field != TYPE_FIELD)
    if len(types) > 1 or any(event_type(name) in excluded for name in types):
        return None
    if types or not excluded:
        return Match(types.pop() if types else "*", rest)
    return Match("*", (*rest, Test(TYPE_FIELD, "not_in", tuple(sorted(set(excluded))))))


def overlap(one: Match, other: Match) -> bool:
    return one.type == other.type or "*" in (one.type, other.type)
