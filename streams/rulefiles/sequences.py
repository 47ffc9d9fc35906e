"""``sequence: [STEP, ...]`` -> Sequence."""

from __future__ import annotations

from typing import Any

from streams.core.definition import Matcher, Sequence, Step
from streams.core.tree import STEPS_MAX
from streams.rulefiles.findings import BROKEN, quoted
from streams.rulefiles.forms import Fields, Form, FormKind, Key, ListOf, Reader
from streams.rulefiles.matchers import WHERE_KEY, EventNames, MatcherKind, build_matcher, check_same_as, refuse_same_as
from streams.rulefiles.values import Choice, Duration, Word, write_duration


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
    return (
        Sequence(tuple(steps), fields.get("within"), fields.get("contiguity", "relaxed"), fields.mark)
        if whole
        else BROKEN
    )


def _check_step(step: Step, before: list[Step], reader: Reader) -> bool:
    earlier = tuple(earlier.name for earlier in before if earlier.name)
    whole = check_same_as(step.matcher, earlier, reader)
    whole = refuse_same_as(step.forbid, reader, "`same_as` in a `not` step") and whole
    if step.name in earlier:
        reader.fault(step.mark, f"two steps of this sequence are named {quoted(step.name or '')}")
        whole = False
    if step.within_ms is not None and not before:
        reader.fault(
            step.mark,
            f"the first step has no step before it: `within: {write_duration(step.within_ms)}` means nothing here",
        )
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
        Key(
            "not",
            MatcherKind(),
            "no such event between the step before and the step after",
            example="not: {event: purchase}",
        ),
    ),
    _step,
    constraints={"oneOf": [{"required": ["event"]}, {"required": ["not"], "maxProperties": 1}]},
    planned=("times", "quiet", "of"),
)

SEQUENCE = Form(
    "sequence",
    "a `sequence` condition",
    "Holds once the steps have happened in this order. One event fills one step only.",
    (
        Key(
            "sequence",
            ListOf(FormKind(STEP), at_most=2 * STEPS_MAX, what="steps"),
            "the steps in their order",
            True,
            example="sequence: [{event: search}, {event: help_view}]",
        ),
        Key(
            "within",
            Duration(),
            "from the first step to the last in less than this",
            default="the session",
            example="within: 10m",
        ),
        Key(
            "contiguity",
            Choice({"relaxed": "they may", "strict": "they may not"}),
            "whether other events may come between the steps",
            default="relaxed",
            example="contiguity: strict",
        ),
    ),
    _sequence,
)
