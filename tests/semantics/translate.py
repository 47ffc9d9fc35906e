"""A neutral pattern -> rules. Decided from the pattern's structure alone; nothing here sees events or expected matches.

1. The pattern is expanded into lines (`lines.py`), and each line becomes a sequence (`items.py`).
2. `once`: one rule with `limits: {per_session: 1}`. Its sequence begins at the arming event, and before each step that
   step's own event is forbidden: so the first event that fits is the one that is taken.
3. `every`: `every.py`.
4. Names of steps in rules are made here; references between steps follow them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.semantics.every import every
from tests.semantics.items import items_of, rule_of
from tests.semantics.language import ITEMS_MAX, STEPS_MAX, Do, Item, Rule, Yaml, sequence
from tests.semantics.lines import Line, begun, lines_of, without_next
from tests.semantics.neutral import Absent, Again, Inexpressible, Pattern, Take


def translate(pattern: Pattern) -> list[Rule]:
    """The rules that say what the pattern says. Raises Inexpressible."""
    if pattern.strict and any(isinstance(e, Absent) and e.for_ms is not None for e in pattern.elements[:-1]):
        raise Inexpressible("a timed absence before a step, where nothing may come in between")
    if any(isinstance(element, Again) for element in pattern.elements):
        rules = _again(pattern)
    elif pattern.every:
        rules = list(every(pattern))
    else:
        rules = [_once(pattern)]
    return rules


# --- 2. once --------------------------------------------------------------------------------------------------------


def _once(pattern: Pattern) -> Rule:
    lines = [whole for line in lines_of(pattern.elements, pattern) for whole in without_next(begun(line))]
    used: list[Line] = []
    sequences: list[Yaml] = []
    for line in lines:
        for made in _once_sequences(line, pattern):
            used.append(line)
            sequences.append(made)
    return rule_of(sequences, used, pattern, once=True)


def _once_sequences(line: Line, pattern: Pattern) -> Iterator[Yaml]:
    takes = sum(isinstance(element, Take) for element in line)
    leading = isinstance(line[0], Absent)
    within = pattern.within_ms if takes > 1 else None
    armed = takes == 1 or (not pattern.strict and takes < STEPS_MAX and not (within is not None and takes > 2))
    if leading and not armed:
        raise Inexpressible("an absence at the beginning, with a time over more than two steps or no events in between")
    if isinstance(line[0], Absent) and line[0].for_ms is not None and (within is not None or _can_fail(line[1:])):
        raise Inexpressible("a timed absence at the beginning, before steps that can fail")
    if not armed:
        yield sequence(items_of(line, pattern, begun=False), within, pattern.strict)
        return
    items: list[Item] = [Do(None), *items_of(line, pattern, begun=True)]
    yield sequence(_last_within(items, within) if within is not None else items)
    first = line[0]
    if isinstance(first, Absent) and first.for_ms is not None:  # what comes starts its clock anew
        yield sequence(_last_within([Do(first.match), *items[1:]], within))


def _can_fail(line: Line) -> bool:
    """Whether what has begun can come to nothing, other than by waiting for ever."""
    return any(not isinstance(e, Take) or e.contiguity == "strict" or e.within_ms is not None for e in line)


def _last_within(items: list[Item], within: int | None) -> list[Item]:
    """The last step at most so long after the one before: of two steps, that is the whole pattern."""
    if within is None:
        return items
    at = max(index for index, item in enumerate(items) if isinstance(item, Do))
    step = items[at]
    assert isinstance(step, Do)
    return [*items[:at], replace(step, within_ms=min(within, step.within_ms or within)), *items[at + 1 :]]


def _again(pattern: Pattern) -> list[Rule]:
    """A group that begins anew: the first time, the second, ...; each is a rule of its own."""
    first, *rest = pattern.elements
    if not isinstance(first, Again) or any(isinstance(element, Again) for element in rest):
        raise Inexpressible("a group that begins anew, other than at the beginning")
    if not rest:
        whole = replace(pattern, elements=first.members)
        (line,) = lines_of(first.members, replace(whole, every=False))
        made = sequence(items_of(line, whole, begun=False), pattern.within_ms, pattern.strict)
        return [rule_of([made], [line], whole, once=False)]
    if pattern.strict or pattern.within_ms is not None:
        raise Inexpressible("a group that begins anew, with a time over the whole or no events in between")
    plain = replace(pattern, elements=(*first.members, *rest), every=False)
    groups = lines_of(first.members, plain)
    lines = lines_of(plain.elements, plain)
    if len(groups) > 1 or len(lines) > 1 or isinstance(lines[0][0], Absent):
        raise Inexpressible("a group that begins anew, with alternatives in it or an absence before it")
    before = [
        replace(item, name=None) if isinstance(item, Do) else item
        for item in items_of(groups[0], plain, begun=True, more=True)
    ]
    rules = []
    for times in range(STEPS_MAX):
        items = [Do(None), *(before * times), *items_of(lines[0], plain, begun=True)]
        if times and (sum(isinstance(item, Do) for item in items) > STEPS_MAX or len(items) > ITEMS_MAX):
            break
        rules.append(rule_of([sequence(items)], lines, plain, once=True))
    return rules
