"""Immutable compiled rules, indexed by event type. Compile once, evaluate often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2b
from typing import Any, Final

from streams.core import definition as d
from streams.core.conditions import Key, Leaf, MemoryLeaf
from streams.core.event import Event, field_value
from streams.core.funnel import Funnels, compile_funnels
from streams.core.matcher import Predicate, indexable, listens_to, looked_up, value_problem
from streams.core.nodes import NONE
from streams.core.prices import PriceVersion, priced
from streams.core.score import ScoreLeaf
from streams.core.sequence import SequenceLeaf
from streams.core.session import Session
from streams.core.session_fields import session_problem, session_test
from streams.core.signals import SignalOptions
from streams.core.suggestion import PER_VISITOR_MAX, Templates, compile_text
from streams.core.tree import Finding, Tree, TreeCompiler, definition_text
from streams.core.value_tests import ValueTest

_TYPES_REMEMBERED_MAX = 4096  # event types come from data; the index by type must not grow with them
_RETURNING_MEMORY_MS: Final = 30 * 86_400_000
_SIGNALS = SignalOptions()


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What the engine has to know besides the rules. All durations in ms."""

    session_timeout_ms: int = 30 * 60_000
    max_lateness_ms: int = 10 * 60_000
    attribution_window_ms: int = 24 * 3_600_000
    outcome_delay_ms: int = 3 * 86_400_000  # how much later than it happened an outcome may be told of
    visitor_events_per_minute_max: int = 1_200  # of the log's time; 0: no limit
    consent_default: bool = True
    allowed_link_hosts: frozenset[str] = frozenset()
    signals: SignalOptions = _SIGNALS

    def __reduce__(self) -> tuple[Any, ...]:
        # For another process. Compiled, a frozen dataclass refuses what pickle does without this.
        return EngineOptions, tuple([getattr(self, one.name) for one in fields(self)])


class DefinitionErrors(ValueError):  # noqa: N818 - it carries all of them, not one
    """Definitions that cannot be compiled; `findings` has each with its mark."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(f"{finding.mark}: {finding.message}" for finding in findings))
        self.findings = findings


@dataclass(frozen=True, slots=True, eq=False)
class Trigger:
    """Something that fires on an edge: a rule or an outcome. `memories` find what the event at hand does not have."""

    key: Key
    index: int
    tree: Tree
    memories: dict[str, tuple[MemoryLeaf, ...]]
    sequences: tuple[SequenceLeaf, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome(Trigger):
    """A compiled outcome. `direct` are its matchers when one event alone makes it: these count late events too."""

    name: str
    definition: d.OutcomeDefinition
    prices: tuple[PriceVersion, ...]
    window_ms: int  # of attribution
    direct: tuple[tuple[d.Matcher, Predicate | None], ...]  # alternatives


@dataclass(frozen=True, slots=True)
class Texts:
    """The templates of a suggestion, or of one variant of it."""

    title: Templates
    body: Templates
    action_label: Templates
    action_href: str | None
    variant: str | None = None
    plain: tuple[dict[str, str], dict[str, str], dict[str, str]] | None = None  # already rendered: no placeholders

    def paths(self) -> set[str]:
        """All placeholders."""
        templates = (*self.title, *self.body, *self.action_label)
        return {path for _, template in templates for path in template.paths}


@dataclass(frozen=True, slots=True, eq=False)
class Rule(Trigger):
    """A compiled rule."""

    id: str
    version: str
    mode: d.Mode
    salt: str
    definition: d.RuleDefinition
    texts: tuple[Texts, ...]  # one, or one for each variant
    audience: tuple[tuple[Callable[[Session], Any], ValueTest], ...]
    withdraw: tuple[d.Matcher, Predicate | None] | None
    targets: tuple[str, ...]  # the outcome that it prevents or promotes
    worth: float  # the fixed cost that it may avoid: breaks ties of priority


@dataclass(frozen=True, slots=True, eq=False)
class Awarding(Trigger):
    """An entry of a score: when it begins to hold, the score's leaf gets its points."""

    leaf: ScoreLeaf
    entry: int
    points: float


Fires = Outcome | Rule | Awarding


