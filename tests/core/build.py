"""Short ways to write definitions and events, and a log that runs them through the engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streams.core import definition as d
from streams.core.definition import Operator
from streams.core.effects import Decision, Effect, EventResult, OutcomeRecord, Suggestion, Withdrawal
from streams.core.engine import Position, step, tick
from streams.core.event import Event
from streams.core.funnel_definition import FunnelDefinition, FunnelStep
from streams.core.ruleset import EngineOptions, Ruleset, compile_ruleset
from streams.core.totals import Totals
from streams.core.visitor import Visitor, decode_visitor, encode_visitor

T0 = 1_700_000_000_000  # the moment that tests call 0
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
UNLIMITED = d.Limits(per_session=None)


def where(field: str, operator: str, value: Any) -> d.FieldTest:
    return d.FieldTest(field, Operator(operator), value)


def matcher(types: str | Iterable[str], *tests: d.FieldTest) -> d.Matcher:
    return d.Matcher((types,) if isinstance(types, str) else tuple(types), tests)


def event(types: str, *tests: d.FieldTest) -> d.EventAtHand:
    return d.EventAtHand(matcher(types, *tests))


def count(types: str, *tests: d.FieldTest, at_least=None, at_most=None, within=None) -> d.Count:
    return d.Count(matcher(types, *tests), at_least, at_most, within)


def seen(types: str, *tests: d.FieldTest, within=None) -> d.Count:
    return count(types, *tests, at_least=1, within=within)


def never(types: str, *tests: d.FieldTest, within=None) -> d.Count:
    return count(types, *tests, at_most=0, within=within)


def both(*parts: d.Condition) -> d.All:
    return d.All(parts)


def either(*parts: d.Condition) -> d.AnyOf:
    return d.AnyOf(parts)


def step_of(types: str, *tests: d.FieldTest, name=None, within=None, forbid: Iterable[d.Matcher] = ()) -> d.Step:
    return d.Step(matcher(types, *tests), name, within, tuple(forbid))


def sequence(*steps: d.Step | str, within=None, strict=False) -> d.Sequence:
    written = tuple(step_of(step) if isinstance(step, str) else step for step in steps)
    return d.Sequence(written, within, "strict" if strict else "relaxed")


def missing(types: str, after: str, span: int | None) -> d.Missing:
    return d.Missing(matcher(types), matcher(after), span)


def content(title: str = "Can we help?", **fields: Any) -> d.Content:
    return d.Content(**{"placement": "banner", "title": (("en", title),), **fields})


def outcome(name="chat", when: d.Condition | None = None, kind="anti_conversion", **fields: Any) -> d.OutcomeDefinition:
    amount = fields.pop("amount", d.Amount(6.5))
    return d.OutcomeDefinition(name, kind, when or event("chat_opened"), amount, **fields)


def rule(when: d.Condition, name="r", **fields: Any) -> d.RuleDefinition:
    given = {"suggest": content(), "prevents": "chat", "limits": UNLIMITED, **fields}
    return d.RuleDefinition(id=name, when=when, **given)


def program(*rules: d.RuleDefinition | d.Condition, outcomes=None, **fields: Any) -> d.Program:
    """Conditions become rules named r0, r1, ... without limits."""
    written = tuple(
        part if isinstance(part, d.RuleDefinition) else rule(part, f"r{index}") for index, part in enumerate(rules)
    )
    return d.Program("EUR", tuple(outcomes) if outcomes is not None else (outcome(),), written, **fields)


def compiled(*rules: d.RuleDefinition | d.Condition, options: EngineOptions | None = None, **fields: Any) -> Ruleset:
    return compile_ruleset(program(*rules, **fields), options or EngineOptions())


class Log:
    """One visitor's log: times are ms after T0; the partition's clock is the greatest time seen."""

    def __init__(self, ruleset: Ruleset, visitor: str = "v") -> None:
        self.ruleset = ruleset
        self.visitor = visitor
        self.state: Visitor | None = None
        self.offset = -1
        self.now = 0
        self.results: list[EventResult] = []
        self.effects: list[Effect] = []
        self.last: list[Effect] = []

    def add(self, at: int, kind: str, *, name=None, ts=None, now=None, offset=None, **fields: Any) -> Log:
        """An event with id `name` that reaches the log at `at` and happened at `ts` (default: the same)."""
        self.offset = self.offset + 1 if offset is None else offset
        self.now = max(self.now, at if now is None else now)
        written = Event(
            id=name or f"e{self.offset}", visitor=self.visitor, type=kind, ts=T0 + (at if ts is None else ts), **fields
        )
        self.state, result, self.last = step(
            self.state, written, Position(self.offset, T0 + at), self.ruleset, T0 + self.now
        )
        self.results.append(result)
        self.effects += self.last
        return self

    def all(self, *events: tuple[Any, ...]) -> Log:
        """(at, type) or (at, type, props) each."""
        for at, type_, *props in events:
            self.add(at, type_, props=props[0] if props else {})
        return self

    def tick(self, at: int) -> Log:
        self.now = max(self.now, at)
        self.last = []
        if self.state is not None:
            self.state, self.last = tick(self.state, self.ruleset, T0 + self.now)
            self.effects += self.last
        return self

    def recode(self) -> Log:
        """What a restart does to the state."""
        if self.state is not None:
            self.state = decode_visitor(self.visitor, encode_visitor(self.state))
        return self

    def of(self, kind: Any) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def decisions(self) -> list[Decision]:
        return self.of(Decision)

    @property
    def suggestions(self) -> list[Suggestion]:
        return self.of(Suggestion)

    @property
    def outcomes(self) -> list[OutcomeRecord]:
        return self.of(OutcomeRecord)

    @property
    def withdrawals(self) -> list[Withdrawal]:
        return self.of(Withdrawal)

    @property
    def fired(self) -> list[tuple[str, int]]:
        """(rule, moment) of every firing, in order."""
        return [(decision.rule, decision.at - T0) for decision in self.decisions]

    @property
    def at(self) -> list[int]:
        """The moments of all firings, in order."""
        return [decision.at - T0 for decision in self.decisions]


def fires(condition: d.Condition, *events: tuple[Any, ...], until: int | None = None, options=None) -> list[int]:
    """When a rule with this condition fires over these events; then time runs to `until`."""
    log = Log(compiled(condition, options=options)).all(*events)
    return (log.tick(until) if until is not None else log).at


def funnel(*steps: d.Matcher | str, name: str = "buy", **fields: Any) -> FunnelDefinition:
    """A funnel of event types or matchers."""
    matchers = [matcher(step) if isinstance(step, str) else step for step in steps]
    mark = fields.pop("mark", d.NOWHERE)
    return FunnelDefinition(name, name.title(), tuple(map(FunnelStep, matchers)), mark, **fields)


def folded(effects: Iterable[Effect]) -> dict[str, Any]:
    """The lines of funnels, by key, of the totals of these effects."""
    totals = Totals()
    for effect in effects:
        totals.add(effect)
    return {key: line for key, line in totals.lines.items() if key.startswith("funnel/")}
