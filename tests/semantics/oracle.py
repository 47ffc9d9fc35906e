"""What the neutral patterns mean, worked out the slow way: every partial match is followed by itself.

Written from the readings in docs/semantics.md, with nothing of the translation or the engine in it. For patterns of
`Take` (one time), `Absent`, `AbsentNext` and groups `any`.

1. `every`: each event that the first step takes opens a partial match; `once`: the first one does, and no other.
2. A step takes the first event that fits. `strict`: the very next one, or the partial match is lost. `any`: each one
   that fits, each in a partial match of its own.
3. An event that fits the next step is taken, whatever is forbidden before that step.
4. A timed absence is over when its time is; at the beginning what comes starts its clock anew.
5. `within`: first and last event less than so far apart.
6. `once` with `strict`, or with a `within` over more than two steps: an attempt that fails is followed by another,
   until the first match.
7. `every`, where the last event may be a first one as well: matches share no event; of several that one event
   completes, the one that began last counts, and those from before it are over. But where all steps are the same, each
   event begins one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.semantics.neutral import Absent, AbsentNext, Element, Group, Match, Pattern, Ref, Take

# (time, (tag, number of the event) of each event taken) of each match
Found = list[tuple[int, tuple[tuple[str, int], ...]]]


@dataclass(frozen=True)
class Partial:
    """A partial match: the element it waits for, what it has taken, when it took the first and the last."""

    at: int = 0
    bound: tuple[tuple[str, int], ...] = ()  # (tag, number of the event)
    start: int = 0
    last: int = 0
    next_only: bool = True  # nothing has come since the last event was taken


def matches(pattern: Pattern, events: list[dict[str, Any]], until: int) -> Found:
    """Every match, in order."""
    takes = sum(isinstance(element, Take | Group) for element in pattern.elements)
    if not pattern.every and takes > 1 and (pattern.strict or (takes > 2 and pattern.within_ms is not None)):
        return _matches(replace(pattern, every=True), events, until, in_turn=False)[:1]
    found = _matches(pattern, events, until, _in_turn(pattern))
    return found if pattern.every else found[:1]


def _matches(pattern: Pattern, events: list[dict[str, Any]], until: int, in_turn: bool) -> Found:
    found: Found = []
    open_ = [] if pattern.every else [Partial()]
    for number, event in enumerate(events):
        open_ = _elapse(pattern, open_, event["t"], found)
        if pattern.every:
            open_.append(Partial())
        became = [after for partial in open_ for after in _take(pattern, partial, events, number)]
        complete = [after for after in became if after.at == len(pattern.elements)]
        open_ = [one for one in became if one not in complete and not (pattern.every and not one.bound)]
        if in_turn and complete:
            complete = [max(complete, key=lambda one: one.bound)]
            began = complete[0].bound[0][1]
            open_ = [one for one in open_ if began < one.bound[0][1] < number]
        found += [(event["t"], one.bound) for one in complete]
    _elapse(pattern, open_, until, found)
    return sorted(found)


def _in_turn(pattern: Pattern) -> bool:
    first, *_, last = (*pattern.elements, None)[: max(2, len(pattern.elements))]
    if pattern.strict or not isinstance(first, Take) or not isinstance(last, Take):
        return False
    same = all(isinstance(element, Take) and element.match == first.match for element in pattern.elements)
    return not same and (first.match.type == last.match.type or "*" in (first.match.type, last.match.type))


def _elapse(pattern: Pattern, open_: list[Partial], now: int, found: list[Any]) -> list[Partial]:
    """The timed absences that are over by `now`."""
    still = []
    for partial in open_:
        element = pattern.elements[partial.at]
        while isinstance(element, Absent) and element.for_ms is not None and partial.last + element.for_ms <= now:
            partial = replace(partial, at=partial.at + 1, last=partial.last + element.for_ms)  # noqa: PLW2901
            if partial.at == len(pattern.elements):
                found.append((partial.last, partial.bound))
                break
            element = pattern.elements[partial.at]
        else:
            still.append(partial)
    return still


def _take(pattern: Pattern, partial: Partial, events: list[dict[str, Any]], number: int) -> list[Partial]:
    """What the partial match may become with this event."""
    event, at = events[number], partial.at
    waiting = replace(partial, next_only=False)
    absent: list[Element] = []
    while isinstance(pattern.elements[at], Absent | AbsentNext):
        element = pattern.elements[at]
        assert isinstance(element, Absent | AbsentNext)
        if isinstance(element, Absent) and element.for_ms is not None:
            if not _fits(element.match, partial, events, event):
                return [waiting]
            return [] if partial.bound else [replace(waiting, last=event["t"])]
        absent.append(element)
        at += 1
        if at == len(pattern.elements):
            break
    for element in absent:
        if isinstance(element, AbsentNext) and partial.next_only and _fits(element.match, partial, events, event):
            return []
    if at == len(pattern.elements):
        return [replace(waiting, at=at)]
    return _step(pattern, partial, at, [e for e in absent if isinstance(e, Absent)], events, number)


def _step(
    pattern: Pattern, partial: Partial, at: int, absent: list[Absent], events: list[dict[str, Any]], number: int
) -> list[Partial]:
    event, element = events[number], pattern.elements[at]
    if partial.bound and pattern.within_ms is not None and event["t"] - partial.start >= pattern.within_ms:
        return []
    waiting = replace(partial, next_only=False)
    takes = element.members if isinstance(element, Group) else (element,)
    taken = []
    for take in takes:
        assert isinstance(take, Take)
        if _fits(take.match, partial, events, event):
            start = event["t"] if not partial.bound else partial.start
            taken.append(Partial(at + 1, (*partial.bound, (take.tag, number)), start, event["t"]))
            break
    strict = pattern.strict or any(isinstance(t, Take) and t.contiguity == "strict" for t in takes)
    wide = any(isinstance(t, Take) and t.contiguity == "any" for t in takes)
    killed = any(_fits(element.match, partial, events, event) for element in absent)
    if partial.bound and (strict or killed or (taken and not wide)):
        return taken
    if not partial.bound and (taken or killed):
        return taken
    return [*taken, waiting]


def _fits(match: Match, partial: Partial, events: list[dict[str, Any]], event: dict[str, Any]) -> bool:
    if match.type not in ("*", event["type"]):
        return False
    for test in match.tests:
        value = test.value
        if isinstance(value, Ref):
            bound = dict(partial.bound).get(value.tag)
            value = None if bound is None else events[bound].get(value.field)
        found = event.get(test.field)
        if found is None or value is None or not _TESTS[test.operator](found, value):
            return False
    return True


_TESTS = {
    "eq": lambda found, value: found == value,
    "gt": lambda found, value: found > value,
    "lt": lambda found, value: found < value,
}
