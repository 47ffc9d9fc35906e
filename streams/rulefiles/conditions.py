"""One node of a rule's ``when`` tree: a form for each condition, found by its head word.

Adding a condition is adding a `Form` to FORMS (its first key is the head word) and taking the word out of PLANNED.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
    Step,
)
from streams.core.tree import STEPS_MAX
from streams.rulefiles.findings import BROKEN, quoted, suggest
from streams.rulefiles.forms import Fields, Form, FormKind, Key, Kind, ListOf, Reader, Schema
from streams.rulefiles.matchers import (
    EVENT_KEY,
    WHERE_KEY,
    EventNames,
    MatcherKind,
    Where,
    build_matcher,
    check_same_as,
    refuse_same_as,
)
from streams.rulefiles.values import Choice, Duration, Whole, Word, write_duration
from streams.rulefiles.yaml_tree import ListNode, MapNode, Node

PARTS_MAX = 50  # of one all/any: more is a program, not a rule

# Words of the language that later versions build. Never silently ignored.
PLANNED = ("score", "ratio", "sum", "average", "min", "max", "last", "first", "signal")

WITHIN = "only events of the last so-long count; exactly so long ago is outside"


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
        for name, _ in node.items:
            if name.text in PLANNED:
                return reader.fault(name, f"`{name.text}` is not supported by this version")
        if len(heads) == 1:
            return FORMS[heads[0]].read(node, reader)
        if heads:
            both = " and ".join(f"`{head}`" for head in heads)
            return reader.fault(node, f"one condition cannot be {both}: put them under `all:` or `any:`")
        first = node.items[0][0]
        return reader.fault(first, f"unknown condition {quoted(first.text)}" + suggest(first.text, FORMS))

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
    return Count(matcher, low or None, high, fields.get("within"), fields.mark)


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


# --- sequences -------------------------------------------------------------------------------------------------


class _Forbidden:
    """A ``not: M`` step on its way into the step after it."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.matcher: Matcher = fields["not"]


def _step(fields: Fields) -> Any:
    if "not" in fields:
        if len(fields.node.items) > 1:
            return fields.fault("not", "`not` is a step of its own: write `- not: ...` before the step that it guards")
        return _Forbidden(fields)
    if "event" not in fields:
        return fields.reader.fault(fields.mark, "a step needs `event`, or is a `not: ...`")
    return Step(build_matcher(fields), fields.get("as"), fields.get("within"), (), fields.mark)


def _sequence(fields: Fields) -> Any:
    steps: list[Step] = []
    real = sum(isinstance(item, Step) for item in fields["sequence"])
    if not 2 <= real <= STEPS_MAX:
        return fields.fault("sequence", f"a sequence has 2 to {STEPS_MAX} steps (`not` apart), got {real}")
    forbidden: list[_Forbidden] = []
    whole = True
    for item in fields["sequence"]:
        if isinstance(item, _Forbidden):
            forbidden.append(item)
            continue
        if forbidden and not steps:
            message = "a sequence cannot begin with `not`: use `never: ...` beside the sequence"
            whole = bool(forbidden[0].fields.fault("not", message)) and False
        step = Step(item.matcher, item.name, item.within_ms, tuple(f.matcher for f in forbidden), item.mark)
        whole = _check_step(step, steps, fields.reader) and whole
        steps.append(step)
        forbidden = []
    if forbidden:
        message = "a sequence cannot end with `not`: use `missing: ..., after: ..., for: ...`"
        return forbidden[0].fields.fault("not", message)
    return Sequence(tuple(steps), fields.get("within"), fields.get("contiguity", "relaxed"), fields.mark) if whole else BROKEN


def _check_step(step: Step, before: list[Step], reader: Reader) -> bool:
    earlier = tuple(earlier.name for earlier in before if earlier.name)
    whole = all([check_same_as(matcher, earlier, reader) for matcher in (step.matcher, *step.forbid)])
    if step.name in earlier:
        reader.fault(step.mark, f"two steps of this sequence are named {quoted(step.name or '')}")
        whole = False
    if step.within_ms is not None and not before:
        reader.fault(step.mark, f"the first step has no step before it: `within: {write_duration(step.within_ms)}` means nothing here")
        whole = False
    return whole


