"""One node of a rule's ``when`` tree: a form for each condition, found by its head word.

Adding a condition is adding a `Form` to FORMS (its first key is the head word).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streams.core.aggregates import DISTINCT_MAX
from streams.core.conditions import COUNT_MAX
from streams.core.definition import (
    All,
    AnyOf,
    Condition,
    Count,
    EventAtHand,
    Idle,
    Matcher,
    Missing,
    Not,
    Sequence,
    SessionTests,
)
from streams.rulefiles.fields import Where
from streams.rulefiles.findings import BROKEN, quoted, suggest
from streams.rulefiles.forms import Fields, Form, Key, Kind, ListOf, Reader, Schema
from streams.rulefiles.matchers import (
    EVENT_KEY,
    WHERE_KEY,
    FieldPath,
    MatcherKind,
    build_matcher,
    refuse_same_as,
)
from streams.rulefiles.measures import AGGREGATES, RATIO, SIGNAL, WITHIN, score_form
from streams.rulefiles.sequences import SEQUENCE
from streams.rulefiles.values import Duration, Whole
from streams.rulefiles.yaml_tree import ListNode, MapNode, Node

PARTS_MAX = 50  # of one all/any: more is a program, not a rule

# What people write who know other languages.
HINTS = {"and": "all", "or": "any", "none": "never", "then": "sequence", "steps": "sequence", "absent": "missing",
         "events": "event", "matches": "event", "type": "event", "at_least": "count", "inactive": "idle"}  # fmt: skip


class ConditionKind(Kind):
    """Any condition. Which one, its head word says."""

    name = "condition"
    expects = "a condition such as `{seen: {event: purchase}}`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """A Condition."""
        if isinstance(node, ListNode):
            return reader.fault(node, "expected a condition, got a list: put it under `all:` or `any:`")
        if not isinstance(node, MapNode) or not node.items:
            return self.wrong(node, reader)
        words = [name.text for name, _ in node.items]
        heads = [word for word in words if word in FORMS]
        if len(heads) == 1:
            return FORMS[heads[0]].read(node, reader)
        if heads:
            both = " and ".join(f"`{head}`" for head in heads)
            return reader.fault(node, f"one condition cannot be {both}: put them under `all:` or `any:`")
        first = node.items[0][0]
        near = HINTS.get(first.text.lower())
        hint = f"; did you mean `{near}`?" if near else suggest(first.text, FORMS)
        return reader.fault(first, f"unknown condition {quoted(first.text)}{hint}")

    def schema(self) -> Schema:
        """A reference to the list of all conditions."""
        return {"$ref": "#/$defs/condition"}

    def parts(self) -> Iterator[Kind | Form]:
        """Every condition's form."""
        yield from FORMS.values()


CONDITION = ConditionKind()
_M = MatcherKind()


# --- builders --------------------------------------------------------------------------------------------------


def _all(fields: Fields) -> Condition:
    return All(fields["all"], fields.mark)


def _any(fields: Fields) -> Condition:
    return AnyOf(fields["any"], fields.mark)


def _not(fields: Fields) -> Condition:
    return Not(fields["not"], fields.mark)


def _event(fields: Fields) -> Any:
    matcher = build_matcher(fields)
    return EventAtHand(matcher, fields.mark) if refuse_same_as((matcher,), fields.reader) else BROKEN


def _count(fields: Fields) -> Any:
    matcher: Matcher = fields["count"]
    if not refuse_same_as((matcher,), fields.reader):
        return BROKEN
    low, high, exactly = fields.get("at_least"), fields.get("at_most"), fields.get("exactly")
    if exactly is not None:
        if low is not None or high is not None:
            return fields.fault("exactly", "`exactly` stands alone, without `at_least` and `at_most`")
        low = high = exactly
    if low is None and high is None:
        return fields.fault("count", "a count needs `at_least`, `at_most` or `exactly`")
    if low is not None and high is not None and low > high:
        return fields.fault("at_most", f"no number is at least {low} and at most {high}")
    if low == 0 and high is None:
        return fields.fault("at_least", "`at_least: 0` holds always")
    distinct = fields.get("distinct")
    if distinct is not None and max(low or 0, high or 0) > DISTINCT_MAX:
        return fields.fault("distinct", f"tells {DISTINCT_MAX} values apart at most: count less")
    return Count(matcher, low or None, high, fields.get("within"), distinct, fields.mark)


def _seen(fields: Fields) -> Any:
    matcher: Matcher = fields["seen"]
    if not refuse_same_as((matcher,), fields.reader):
        return BROKEN
    return Count(matcher, at_least=1, within_ms=fields.get("within"), mark=fields.mark)


def _never(fields: Fields) -> Any:
    matcher: Matcher = fields["never"]
    if not refuse_same_as((matcher,), fields.reader):
        return BROKEN
    return Count(matcher, at_most=0, within_ms=fields.get("within"), mark=fields.mark)