@dataclass(frozen=True, slots=True, eq=False)
class Listening:
    """One leaf that hears of an event type: what always counts (`constant`), and what must be tested."""

    leaf: Leaf
    constant: int
    tested: tuple[tuple[Predicate, int], ...]
    triggers: tuple[Fires, ...]
    keys: frozenset[Key]  # of the triggers
    timed: bool

    def mask(self, event: Event, session: Session) -> int:
        """The bits of the matchers that accept the event; 0: it does not concern the leaf."""
        found = self.constant
        for predicate, bit in self.tested:
            if predicate(event, session):
                found |= bit
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Audience:
    """Who hears of one event type: the `always` asked ones, and by field those that wait for a value of it."""

    always: tuple[Listening, ...]
    by_value: tuple[tuple[tuple[str, ...], dict[d.Scalar, tuple[Listening, ...]]], ...]

    def of(self, event: Event) -> tuple[Listening, ...]:
        """Everyone whom this very event can concern."""
        found = self.always
        for path, table in self.by_value:
            found += looked_up(table, field_value(event, path))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Ruleset:
    """Everything that the engine needs, compiled. `version` is a hash of all of it, 12 hex digits."""

    version: str
    program: d.Program
    options: EngineOptions
    rules: tuple[Rule, ...]
    outcomes: tuple[Outcome, ...]
    timed: dict[int, tuple[Leaf, tuple[Fires, ...]]]  # the leaves that wait for moments, by key
    idle: tuple[Leaf, ...]  # those of them whose moment moves with every event
    ending: tuple[Leaf, ...]  # those that look at the session's end
    initial: tuple[Fires, ...]  # those that hold before anything has happened: looked at when a session begins
    uses_returning: bool
    exposure_memory_ms: int  # an exposure is remembered, in either arm: then nothing is credited; the next counts anew
    by_rule_id: dict[str, Rule]
    withdrawing: dict[str, Rule]  # those of them whose suggestions an event can withdraw
    by_key: dict[int, Fires]
    funnels: Funnels
    _compiler: TreeCompiler
    _triggers_of: dict[int, tuple[Fires, ...]]
    _by_type: dict[str, Audience] = field(default_factory=dict)

    @property
    def returning_memory_ms(self) -> int:
        """For how long a visitor without anything else is kept, so that he can be told from a new one."""
        return _RETURNING_MEMORY_MS if self.uses_returning else 0

    def audience(self, event_type: str) -> Audience:
        """The leaves that an event of this type can touch, and no others."""
        found = self._by_type.get(event_type)
        if found is None:
            found = self._audience(event_type)
            if len(self._by_type) < _TYPES_REMEMBERED_MAX:
                self._by_type[event_type] = found
        return found

    def _audience(self, event_type: str) -> Audience:
        always: list[Listening] = []
        by_value: dict[tuple[str, ...], dict[d.Scalar, tuple[Listening, ...]]] = {}
        for listener in self._compiler.listeners.values():
            if not (heard := listener.heard(event_type)):
                continue
            constant = 0
            for _, predicate, bit in heard:
                if predicate is None:
                    constant |= bit
            tested = tuple((predicate, bit) for _, predicate, bit in heard if predicate is not None)
            key = listener.leaf.key
            timed = key in self.timed and not listener.leaf.moving
            triggers = self._triggers_of.get(key, ())
            entry = Listening(listener.leaf, constant, tested, triggers, frozenset(one.key for one in triggers), timed)
            wanted = [indexable(matcher) for matcher, _, _ in heard]
            paths = {None if one is None else one[0] for one in wanted}
            if len(paths) > 1 or (path := paths.pop()) is None:  # an event must be tested to know
                always.append(entry)
                continue
            table = by_value.setdefault(path, {})
            for value in dict.fromkeys(one[1] for one in wanted if one is not None):
                table[value] = (*table.get(value, ()), entry)
        return Audience(tuple(always), tuple(by_value.items()))


