"""The mapping file of a recorded experiment: which rows put whom into which arm, and which rows are outcomes.

The keys are tables, as in rule files, so that every error names file, line and column, and the nearest valid word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from streams.core.definition import FieldTest, Operator
from streams.core.matcher import step_value
from streams.errors import RuleFileError
from streams.impact.model import MICROS, OutcomeKind
from streams.impact.report import Measure
from streams.impact.rows import word_of
from streams.replay import epoch_ms
from streams.rulefiles.fields import Where
from streams.rulefiles.findings import BROKEN, Report, quoted, suggest
from streams.rulefiles.forms import Either, Fields, Form, FormKind, Key, Kind, ListOf, Reader, shown
from streams.rulefiles.outcomes import CURRENCY, OUTCOME_KINDS, OUTCOME_NAME
from streams.rulefiles.values import Choice, Duration, Line, Number, Share
from streams.rulefiles.yaml_tree import ListNode, MapNode, Node, ScalarNode, read_tree, scalar_value

VALUES_MAX = 1_000  # of an arm


@dataclass(frozen=True, slots=True)
class Source:
    """Which rows of which files are meant, and where in them things stand."""

    files: tuple[str, ...] = ()  # names or patterns; none: every file
    visitor: str = ""
    time: str = ""
    id: str = ""
    where: tuple[FieldTest, ...] = ()
    exclude: tuple[tuple[FieldTest, ...], ...] = ()  # a row that passes all tests of one of these is left out


@dataclass(frozen=True, slots=True)
class AmountSource:
    """What one outcome costs or is worth: `fixed`, or the number in the column `of`, times `times`."""

    fixed: Decimal | None = None
    of: str = ""
    times: Decimal = Decimal(1)

    def __str__(self) -> str:
        if self.fixed is not None:
            return str(self.fixed)
        return self.of if self.times == 1 else f"{self.times} of {self.of}"


@dataclass(frozen=True, slots=True)
class OutcomeSource:
    """One outcome of the experiment."""

    name: str
    kind: OutcomeKind
    source: Source
    label: str = ""
    amount: AmountSource | None = None
    unit: str = ""
    before: str = "ignore"


@dataclass(frozen=True, slots=True)
class Window:
    """Of which time exposures are, and until when outcomes count; ms since the epoch, the end excluded."""

    start: int | None = None
    until: int | None = None
    outcomes_until: int | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """A whole mapping file."""

    name: str
    title: str
    currency: str
    exposures: Source
    arm: str
    arms: dict[str, str]  # value in the arm's column -> arm
    control: str
    outcomes: tuple[OutcomeSource, ...]
    primary: str
    measure: Measure = "rate"
    shares: dict[str, float] | None = None
    window: Window = Window()
    attribution_ms: int | None = None
    two_arms: str = "exclude"
    effect: float | None = None
    nudge_cost: float | None = None


def read_experiment(path: Path) -> Experiment:
    """Read a mapping file. Raises RuleFileError with every finding."""
    report = Report()
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RuleFileError(f"{path}: {error.strerror or error}") from error
    reader = Reader(report)
    read = [EXPERIMENT_KIND.read(node, reader) for node in read_tree(raw, str(path), report)]
    report.raise_if_any()
    if len(read) != 1:
        raise RuleFileError(f"{path}: one experiment to a file, found {len(read)}")
    found: Experiment = read[0]
    return found


# --- kinds -----------------------------------------------------------------------------------------------------


class Column(Kind):
    """The name of a column, or a dotted path into objects; any characters."""

    name = "column"
    expects = "a column such as `user_id` or `user.id`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """The name as written."""
        return node.text if isinstance(node, ScalarNode) and node.text else self.wrong(node, reader)


class RowWhere(Where):
    """Tests as in rules, on any column, and on nothing that only a stream of events knows."""

    def _path(self, name: ScalarNode, reader: Reader) -> Any:
        return Column().read(name, reader)

    def parse(self, node: Node, reader: Reader) -> Any:
        """A tuple of FieldTest."""
        tests = super().parse(node, reader)
        relative = [] if tests is BROKEN else [
            test for test in tests if test.operator is Operator.CHANGED or step_value(test) is not None
        ]
        for test in relative:
            reader.fault(test.mark, f"`{test.operator}` compares with an earlier event; a row stands alone")
        return BROKEN if relative else tests


class OneOrMore(Kind):
    """One of a kind, or a list of them."""

    def __init__(self, item: Kind, at_most: int = 100) -> None:
        self.item = item
        self._list = ListOf(item, at_most=at_most)
        self.name, self.expects = f"{item.name}, or a list", f"{item.expects}, or a list of them"

    def parse(self, node: Node, reader: Reader) -> Any:
        """A tuple."""
        if isinstance(node, ListNode):
            return self._list.read(node, reader)
        value = self.item.read(node, reader)
        return BROKEN if value is BROKEN else (value,)


class ArmValue(Kind):
    """What stands in the arm's column: a text, a number, true or false."""

    name = "value"
    expects = "a value of the arm's column"

    def parse(self, node: Node, reader: Reader) -> Any:
        """As text, the same for 1, 1.0 and ``"1"``."""
        word = word_of(scalar_value(node)) if isinstance(node, ScalarNode) else None
        return self.wrong(node, reader) if word is None else word


