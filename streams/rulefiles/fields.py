"""``where: {FIELD: TEST, ...}`` -> field tests. The operators as one table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import re2

from streams.core.definition import FieldTest, Operator, SessionField, StepValue
from streams.core.matcher import STEP_OPERATORS
from streams.rulefiles.findings import BROKEN, quoted, suggest
from streams.rulefiles.forms import Kind, ListOf, Reader, Schema, shown
from streams.rulefiles.values import DURATION_PATTERN, Flag, Number, parse_duration
from streams.rulefiles.yaml_tree import ListNode, MapNode, Node, ScalarNode, scalar_value

PATTERN_CHARS_MAX = 500  # RE2 is linear in the text, and its program grows with the pattern
PATTERN_MEMORY_BYTES_MAX = 1 << 20  # of one compiled pattern; x{1000}{1000} is refused instead of built
LIST_ITEMS_MAX = 1000  # of `in`: a list of products, not a catalogue
FIELD_HEADS = ("props", "page", "context")

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\Z")
FIELD_EXPECTED = "a field such as `results` (short for `props.results`) or `page.path`"


def full_field(name: str) -> str | None:
    """The full path of a field as people write it: ``results`` -> ``props.results``. None when it is no path."""
    if len(name) > 200 or not _FIELD.match(name):
        return None
    head, dot, _ = name.partition(".")
    return name if (dot and head in FIELD_HEADS) or name == "type" else f"props.{name}"


# --- values of tests -------------------------------------------------------------------------------------------


class Plain(Kind):
    """A scalar as YAML means it: a number, true or false, null, or text."""

    name = "value"
    expects = "a single value"

    def parse(self, node: Node, reader: Reader) -> Any:
        """The scalar; an empty value is refused, ``null`` is not."""
        if not isinstance(node, ScalarNode) or (node.plain and not node.text):
            return self.wrong(node, reader)
        return scalar_value(node)

    def schema(self) -> Schema:
        """Any scalar."""
        return {"type": ["string", "number", "boolean", "null"]}


class Characters(Kind):
    """Text to look for; not empty."""

    name = "text"
    expects = "a text that is not empty"

    def parse(self, node: Node, reader: Reader) -> Any:
        """The text as written, a number's digits too."""
        return node.text if isinstance(node, ScalarNode) and node.text else self.wrong(node, reader)

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "minLength": 1}


class Pattern(Kind):
    """A regular expression that RE2 takes."""

    name = "regular expression"
    expects = "a regular expression (RE2)"

    def parse(self, node: Node, reader: Reader) -> Any:
        """The pattern's text, once it has compiled."""
        if not isinstance(node, ScalarNode) or not node.text:
            return self.wrong(node, reader)
        if len(node.text) > PATTERN_CHARS_MAX:
            return reader.fault(
                node, f"a regular expression has at most {PATTERN_CHARS_MAX} characters, got {len(node.text)}"
            )
        options = re2.Options()
        options.log_errors = False
        options.max_mem = PATTERN_MEMORY_BYTES_MAX
        try:
            re2.compile(node.text, options=options)
        except re2.error as error:
            said = error.args[0] if error.args else "not understood"
            said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
            return reader.fault(node, f"not a regular expression that RE2 takes: {said}")
        return node.text

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "format": "regex", "maxLength": PATTERN_CHARS_MAX}


class Bounds(ListOf):
    """``[low, high]``."""

    def __init__(self, item: Kind) -> None:
        super().__init__(item, at_least=2, at_most=2, what="two numbers `[low, high]`")
        self.name = "[low, high]"

    def parse(self, node: Node, reader: Reader) -> Any:
        """(low, high), low not above high."""
        values = super().parse(node, reader)
        if values is not BROKEN and values[0] > values[1]:
            return reader.fault(node, f"nothing lies between {values[0]} and {values[1]}: write the lower bound first")
        return values


