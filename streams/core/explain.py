"""Why, and why not: a rule's conditions one by one, what each lacks, and what would stop a firing now.

1. A rule's conditions are numbered as they are written, outer before inner (`branches`).
2. What would come of a firing is found by asking the engine itself, on a copy of the visitor's state: so this page
   and the engine cannot disagree about schedules, arms, limits or priorities.
3. Nothing here changes the state that it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from streams.core import definition as d
from streams.core.conditions import Leaf
from streams.core.decide import Moment, decide
from streams.core.effects import Decision, Suppression
from streams.core.event import MISSING
from streams.core.nodes import NONE, Keys
from streams.core.ruleset import Rule, Ruleset
from streams.core.session_fields import session_reader
from streams.core.tree import Tree
from streams.core.visitor import NEVER, Session, Visitor, decode_visitor, encode_visitor

_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


class Branch(NamedTuple):
    """One condition of a tree: how deep it lies, and its leaf when it looks at events or time itself."""

    depth: int
    condition: d.Condition
    leaf: Leaf | None


def branches(when: d.Condition, tree: Tree) -> tuple[Branch, ...]:
    """The conditions of `when`, outer before inner; `tree` is what it was compiled to.

    A tree has its leaves in the order in which its conditions are written, equal ones once.
    """
    leaves: dict[d.Condition, Leaf] = {}
    remaining = iter(tree.leaves)
    found: list[Branch] = []
    for depth, condition in _written(when, 0):
        leaf = None
        if not parts_of(condition):
            leaf = leaves.get(condition)
            if leaf is None:
                leaf = leaves[condition] = next(remaining)
        found.append(Branch(depth, condition, leaf))
    return tuple(found)


def parts_of(condition: d.Condition) -> tuple[d.Condition, ...]:
    """The conditions that `condition` is put together from with all, any or not; none for one that stands alone."""
    match condition:
        case d.All(parts) | d.AnyOf(parts):
            return parts
        case d.Not(part):
            return (part,)
    return ()


def _written(condition: d.Condition, depth: int) -> Iterator[tuple[int, d.Condition]]:
    yield depth, condition
    for part in parts_of(condition):
        yield from _written(part, depth + 1)


def answers(of: tuple[Branch, ...], session: Session, at: int, hits: Keys = NONE) -> tuple[bool, ...]:
    """Whether each branch holds as of `at`; `hits` are the keys of the leaves that the event at hand has matched."""
    found = [False] * len(of)
    for index in range(len(of) - 1, -1, -1):  # inner before outer
        depth, condition, leaf = of[index]
        if leaf is not None:
            found[index] = leaf.key in hits if leaf.pulse else leaf.holds(session, at)
            continue
        inside: list[bool] = []
        for inner in range(index + 1, len(of)):
            if of[inner].depth <= depth:
                break
            if of[inner].depth == depth + 1:
                inside.append(found[inner])
        if isinstance(condition, d.Not):
            found[index] = not inside[0]
        else:
            found[index] = all(inside) if isinstance(condition, d.All) else any(inside)
    return tuple(found)


# --- in words ----------------------------------------------------------------------------------------------------


def duration(ms: int) -> str:
    """90000 -> ``1m30s``."""
    text, rest = "", abs(ms)
    for unit, size in _UNITS_MS:
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return ("-" if ms < 0 else "") + (text or "0s")


def in_words(condition: d.Condition) -> str:
    """A condition on one line, for people: ``count search where results eq 0, at least 2, within 5m``."""
    match condition:
        case d.All():
            return "all of"
        case d.AnyOf():
            return "any of"
        case d.Not():
            return "not"
        case d.EventAtHand(matcher):
            return f"event {_said(matcher)}"
        case d.Count(matcher, at_least, at_most) if condition == d.Count(matcher, at_least, at_most):
            short = _SHORT.get((at_least, at_most))
            if short is not None:
                return f"{short} {_said(matcher)}"
    kind = type(condition).__name__
    return f"{getattr(condition, 'function', None) or _NAMES.get(kind, kind.lower())} {_listed(condition)}"


_SHORT = {(1, None): "seen", (None, 0): "never"}
_NAMES = {"SessionTests": "session"}
_UNNAMED = {"matcher", "steps", "tests", "entries"}
_LABELS = {"forbid": "without", "name": "as"}
_USUAL = {("contiguity", "relaxed"), ("times", 1)}
_SEPARATORS = {"steps": " then ", "entries": "; "}


def _listed(value: Any) -> str:
    """The parts of a definition that are not as usual, each with its name."""
    said = []
    for field in fields(value):
        part = getattr(value, field.name)
        if field.name in ("mark", "function") or part is None or part == () or (field.name, part) in _USUAL:
            continue
        text = duration(part) if field.name.endswith("_ms") else _said(part, _SEPARATORS.get(field.name, ", "))
        plain = field.name in _UNNAMED or (field.name == "name" and isinstance(part, StrEnum))
        label = _LABELS.get(field.name, field.name.removesuffix("_ms").replace("_", " "))
        said.append(text if plain else f"{label} {text}")
    return ", ".join(said)


def _said(value: Any, separator: str = ", ") -> str:
    """A part of a definition in words."""
    match value:
        case d.Matcher(types, where):
            tests = " and ".join(map(_said, where))
            return "|".join(types) + (f" where {tests}" if tests else "")
        case d.FieldTest(field, operator, wanted):
            return f"{field.removeprefix('props.')} {operator} {_said(wanted)}".strip()
        case tuple():
            return separator.join(map(_said, value))
    if isinstance(value, d.Condition):
        return in_words(value)
    return _listed(value) if hasattr(value, "mark") else f"{value}"


# --- what it lacks -----------------------------------------------------------------------------------------------


def lacking(condition: d.Condition, leaf: Leaf, session: Session, at: int) -> str:
    """What has to happen before a leaf that does not hold holds."""
    if leaf.pulse:
        return "holds only while such an event is at hand"
    wait = _WAITS.get(type(condition))
    due = leaf.next_change(session)
    if wait is not None:
        return wait(condition) if due == NEVER else f"nothing of the kind for another {duration(due - at)}"
    value = leaf.value(session, at)
    match condition:
        case d.Count(_, at_least, at_most):
            if at_least is not None and value < at_least:
                return f"{at_least - value} more"
            return f"{value - (at_most or 0)} fewer"
        case d.SessionTests(tests):
            has = ((test.field, _value(session_reader(test.field)(session))) for test in tests)
            return "it has " + ", ".join(f"{field} {value}" for field, value in has)
        case d.Sequence(steps) if type(value) is int and value < len(steps):
            return f"step {value + 1} of {len(steps)}: {_said(steps[value].matcher)}"
    return f"it has {_value(value)}"


def _after(condition: d.Condition) -> str:
    after = getattr(condition, "after", None)
    return f"its clock is not running: it starts with {_said(after)}" if after is not None else "its clock is over"


_WAITS: dict[type[Any], Callable[[d.Condition], str]] = {d.Missing: _after, d.Idle: _after}


def _value(value: Any) -> Any:
    return None if value is MISSING else value


# --- a visitor ---------------------------------------------------------------------------------------------------


class ConditionNow(msgspec.Struct, frozen=True):
    """One condition now. `value` is what it counts or remembers; `lacks` is empty while it holds."""

    text: str
    depth: int
    holds: bool
    value: Any = None
    lacks: str = ""


class RuleNow(msgspec.Struct, frozen=True):
    """One rule now, for one session. `stopped_by`: everything that stands between here and a suggestion.

    `session` is empty when none is going on; then there are no conditions to look at.
    """

    rule: str
    version: str
    mode: str
    session: str
    holds: bool
    arm: str
    conditions: tuple[ConditionNow, ...]
    stopped_by: tuple[str, ...]
    fired_in_session: int = 0


def explain(state: Visitor | None, ruleset: Ruleset, at: int, rule: str | None = None) -> list[RuleNow]:
    """Each rule (or the one named `rule`), in each live session, as of `at`, ms. `state` None: nothing is kept."""
    found: list[RuleNow] = []
    for definition in ruleset.program.rules:
        if rule is not None and definition.id != rule:
            continue
        compiled = ruleset.by_rule_id.get(definition.id)
        if compiled is None:
            found.append(_silent(definition.id, "", definition.mode, f"mode: {definition.mode}"))
        elif state is None:
            found.append(_silent(definition.id, compiled.version, compiled.mode, _NOTHING_KEPT))
        elif not state.sessions:
            found.append(_silent(definition.id, compiled.version, compiled.mode, "no session is going on"))
        else:
            found += [_in_session(state, session, compiled, ruleset, at) for session in state.sessions]
    return found


_NOTHING_KEPT = "nothing is kept of this visitor: no event yet, none for a long time, or no consent"


def _silent(rule: str, version: str, mode: str, why: str) -> RuleNow:
    return RuleNow(rule, version, mode, "", False, "", (), (why,))


def _in_session(state: Visitor, session: Session, rule: Rule, ruleset: Ruleset, at: int) -> RuleNow:
    of = branches(rule.definition.when, rule.tree)
    truth = answers(of, session, at)
    conditions = tuple(
        ConditionNow(
            in_words(branch.condition), branch.depth, holds,
            None if branch.leaf is None else _value(branch.leaf.value(session, at)),
            "" if holds or branch.leaf is None else lacking(branch.condition, branch.leaf, session, at),
        )
        for branch, holds in zip(of, truth, strict=True)
    )  # fmt: skip
    decision = _decision(state, session, rule, ruleset, at)
    stopped = []
    if not truth[0]:
        stopped.append("its condition does not hold")
    elif rule.key in session.holding:
        stopped.append("its condition has held before: it fires when that begins")
    if decision.reason is Suppression.TEMPLATE_FIELD_MISSING and not truth[0]:
        pass  # the event that makes it hold will bring what its texts need
    elif decision.reason is not None:
        stopped.append(f"it would be suppressed: {decision.reason}")
    elif decision.kind != "suggested":
        stopped.append(f"it would be counted and not shown: {_UNSHOWN[decision.kind]}")
    return RuleNow(
        rule.id, rule.version, rule.mode, session.id, truth[0], decision.arm, conditions, tuple(stopped),
        session.fired.get(rule.key, 0),
    )  # fmt: skip


_UNSHOWN = {"control": "the visitor is in the control arm", "shadow": "mode: shadow"}


def _decision(state: Visitor, session: Session, rule: Rule, ruleset: Ruleset, at: int) -> Decision:
    """What would come of it if `rule` fired now, together with every rule whose condition holds."""
    copy = decode_visitor(state.visitor, encode_visitor(state))
    twin = copy.sessions[state.sessions.index(session)]
    firing = [other for other in ruleset.rules if other is rule or other.tree.holds(session, at, NONE, NONE)]
    moment = Moment(copy, twin, None, "explain", at, ruleset, [])
    decide(moment, firing, frozenset())
    return next(made for made in moment.effects if isinstance(made, Decision) and made.rule == rule.id)
