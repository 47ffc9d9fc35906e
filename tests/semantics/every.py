"""Patterns that begin anew at each first event, without strictness or with it.

A rule fires once at one moment, however many matches an event completes there (law 2). So there are several rules: the
first says "a start, then ...", the second "two starts, then ...", as far as a sequence has steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.semantics.items import items_of, names_of, resolved, rule_of
from tests.semantics.language import (
    ITEMS_MAX,
    STEPS_MAX,
    Do,
    Forbid,
    Item,
    Rule,
    Yaml,
    duration,
    matcher,
    sequence,
)
from tests.semantics.lines import BETWEEN, Line, begun, lines_of, overlap, without_next
from tests.semantics.neutral import Absent, AbsentNext, Group, Inexpressible, Pattern, Ref, Take, takes_of


def every(pattern: Pattern) -> Iterator[Rule]:
    if isinstance(pattern.elements[0], Group) and pattern.elements[0].kind == "any" and not pattern.strict:
        yield from _any_first(pattern.elements[0], pattern)
        return
    if isinstance(pattern.elements[0], Absent | AbsentNext):
        raise Inexpressible("an absence at the beginning, in a pattern that begins anew at each first event")
    if pattern.strict:
        lines = [way for line in lines_of(pattern.elements, pattern) for way in without_next(begun(line))]
        if any(map(_all_the_same, lines)):
            raise Inexpressible("the same step again and again, with nothing between, in a pattern that begins anew")
        made = [sequence(items_of(line, pattern, begun=False), pattern.within_ms, strict=True) for line in lines]
        yield rule_of(made, lines, pattern, once=False)
        return
    lines = lines_of(pattern.elements, pattern)
    if len(lines) == 1:
        special = _run(lines[0], pattern) or _all_before(lines[0], pattern)
        if special:
            yield from special
            return
        if _all_the_same(lines[0]):
            raise Inexpressible("the same step again and again, and something between, in a pattern that begins anew")
    for line in lines:
        takes = list(takes_of(line))
        if any(isinstance(e, AbsentNext) for e in line) and overlap(takes[0].match, takes[-1].match):
            raise Inexpressible("a very next event that is absent, where the last step may be the first one")
    ways = [without_next(line) for line in lines]
    for way in zip(*ways, strict=True):
        yield from _lanes(list(way), pattern)


def _any_first(first: Group, pattern: Pattern) -> Iterator[Rule]:
    """Whichever event comes first, it begins a partial match of its own: rules for each of them."""
    takes = list(takes_of(first.members))
    if any(overlap(one.match, other.match) for i, one in enumerate(takes) for other in takes[:i]):
        raise Inexpressible("a group of which one event may be several members, at the beginning")
    for member in first.members:
        yield from every(replace(pattern, elements=(member, *pattern.elements[1:])))


def _run(line: Line, pattern: Pattern) -> list[Rule]:
    """The same step, n times over: with each event a match of the last n ends, and another begins."""
    first = line[0]
    assert isinstance(first, Take)
    same = all(isinstance(e, Take) and e.match == first.match and e.contiguity == "relaxed" for e in line)
    if not same or len(line) < 2 or first.match.refs:
        return []
    count: Yaml = {"count": matcher(first.match), "at_least": len(line)}
    if pattern.within_ms is not None:
        count["within"] = duration(pattern.within_ms)
    return [_at_event(line, count)]


def _all_the_same(line: Line) -> bool:
    first, *others = takes_of(line)
    return bool(others) and all(take.match == first.match for take in others)


def _all_before(line: Line, pattern: Pattern) -> list[Rule]:
    """Two steps, the second `any`: it is a match with each of the first ones before it, however often."""
    match line:
        case (Take() as first, Take(contiguity="any") as last):
            pass
        case _:
            return []
    if last.match.refs or overlap(first.match, last.match):
        raise Inexpressible("a last step of contiguity `any` that looks at the first one, or may be it")
    within = min((ms for ms in (pattern.within_ms, last.within_ms) if ms is not None), default=None)
    rules = []
    for starts in range(1, STEPS_MAX + 1):
        count: Yaml = {"count": matcher(first.match), "at_least": starts}
        if within is not None:
            count["within"] = duration(within)
        rules.append(_at_event(line, count))
    return rules


def _at_event(line: Line, beside: Yaml) -> Rule:
    """Fires at each event of the last step while `beside` holds; shows that event."""
    last = line[-1]
    assert isinstance(last, Take)
    return Rule({"all": [matcher(last.match), beside]}, ((last.tag, "event.props.id"),), once=False)


def _lanes(lines: list[Line], pattern: Pattern) -> Iterator[Rule]:
    """Rules for one, two, ... starts that one event completes; and likewise for a step of contiguity `any`.

    The lines are the alternatives of one rule.
    """
    wide = {index for line in lines for index, e in enumerate(line) if isinstance(e, Take) and e.contiguity == "any"}
    if len(wide) > 1 or (wide and len(lines) > 1):
        raise Inexpressible("several steps of contiguity `any`, or one beside alternatives")
    at = wide.pop() if wide else None
    for line in lines:
        *middle, last = takes_of(line)
        if isinstance(line[-1], Take):
            middle = middle[1:]  # that the last one may be the first one is another matter: they follow one another
        if any(overlap(take.match, last.match) and not take.tag.startswith(BETWEEN) for take in middle):
            raise Inexpressible(
                "a last step that may be an earlier one, in a pattern that begins anew: events are spent"
            )
    if at is not None and (at == 0 or not any(isinstance(element, Take) for element in lines[0][at + 1 :])):
        raise Inexpressible("a last step of contiguity `any` after more than one step or an absence")
    for starts in range(1, STEPS_MAX):
        for taken in range(1, STEPS_MAX if at is not None else 2):
            made = [_lane(line, pattern, starts, at, taken) or _woven(line, pattern, starts) for line in lines]
            if not all(made):
                break
            lanes = [lane for alternatives in made for lane in alternatives]
            yield rule_of([sequence(lane, pattern.within_ms) for lane in lanes], lines, pattern, once=False)


def _woven(line: Line, pattern: Pattern, starts: int) -> list[list[Item]]:
    """`starts` first events of three plain steps, some of them after the first one's second event."""
    takes = list(takes_of(line))
    if not _plain(line) or starts == 1:
        return []
    one, two, three = (Do(take.match, name) for take, name in zip(takes, names_of(line, pattern).values(), strict=True))
    at = line.index(takes[1])
    before_two = [Forbid(e.match) for e in line[1:at] if isinstance(e, Absent)]
    before_three = [Forbid(e.match) for e in line[at + 1 :] if isinstance(e, Absent)]
    first = [Forbid(takes[1].match), *before_two]  # on the way from the first event to its second one
    then = [Forbid(takes[2].match), *before_three]  # and from there to its third
    start, second = replace(one, name=None), replace(two, name=None)
    ways = []
    for early in range(1, starts + 1):
        items: list[Item] = [one]
        for _ in range(early - 1):
            items += [*first, start]
        items += [*first, two]
        for number in range(starts - early):
            items += [*then, *(before_two if number else ()), start]
        if early < starts:
            items += [*then, *before_two, second]
        ways.append([*items, *then, three])
    fits = all(len(w) <= ITEMS_MAX and sum(isinstance(i, Do) for i in w) <= STEPS_MAX for w in ways)
    return ways if fits else []