class StepField(Kind):
    """``STEP.FIELD`` of an earlier step; the sequence checks that there is one."""

    name = "step.field"
    expects = "an earlier step's name and a field, such as `first.query`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """``STEP.FIELD`` with FIELD written out."""
        text = node.text if isinstance(node, ScalarNode) else ""
        step, _, name = text.partition(".")
        path = full_field(name)
        return f"{step}.{path}" if step and path else self.wrong(node, reader)

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "pattern": "^[A-Za-z0-9_-]+\\..+$"}


class OrStep(Kind):
    """A value, or ``{step: STEP.FIELD}``: that of an earlier step of the same sequence."""

    _field = StepField()

    def __init__(self, plain: Kind) -> None:
        self.plain = plain
        self.name = plain.name
        self.expects = plain.expects

    def parse(self, node: Node, reader: Reader) -> Any:
        """What the plain kind reads, or a StepValue."""
        if not isinstance(node, MapNode) or [name.text for name, _ in node.items] != ["step"]:
            return self.plain.read(node, reader)
        found = self._field.read(node.items[0][1], reader)
        return BROKEN if found is BROKEN else StepValue(*found.split(".", 1))

    def schema(self) -> Schema:
        """Either."""
        step = {"type": "object", "properties": {"step": self._field.schema()}, "required": ["step"]}
        return {"anyOf": [self.plain.schema(), step | {"additionalProperties": False}]}


class SessionNumber(Number):
    """A number, or for ``duration`` a duration."""

    def __init__(self) -> None:
        super().__init__()
        self.expects = "a duration such as `2m`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """A number; a duration counts as its milliseconds."""
        ms = parse_duration(node.text) if isinstance(node, ScalarNode) else None
        return super().parse(node, reader) if ms is None else ms

    def schema(self) -> Schema:
        """A number or a duration."""
        return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": DURATION_PATTERN}]}


# --- operators -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator: what its value is, and its line in the reference."""

    operator: Operator
    kind: Kind
    doc: str
    example: str


_ANY_OF = ListOf(Plain(), at_most=LIST_ITEMS_MAX, what="values")