def _missing(fields: Fields) -> Any:
    matcher, after = fields["missing"], fields["after"]
    if not refuse_same_as((matcher, after), fields.reader):
        return BROKEN
    return Missing(matcher, after, None if fields["for"] == "session" else fields["for"], fields.mark)


def _idle(fields: Fields) -> Any:
    after = fields.get("after")
    if after is not None and not refuse_same_as((after,), fields.reader):
        return BROKEN
    return Idle(fields["idle"], after, fields.mark)


def _session(fields: Fields) -> Condition:
    return SessionTests(fields["session"], fields.mark)


class ForHowLong(Duration):
    """A duration, or the word ``session``."""

    name = "duration or `session`"
    expects = "a duration such as `5m`, or `session`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """Milliseconds, or ``"session"``."""
        return "session" if getattr(node, "text", None) == "session" else super().parse(node, reader)

    def schema(self) -> Schema:
        """A string."""
        return {"anyOf": [{"const": "session"}, super().schema()]}


# --- the table -------------------------------------------------------------------------------------------------

_PARTS = ListOf(CONDITION, at_most=PARTS_MAX, what="conditions")
_N = Whole(0, COUNT_MAX)
_WITHIN = Key("within", Duration(), WITHIN, default="the session", example="within: 5m")

_ALL_FORMS = (
    Form(
        "all",
        "an `all` condition",
        "Holds when every part holds.",
        (Key("all", _PARTS, "the parts", True, example="all: [{seen: {event: search}}, {never: {event: purchase}}]"),),
        _all,
    ),
    Form(
        "any",
        "an `any` condition",
        "Holds when at least one part holds.",
        (
            Key(
                "any",
                _PARTS,
                "the parts",
                True,
                example="any: [{seen: {event: chat_opened}}, {seen: {event: phone_call}}]",
            ),
        ),
        _any,
    ),
    Form(
        "not",
        "a `not` condition",
        "Holds when its part does not.",
        (Key("not", CONDITION, "the part", True, example="not: {session: {device: bot}}"),),
        _not,
    ),
    Form(
        "event",
        "an `event` condition",
        "Holds while the event at hand matches, and no longer.",
        (EVENT_KEY, WHERE_KEY),
        _event,
    ),
    Form(
        "count",
        "a `count` condition",
        "Holds while the number of matching events is in range.",
        (
            Key("count", _M, "which events", True, example="count: {event: search, where: {results: 0}}"),
            Key("at_least", _N, "this many or more", example="at_least: 2"),
            Key("at_most", _N, "this many or fewer", example="at_most: 3"),
            Key("exactly", _N, "this many", example="exactly: 1"),
            Key("distinct", FieldPath(), "count different values of this field", example="distinct: query"),
            _WITHIN,
        ),
        _count,
        constraints={"anyOf": [{"required": [word]} for word in ("at_least", "at_most", "exactly")]},
    ),
    Form(
        "seen",
        "a `seen` condition",
        "Holds when there was at least one such event.",
        (Key("seen", _M, "which events", True, example="seen: {event: add_to_cart}"), _WITHIN),
        _seen,
    ),
    Form(
        "never",
        "a `never` condition",
        "Holds when there was no such event.",
        (Key("never", _M, "which events", True, example="never: {event: purchase}"), _WITHIN),
        _never,
    ),
    SEQUENCE,
    Form(
        "missing",
        "a `missing` condition",
        "Holds from the moment when `for` has passed after `after` without the missing event; needs no further event.",
        (
            Key("missing", _M, "which events did not come", True, example="missing: {event: purchase}"),
            Key("after", _M, "which event starts the clock", True, example="after: {event: checkout_started}"),
            Key(
                "for", ForHowLong(), "how long to wait; `session`: until the session ends", True, example="for: session"
            ),
        ),
        _missing,
    ),
    Form(
        "idle",
        "an `idle` condition",
        "Holds once there was no event of any kind for so long, until the next event.",
        (
            Key("idle", Duration(), "for how long nothing happened", True, example="idle: 90s"),
            Key(
                "after",
                _M,
                "only once such an event has been seen in the session",
                example="after: {event: checkout_started}",
            ),
        ),
        _idle,
    ),
    Form(
        "session",
        "a `session` condition",
        "Holds while every test on the session itself passes.",
        (
            Key(
                "session",
                Where(session=True),
                "tests on the session's fields",
                True,
                example="session: {device: mobile, page_views: {gte: 3}}",
            ),
        ),
        _session,
    ),
    *AGGREGATES,
    RATIO,
    score_form(CONDITION),
    SIGNAL,
)
FORMS: dict[str, Form] = {form.name: form for form in _ALL_FORMS}


def step_names(condition: Condition) -> set[str]:
    """The names that the condition's sequences give to their steps: what ``steps.NAME`` in a text may mean."""
    match condition:
        case All(parts) | AnyOf(parts):
            return set().union(*(step_names(part) for part in parts))
        case Not(part):
            return step_names(part)
        case Sequence(steps):
            return {step.name for step in steps if step.name}
        case _:
            return set()
