"""Run the tests of funnels.yaml on the real engine: each with its funnel alone, and all outcomes."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from streams.core.definition import Mark, Program
from streams.core.effects import Effect, Journey
from streams.core.engine import Position, step, tick
from streams.core.event import Event
from streams.core.funnel_totals import LEFT
from streams.core.ruleset import EngineOptions, Ruleset, compile_ruleset
from streams.core.visitor import Visitor
from streams.rulefiles.funnels import FunnelExpected, FunnelTest
from streams.rulefiles.testforms import event_objects
from streams.rulefiles.values import write_duration

_BASE_MS = 1_767_603_600_000  # Monday, 5 January 2026, 09:00 UTC
_TICKS_MAX = 10_000


class FunnelResult(NamedTuple):
    """As the runner's TestResult."""

    funnel: str
    name: str
    mark: Mark
    passed: bool
    expected: str
    got: str
    timeline: tuple[str, ...]


def run_funnel_test(test: FunnelTest, program: Program, options: EngineOptions) -> FunnelResult:
    """Play the events, let the clock run on, compare the journeys."""
    alone = tuple(replace(funnel, rule=None) for funnel in program.funnels if funnel.name == test.funnel)
    ruleset = compile_ruleset(replace(program, rules=(), funnels=alone), options)
    told = [effect for effect in _play(test, ruleset) if isinstance(effect, Journey)]
    expected, got = _compare(test.expect, told)
    passed = expected == got
    story = () if passed else tuple(map(_line, told))
    return FunnelResult(test.funnel, test.name, test.mark, passed, "; ".join(expected), "; ".join(got), story)


def _play(test: FunnelTest, ruleset: Ruleset) -> list[Effect]:
    state: Visitor | None = None
    clock = _BASE_MS
    found: list[Effect] = []
    for offset, event in enumerate(test.events):
        clock = max(clock, _BASE_MS + event.at_ms)
        state = _run_timers(state, ruleset, clock, found)
        objects = event_objects(event.fields)
        written = Event(
            id=f"e{offset}", visitor="funnel-test", type=event.type, ts=_BASE_MS + event.at_ms, session=event.session,
            page=objects["page"], props=objects["props"], context=objects["context"],
        )  # fmt: skip
        state, _, effects = step(state, written, Position(offset, clock), ruleset, clock)
        found += effects
    if test.until_ms is not None:
        _run_timers(state, ruleset, max(clock, _BASE_MS + test.until_ms), found)
    return found


def _run_timers(state: Visitor | None, ruleset: Ruleset, until: int, found: list[Effect]) -> Visitor | None:
    for _ in range(_TICKS_MAX):
        if state is None or state.due > until:
            return state
        state, effects = tick(state, ruleset, state.due)
        found += effects
    return state


def _compare(expect: FunnelExpected, told: list[Journey]) -> tuple[list[str], list[str]]:
    """What was expected and what came, of what the test asks for."""
    last = told[-1] if told else None
    steps = last.steps if last else ()
    order = [step + 1 for step in steps[::3]]
    begun = sum(bool(one.steps) - bool(one.before) for one in told)
    came = {
        "journeys": begun,
        "reached": tuple(order),
        "skipped": tuple(step for step in range(1, max(order, default=0)) if step not in order),
        "reverse": tuple(sorted(step for at, step in enumerate(order) if any(step < one for one in order[:at]))),
        "clicks": steps[-1] if steps else 0,
        "took_ms": steps[-2] if steps else 0,
        "instead": (last.instead or LEFT) if last and last.ended else "the journey is not over: give `until`",
    }
    asked = [(name, getattr(expect, name), found) for name, found in came.items() if getattr(expect, name) is not None]
    return [_phrase(name, wanted) for name, wanted, _ in asked], [_phrase(name, found) for name, _, found in asked]


def _phrase(name: str, value: object) -> str:
    if name == "took_ms" and isinstance(value, int):
        return f"took {write_duration(value)}"
    if isinstance(value, tuple):
        return f"{name}: {', '.join(map(str, value)) or 'none'}"
    return f"{name}: {value}"


def _line(one: Journey) -> str:
    ways = zip(one.steps[::3], one.steps[1::3], strict=True)
    steps = ", ".join(f"{step + 1} after {write_duration(ms)}" for step, ms in ways)
    end = f"; over, then {one.instead or 'nothing'}" if one.ended else ""
    return f"{write_duration(one.at - _BASE_MS)}: steps {steps or 'none'}{end}"
