"""One visitor's recorded events through the real engine: what fired, what happened, how many sessions there were.

The clock is the events' own time. After the last event it runs on to the end of every session, as `avert replay` lets
it. What one visitor does is no other's business, so visitors can be played one by one, in any order, on any core.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

from streams.backtest.interest import Interest
from streams.core.definition import Program
from streams.core.effects import Decision, Effect, EventResult, OutcomeRecord, Suggestion
from streams.core.engine import Position, step, tick
from streams.core.event import Event
from streams.core.ruleset import EngineOptions, Ruleset, compile_ruleset
from streams.core.visitor import SESSIONS_MAX, Visitor

in_time = attrgetter("ts")


class Played(NamedTuple):
    """What came of one visitor's events."""

    sessions: int
    results: Counter[str]  # events by what became of them
    decisions: list[Decision]
    outcomes: list[OutcomeRecord]
    suggestions: list[Suggestion]


def trial_ruleset(program: Program, options: EngineOptions) -> Ruleset:
    """The rules as they are tried out: a draft is run as a shadow rule. Raises DefinitionErrors."""
    rules = tuple(replace(rule, mode="shadow") if rule.mode == "draft" else rule for rule in program.rules)
    return compile_ruleset(replace(program, rules=rules), options)


def play(events: Sequence[Event], ruleset: Ruleset) -> Played:
    """Play one visitor's events, which are in the order of their time."""
    state: Visitor | None = None
    sessions = 0
    results: Counter[str] = Counter()
    effects: list[Effect] = []
    for offset, event in enumerate(events):
        now = event.ts if event.ts > 0 else 0
        visits = state.visits if state is not None else 0
        before = state
        state, result, made = step(state, event, Position(offset, now), ruleset, now)
        if result is not EventResult.APPLIED:
            results[result.value] += 1
        if made:
            effects += made
        if state is not None:
            # A row in which nothing mattered any more has been begun anew, and its count with it.
            sessions += state.visits - visits if state is before else state.visits
    results[EventResult.APPLIED.value] = len(events) - results.total()
    while state is not None and state.sessions:
        state, made = tick(state, ruleset, state.due)
        effects += made
    return Played(
        sessions,
        results,
        [effect for effect in effects if type(effect) is Decision],
        [effect for effect in effects if type(effect) is OutcomeRecord],
        [effect for effect in effects if type(effect) is Suggestion],
    )


def play_quietly(events: Sequence[Event], interest: Interest, ruleset: Ruleset) -> Played | None:
    """What `play` gives for a visitor in whose events nobody is interested, without the engine; None: it is needed."""
    if interest.always or not ruleset.options.consent_default:
        return None
    hears = interest.hears
    timeout = ruleset.options.session_timeout_ms
    sessions = 0
    last: dict[str | None, int] = {}
    ids: set[str] = set()
    for event in events:
        if event.context.get("consent") is not None or hears(event.type) or event.ts < 0:
            return None
        seen = last.get(event.session)
        if seen is None or event.ts >= seen + timeout:
            sessions += 1
        last[event.session] = event.ts
        ids.add(event.id)
    if len(ids) < len(events) or len(last) > SESSIONS_MAX:
        return None  # duplicates are left out, and the fifth live session ends the oldest: leave that to the engine
    return Played(sessions, Counter({EventResult.APPLIED.value: len(events)}), [], [], [])
