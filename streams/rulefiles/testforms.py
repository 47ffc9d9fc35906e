"""The ``tests:`` beside a rule: events, and what must come of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from streams.core.definition import Mark, Text
from streams.core.effects import Arm, Suppression
from streams.rulefiles.fields import full_field
from streams.rulefiles.findings import BROKEN, suggest
from streams.rulefiles.forms import Either, Fields, Form, FormKind, Key, Kind, ListOf, Reader, Schema, shown
from streams.rulefiles.matchers import EVENT_TYPE
from streams.rulefiles.values import Choice, Duration, Line, Texts, parse_duration
from streams.rulefiles.yaml_tree import ListNode, MapNode, Node, ScalarNode, scalar_value

EVENTS_PER_TEST_MAX = 200
JsonValue = Any  # whatever a JSON object may hold


@dataclass(frozen=True, slots=True)
class TestEvent:
    """One event of a test: when (ms after its start), its type, and the values of its fields by full path."""

    __test__: ClassVar[bool] = False
    at_ms: int
    type: str
    session: str | None
    fields: tuple[tuple[str, JsonValue], ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come of a test. None: not looked at. All empty (`silent`): no decision of any kind."""

    fires_ms: tuple[int, ...] | None = None
    suppressed: tuple[Suppression, ...] | None = None
    withdrawn_ms: tuple[int, ...] | None = None
    title: Text = ()
    body: Text = ()

    @property
    def silent(self) -> bool:
        """Whether nothing at all may happen."""
        return self == SILENT


SILENT = Expected(fires_ms=(), suppressed=())


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test of one rule. `rule` is filled in by the loader."""

    __test__: ClassVar[bool] = False  # pytest must not collect it
    name: str
    events: tuple[TestEvent, ...]
    expect: Expected
    until_ms: int | None = None
    arm: Arm = "treated"
    rule: str = ""
    mark: Mark = field(default_factory=Mark)


def plain_value(node: Node) -> Any:
    """A node as JSON: what a field of a test's event holds. Depth is bounded by the tree's own limit."""
    if isinstance(node, ScalarNode):
        return scalar_value(node)
    if isinstance(node, ListNode):
        items = [plain_value(item) for item in node.items]
        return BROKEN if any(item is BROKEN for item in items) else items
    if isinstance(node, MapNode):
        pairs = {name.text: plain_value(value) for name, value in node.items}
        return BROKEN if any(value is BROKEN for value in pairs.values()) else pairs
    return BROKEN


class EventKind(Kind):
    """``{at: 40s, event: search, results: 0, page.path: /x}``."""

    name = "event"
    expects = "an event such as `{at: 40s, event: search, results: 0}`"
    _at = Duration(zero=True)

    def parse(self, node: Node, reader: Reader) -> Any:
        """A TestEvent."""
        if not isinstance(node, MapNode) or not node.items:
            return self.wrong(node, reader)
        at: Any = None
        kind: Any = None
        session: str | None = None
        fields: list[tuple[str, JsonValue]] = []
        whole = True
        for name, value in node.items:
            if name.text == "at":
                at = self._at.read(value, reader)
            elif name.text == "event":
                kind = EVENT_TYPE.read(value, reader)
            elif name.text == "session" and isinstance(value, ScalarNode):
                session = value.text
            else:
                whole = self._field(name, value, fields, reader) and whole
        for key, read, example in (("at", at, "0s"), ("event", kind, "search")):
            if read is None:
                whole = False
                reader.fault(node, f"an event of a test needs `{key}`, such as `{key}: {example}`")
        if not whole or at is BROKEN or kind is BROKEN:
            return BROKEN
        return TestEvent(at, kind, session, tuple(fields))

    @staticmethod
    def _field(name: ScalarNode, value: Node, fields: list[tuple[str, JsonValue]], reader: Reader) -> bool:
        path = full_field(name.text)
        if path is None or path == "type":
            reader.fault(name, f"expected a field of the event, got {shown(name)}")
            return False
        read = plain_value(value)
        fields.append((path, read))
        return read is not BROKEN

    def schema(self) -> Schema:
        """An object with any fields."""
        properties = {"at": self._at.schema(), "event": EVENT_TYPE.schema(), "session": {"type": "string"}}
        return {"type": "object", "properties": properties, "required": ["at", "event"]}


class Times(Kind):
    """``at 40s``, or a list of such."""

    name = "time or list of times"
    expects = "a time such as `at 40s`, or a list of them"

    def parse(self, node: Node, reader: Reader) -> Any:
        """Milliseconds after the test's start, in the order given."""
        if isinstance(node, ListNode):
            times = [self._one(item, reader) for item in node.items]
            return BROKEN if not times or BROKEN in times else tuple(times)
        time = self._one(node, reader)
        return BROKEN if time is BROKEN else (time,)

    def _one(self, node: Node, reader: Reader) -> Any:
        text = node.text.removeprefix("at ").strip() if isinstance(node, ScalarNode) else ""
        ms = parse_duration(text)
        return self.wrong(node, reader) if ms is None else ms

    def schema(self) -> Schema:
        """A string or an array."""
        one = {"type": "string", "pattern": "^(at )?([0-9]+(ms|d|h|m|s))+$", "examples": ["at 40s"]}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