def _plain(line: Line) -> bool:
    """Whether these are three relaxed steps, with nothing but untimed absences between, that do not look at others."""
    takes = list(takes_of(line))
    return (
        len(takes) == 3
        and all(isinstance(e, Take) or (isinstance(e, Absent) and e.for_ms is None) for e in line)
        and isinstance(line[-1], Take)
        and all(take.contiguity == "relaxed" and take.within_ms is None for take in takes)
        and not any(e.match.refs for e in line)
        and not _ended_by_start(line)
    )


def _lane(line: Line, pattern: Pattern, starts: int, at: int | None, taken: int) -> list[list[Item]]:
    """The items of the line with `starts` first events, `taken` events at `at`; none when they are too many."""
    if starts > 1 and _plain(line):
        return []
    takes = list(takes_of(line))
    first, last = takes[0], takes[-1]
    items = items_of(line, pattern, begun=False)
    more_refs = [item for item in items[1:] if any(ref.tag == _head(items).name for ref in _refs(item))]
    if len(takes) + starts - 1 + taken - 1 > STEPS_MAX or (len(takes) == 1 and starts > 1):
        return []
    if starts > 1 and len(takes) > 1 and (takes[1].contiguity == "strict" or _ended_by_start(line)):
        return []  # of two starts only the latter is open
    names = names_of(line, pattern)
    if starts > 1 and any(ref.tag != first.tag for ref in last.match.refs):
        raise Inexpressible("a last step that is compared with one in the middle, in a pattern that begins anew")
    completing = Forbid(resolved(last.match, names))
    if at is not None and taken > 1:
        tag = next(takes_of((line[at],))).tag
        between: list[Item] = [completing, *(Forbid(resolved(e.match, names)) for e in _absent_before(line, at))]
        items = _repeat(items, names[tag], taken, between)
    if starts > 1:
        ended = [Forbid(resolved(e.match, names)) for e in _absent_after_first(line)]
        head = _head(items)
        # Where it depends on the first event whether it is completed, it has to be the last but so many.
        only: list[Item] = [Forbid(first.match)] if more_refs else []
        another = [completing, *ended, *only, Do(first.match)]
        items = [head, *(another * (starts - 1)), *only, *items[1:]]
    elif more_refs and len(takes) > 1 and not _ended_by_start(line):
        items = [items[0], Forbid(first.match), *items[1:]]
    return [items] if len(items) <= ITEMS_MAX or (starts, taken) == (1, 1) else []


def _ended_by_start(line: Line) -> bool:
    """Whether a second first event ends the partial match of the first: it completes it, or is what must be absent."""
    first, last = line[0], line[-1]
    assert isinstance(first, Take)
    for absent in _absent_after_first(line):
        if overlap(first.match, absent.match):
            if absent.match.tests and absent.match != first.match:
                raise Inexpressible("an absence of what may be the first event, in a pattern that begins anew")
            return True
    return isinstance(last, Take) and overlap(first.match, last.match)


def _head(items: list[Item]) -> Do:
    assert isinstance(items[0], Do)
    return items[0]


def _absent_after_first(line: Line) -> Iterator[Absent]:
    for element in line[1:]:
        if not isinstance(element, Absent):
            return
        yield element


def _absent_before(line: Line, at: int) -> Iterator[Absent]:
    for element in reversed(line[:at]):
        if not isinstance(element, Absent):
            return
        yield element


def _refs(item: Item) -> tuple[Ref, ...]:
    return item.match.refs if item.match is not None else ()


def _repeat(items: list[Item], name: str, times: int, between: list[Item]) -> list[Item]:
    """The step of this name, `times` times, the named one first."""
    at = next(index for index, item in enumerate(items) if isinstance(item, Do) and item.name == name)
    step = items[at]
    assert isinstance(step, Do)
    more: list[Item] = [*between, Do(step.match)]
    return [*items[: at + 1], *(more * (times - 1)), *items[at + 1 :]]
