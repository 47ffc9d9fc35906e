"""What is counted of a visitor besides decisions: outcomes that happen, receipts, and what others report.

1. An outcome is credited to the visitor's exposures as it happens (outcome.py), and withdraws the suggestions that
   meant to prevent it. Of a visitor who may not be measured nothing is recorded: he is no exposure either.
2. A receipt counts once of each kind for a suggestion that the state still knows, withdrawn and expired ones included.
3. A late event, or one that somebody reports (`context.source` is ``report``: a call centre's list), makes the outcomes
   that one event alone makes, and nothing else: the session learns nothing of it.
4. However late it is told of, it counts; it is credited to what is still remembered. Its id is kept for
   `outcome_delay_ms` after it was told of: whoever tells of it again within that time is known.
"""

from __future__ import annotations

from typing import Final

from streams.core.decide import Moment, withdraw
from streams.core.effects import Effect, OutcomeRecord, Receipt, ReceiptKind
from streams.core.event import Event
from streams.core.matcher import listens_to
from streams.core.outcome import amount_of, credit, micros_of
from streams.core.prices import price_at
from streams.core.ruleset import Outcome, Ruleset
from streams.core.session import Visitor
from streams.core.suggestion import effect_id
from streams.core.visitor import remember_report

REPORT: Final = "report"  # the `context.source` of an event that the visitor's browser has not seen
# By event type: the kind, and its bit in `LiveSuggestion.answered`.
RECEIPTS: Final[dict[str, tuple[ReceiptKind, int]]] = {
    "suggestion_shown": ("shown", 1),
    "suggestion_clicked": ("clicked", 2),
    "suggestion_dismissed": ("dismissed", 4),
}


def is_report(event: Event) -> bool:
    """Whether somebody reports the event who is not the visitor."""
    context = event.context
    return "source" in context and bool(context["source"] == REPORT)


def happen(moment: Moment, outcome: Outcome) -> None:
    """The outcome has happened: its record, its credit, and the end of the suggestions that it makes pointless."""
    state, name, at = moment.state, outcome.name, moment.at
    if not state.unmeasured:
        _note(moment, outcome)
    if state.live:
        rules = moment.ruleset.by_rule_id
        withdraw(
            state, at, "outcome", moment.effects, lambda live: live.rule in rules and name in rules[live.rule].targets
        )


def _note(moment: Moment, outcome: Outcome) -> None:
    state, name, at = moment.state, outcome.name, moment.at
    price = price_at(outcome.prices, at)
    amount = amount_of(price.amount, lambda path: moment.remembered(outcome, path))
    micros = micros_of(amount)
    costs = outcome.definition.kind == "anti_conversion"
    whole = () if state.programme is None else credit((state.programme,), name, at, outcome.window_ms, micros, costs)
    moment.effects.append(
        OutcomeRecord(
            id=effect_id("outcome", state.visitor, name, moment.identity),
            visitor=state.visitor,
            session=moment.session.id,
            outcome=name,
            kind=outcome.definition.kind,
            at=at,
            trigger=moment.trigger,
            currency=moment.ruleset.program.currency,
            amount=amount,
            exposures=credit(state.exposures, name, at, outcome.window_ms, micros, costs),
            programme=whole[0] if whole else None,
            price=price.version,
        )
    )


def receive(state: Visitor, event: Event, at: int, ruleset: Ruleset, effects: list[Effect]) -> None:
    """Count a receipt of time `at`, ms."""
    kind, bit = RECEIPTS[event.type]
    named = event.props.get("suggestion")
    for live in state.live:
        if live.id == named and not live.answered & bit:
            live.answered |= bit
            cost = ruleset.program.nudge_cost if kind == "shown" else 0.0
            effects.append(
                Receipt(
                    id=effect_id("receipt", live.id, kind),
                    visitor=state.visitor,
                    rule=live.rule,
                    suggestion=live.id,
                    kind=kind,
                    at=at,
                    variant=live.variant,
                    cost_micros=micros_of(cost),
                )
            )


def told(moment: Moment, event: Event, hashed: int) -> None:
    """The outcomes of a late or a reported event, `hashed` being its id."""
    state = moment.state
    told_at = max(moment.at, state.clock)
    forgotten = told_at - moment.ruleset.options.outcome_delay_ms
    for outcome in moment.ruleset.outcomes:
        for matcher, predicate in outcome.direct:
            if listens_to(matcher, event.type) and (predicate is None or predicate(event, moment.session)):
                happen(moment, outcome)
                remember_report(state, hashed, told_at, forgotten)
                break
