"""What the numbers of the totals mean: the outcomes, costs and rules in force, as one value published with them."""

from __future__ import annotations

from typing import Literal

import msgspec

from streams.core.funnel import Funnel
from streams.core.outcome import micros_of
from streams.core.ruleset import Outcome, Rule, Ruleset


class AboutPrice(msgspec.Struct, frozen=True):
    """A version of an outcome's cost that is in force, was, or will be. `since` in ms; 0: always."""

    version: str
    since: int


class AboutOutcome(msgspec.Struct, frozen=True):
    """A declared outcome. `window_ms`: of attribution."""

    name: str
    kind: Literal["conversion", "anti_conversion"]
    label: str
    window_ms: int
    prices: tuple[AboutPrice, ...]


class AboutRule(msgspec.Struct, frozen=True):
    """A rule that is live or shadow. `holdout`: its own share of control."""

    rule: str
    title: str
    target: str
    version: str
    holdout: float


class AboutFunnel(msgspec.Struct, frozen=True):
    """A funnel in force. `rule`: whose arms split it; None: the global holdout's."""

    funnel: str
    title: str
    version: str
    steps: tuple[str, ...]  # labels
    within_ms: int | None
    rule: str | None


class About(msgspec.Struct, frozen=True, tag="about", tag_field="line"):
    """Of one version of the rules. `window_ms`: of an outcome that declares none."""

    version: str
    currency: str
    window_ms: int
    nudge_micros: int
    global_holdout: float
    outcomes: tuple[AboutOutcome, ...]
    rules: tuple[AboutRule, ...]
    funnels: tuple[AboutFunnel, ...] = ()


def about(ruleset: Ruleset) -> About:
    """What the totals that `ruleset` leads to mean."""
    program = ruleset.program
    return About(
        version=ruleset.version,
        currency=program.currency,
        window_ms=ruleset.options.attribution_window_ms,
        nudge_micros=micros_of(program.nudge_cost),
        global_holdout=program.global_holdout,
        outcomes=tuple(map(_outcome, ruleset.outcomes)),
        rules=tuple(map(_rule, ruleset.rules)),
        funnels=tuple(map(_funnel, ruleset.funnels.all)),
    )


def _outcome(outcome: Outcome) -> AboutOutcome:
    definition = outcome.definition
    prices = tuple(AboutPrice(price.version, price.since) for price in outcome.prices)
    return AboutOutcome(outcome.name, definition.kind, definition.label, outcome.window_ms, prices)


def _rule(rule: Rule) -> AboutRule:
    definition = rule.definition
    target = definition.prevents or definition.promotes or ""
    return AboutRule(rule.id, definition.title, target, rule.version, definition.holdout)


def _funnel(funnel: Funnel) -> AboutFunnel:
    one = funnel.definition
    labels = tuple(step.label or ", ".join(step.matcher.types) for step in one.steps)
    return AboutFunnel(funnel.name, one.title, funnel.version, labels, one.within_ms, one.rule)
