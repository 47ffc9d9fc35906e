"""Immutable compiled rules, indexed by event type. Compile once, evaluate often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from streams.core import definition as d
from streams.core.conditions import Leaf, MemoryLeaf
from streams.core.event import Event
from streams.core.matcher import Predicate, listens_to
from streams.core.sequence import SequenceLeaf
from streams.core.suggestion import Templates, compile_text
from streams.core.tree import Finding, Tree, TreeCompiler, definition_text, mask_of
from streams.core.visitor import Session

_TYPES_REMEMBERED_MAX = 4096  # event types come from data; the index by type must not grow with them
_RETURNING_MEMORY_MS = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What the engine has to know besides the rules. All durations in ms."""

    session_timeout_ms: int = 30 * 60_000
    max_lateness_ms: int = 10 * 60_000
    attribution_window_ms: int = 24 * 3_600_000
    consent_default: bool = True
    allowed_link_hosts: frozenset[str] = frozenset()


class DefinitionErrors(ValueError):
    """Definitions that cannot be compiled; `findings` has each with its mark."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(f"{finding.mark}: {finding.message}" for finding in findings))
        self.findings = findings


@dataclass(frozen=True, slots=True, eq=False)
class Trigger:
    """Something that fires on an edge: a rule or an outcome. `memories` find what the event at hand does not have."""

    key: int
    index: int
    tree: Tree
    memories: dict[str, tuple[MemoryLeaf, ...]]
    sequences: tuple[SequenceLeaf, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome(Trigger):
    """A compiled outcome. `direct` are its matchers when one event alone makes it: these count late events too."""

    name: str
    definition: d.OutcomeDefinition
    direct: tuple[tuple[d.Matcher, Predicate | None], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rule(Trigger):
    """A compiled rule."""

    id: str
    version: str
    mode: d.Mode
    salt: str
    definition: d.RuleDefinition
    title: Templates
    body: Templates
    action_label: Templates
    withdraw: tuple[d.Matcher, Predicate | None] | None
    worth: float  # the fixed cost that it may avoid: breaks ties of priority


class Listening(NamedTuple):
    """One leaf that hears of an event type: a constant mask, or a function that finds it."""

    leaf: Leaf
    mask: int
    test: Callable[[Event, Session], int] | None
    triggers: tuple[Trigger, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Ruleset:
    """Everything that the engine needs, compiled. `version` is a hash of all of it, 12 hex digits."""

    version: str
    program: d.Program
    options: EngineOptions
    rules: tuple[Rule, ...]
    outcomes: tuple[Outcome, ...]
    timed: tuple[tuple[Leaf, tuple[Trigger, ...]], ...]
    session_leaves: tuple[Leaf, ...]
    uses_returning: bool
    by_rule_id: dict[str, Rule]
    _compiler: TreeCompiler
    _triggers_of: dict[int, tuple[Trigger, ...]]
    _by_type: dict[str, tuple[Listening, ...]] = field(default_factory=dict)

    @property
    def returning_memory_ms(self) -> int:
        """For how long a visitor without anything else is kept, so that he can be told from a new one."""
        return _RETURNING_MEMORY_MS if self.uses_returning else 0

    def listening(self, event_type: str) -> tuple[Listening, ...]:
        """The leaves that an event of this type can touch; memories last, after every predicate was asked."""
        found = self._by_type.get(event_type)
        if found is None:
            found = self._listening(event_type)
            if len(self._by_type) < _TYPES_REMEMBERED_MAX:
                self._by_type[event_type] = found
        return found

    def _listening(self, event_type: str) -> tuple[Listening, ...]:
        entries = []
        for listener in self._compiler.listeners.values():
            heard = listener.heard(event_type)
            if heard:
                mask, test = mask_of(heard)
                entries.append(Listening(listener.leaf, mask, test, self._triggers_of.get(listener.leaf.key, ())))
        entries.sort(key=lambda entry: isinstance(entry.leaf, MemoryLeaf))
        return tuple(entries)


def compile_ruleset(program: d.Program, options: EngineOptions) -> Ruleset:
    """Compile `program`. Raises DefinitionErrors with every finding."""
    compiler = TreeCompiler()
    outcomes = tuple(_outcome(compiler, index, outcome) for index, outcome in enumerate(program.outcomes))
    by_name = {outcome.name: outcome for outcome in outcomes}
    active = [rule for rule in program.rules if rule.mode in ("live", "shadow")]
    rules = tuple(_rule(compiler, len(outcomes) + index, rule, by_name) for index, rule in enumerate(active))
    if compiler.findings:
        raise DefinitionErrors(compiler.findings)
    triggers: tuple[Trigger, ...] = (*outcomes, *rules)
    triggers_of: dict[int, list[Trigger]] = {}
    timed: dict[int, tuple[Leaf, list[Trigger]]] = {}
    for trigger in triggers:
        for leaf in trigger.tree.leaves:
            triggers_of.setdefault(leaf.key, []).append(trigger)
        for leaf in trigger.tree.timed:
            timed.setdefault(leaf.key, (leaf, []))
    for key, (_, woken) in timed.items():
        woken.extend(triggers_of[key])
    text = definition_text((program, options))
    return Ruleset(
        version=_version(text), program=program, options=options, rules=rules, outcomes=outcomes,
        timed=tuple((leaf, tuple(woken)) for leaf, woken in timed.values()),
        session_leaves=tuple(leaf for leaf, _ in timed.values()),
        uses_returning="returning" in text,
        by_rule_id={rule.id: rule for rule in rules},
        _compiler=compiler, _triggers_of={key: tuple(found) for key, found in triggers_of.items()},
    )


def _version(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()


def _memories(compiler: TreeCompiler, tree: Tree, paths: set[str]) -> dict[str, tuple[MemoryLeaf, ...]]:
    """Leaves that remember `paths` of the events that lead to a firing, for when it is a timer or another event."""
    return {path: tuple(compiler.memory(matcher, path) for matcher in tree.anchors) for path in sorted(paths)}


def _sequences(tree: Tree) -> tuple[SequenceLeaf, ...]:
    return tuple(leaf for leaf in tree.leaves if isinstance(leaf, SequenceLeaf))


def _outcome(compiler: TreeCompiler, index: int, outcome: d.OutcomeDefinition) -> Outcome:
    tree = compiler.compile(outcome.when)
    paths = {outcome.amount.of} if outcome.amount.of else set()
    direct = [outcome.when] if isinstance(outcome.when, d.EventAtHand) else []
    return Outcome(
        key=compiler.key(f"outcome {outcome.name}"), index=index, tree=tree, memories=_memories(compiler, tree, paths),
        sequences=_sequences(tree), name=outcome.name, definition=outcome,
        direct=tuple((condition.matcher, compiler.predicate(condition.matcher)) for condition in direct),
    )


def _rule(compiler: TreeCompiler, index: int, rule: d.RuleDefinition, outcomes: dict[str, Outcome]) -> Rule:
    content = rule.suggest
    title, body, label = map(compile_text, (content.title, content.body, content.action_label))
    paths = {path for _, template in (*title, *body, *label) for path in template.paths}
    tree = compiler.compile(rule.when, frozenset(p.removeprefix("steps.") for p in paths if p.startswith("steps.")))
    target = rule.prevents or rule.promotes
    if target is None or target not in outcomes:
        compiler.refuse(rule.mark, f"rule `{rule.id}` names no declared outcome in `prevents` or `promotes`")
    worth = outcomes[target].definition.amount.fixed or 0.0 if target in outcomes else 0.0
    event_paths = {path.removeprefix("event.") for path in paths if path.startswith("event.")}
    return Rule(
        key=compiler.key(f"rule {rule.id}"), index=index, tree=tree, memories=_memories(compiler, tree, event_paths),
        sequences=_sequences(tree), id=rule.id, version=_version(definition_text(rule)), mode=rule.mode,
        salt=rule.salt or rule.id, definition=rule, title=title, body=body, action_label=label,
        withdraw=(content.withdraw, compiler.predicate(content.withdraw)) if content.withdraw else None, worth=worth,
    )


def withdrawn_by(rule: Rule, event: Event, session: Session) -> bool:
    """Whether `event` withdraws the rule's suggestions."""
    if rule.withdraw is None:
        return False
    matcher, predicate = rule.withdraw
    return listens_to(matcher, event.type) and (predicate is None or predicate(event, session))