REASONS = Choice({reason.value: "" for reason in Suppression})


class Reasons(Kind):
    """A reason of the closed set, or a list of them."""

    name = "reason or list of reasons"
    expects = "why it was suppressed, such as `cooldown`"
    _list = ListOf(REASONS, what="reasons")

    def parse(self, node: Node, reader: Reader) -> Any:
        """A tuple of Suppression."""
        read = self._list.read(node, reader) if isinstance(node, ListNode) else REASONS.read(node, reader)
        if read is BROKEN:
            return BROKEN
        return tuple(Suppression(word) for word in (read if isinstance(read, tuple) else (read,)))

    def schema(self) -> Schema:
        """A word or an array."""
        return {"anyOf": [REASONS.schema(), self._list.schema()]}


@dataclass(frozen=True, slots=True)
class _Wanted:
    title: Text
    body: Text


def _wanted(fields: Fields) -> Any:
    return _Wanted(fields.get("title", ()), fields.get("body", ()))


class Rendered(Texts):
    """Texts as the visitor reads them; nothing in them is a placeholder of the rule."""

    def parse(self, node: Node, reader: Reader) -> Any:
        """A `Text`."""
        before = len(reader.placeholders)
        read = super().parse(node, reader)
        del reader.placeholders[before:]
        return read


TEXT = Form(
    "expected_text",
    "`text`",
    "The words that the visitor reads.",
    (Key("title", Rendered(), "the headline"), Key("body", Rendered(), "the body")),
    _wanted,
)


def _expected(fields: Fields) -> Any:
    if not fields.node.items:
        return fields.reader.fault(
            fields.mark, "expected `silent`, `fires`, `suppressed`, `withdrawn` or `text`, got an empty map"
        )
    wanted: _Wanted = fields.get("text", _Wanted((), ()))
    return Expected(fields.get("fires"), fields.get("suppressed"), fields.get("withdrawn"), wanted.title, wanted.body)


EXPECT = Form(
    "expect",
    "`expect`",
    "What must come of the events. `silent` alone: nothing at all.",
    (
        Key("fires", Times(), "exactly at these times a suggestion is made", example="fires: at 40s"),
        Key(
            "suppressed",
            Reasons(),
            "the reasons for which firings led to no suggestion",
            example="suppressed: limit_session",
        ),
        Key("withdrawn", Times(), "exactly at these times a suggestion is taken back", example="withdrawn: at 2m"),
        Key("text", FormKind(TEXT), "the words of the first suggestion", example='text: {title: "Can\'t find it?"}'),
    ),
    _expected,
)


class Silent(Kind):
    """The word ``silent``."""

    name = "`silent`"
    expects = "`silent`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """SILENT."""
        text = node.text if isinstance(node, ScalarNode) else ""
        if text == "silent":
            return SILENT
        near = suggest(text, ["silent", "fires"]) if text else ""
        return reader.fault(node, f"expected `silent` or a map such as `{{fires: at 40s}}`, got {shown(node)}{near}")

    def schema(self) -> Schema:
        """The word."""
        return {"const": "silent"}


def _test(fields: Fields) -> RuleTest:
    return RuleTest(
        fields["name"],
        fields["events"],
        fields["expect"],
        fields.get("until"),
        fields.get("arm", "treated"),
        "",
        fields.mark,
    )


TEST = Form(
    "test",
    "a test",
    "An example: one visitor's events, and what must come of them. Runs on the real engine with only this rule.",
    (
        Key("name", Line(), "what it shows", True, example="name: two empty searches within five minutes"),
        Key(
            "events",
            ListOf(EventKind(), at_most=EVENTS_PER_TEST_MAX, what="events"),
            "what the visitor did, in the order of arrival",
            True,
            example="events: [{at: 0s, event: search, results: 0}]",
        ),
        Key(
            "until",
            Duration(),
            "let the clock run on to here, so that timers are seen",
            default="the last event",
            example="until: 30m",
        ),
        Key(
            "arm",
            Choice({"treated": "sees suggestions", "control": "is only counted"}),
            "which arm the visitor is in",
            default="treated",
            example="arm: control",
        ),
        Key(
            "expect",
            Either(Silent(), FormKind(EXPECT)),
            "`silent`, or what happens when",
            True,
            example="expect: {fires: at 40s}",
        ),
    ),
    _test,
)


def event_objects(fields: tuple[tuple[str, JsonValue], ...]) -> Mapping[str, dict[str, JsonValue]]:
    """An event's `page`, `props` and `context` from full paths: ``page.path`` -> ``{"page": {"path": ...}}``."""
    objects: dict[str, dict[str, JsonValue]] = {"page": {}, "props": {}, "context": {}}
    for path, value in fields:
        head, *names = path.split(".")
        inside = objects[head]
        for name in names[:-1]:
            deeper = inside.setdefault(name, {})
            if not isinstance(deeper, dict):
                deeper = inside[name] = {}
            inside = deeper
        inside[names[-1]] = value
    return objects
