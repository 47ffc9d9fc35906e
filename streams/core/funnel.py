"""Compiled funnels: which of them an event concerns, as which step, and in which arm a visitor is."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from streams.core.effects import Arm
from streams.core.event import Event
from streams.core.experiment import arm_of
from streams.core.funnel_definition import FUNNELS_MAX, STEPS_MAX, FunnelDefinition
from streams.core.matcher import Predicate, listens_to
from streams.core.session import Session

if TYPE_CHECKING:  # ruleset.py, which tree.py serves, compiles the funnels with its rules
    from streams.core.definition import Matcher, Program
    from streams.core.tree import TreeCompiler

_TYPES_REMEMBERED_MAX = 4096  # event types come from data
PAGE: Final = "page_view"


@dataclass(frozen=True, slots=True, eq=False)
class Funnel:
    """A compiled funnel. `within`: ms; 0: the visit. `key` names its state and changes with what is counted."""

    key: int
    name: str
    version: str
    definition: FunnelDefinition
    within: int
    steps: tuple[tuple[Matcher, Predicate | None], ...]
    splits: tuple[tuple[str, float], ...]  # (salt, holdout): who is held out by one of them is `control`

    def arm(self, visitor: str) -> Arm:
        """The visitor's arm, whether or not any rule ever fires for him."""
        held = any(arm_of(visitor, salt, holdout) == "control" for salt, holdout in self.splits)
        return "control" if held else "treated"


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What one funnel hears in events of one type."""

    funnel: Funnel
    steps: tuple[tuple[int, Predicate | None], ...]
    click: int

    def step_of(self, event: Event, session: Session) -> int:
        """The first step that the event is; -1 for none. One event is one step."""
        for index, predicate in self.steps:
            if predicate is None or predicate(event, session):
                return index
        return -1


@dataclass(frozen=True, slots=True, eq=False)
class Funnels:
    """All funnels of a ruleset. False when there are none."""

    all: tuple[Funnel, ...] = ()
    visits: tuple[Funnel, ...] = ()  # those whose journeys end with the visit
    by_key: dict[int, Funnel] = field(default_factory=dict)
    _by_type: dict[str, tuple[Heard, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.all)

    def hearing(self, event_type: str) -> tuple[Heard, ...]:
        """The funnels that an event of this type can concern."""
        found = self._by_type.get(event_type)
        if found is None:
            every = [self._heard(funnel, event_type) for funnel in self.all]
            found = tuple(one for one in every if one.steps or one.click or event_type == PAGE)
            if len(self._by_type) < _TYPES_REMEMBERED_MAX:
                self._by_type[event_type] = found
        return found

    @staticmethod
    def _heard(funnel: Funnel, event_type: str) -> Heard:
        steps = tuple(
            (index, predicate)
            for index, (matcher, predicate) in enumerate(funnel.steps)
            if listens_to(matcher, event_type)
        )
        return Heard(funnel, steps, int(event_type in funnel.definition.clicks))


def compile_funnels(compiler: TreeCompiler, program: Program) -> Funnels:
    """The funnels of `program`; what is wrong with them is refused by the compiler."""
    rules = {rule.id: rule for rule in program.rules}
    funnels: list[Funnel] = []
    names: set[str] = set()
    for definition in program.funnels:
        splits = [(program.global_salt, program.global_holdout)]
        problem = _problem(definition, names)
        names.add(definition.name)
        if definition.rule is not None:
            rule: Any = rules.get(definition.rule)
            if rule is not None:  # a part of a program, for a test or a dry run, may lack it
                splits.append((rule.salt or rule.id, rule.holdout))
        if problem is not None:
            compiler.refuse(definition.mark, problem)
            continue
        # Titles and labels may be reworded: what is counted stays the same.
        text = repr((
            [step.matcher for step in definition.steps], definition.within_ms, definition.rule, definition.clicks,
        ))  # fmt: skip
        funnels.append(Funnel(
            key=compiler.key(f"funnel {definition.name} {text}"),
            name=definition.name,
            version=blake2b(text.encode(), digest_size=4).hexdigest(),
            definition=definition,
            within=definition.within_ms or 0,
            steps=tuple((step.matcher, compiler.predicate(step.matcher)) for step in definition.steps),
            splits=tuple(splits),
        ))  # fmt: skip
    if len(program.funnels) > FUNNELS_MAX:
        compiler.refuse(program.funnels[FUNNELS_MAX].mark, f"at most {FUNNELS_MAX} funnels: each keeps a state a visit")
    return Funnels(
        tuple(funnels),
        tuple(funnel for funnel in funnels if not funnel.within),
        {funnel.key: funnel for funnel in funnels},
    )


def _problem(definition: FunnelDefinition, names: set[str]) -> str | None:
    if definition.name in names:
        return f"two funnels are named `{definition.name}`"
    if not 2 <= len(definition.steps) <= STEPS_MAX:
        return f"funnel `{definition.name}` has {len(definition.steps)} steps: it takes 2 to {STEPS_MAX}"
    matchers = [step.matcher for step in definition.steps]
    for index, matcher in enumerate(matchers):
        if matcher in matchers[:index]:
            first = matchers.index(matcher) + 1
            return (
                f"funnel `{definition.name}`: step {index + 1} is the same as step {first}; an event is the first step "
                "that it matches, so this one could never be reached"
            )
    return None