OPERATORS: tuple[OperatorRow, ...] = (
    OperatorRow(Operator.EQ, Plain(), "equal; the same as writing the bare value", "{eq: 0}"),
    OperatorRow(Operator.NE, Plain(), "not equal; a field that is not there passes", "{ne: guest}"),
    OperatorRow(
        Operator.IN,
        _ANY_OF,
        "one of these (a text with `*` is a pattern); the same as writing the bare list",
        "{in: [DE, AT, CH]}",
    ),
    OperatorRow(Operator.NOT_IN, _ANY_OF, "none of these; a field that is not there passes", "{not_in: [US, CA]}"),
    OperatorRow(Operator.GT, Number(), "greater than", "{gt: 100}"),
    OperatorRow(Operator.GTE, Number(), "greater than or equal", "{gte: 100}"),
    OperatorRow(Operator.LT, Number(), "less than", "{lt: 20}"),
    OperatorRow(Operator.LTE, Number(), "less than or equal", "{lte: 20}"),
    OperatorRow(
        Operator.BETWEEN, Bounds(Number()), "from the first to the second number, both included", "{between: [10, 50]}"
    ),
    OperatorRow(
        Operator.CONTAINS,
        Plain(),
        "a text that has this text in it, or a list that has this item",
        "{contains: refund}",
    ),
    OperatorRow(Operator.STARTS_WITH, Characters(), "begins with this text", "{starts_with: /help/}"),
    OperatorRow(Operator.ENDS_WITH, Characters(), "ends with this text", "{ends_with: .pdf}"),
    OperatorRow(
        Operator.GLOB,
        Characters(),
        "fits the pattern, in which `*` is any text; a bare text with `*` means the same",
        '{glob: "/help/*"}',
    ),
    OperatorRow(
        Operator.MATCHES,
        Pattern(),
        "the regular expression (RE2) is found in it; `^` and `$` tie it to the ends",
        '{matches: "^/(help|faq)/"}',
    ),
    OperatorRow(Operator.EXISTS, Flag(), "`true`: the field is there; `false`: it is not", "{exists: true}"),
    OperatorRow(
        Operator.CHANGED,
        Flag(),
        "`true`: differs from the last such event's value; `false`: does not",
        "{changed: true}",
    ),
    OperatorRow(
        Operator.SAME_AS,
        StepField(),
        "equals a field of an earlier step of the same sequence",
        "{same_as: first.query}",
    ),
)
BY_WORD: Mapping[str, OperatorRow] = {row.operator.value: row for row in OPERATORS}
# What people write who know other languages.
OPERATOR_HINTS: Mapping[str, Operator] = {
    "=": Operator.EQ, "==": Operator.EQ, "equals": Operator.EQ, "is": Operator.EQ,
    "!=": Operator.NE, "not": Operator.NE, "is_not": Operator.NE, "not_equals": Operator.NE,
    ">": Operator.GT, "greater": Operator.GT, "more": Operator.GT, "more_than": Operator.GT, "above": Operator.GT,
    ">=": Operator.GTE, "ge": Operator.GTE, "at_least": Operator.GTE, "min": Operator.GTE,
    "<": Operator.LT, "less": Operator.LT, "less_than": Operator.LT, "below": Operator.LT,
    "<=": Operator.LTE, "le": Operator.LTE, "at_most": Operator.LTE, "max": Operator.LTE,
    "one_of": Operator.IN, "any_of": Operator.IN, "none_of": Operator.NOT_IN, "range": Operator.BETWEEN,
    "includes": Operator.CONTAINS, "like": Operator.GLOB, "regex": Operator.MATCHES, "regexp": Operator.MATCHES,
    "match": Operator.MATCHES, "present": Operator.EXISTS, "begins_with": Operator.STARTS_WITH,
}  # fmt: skip
_WITH_STEPS: Mapping[Operator, Kind] = {
    operator: OrStep(BY_WORD[operator.value].kind) for operator in Operator if operator in STEP_OPERATORS
}
_DURATION = SessionNumber()
_SESSION_NUMBERS: Mapping[Operator, Kind] = {
    **dict.fromkeys((Operator.EQ, Operator.NE, Operator.GT, Operator.GTE, Operator.LT, Operator.LTE), _DURATION),
    Operator.BETWEEN: Bounds(_DURATION),
}
_LOWER, _UPPER = (Operator.GT, Operator.GTE), (Operator.LT, Operator.LTE)
_TOUCHING = (Operator.GTE, Operator.LTE)  # both hold of the bound itself
_NOT_FOR_SESSIONS = (Operator.CHANGED, Operator.SAME_AS)