def compile_ruleset(program: d.Program, options: EngineOptions) -> Ruleset:
    """Compile `program`. Raises DefinitionErrors with every finding."""
    compiler = TreeCompiler(options.max_lateness_ms, options.session_timeout_ms, options.signals)
    outcomes = tuple(
        _outcome(compiler, index, outcome, program, options) for index, outcome in enumerate(program.outcomes)
    )
    by_name = {outcome.name: outcome for outcome in outcomes}
    active = [rule for rule in program.rules if rule.mode in ("live", "shadow")]
    rules = tuple(_rule(compiler, len(outcomes) + index, rule, by_name) for index, rule in enumerate(active))
    funnels = compile_funnels(compiler, program)
    if compiler.findings:
        raise DefinitionErrors(compiler.findings)
    awards = tuple(
        Awarding(award.key, index - len(compiler.awards), award.tree, {}, (), award.leaf, award.entry, award.points)
        for index, award in enumerate(compiler.awards)
    )
    triggers: tuple[Fires, ...] = (*awards, *outcomes, *rules)
    triggers_of, timed = _wiring(triggers)
    blank = Session(id="", start=0, last=0)
    initial = {trigger for trigger in triggers if trigger.tree.holds(blank, 0, NONE, NONE)}
    for award in awards:
        if award in initial:
            initial.update(triggers_of[award.leaf.key])
    windows, hosts = [outcome.window_ms for outcome in outcomes], sorted(options.allowed_link_hosts)
    text = definition_text((program, replace(options, allowed_link_hosts=frozenset()), hosts))
    return Ruleset(
        version=_version(text),
        program=program,
        options=options,
        rules=rules,
        outcomes=outcomes,
        timed={key: (leaf, tuple(triggers_of[key])) for key, leaf in timed.items()},
        idle=tuple(leaf for leaf in timed.values() if leaf.moving),
        ending=tuple(leaf for leaf in timed.values() if leaf.at_end),
        initial=tuple(trigger for trigger in triggers if trigger in initial),
        uses_returning="returning" in text,
        exposure_memory_ms=max([options.attribution_window_ms, *windows]) + options.outcome_delay_ms,
        by_rule_id={rule.id: rule for rule in rules},
        withdrawing={rule.id: rule for rule in rules if rule.withdraw is not None},
        by_key={trigger.key: trigger for trigger in triggers},
        funnels=funnels,
        _compiler=compiler,
        _triggers_of={key: tuple(found) for key, found in triggers_of.items()},
    )


def _wiring(triggers: tuple[Fires, ...]) -> tuple[dict[int, list[Fires]], dict[int, Leaf]]:
    """Whom a change of each leaf concerns, and the leaves that wait for moments."""
    triggers_of: dict[int, list[Fires]] = {}
    timed: dict[int, Leaf] = {}
    for trigger in reversed(triggers):  # awards stand first: by then it is known whom their scores concern
        found: list[Fires] = [trigger]
        if isinstance(trigger, Awarding):
            found += triggers_of.get(trigger.leaf.key, ())
        for leaf in trigger.tree.leaves:
            known = triggers_of.setdefault(leaf.key, [])
            known += [one for one in found if one not in known]
        timed.update((leaf.key, leaf) for leaf in trigger.tree.timed)
    for found in triggers_of.values():
        found.sort(key=lambda trigger: trigger.index)
    return triggers_of, dict(sorted(timed.items()))


