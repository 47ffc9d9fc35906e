"""``sequence: [STEP, ...]`` -> Sequence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from streams.core.definition import Matcher, Quiet, Sequence, Step
from streams.core.sequence_plan import EVENTS_MAX, STEPS_MAX
from streams.rulefiles.findings import BROKEN, quoted
from streams.rulefiles.forms import Fields, Form, FormKind, Key, ListOf, Reader
from streams.rulefiles.matchers import WHERE_KEY, EventNames, MatcherKind, build_matcher, check_same_as
from streams.rulefiles.values import Choice, Duration, Whole, Word, write_duration


@dataclass(frozen=True, slots=True)
class _Forbidden:
    """A ``not: M`` step on its way into the step after it."""

    fields: Fields

    @property
    def matcher(self) -> Matcher:
        matcher: Matcher = self.fields["not"]
        return matcher


@dataclass(frozen=True, slots=True)
class _Silence:
    """A ``quiet: D`` step on its way into the step after it, or to the sequence's end."""

    fields: Fields

    @property
    def quiet(self) -> Quiet:
        return Quiet(self.fields["quiet"], self.fields.get("of"), self.fields.mark)


def _step(fields: Fields) -> Any:
    words = {name.text for name, _ in fields.node.items}
    if "not" in fields:
        if len(words) > 1:
            return fields.fault("not", "`not` is a step of its own: write `- not: ...` before the step that it guards")
        return _Forbidden(fields)
    if "quiet" in fields:
        if not words <= {"quiet", "of"}:
            return fields.fault("quiet", "`quiet` is a step of its own: write `- quiet: 30s` after the step before it")
        return _Silence(fields)
    if "of" in fields:
        return fields.fault("of", "`of` says of which events `quiet` waits for none; there is no `quiet` here")
    if "event" not in fields:
        return fields.reader.fault(fields.mark, "a step needs `event`, or is a `not: ...` or a `quiet: ...`")
    return Step(
        build_matcher(fields), fields.get("as"), fields.get("within"), times=fields.get("times", 1), mark=fields.mark
    )


class _Assembly:
    """Puts the items of the list together to steps."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.steps: list[Step] = []
        self.forbidden: list[_Forbidden] = []
        self.silence: _Silence | None = None
        self.whole = True

    def fault(self, item: _Forbidden | _Silence, word: str, message: str) -> None:
        item.fields.fault(word, message)
        self.whole = False

    def add(self, item: Step | _Forbidden | _Silence) -> None:
        if isinstance(item, _Forbidden):
            if not self.steps and not self.forbidden:
                self.fault(item, "not", "a sequence cannot begin with `not`: use `never: ...` beside the sequence")
            self.forbidden.append(item)
        elif isinstance(item, _Silence):
            if not self.steps:
                self.fault(item, "quiet", "a sequence cannot begin with `quiet`: silence needs a step before it")
            elif self.silence is not None:
                self.fault(item, "quiet", "two `quiet` steps without a step between them: write one")
            self.silence = item
        else:
            self._add_step(item)

    def _add_step(self, item: Step) -> None:
        quiet = self.silence.quiet if self.silence is not None else None
        step = replace(item, forbid=tuple(one.matcher for one in self.forbidden), after=quiet)
        self.whole = _check_step(step, self.steps, self.reader) and self.whole
        self.steps.append(step)
        self.forbidden, self.silence = [], None

    def end(self) -> Quiet | None:
        """What the sequence ends with."""
        if self.forbidden:
            message = "a sequence cannot end with `not`: use `missing: ..., after: ..., for: ...`"
            self.fault(self.forbidden[0], "not", message)
        quiet = self.silence.quiet if self.silence is not None else None
        if quiet is not None and quiet.of is not None:
            earlier = tuple(step.name for step in self.steps if step.name)
            self.whole = check_same_as(quiet.of, earlier, self.reader) and self.whole
        return quiet


def _sequence(fields: Fields) -> Any:
    items = fields["sequence"]
    steps = [item for item in items if isinstance(item, Step)]
    events = sum(step.times for step in steps)
    alone = isinstance(items[-1], _Silence) or events > 1
    if not (1 if alone else 2) <= len(steps) <= STEPS_MAX:
        return fields.fault(
            "sequence", f"a sequence has 2 to {STEPS_MAX} steps (`not` and `quiet` apart), got {len(steps)}"
        )
    if events > EVENTS_MAX:
        return fields.fault(
            "sequence", f"a sequence waits for {EVENTS_MAX} events at most, `times` included; this one for {events}"
        )
    assembly = _Assembly(fields.reader)
    for item in items:
        assembly.add(item)
    quiet = assembly.end()
    if not assembly.whole:
        return BROKEN
    contiguity = fields.get("contiguity", "relaxed")
    return Sequence(tuple(assembly.steps), fields.get("within"), contiguity, quiet, fields.mark)


def _check_step(step: Step, before: list[Step], reader: Reader) -> bool:
    earlier = tuple(earlier.name for earlier in before if earlier.name)
    guards = (*step.forbid, *((step.after.of,) if step.after is not None and step.after.of is not None else ()))
    whole = True
    for matcher in (step.matcher, *guards):
        whole = check_same_as(matcher, earlier, reader) and whole
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
    "One step of a sequence: a matcher, a `not: ...` which forbids events between its neighbours, or a `quiet: ...` "
    "which waits for silence.",
    (
        Key("event", EventNames(), "which events: a type, a pattern with `*`, or a list", example="event: search"),
        WHERE_KEY,
        Key("as", STEP_NAME, "a name, for `same_as` in later steps and `steps.NAME` in texts", example="as: first"),
        Key("times", Whole(1, EVENTS_MAX), "so many such events", default="1", example="times: 3"),
        Key("within", Duration(), "less than this after the step before (of `times`: the last)", example="within: 2m"),
        Key(
            "not",
            MatcherKind(),
            "no such event between the step before and the step after",
            example="not: {event: purchase}",
        ),
        Key(
            "quiet",
            Duration(),
            "for so long after the step before nothing comes; as the last step it fires by the clock",
            example="quiet: 30s",
        ),
        Key(
            "of",
            MatcherKind(),
            "with `quiet`: no such event",
            default="no event of any kind",
            example="of: {event: chat}",
        ),
    ),
    _step,
    constraints={
        "oneOf": [
            {"required": ["event"], "properties": {"quiet": False, "not": False, "of": False}},
            {"required": ["not"], "maxProperties": 1},
            {"required": ["quiet"], "propertyNames": {"enum": ["quiet", "of"]}},
        ]
    },
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