STEP_NAME = Word("name", "[a-z][a-z0-9_]{0,31}", "a name (a-z 0-9 _) such as `first`")

STEP = Form(
    "step",
    "a step",
    "One step of a sequence: a matcher, or `not: ...` which forbids events between its neighbours.",
    (
        Key("event", EventNames(), "which events: a type, a pattern with `*`, or a list", example="event: search"),
        WHERE_KEY,
        Key("as", STEP_NAME, "a name, for `same_as` in later steps and `steps.NAME` in texts", example="as: first"),
        Key("within", Duration(), "at most this long after the step before", example="within: 2m"),
        Key("not", _M, "no such event between the step before and the step after", example="not: {event: purchase}"),
    ),
    _step,
    planned=("times", "quiet", "of"),
)


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
    Form("all", "an `all` condition", "Holds when every part holds.",
         (Key("all", _PARTS, "the parts", True, example="all: [{seen: {event: search}}, {never: {event: purchase}}]"),), _all),
    Form("any", "an `any` condition", "Holds when at least one part holds.",
         (Key("any", _PARTS, "the parts", True, example="any: [{seen: {event: chat_opened}}, {seen: {event: phone_call}}]"),), _any),
    Form("not", "a `not` condition", "Holds when its part does not.",
         (Key("not", CONDITION, "the part", True, example="not: {session: {device: bot}}"),), _not),
    Form("event", "an `event` condition", "Holds while the event at hand matches, and no longer.",
         (EVENT_KEY, WHERE_KEY), _event),
    Form("count", "a `count` condition", "Holds while the number of matching events is in range.",
         (Key("count", _M, "which events", True, example="count: {event: search, where: {results: 0}}"),
          Key("at_least", _N, "this many or more", example="at_least: 2"),
          Key("at_most", _N, "this many or fewer", example="at_most: 3"),
          Key("exactly", _N, "this many", example="exactly: 1"),
          _WITHIN), _count, planned=("distinct",)),
    Form("seen", "a `seen` condition", "Holds when there was at least one such event.",
         (Key("seen", _M, "which events", True, example="seen: {event: add_to_cart}"), _WITHIN), _seen),
    Form("never", "a `never` condition", "Holds when there was no such event.",
         (Key("never", _M, "which events", True, example="never: {event: purchase}"), _WITHIN), _never),
    Form("sequence", "a `sequence` condition",
         "Holds once the steps have happened in this order. One event fills one step only.",
         (Key("sequence", ListOf(FormKind(STEP), at_most=2 * STEPS_MAX, what="steps"), "the steps in their order", True,
              example="sequence: [{event: search}, {event: help_view}]"),
          Key("within", Duration(), "from the first step to the last in less than this", default="the session", example="within: 10m"),
          Key("contiguity", Choice({"relaxed": "other events may come between", "strict": "no other event between"}),
              "`relaxed`: other events may come between the steps; `strict`: none", default="relaxed",
              example="contiguity: strict")), _sequence),
    Form("missing", "a `missing` condition",
         "Holds from the moment when `for` has passed after an `after` event with no `missing` event. Needs no further event.",
         (Key("missing", _M, "which events did not come", True, example="missing: {event: purchase}"),
          Key("after", _M, "which event starts the clock", True, example="after: {event: checkout_started}"),
          Key("for", ForHowLong(), "how long to wait; `session`: until the session ends", True, example="for: session")), _missing),
    Form("idle", "an `idle` condition", "Holds once there was no event of any kind for so long, until the next event.",
         (Key("idle", Duration(), "for how long nothing happened", True, example="idle: 90s"),
          Key("after", _M, "only once such an event has been seen in the session", example="after: {event: checkout_started}")), _idle),
    Form("session", "a `session` condition", "Holds while every test on the session itself passes.",
         (Key("session", Where(session=True), "tests on the session's fields", True,
              example="session: {device: mobile, page_views: {gte: 3}}"),), _session),
)  # fmt: skip
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
