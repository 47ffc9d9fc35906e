"""What each rule costs: the most bytes that it can add to a visitor's state, and its measured time an event.

The bound is computed from the compiled conditions (`Leaf.bound`): so many items of at most ITEM_BYTES, and texts that
templates or sequences remember. A condition that several rules share is counted for each of them.

The time is that of the rule's own test events (of one event a type when it has none) through the engine, with the rule
alone and without any rule; the difference is the rule's, on this machine. It is a measurement: it varies.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from streams.core.conditions import ANCHORS_MAX, MARKS_MAX, Leaf, MemoryLeaf
from streams.core.definition import Program, RuleDefinition
from streams.core.engine import Position, step
from streams.core.event import Event
from streams.core.matcher import MEMORABLE_CHARS_MAX
from streams.core.ruleset import EngineOptions, Rule, Ruleset, compile_ruleset
from streams.core.visitor import Visitor
from streams.rulefiles.runner import BASE_MS
from streams.rulefiles.testforms import RuleTest, TestEvent, event_objects

ITEM_BYTES = 10  # a 64-bit number in MessagePack (9), and its share of the lists' headers
LEAF_BYTES = 10  # the condition's key, and the header of its state
TIMER_BYTES = 14  # its key and its next moment
TEXT_BYTES = 3 + 4 * MEMORABLE_CHARS_MAX  # of one remembered text: four bytes a character at worst
RULE_BYTES = 5 + 14  # that it holds; that it has fired, how often
STEPS_MEASURED = 1_500
REPEATS = 3
SESSION_GAP_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class RuleCost:
    """One rule's cost. `state_bytes_max` includes `text_bytes_max`, which is reached by long texts only."""

    rule: str
    conditions: int
    state_bytes_max: int
    text_bytes_max: int
    us_per_event: float


def costs_of(program: Program, tests: Iterable[RuleTest], options: EngineOptions) -> list[RuleCost]:
    """The cost of every rule, as if it were live and alone."""
    by_rule: dict[str, list[tuple[TestEvent, ...]]] = {}
    for test in tests:
        by_rule.setdefault(test.rule, []).append(test.events)
    without = compile_ruleset(replace(program, rules=()), options)
    return [_cost(rule, by_rule.get(rule.id, []), program, without) for rule in program.rules]


def _cost(
    definition: RuleDefinition, tests: list[tuple[TestEvent, ...]], program: Program, without: Ruleset
) -> RuleCost:
    alone = compile_ruleset(replace(program, rules=(replace(definition, mode="live"),)), without.options)
    rule = alone.rules[0]
    numbers, texts = state_bound(rule)
    types = [kind.replace("*", "x") for matcher in rule.tree.anchors for kind in matcher.types] or ["page_view"]
    played = tests or [tuple(TestEvent(0, kind, None, ()) for kind in types)]
    # The outcomes' own cost is in both; a machine that was busy for a moment shows in one repeat only.
    spent = [min(_seconds(played, ruleset) for _ in range(REPEATS)) for ruleset in (alone, without)]
    us = max(0.0, spent[0] - spent[1]) / STEPS_MEASURED * 1e6
    return RuleCost(definition.id, len(rule.tree.leaves), numbers + texts, texts, round(us, 2))


def leaves_of(rule: Rule) -> list[Leaf]:
    """Every condition that keeps something for this rule: its own, and what its texts remember."""
    memories = [leaf for some in rule.memories.values() for leaf in some]
    return list({leaf.key: leaf for leaf in [*rule.tree.leaves, *memories]}.values())


def state_bound(rule: Rule) -> tuple[int, int]:
    """The most bytes of numbers, and of texts, that a session keeps for `rule`."""
    leaves = leaves_of(rule)
    numbers = RULE_BYTES + sum(LEAF_BYTES + TIMER_BYTES + ITEM_BYTES * leaf.bound() for leaf in leaves if leaf.bound())
    return numbers, TEXT_BYTES * sum(map(_texts, leaves))


def _texts(leaf: Leaf) -> int:
    """How many texts a condition can remember."""
    if isinstance(leaf, MemoryLeaf):
        return 1
    plan = getattr(leaf, "plan", None)
    if plan is None:
        return 1 if getattr(leaf, "function", None) in ("first", "last") else 0
    return (MARKS_MAX + ANCHORS_MAX) * len(plan.captures) + len(plan.names)


def _seconds(tests: list[tuple[TestEvent, ...]], ruleset: Ruleset) -> float:
    """The time of STEPS_MEASURED events: test after test, over and over, each in a session of its own."""
    made: list[tuple[Event, int]] = []
    start = clock = BASE_MS
    for test in itertools.cycle(tests):
        for event in test:
            objects = event_objects(event.fields)
            clock = max(clock, start + event.at_ms)
            made.append((Event(
                id=f"e{len(made)}", visitor="cost", type=event.type, ts=start + event.at_ms,
                page=objects["page"], props=objects["props"], context=objects["context"],
            ), clock))
        start = clock + SESSION_GAP_MS
        if len(made) >= STEPS_MEASURED:
            break
    state: Visitor | None = None
    began = time.perf_counter()
    for offset, (one, now) in enumerate(made[:STEPS_MEASURED]):
        state, _, _ = step(state, one, Position(offset, now), ruleset, now)
    return time.perf_counter() - began