class MapOf(Kind):
    """A map from names to one kind."""

    def __init__(self, key: Kind, item: Kind, what: str) -> None:
        self.key, self.item, self.expects = key, item, f"a map from {what}"

    def parse(self, node: Node, reader: Reader) -> Any:
        """A dict, in the file's order; every item also when another is broken."""
        if not isinstance(node, MapNode) or not node.items:
            return self.wrong(node, reader)
        pairs = [(self.key.read(name, reader), self.item.read(value, reader)) for name, value in node.items]
        return BROKEN if any(part is BROKEN for pair in pairs for part in pair) else dict(pairs)


class Moment(Kind):
    """A moment, ISO 8601; without a zone UTC."""

    name = "moment"
    expects = "a moment such as `2026-01-31` or `2026-01-31T18:00:00Z`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """Milliseconds since the epoch."""
        try:
            return epoch_ms(node.text) if isinstance(node, ScalarNode) else self.wrong(node, reader)
        except (ValueError, TypeError):
            return reader.fault(node, f"expected {self.expects}, got {shown(node)}")


class FixedOrColumn(Kind):
    """``6.50``, or the name of a column."""

    name = "amount"
    expects = "an amount such as `6.50`, or a column such as `total`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """An AmountSource."""
        if not isinstance(node, ScalarNode) or not node.text:
            return self.wrong(node, reader)
        value = scalar_value(node)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return AmountSource(of=node.text)
        return AmountSource(fixed=Decimal(node.text)) if abs(value) < MICROS**2 else self.wrong(node, reader)


# --- forms -----------------------------------------------------------------------------------------------------

_ARM_NAME = Line()
_TESTS = RowWhere()


def _source(fields: Fields, base: Source | None = None) -> Source:
    """The source that a map describes; what it does not say of columns is as in `base`."""
    base = base or Source()
    return Source(
        files=fields.get("files", ()), visitor=fields.get("visitor", base.visitor), time=fields.get("time", base.time),
        id=fields.get("id", ""), where=fields.get("where", ()), exclude=fields.get("exclude", ()),
    )


_SOURCE_KEYS = (
    Key("files", OneOrMore(Line()), "names or patterns of the files meant", default="all", example="files: a*.csv"),
    Key("time", Column(), "the column with the time", example="time: occurred_at"),
    Key("id", Column(), "a column whose value comes once; a second row of it is a duplicate", example="id: event_id"),
    Key("where", _TESTS, "only rows that pass these tests", example="where: {event: exposure}"),
    Key("exclude", OneOrMore(_TESTS), "not the rows that pass these tests", example="exclude: {experiment: other}"),
)

EXPOSURES = Form(
    "exposures", "exposures", "Which rows put a visitor into an arm.",
    (
        Key("visitor", Column(), "the column with the visitor", True, example="visitor: user.id"),
        Key("arm", Column(), "the column with the arm", True, example="arm: variant"),
        *_SOURCE_KEYS,
    ),
    lambda fields: (_source(fields), fields["arm"]),
)  # fmt: skip

AMOUNT = Form(
    "amount", "an amount", "A number of the row, times something.",
    (
        Key("of", Column(), "the column with the number", True, example="of: total"),
        Key("times", Number(), "multiplied by this", default="1", example="times: 0.12"),
    ),
    lambda fields: AmountSource(of=fields["of"], times=Decimal(str(fields.get("times", 1)))),
)  # fmt: skip

OUTCOME = Form(
    "outcome", "an outcome", "Which rows are this outcome.",
    (
        Key("kind", OUTCOME_KINDS, "wanted or unwanted", True, example="kind: conversion"),
        Key("label", Line(), "its name in the report", example="label: Purchase"),
        Key("visitor", Column(), "the column with the visitor", default="as for exposures"),
        Key("amount", Either(FixedOrColumn(), FormKind(AMOUNT)), "what one costs or is worth", example="amount: total"),
        Key("unit", Line(), "of the amount, where it is not money", default="the currency", example="unit: minutes"),
        Key("before", Choice({"ignore": "not counted", "count": "counted all the same"}),
            "what becomes of it before the exposure", default="ignore"),
        *_SOURCE_KEYS,
    ),
    lambda fields: fields,
)  # fmt: skip

WINDOW = Form(
    "window", "a window", "Of which time rows are used.",
    (
        Key("from", Moment(), "exposures from then on", example="from: 2026-01-01"),
        Key("until", Moment(), "exposures before then", example="until: 2026-02-01"),
        Key("outcomes_until", Moment(), "outcomes before then"),
    ),
    lambda fields: Window(fields.get("from"), fields.get("until"), fields.get("outcomes_until")),
)  # fmt: skip


def _experiment(fields: Fields) -> Any:
    exposures, arm = fields["exposures"]
    arms: dict[str, str] = {}
    whole = True
    for name, values in fields["arms"].items():
        for value in values:
            if value in arms:
                whole = bool(fields.fault("arms", f"{quoted(value)} is in two arms")) and False
            arms[value] = name
    names, control = list(fields["arms"]), fields["control"]
    outcomes = tuple(_outcome(name, read, exposures) for name, read in fields["outcomes"].items())
    primary = fields.get("primary", outcomes[0].name)
    for key, word, known in (("control", control, names), ("primary", primary, [one.name for one in outcomes])):
        if word not in known:
            whole = bool(fields.fault(key, f"unknown name {quoted(word)}" + suggest(word, known))) and False
    for name in fields.get("shares", {}):
        if name not in names:
            whole = bool(fields.fault("shares", f"unknown arm {quoted(name)}" + suggest(name, names))) and False
    if len(names) < 2:
        whole = bool(fields.fault("arms", "an experiment has two arms at least")) and False
    if not whole:
        return BROKEN
    return Experiment(
        name=fields["experiment"], title=fields.get("title", ""), currency=fields.get("currency", "EUR"),
        exposures=exposures, arm=arm, arms=arms, control=control, outcomes=outcomes, primary=primary,
        measure=fields.get("measure", "rate"), shares=fields.get("shares"), window=fields.get("window", Window()),
        attribution_ms=fields.get("attribution"), two_arms=fields.get("two_arms", "exclude"),
        effect=fields.get("effect"), nudge_cost=fields.get("nudge_cost"),
    )


def _outcome(name: str, fields: Fields, exposures: Source) -> OutcomeSource:
    # Where an exposure stands in its row says nothing of which rows are outcomes: only columns are taken over.
    source = _source(fields, replace(exposures, where=(), exclude=()))
    return OutcomeSource(
        name, fields["kind"], source, fields.get("label", ""), fields.get("amount"), fields.get("unit", ""),
        fields.get("before", "ignore"),
    )


EXPERIMENT = Form(
    "experiment", "an experiment", "A recorded experiment.",
    (
        Key("experiment", Line(), "its name", True, example="experiment: checkout-help"),
        Key("title", Line(), "a line for people"),
        Key("currency", CURRENCY, "of the amounts", default="EUR", example="currency: EUR"),
        Key("exposures", FormKind(EXPOSURES), "which rows put a visitor into an arm", True),
        Key("arms", MapOf(_ARM_NAME, OneOrMore(ArmValue(), VALUES_MAX), "arms to values of the arm's column"),
            "the arms: name, and the values that mean it", True, example="arms: {control: A, short-form: [B, b]}"),
        Key("control", Line(), "the arm that the others are compared with", True, example="control: control"),
        Key("shares", MapOf(_ARM_NAME, Number(low=0), "arms to shares"), "how visitors should be split",
            example="shares: {control: 1, short-form: 1}"),
        Key("outcomes", MapOf(OUTCOME_NAME, FormKind(OUTCOME), "names to outcomes"), "what is counted", True),
        Key("primary", Line(), "the outcome that decides", default="the first", example="primary: purchase"),
        Key("measure", Choice({"rate": "share of visitors with the outcome", "amount": "amount per visitor"}),
            "what is judged", default="rate"),
        Key("window", FormKind(WINDOW), "of which time rows are used"),
        Key("attribution", Duration(), "an outcome counts for less than so long after the exposure",
            default="without end", example="attribution: 7d"),
        Key("two_arms", Choice({"exclude": "left out, and counted", "first": "the first one counts"}),
            "visitors that are in two arms", default="exclude"),
        Key("effect", Share(), "the change worth knowing of", default="10%", example="effect: 10%"),
        Key("nudge_cost", Number(low=0), "what showing the treatment to one visitor costs", default="0"),
    ),
    _experiment,
)  # fmt: skip
EXPERIMENT_KIND = FormKind(EXPERIMENT)
