"""A line's steps as the items of a sequence, with names for its steps; and a rule from sequences."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.semantics.language import Do, Forbid, Item, Quiet, Rule, Yaml
from tests.semantics.lines import BETWEEN, COPY, Line
from tests.semantics.neutral import Absent, Inexpressible, Match, Pattern, Ref, Take

_REPETITION = re.compile(r"\[(\d+)\]$")
ANYTHING = Match("*")


# --- names ----------------------------------------------------------------------------------------------------------


def _name(tag: str, pattern: Pattern) -> str:
    """The name of a step in rules: tags may have any form, names of steps may not."""
    base, _, copy = tag.partition(COPY)
    return f"s{pattern.tags.index(base)}" + (f"_{copy}" if copy else "")


def names_of(line: Line, pattern: Pattern) -> dict[str, str]:
    """The name of the step at which each tag of the line is taken."""
    names = {}
    for element in line:
        if isinstance(element, Take) and not element.tag.startswith(BETWEEN):
            tags = element.tag.split("&")
            names.update(dict.fromkeys(tags, _name(tags[0], pattern)))
    return names


def resolved(match: Match, names: dict[str, str]) -> Match:
    tests = []
    for test in match.tests:
        if isinstance(test.value, Ref):
            tag = _REPETITION.sub(COPY + r"\1", test.value.tag)  # `e1[1]` is the second of several
            if tag not in names:
                raise Inexpressible("a comparison with a step that is taken several times, or not in every case")
            tests.append(replace(test, value=replace(test.value, tag=names[tag])))
        else:
            tests.append(test)
    return replace(match, tests=tuple(tests))


# --- a line's items -------------------------------------------------------------------------------------------------


def items_of(line: Line, pattern: Pattern, begun: bool, more: bool = False) -> list[Item]:
    """The steps of a sequence. `begun`: something stands before the line; `more`: something follows it."""
    names = names_of(line, pattern)
    end = len(line) - 1
    items: list[Item] = []
    quiet = False
    for index, element in enumerate(line):
        match element:
            case Take(tag, match):
                match = resolved(match, names)
                preceded = begun or index > 0
                if element.contiguity == "strict" and quiet:
                    raise Inexpressible("the very next event after a timed absence")
                if element.contiguity == "strict" and preceded and not pattern.strict:
                    items.append(Forbid(ANYTHING))
                elif (
                    preceded
                    and not quiet
                    and not pattern.strict
                    and element.contiguity != "any"
                    and not (index == end and not more)
                ):
                    items.append(Forbid(match))  # so that the first one is taken; at the end it has just come
                items.append(Do(match, names.get(tag.split("&")[0]), element.within_ms if preceded else None))
                quiet = False
            case Absent(match, for_ms):
                if for_ms is None and index == end and not more:
                    for_ms = _time_left(line, pattern)
                match = resolved(match, names)
                items.append(Forbid(match) if for_ms is None else Quiet(for_ms, match))
                quiet = quiet or for_ms is not None
    return items


def _time_left(line: Line, pattern: Pattern) -> int:
    """How long an absence at the end lasts that is not said to."""
    if pattern.within_ms is None:
        raise Inexpressible("an absence at the end that never ends")
    if sum(isinstance(element, Take) for element in line) > 1:
        raise Inexpressible("an absence at the end until a time since the first step")
    return pattern.within_ms


def _shown(lines: list[Line], pattern: Pattern, single: bool) -> tuple[tuple[str, str], ...]:
    """What the text can show: the events that every line names; of a `single` event that event itself."""
    if single:
        tags = [{tag for e in line if isinstance(e, Take) for tag in e.tag.split("&")} for line in lines]
        return tuple((tag, "event.props.id") for tag in sorted(set.intersection(*tags)))
    named = [names_of(line, pattern) for line in lines]
    common = [tag for tag in named[0] if all(names.get(tag) == named[0][tag] for names in named)]
    return tuple((tag, f"steps.{named[0][tag]}.props.id") for tag in common)


def rule_of(sequences: list[Yaml], lines: list[Line], pattern: Pattern, once: bool) -> Rule:
    when = sequences[0] if len(sequences) == 1 else {"any": sequences}
    single = ["event" in one for one in sequences]
    show = _shown(lines, pattern, all(single)) if all(single) or not any(single) else ()
    return Rule(when, show, once)
