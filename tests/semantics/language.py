"""Rule files as the translation writes them: sequences, conditions, rules; and their text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.semantics.neutral import Inexpressible, Match, Ref, Test

ARM = "armed"  # the event that is sent at the moment 0, when the pattern is armed
PREFIX = "case_"  # of the case's event types, so that none of them is the arming event
STEPS_MAX = 8  # of one sequence in the rule language
ITEMS_MAX = 16  # of one sequence, those that forbid included
TYPE_CHARS_MAX = 64
TYPE_FIELD = "@type"  # a `Test` of the event's type itself

Yaml = dict[str, Any]


@dataclass(frozen=True)
class Do:
    """A step of a sequence. `name` gives it a name in the rule."""

    match: Match | None  # None: the arming event
    name: str | None = None
    within_ms: int | None = None


@dataclass(frozen=True)
class Forbid:
    """``not:`` before the next step."""

    match: Match


@dataclass(frozen=True)
class Quiet:
    """``quiet:`` for so long, of such events."""

    ms: int
    match: Match


Item = Do | Forbid | Quiet


@dataclass(frozen=True)
class Rule:
    """One rule: its condition, and what its text shows: (tag, placeholder). `once`: at most once a session."""

    when: Yaml
    show: tuple[tuple[str, str], ...]
    once: bool


def event_type(name: str) -> str:
    """A type of the case as a type of ours; different ones stay different."""
    if name == "*":
        return PREFIX + "*"
    written = "".join(c if re.fullmatch("[a-z0-9]", c) else f"_{ord(c):x}." for c in name)
    if len(PREFIX + written) > TYPE_CHARS_MAX:
        raise Inexpressible(f"an event type of more than {TYPE_CHARS_MAX} characters")
    return PREFIX + written


def duration(ms: int) -> str:
    """`ms` as a rule file says it."""
    return f"{ms}ms"


def matcher(match: Match | None) -> Yaml:
    """``{event: ..., where: ...}``."""
    if match is None:
        return {"event": ARM}
    where: dict[str, Yaml] = {}
    for test in match.tests:
        word, value = _written(test)
        # The two ways to write one field, so that two tests of one kind can stand side by side.
        for path in ("type",) if test.field == TYPE_FIELD else (f"props.{test.field}", test.field):
            if word not in where.setdefault(path, {}):
                where[path][word] = value
                break
        else:
            raise Inexpressible(f"more than two tests `{word}` of one field")
    return {"event": event_type(match.type)} | ({"where": where} if where else {})


def _written(test: Test) -> tuple[str, Any]:
    if not isinstance(test.value, Ref):
        return test.operator, test.value
    place = f"{test.value.tag}.props.{test.value.field}"
    return ("same_as", place) if test.operator == "eq" else (test.operator, {"step": place})


def sequence(items: Iterable[Item], within_ms: int | None = None, strict: bool = False) -> Yaml:
    """The condition that these items make: a sequence, or the event when there is nothing else."""
    items = tuple(items)
    steps = [item for item in items if isinstance(item, Do)]
    if len(steps) > STEPS_MAX:
        raise Inexpressible(f"a sequence of more than {STEPS_MAX} steps")
    if len(items) == 1:
        return matcher(steps[0].match)
    made: Yaml = {"sequence": [_item(item) for item in items]}
    if within_ms is not None and len(steps) > 1:
        made["within"] = duration(within_ms)
    return made | ({"contiguity": "strict"} if strict else {})


def _item(item: Item) -> Yaml:
    match item:
        case Do(match, name, within_ms):
            made = matcher(match)
            if name is not None:
                made["as"] = name
            return made | ({"within": duration(within_ms)} if within_ms is not None else {})
        case Forbid(match):
            return {"not": matcher(match)}
        case Quiet(ms, match):
            return {"quiet": duration(ms), "of": matcher(match)}


# --- files ----------------------------------------------------------------------------------------------------------

OUTCOMES = "currency: EUR\noutcomes:\n  unwanted: {kind: anti_conversion, when: {event: unwanted}, cost: 1}\n"
SHOWN_APART = "|"


def rule_file(rules: Iterable[Rule]) -> str:
    """The text of a rule file. JSON is YAML."""
    return json.dumps({"rules": [_rule(rule, index) for index, rule in enumerate(rules)]}, indent=1)


def rule_name(index: int) -> str:
    """The name of the rule number `index`."""
    return f"rule-{index}"


def _rule(rule: Rule, index: int) -> Yaml:
    return {
        "rule": rule_name(index),
        "prevents": "unwanted",
        "mode": "live",
        "when": rule.when,
        "suggest": {
            "placement": rule_name(index),  # of its own, so that no rule outranks another
            "title": SHOWN_APART.join(["match", *(f"{{{{ {place} }}}}" for _, place in rule.show)]),
            "expires": "1ms",  # so that there is room for the next one
        },
        "limits": {"per_session": 1 if rule.once else "unlimited", "after_dismissal": "continue"},
    }
