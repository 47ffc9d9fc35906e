"""Why, and why not, for a recorded visitor: his events through the real engine, then each rule's conditions.

The visitor's clock is that of his own events; between two of them every timer fires at its own moment, as in a worker
that has caught up. Other visitors play no part in what happens to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from streams.core.effects import Decision, EventResult
from streams.core.engine import Position, step, tick
from streams.core.event import Event
from streams.core.explain import RuleNow, duration, explain
from streams.core.ruleset import Ruleset
from streams.core.visitor import Visitor

TICKS_MAX = 100_000  # of one visitor: a recording of years, woken every half hour
VISITORS_SHOWN_MAX = 5


class Explained(msgspec.Struct, frozen=True):
    """Everything about one visitor: what he did, what came of it, and how the rules stand at `at`, ms."""

    visitor: str
    at: int
    events: int
    results: dict[str, int]
    decisions: tuple[Decision, ...]
    rules: tuple[RuleNow, ...]


def explain_recorded(
    events: Sequence[Event], visitor: str, ruleset: Ruleset, rule: str | None = None, at: int | None = None
) -> Explained | None:
    """`events` in the order of their time, of any visitors. `at`: only what was before it, and how it stood then.

    Without `at` it is the moment of the visitor's last event. None: the visitor does not occur.
    """
    own = [event for event in events if event.visitor == visitor and (at is None or event.ts <= at)]
    if not own:
        return None
    state: Visitor | None = None
    results: dict[str, int] = {}
    decisions: list[Decision] = []
    for offset, event in enumerate(own):
        state = _until(state, ruleset, event.ts, decisions)
        state, result, effects = step(state, event, Position(offset, event.ts), ruleset, event.ts)
        results[result.value] = results.get(result.value, 0) + 1
        decisions += [effect for effect in effects if isinstance(effect, Decision)]
    end = own[-1].ts if at is None else at
    state = _until(state, ruleset, end, decisions)
    return Explained(
        visitor, end, len(own), results,
        tuple(decision for decision in decisions if rule in (None, decision.rule)),
        tuple(_told(explain(state, ruleset, end, rule), results)),
    )  # fmt: skip


def _told(rules: list[RuleNow], results: dict[str, int]) -> Iterable[RuleNow]:
    """Consent is not in the state, since nothing is kept without it; the events know."""
    refused = results.get(EventResult.NO_CONSENT.value, 0)
    for found in rules:
        if refused and not found.session and found.version:
            why = f"no consent: {refused} of {sum(results.values())} events say so"
            yield msgspec.structs.replace(found, stopped_by=(why, *found.stopped_by))
        else:
            yield found


def _until(state: Visitor | None, ruleset: Ruleset, at: int, decisions: list[Decision]) -> Visitor | None:
    for _ in range(TICKS_MAX):
        if state is None or state.due > at:
            break
        state, effects = tick(state, ruleset, state.due)
        decisions += [effect for effect in effects if isinstance(effect, Decision)]
    return state


def nearby(events: Iterable[Event]) -> list[str]:
    """A few visitors of the recording, for whoever has mistyped one."""
    return list(dict.fromkeys(event.visitor for event in events))[:VISITORS_SHOWN_MAX]


# --- for people ----------------------------------------------------------------------------------------------------


def rule_lines(rules: Iterable[RuleNow]) -> Iterable[str]:
    """Each rule with its conditions, what each lacks, and what stands in the way."""
    for rule in rules:
        session = f" in session {rule.session}" if rule.session else ""
        yield f"{rule.rule} ({rule.mode}){session}"
        for condition in rule.conditions:
            value = "" if condition.value is None or isinstance(condition.value, bool) else f" = {condition.value}"
            lacks = f"; lacks: {condition.lacks}" if condition.lacks else ""
            mark = "yes" if condition.holds else " no"
            yield f"  {mark}  {'  ' * condition.depth}{condition.text}{value}{lacks}"
        yield from (f"    -> {why}" for why in rule.stopped_by)
        if not rule.stopped_by:
            yield "    -> nothing stops it"


def decision_lines(explained: Explained) -> Iterable[str]:
    """What came of the visitor's events, with the time before the moment that is looked at."""
    results = ", ".join(f"{number} {result}" for result, number in sorted(explained.results.items()))
    yield f"visitor {explained.visitor}: {explained.events} events ({results})"
    for decision in explained.decisions:
        why = f": {decision.reason}" if decision.reason else ""
        yield f"  {duration(explained.at - decision.at)} before: {decision.rule} {decision.kind}{why}"
    if not explained.decisions:
        yield "  no rule has fired"
