"""The conditions that measure: `sum` ... `first`, `ratio`, `score`, `signal`; and what a result is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from streams.core.aggregates import WINDOW_EVENTS_MAX
from streams.core.definition import (
    Aggregate,
    FieldTest,
    Function,
    Operator,
    Points,
    Ratio,
    Score,
    Signal,
    SignalName,
)
from streams.core.score import ENTRIES_MAX, POINTS_MAX
from streams.rulefiles.fields import BY_WORD, contradictions
from streams.rulefiles.findings import BROKEN
from streams.rulefiles.forms import Fields, Form, FormKind, Key, Kind, ListOf
from streams.rulefiles.matchers import FieldPath, MatcherKind, refuse_same_as
from streams.rulefiles.values import Choice, Duration, Number, Whole

WITHIN = "only events of the last so-long count; exactly so long ago is outside"

_NUMBERS = (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE, Operator.BETWEEN, Operator.EQ, Operator.NE)
_ANYTHING = (
    *_NUMBERS, Operator.IN, Operator.NOT_IN, Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH,
    Operator.GLOB, Operator.MATCHES,
)  # fmt: skip
# The words of `count`, for those who know them.
_COUNT_WORDS = {"at_least": Operator.GTE, "at_most": Operator.LTE, "exactly": Operator.EQ}
_WINDOW = Key(
    "within",
    Duration(),
    f"{WITHIN}; of more than {WINDOW_EVENTS_MAX} events in it, the newest {WINDOW_EVENTS_MAX}",
    default="the session",
    example="within: 10m",
)


def _comparisons(operators: tuple[Operator, ...]) -> tuple[Key, ...]:
    rows = [BY_WORD[operator.value] for operator in operators]
    keys = [Key(row.operator.value, row.kind, f"the result: {row.doc}", example=row.example[1:-1]) for row in rows]
    for word, operator in _COUNT_WORDS.items():
        keys.append(Key(word, Number(), f"the same as `{operator}`", example=f"{word}: 3"))
    return tuple(keys)


def _tests(fields: Fields, head: str) -> Any:
    """The comparisons that are there: a tuple of tests, or BROKEN."""
    words = {operator.value: operator for operator in _ANYTHING} | _COUNT_WORDS
    tests = tuple(
        FieldTest("", operator, fields[word], fields.key_mark(word))
        for word, operator in words.items()
        if word in fields
    )
    if not tests:
        return fields.fault(head, f"`{head}` needs something to compare with, such as `gte: 3`")
    for _, high, message in contradictions(tests):
        return fields.reader.fault(high.mark, message)
    return tests


# --- sum, average, min, max, last, first -----------------------------------------------------------------------

_DOCS: dict[Function, str] = {
    "sum": "Holds while the sum of a field over such events passes.",
    "average": "Holds while the average of a field over such events passes.",
    "min": "Holds while the least value of a field in such events passes.",
    "max": "Holds while the greatest value of a field in such events passes.",
    "last": "Holds while the value of a field in the latest such event that has it passes.",
    "first": "Holds while the value of a field in the first such event that has it passes.",
}
FUNCTIONS: tuple[Function, ...] = get_args(Function)


def _aggregate(function: Function) -> Callable[[Fields], Any]:
    def build(fields: Fields) -> Any:
        matcher, tests = fields["of"], _tests(fields, function)
        if tests is BROKEN or not refuse_same_as((matcher,), fields.reader):
            return BROKEN
        return Aggregate(function, fields[function], matcher, tests, fields.get("within"), fields.mark)

    return build


def _aggregate_form(function: Function) -> Form:
    operators = _ANYTHING if function in ("last", "first") else _NUMBERS
    return Form(
        function,
        f"{'an' if function == 'average' else 'a'} `{function}` condition",
        f"{_DOCS[function]} Without such an event it does not hold.",
        (
            Key(function, FieldPath(), "the field", True, example=f"{function}: total"),
            Key("of", MatcherKind(), "which events", True, example="of: {event: add_to_cart}"),
            *_comparisons(operators),
            _WINDOW,
        ),
        _aggregate(function),
    )


AGGREGATES = tuple(_aggregate_form(function) for function in FUNCTIONS)


# --- ratio -----------------------------------------------------------------------------------------------------


def _pair(fields: Fields) -> Any:
    pair = (fields["of"], fields["to"])
    return pair if refuse_same_as(pair, fields.reader) else BROKEN


RATIO_PAIR = Form(
    "ratio_of",
    "a pair of `of` and `to`",
    "Which events a ratio compares.",
    (
        Key("of", MatcherKind(), "these events", True, example="of: {event: form_error}"),
        Key("to", MatcherKind(), "for each of these", True, example="to: {event: form_submit}"),
    ),
    _pair,
)


def _ratio(fields: Fields) -> Any:
    of, to = fields["ratio"]
    tests = _tests(fields, "ratio")
    if tests is BROKEN:
        return BROKEN
    least = fields.get("at_least_events", 1)
    if fields.get("within") is not None and least > WINDOW_EVENTS_MAX:
        return fields.fault("at_least_events", f"a window keeps {WINDOW_EVENTS_MAX} events at most")
    return Ratio(of, to, tests, int(least), fields.get("within"), fields.mark)


RATIO = Form(
    "ratio",
    "a `ratio` condition",
    "Holds while the number of events of one kind for each event of another passes.",
    (
        Key(
            "ratio",
            FormKind(RATIO_PAIR),
            "which events",
            True,
            example="ratio: {of: {event: form_error}, to: {event: form_submit}}",
        ),
        *_comparisons(_NUMBERS),
        Key(
            "at_least_events",
            Whole(1, 1000),
            "only from so many events of `to` on",
            default="1",
            example="at_least_events: 4",
        ),
        _WINDOW,
    ),
    _ratio,
)


# --- score -----------------------------------------------------------------------------------------------------


def _score(fields: Fields) -> Any:
    return Score(fields["score"], float(fields["at_least"]), fields.mark)


def _points(fields: Fields) -> Any:
    points = fields["points"]
    if not 0 < points <= POINTS_MAX:
        return fields.fault("points", f"points lie above 0 and up to {POINTS_MAX}, got {points}")
    if isinstance(fields["when"], Score):
        return fields.fault("when", "a score's entry cannot be a score itself: add its entries here")
    return Points(fields["when"], float(points), fields.get("half_life"), fields.mark)


def score_form(condition: Kind) -> Form:
    """The form of `score`; its entries hold conditions of any kind."""
    entry = Form(
        "points",
        "an entry of a score",
        "Points that are added each time that a condition begins to hold.",
        (
            Key("when", condition, "the condition", True, example="when: {event: form_error}"),
            Key("points", Number(), "how many points", True, example="points: 10"),
            Key(
                "half_life",
                Duration(),
                "after so long half of them are left",
                default="they stay",
                example="half_life: 5m",
            ),
        ),
        _points,
    )
    return Form(
        "score",
        "a `score` condition",
        "Holds while the points of all entries add up to so many. Points fade with time.",
        (
            Key(
                "score",
                ListOf(FormKind(entry), at_most=ENTRIES_MAX, what="entries"),
                "the entries",
                True,
                example="score: [{when: {event: form_error}, points: 10, half_life: 5m}]",
            ),
            Key("at_least", Number(), "so many points or more", True, example="at_least: 25"),
        ),
        _score,
    )


# --- signal ----------------------------------------------------------------------------------------------------

SIGNALS = Choice(
    {
        SignalName.RAGE_CLICK: "4 clicks on one element (`props.element`) in 750 ms",
        SignalName.DEAD_CLICK: "a click that does nothing: it says `dead: true`, or only clicks follow for 2.5 s",
        SignalName.ERROR_CLICK: "a click, and a `js_error` within a second",
        SignalName.U_TURN: "a page, another, and the first again within 10 s",
        SignalName.FORM_ABANDON: "a form begun (`form_focus`, `form_input`), no `form_submit`, another page or the end",
        SignalName.SEARCH_REFINE: "two searches with different `query` within a minute, no result looked at between",
        SignalName.THRASH: "a `thrash` event, or 3 page views within 5 s",
    }
)


def _signal(fields: Fields) -> Any:
    return Signal(SignalName(fields["signal"]), fields.get("within"), fields.mark)


SIGNAL = Form(
    "signal",
    "a `signal` condition",
    "Holds once the visitor has shown a built-in sign of frustration, computed from plain events.",
    (
        Key("signal", SIGNALS, "which sign", True, example="signal: rage_click"),
        Key("within", Duration(), "in the last so-long; exactly so long ago is outside", default="the session",
            example="within: 1m"),
    ),
    _signal,
)  # fmt: skip
