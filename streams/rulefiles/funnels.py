"""The form of funnels.yaml: the ways that visitors should go, and examples of going them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from streams.core.definition import Mark
from streams.core.funnel_definition import CLICKS, FUNNELS_MAX, STEPS_MAX, FunnelDefinition, FunnelStep
from streams.rulefiles.findings import BROKEN
from streams.rulefiles.forms import Either, Fields, Form, FormKind, Key, Kind, ListOf, Reader, Schema, shown
from streams.rulefiles.matchers import EVENT_KEY, EVENT_TYPE, WHERE_KEY, build_matcher, refuse_same_as
from streams.rulefiles.rules import RULE_ID
from streams.rulefiles.testforms import EVENTS_PER_TEST_MAX, EventKind, TestEvent
from streams.rulefiles.values import Duration, Line, Whole, Word, write_duration
from streams.rulefiles.yaml_tree import Node, ScalarNode

WITHIN_MS_MAX = 30 * 86_400_000  # the row of everybody who entered is kept for so long
FUNNEL_NAME = Word("name", "[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", "a name of a-z 0-9 and `-` such as `buy`")


@dataclass(frozen=True, slots=True)
class FunnelExpected:
    """What must come of a test; None: not looked at. Steps are numbers from 1, in the order reached."""

    journeys: int | None = None
    reached: tuple[int, ...] | None = None
    skipped: tuple[int, ...] | None = None
    reverse: tuple[int, ...] | None = None
    clicks: int | None = None
    took_ms: int | None = None
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class FunnelTest:
    """One test of one funnel."""

    __test__: ClassVar[bool] = False  # pytest must not collect it
    name: str
    events: tuple[TestEvent, ...]
    expect: FunnelExpected
    mark: Mark
    until_ms: int | None = None
    funnel: str = ""


@dataclass(frozen=True, slots=True)
class ReadFunnel:
    """A funnel and its tests."""

    definition: FunnelDefinition
    tests: tuple[FunnelTest, ...]


class Within(Duration):
    """``session``, or how long a journey may take."""

    name = "duration or `session`"
    expects = "`session` or a duration such as `2d`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """Whole milliseconds; 0 for the session."""
        if isinstance(node, ScalarNode) and node.text == "session":
            return 0
        ms = super().parse(node, reader)
        if ms is not BROKEN and ms > WITHIN_MS_MAX:
            return reader.fault(node, f"a journey takes at most {write_duration(WITHIN_MS_MAX)}: its state is kept")
        return ms

    def schema(self) -> Schema:
        """The word or a duration."""
        return {"anyOf": [{"const": "session"}, super().schema()]}


def _step(fields: Fields) -> Any:
    matcher = build_matcher(fields)
    if not refuse_same_as((matcher,), fields.reader):
        return BROKEN
    return FunnelStep(matcher, fields.get("label", ""))


FUNNEL_STEP = Form(
    "funnel_step",
    "a step of a funnel",
    "Which events are this step. An event is the first step that it matches.",
    (EVENT_KEY, WHERE_KEY, Key("label", Line(), "its name in reports", default="the events", example="label: Cart")),
    _step,
)


class Nothing(Kind):
    """The word ``none``."""

    name = "`none`"
    expects = "`none` or a map such as `{reached: [1, 2]}`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """Nobody entered."""
        if isinstance(node, ScalarNode) and node.text == "none":
            return FunnelExpected(journeys=0)
        return reader.fault(node, f"expected {self.expects}, got {shown(node)}")

    def schema(self) -> Schema:
        """The word."""
        return {"const": "none"}


def _expected(fields: Fields) -> Any:
    if not fields.node.items:
        return fields.reader.fault(fields.mark, f"expected {Nothing.expects}, got an empty map")
    names = ("journeys", "reached", "skipped", "reverse", "clicks", "took", "instead")
    return FunnelExpected(*(fields.get(name) for name in names))


_STEPS = ListOf(Whole(low=1, high=STEPS_MAX), at_least=0, at_most=STEPS_MAX, what="numbers of steps, from 1")
_COUNT = Whole(0, EVENTS_PER_TEST_MAX)

FUNNEL_EXPECT = Form(
    "funnel_expect",
    "`expect` of a funnel's test",
    "What must come of the events. `none` alone: nobody entered. What is said of steps is of the last journey.",
    (
        Key("journeys", _COUNT, "how many began", example="journeys: 1"),
        Key("reached", _STEPS, "the steps in the order in which they were reached, from 1", example="reached: [1, 2]"),
        Key("skipped", _STEPS, "the steps that were passed over", example="skipped: [2]"),
        Key("reverse", _STEPS, "the steps that were reached after a later one", example="reverse: [2]"),
        Key("clicks", _COUNT, "from the first step to the step reached last", example="clicks: 3"),
        Key("took", Duration(zero=True), "time from the first step to the step reached last", example="took: 40s"),
        Key(
            "instead",
            Line(),
            "the page or outcome after the step reached last, when the journey is over (give `until`); `left`: nothing",
            example="instead: outcome:support_chat",
        ),
    ),
    _expected,
)


def _test(fields: Fields) -> FunnelTest:
    return FunnelTest(
        fields["name"], fields["events"], fields["expect"], fields.mark, fields.get("until")
    )


FUNNEL_TEST = Form(
    "funnel_test",
    "a test of a funnel",
    "An example: one visitor's events, and the journey that they are. Runs on the real engine with only this funnel.",
    (
        Key("name", Line(), "what it shows", True, example="name: straight to the cart"),
        Key(
            "events",
            ListOf(EventKind(), at_most=EVENTS_PER_TEST_MAX, what="events"),
            "what the visitor did, in the order of arrival",
            True,
            example="events: [{at: 0s, event: search}]",
        ),
        Key("until", Duration(), "let the clock run on to here, so that journeys end", example="until: 1h"),
        Key("expect", Either(Nothing(), FormKind(FUNNEL_EXPECT)), "what happens", True, example="expect: none"),
    ),
    _test,
)


def _funnel(fields: Fields) -> Any:
    definition = FunnelDefinition(
        fields["funnel"],
        fields.get("title", fields["funnel"]),
        fields["steps"],
        fields.mark,
        fields.get("within") or None,
        fields.get("rule"),
        fields.get("clicks", CLICKS),
    )
    tests = tuple(replace(test, funnel=definition.name) for test in fields.get("tests", ()))
    return ReadFunnel(definition, tests)


FUNNEL = Form(
    "funnel",
    "a funnel",
    "A way that visitors should go: counted of everybody who entered, by arm.",
    (
        Key("funnel", FUNNEL_NAME, "its name", True, example="funnel: buy"),
        Key("title", Line(), "its name in reports", default="the name", example="title: From search to purchase"),
        Key(
            "steps",
            ListOf(FormKind(FUNNEL_STEP), at_least=2, at_most=STEPS_MAX, what="steps"),
            "the steps in their order; entered is whoever reaches the first",
            True,
            example="steps: [{event: search, label: Search}, {event: purchase, label: Purchase}]",
        ),
        Key(
            "within",
            Within(),
            "how long a journey may take from its first step, also over several visits (at most 30d)",
            default="session",
            example="within: 2d",
        ),
        Key(
            "rule",
            RULE_ID,
            "the rule whose arms are compared: who would be treated and who would not, fired or not",
            default="the arms of the global holdout",
            example="rule: search-dead-end",
        ),
        Key(
            "clicks",
            ListOf(EVENT_TYPE, at_least=0, at_most=20, what="event types"),
            "the event types that count as a click",
            default="[click, page_view]",
            example="clicks: [click, page_view, tap]",
        ),
        Key("tests", ListOf(FormKind(FUNNEL_TEST), what="tests"), "examples, run by `avert rules test`"),
    ),
    _funnel,
)

FUNNELS_FILE = Form(
    "funnels_file",
    "funnels.yaml",
    "The file `funnels.yaml`: the ways that visitors should go.",
    (Key("funnels", ListOf(FormKind(FUNNEL), at_most=FUNNELS_MAX, what="funnels"), "the funnels", True),),
    lambda fields: fields["funnels"],
    hints={"rules": "rules stand in files of their own", "outcomes": "outcomes stand in outcomes.yaml"},
)