def _version(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()


def _memories(compiler: TreeCompiler, tree: Tree, paths: set[str]) -> dict[str, tuple[MemoryLeaf, ...]]:
    """Leaves that remember `paths` of the events that lead to a firing, for when it is a timer or another event."""
    return {path: tuple(compiler.memory(matcher, path) for matcher in tree.anchors) for path in sorted(paths)}


def _sequences(tree: Tree) -> tuple[SequenceLeaf, ...]:
    return tuple(leaf for leaf in tree.leaves if isinstance(leaf, SequenceLeaf))


def _outcome(
    compiler: TreeCompiler, index: int, outcome: d.OutcomeDefinition, program: d.Program, options: EngineOptions
) -> Outcome:
    tree = compiler.compile(outcome.when)
    prices = priced(program.currency, outcome.amount, outcome.prices)
    paths = {price.amount.of for price in prices if price.amount.of}
    return Outcome(
        key=compiler.key(f"outcome {outcome.name}"),
        index=index,
        tree=tree,
        memories=_memories(compiler, tree, paths),
        sequences=_sequences(tree),
        name=outcome.name,
        definition=outcome,
        prices=prices,
        window_ms=outcome.attribution_ms or options.attribution_window_ms,
        direct=tuple((matcher, compiler.predicate(matcher)) for matcher in _direct(outcome.when)),
    )


def _direct(when: d.Condition) -> tuple[d.Matcher, ...]:
    """The matchers of an outcome that one event alone makes: ``event``, or ``any`` of such; else none."""
    if isinstance(when, d.EventAtHand):
        return (when.matcher,)
    if isinstance(when, d.AnyOf):
        parts = [_direct(part) for part in when.parts]
        return tuple(matcher for part in parts for matcher in part) if all(parts) else ()
    return ()


def _texts(content: d.Content) -> tuple[Texts, ...]:
    parts: tuple[d.Content | d.Variant, ...] = content.variants or (content,)
    return tuple(map(_texts_of, parts))


def _texts_of(part: d.Content | d.Variant) -> Texts:
    title, body, label = map(compile_text, (part.title, part.body, part.action_label))
    texts = Texts(title, body, label, part.action_href, part.name if isinstance(part, d.Variant) else None)
    if texts.paths():
        return texts
    return replace(texts, plain=(dict(part.title), dict(part.body), dict(part.action_label)))


def _rule(compiler: TreeCompiler, index: int, rule: d.RuleDefinition, outcomes: dict[str, Outcome]) -> Rule:
    content, version = rule.suggest, _version(definition_text(rule))
    texts = _texts(content)
    paths = {path for text in texts for path in text.paths()}
    names = frozenset(p.removeprefix("steps.") for p in paths if p.startswith("steps."))
    # An edit that shall restart the rule gives its leaves other keys: nobody knows the old states any more.
    scope = f"{rule.id} {version} " if rule.restart_on_edit else ""
    tree = compiler.compile(rule.when, names, scope)
    target = rule.prevents or rule.promotes
    if target is None or target not in outcomes:
        compiler.refuse(rule.mark, f"rule `{rule.id}` names no declared outcome in `prevents` or `promotes`")
    _check_rule(compiler, rule, paths)
    worth = outcomes[target].prices[-1].amount.fixed or 0.0 if target in outcomes else 0.0
    event_paths = {path.removeprefix("event.") for path in paths if path.startswith("event.")}
    return Rule(
        key=compiler.key(f"rule {rule.id}"),
        index=index,
        tree=tree,
        memories=_memories(compiler, tree, event_paths),
        sequences=_sequences(tree),
        id=rule.id,
        version=version,
        mode=rule.mode,
        salt=rule.salt or rule.id,
        definition=rule,
        texts=texts,
        audience=tuple(map(session_test, rule.audience.tests)) if rule.audience else (),
        withdraw=(content.withdraw, compiler.predicate(content.withdraw)) if content.withdraw else None,
        targets=(target,) if target else (),
        worth=worth,
    )


def _check_rule(compiler: TreeCompiler, rule: d.RuleDefinition, paths: set[str]) -> None:
    """Refuse what no condition is to blame for. `paths`: the placeholders."""
    for path in sorted(paths):
        head, _, rest = path.partition(".")
        problem = session_problem(rest) if head == "session" and rest else None
        if head not in ("event", "session", "steps") or not rest:
            problem = f"`{{{{ {path} }}}}`: a placeholder is event.FIELD, session.FIELD or steps.NAME.FIELD"
        if problem is not None:
            compiler.refuse(rule.mark, problem)
    for test in rule.audience.tests if rule.audience else ():
        problem = session_problem(test.field) or value_problem(test)
        if problem is not None:
            compiler.refuse(test.mark, problem)
    if (rule.limits.per_visitor or 0) > PER_VISITOR_MAX:
        compiler.refuse(
            rule.mark, f"`per_visitor` counts to {PER_VISITOR_MAX} at most: more would need unbounded state"
        )
    if any(variant.weight <= 0 for variant in rule.suggest.variants):
        compiler.refuse(rule.mark, "a variant's weight lies above 0")


def withdrawn_by(rule: Rule, event: Event, session: Session) -> bool:
    """Whether `event` withdraws the rule's suggestions."""
    if rule.withdraw is None:
        return False
    matcher, predicate = rule.withdraw
    return listens_to(matcher, event.type) and (predicate is None or predicate(event, session))