class Where(Kind):
    """``{FIELD: TEST, ...}`` -> a tuple of FieldTest, all of which must pass."""

    name = "field tests"
    expects = "a map of fields to tests, such as `{results: 0}`"

    def __init__(self, *, session: bool = False) -> None:
        self.session = session
        if session:
            self.name, self.expects = (
                "session tests",
                "a map of session fields to tests, such as `{page_views: {gte: 3}}`",
            )

    def parse(self, node: Node, reader: Reader) -> Any:
        """The tests, in the file's order."""
        if not isinstance(node, MapNode) or not node.items:
            return self.wrong(node, reader)
        tests: list[FieldTest] = []
        whole = True
        for name, value in node.items:
            path = self._path(name, reader)
            read = self._tests(path if isinstance(path, str) else "?", value, reader)
            if path is BROKEN or read is BROKEN:
                whole = False
            else:
                tests.extend(read)
        whole = whole and self._possible(tests, reader)
        return tuple(tests) if whole else BROKEN

    def _path(self, name: ScalarNode, reader: Reader) -> Any:
        if not self.session:
            path = full_field(name.text)
            return path or reader.fault(name, f"expected {FIELD_EXPECTED}, got {shown(name)}")
        known = [field.value for field in SessionField]
        if name.text in known or (name.text.startswith("campaign.") and full_field(name.text)):
            return name.text
        return reader.fault(
            name, f"unknown session field {quoted(name.text)}" + suggest(name.text, [*known, "campaign.NAME"])
        )

    def _tests(self, path: str, node: Node, reader: Reader) -> Any:
        if isinstance(node, MapNode):
            return self._operators(path, node, reader)
        if isinstance(node, ListNode):
            values = _ANY_OF.read(node, reader)
            if values is BROKEN:
                return BROKEN
            return (FieldTest(path, Operator.IN, values, node.mark),)
        value: Any = Plain().read(node, reader)
        if value is BROKEN:
            return BROKEN
        if self.session and path == SessionField.DURATION:
            value = _DURATION.read(node, reader)
            return BROKEN if value is BROKEN else (FieldTest(path, Operator.EQ, value, node.mark),)
        operator = Operator.GLOB if isinstance(value, str) and "*" in value else Operator.EQ
        return (FieldTest(path, operator, value, node.mark),)

    def _operators(self, path: str, node: MapNode, reader: Reader) -> Any:
        if not node.items:
            return reader.fault(node, "expected a value, a list or operators such as `{gte: 3}`, got an empty map")
        tests: list[FieldTest] = []
        whole = True
        for word, value in node.items:
            row = BY_WORD.get(word.text)
            if row is None or (self.session and row.operator in _NOT_FOR_SESSIONS):
                whole = False
                known = [w for w, r in BY_WORD.items() if not (self.session and r.operator in _NOT_FOR_SESSIONS)]
                near = OPERATOR_HINTS.get(word.text.lower())
                hint = f"; did you mean `{near}`?" if near else suggest(word.text, known)
                reader.fault(word, f"unknown operator {quoted(word.text)}{hint}")
                continue
            kind = row.kind if self.session else _WITH_STEPS.get(row.operator, row.kind)
            if self.session and path == SessionField.DURATION:
                kind = _SESSION_NUMBERS.get(row.operator, kind)
            read = kind.read(value, reader)
            if read is BROKEN:
                whole = False
            else:
                tests.append(FieldTest(path, row.operator, read, value.mark))
        return tuple(tests) if whole else BROKEN

    @staticmethod
    def _possible(tests: list[FieldTest], reader: Reader) -> bool:
        """Refuse tests on one field that no value can pass together."""
        whole = True
        for path in {test.field for test in tests}:
            here = [t for t in tests if t.field == path and not isinstance(t.value, StepValue)]
            for low, high, message in contradictions(here):
                reader.fault(max(low.mark, high.mark, key=lambda mark: (mark.line, mark.column)), message)
                whole = False
        return whole

    def schema(self) -> Schema:
        """A map of tests."""
        return {"$ref": "#/$defs/session_tests" if self.session else "#/$defs/where"}


def contradictions(tests: Iterable[FieldTest]) -> Iterator[tuple[FieldTest, FieldTest, str]]:
    """Of tests of one number: a lower and an upper bound with nothing between them, and what to say of it."""
    tests = list(tests)
    for low in tests:
        for high in tests:
            if low.operator not in _LOWER or high.operator not in _UPPER:
                continue
            least: Any = low.value
            if least > high.value or (least == high.value and (low.operator, high.operator) != _TOUCHING):
                yield low, high, f"no number is both {low.operator}: {least} and {high.operator}: {high.value}"


def field_test_schema(*, session: bool = False) -> Schema:
    """The JSON Schema of one TEST on a field of an event, or of the session."""
    rows = [row for row in OPERATORS if not (session and row.operator in _NOT_FOR_SESSIONS)]
    special = _SESSION_NUMBERS if session else _WITH_STEPS
    kinds = {row.operator: special.get(row.operator, row.kind) for row in rows}
    operators = {row.operator.value: kinds[row.operator].schema() | {"description": row.doc} for row in rows}
    return {
        "anyOf": [
            Plain().schema(),
            _ANY_OF.schema(),
            {"type": "object", "properties": operators, "additionalProperties": False, "minProperties": 1},
        ]
    }
