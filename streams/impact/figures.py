"""A report's figures for the metrics: few, flat, and to be read without the libraries that computed them."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec

from streams.impact import model

if TYPE_CHECKING:
    from streams.impact.report import ArmReport, Report, RuleReport


class Figures(msgspec.Struct, kw_only=True):
    """One rule: the treated arm against the control arm. Money in units of the currency, shares from 0 to 1."""

    rule: str
    visitors: int  # exposed, in all arms
    control: dict[str, float] = {}  # share of the visitors in the control arm: `declared`, `observed`
    split_p: float | None = None
    nudge_cost: float | None = None
    saved: dict[str, float] = {}  # `estimate`, `low`, `high`; too early for an interval: without its ends
    verdicts: dict[str, bool] = {}  # of all there are the one that holds


class Assessed(msgspec.Struct):
    """Figures of all rules, the programme first, then those with the most visitors; and what it took."""

    cpu_s: float
    rules: list[Figures]


def figures_of(report: Report) -> list[Figures]:
    """The report's figures, in that order."""
    found = [_of_rule(rule) for rule in report.rules]
    return sorted(found, key=lambda one: (one.rule != model.PROGRAMME, -one.visitors, one.rule))


def _of_rule(rule: RuleReport) -> Figures:
    made = Figures(rule=rule.rule, visitors=sum(rule.exposed.values()))
    if made.visitors:
        made.control = {"observed": rule.exposed.get(rule.control, 0) / made.visitors}
    if rule.split is not None:
        made.control = made.control | {"declared": rule.split.expected.get(rule.control, 0.0)}
        made.split_p = rule.split.p
    for arm in rule.arms:
        if arm.arm == model.TREATED and not arm.variant:
            _add_arm(made, arm)
    return made


def _add_arm(made: Figures, arm: ArmReport) -> None:
    from streams.impact.report import VerdictKind  # noqa: PLC0415 - whoever has a report has loaded it

    made.nudge_cost = arm.savings.nudge_cost
    made.verdicts = {kind: kind == arm.verdict.kind for kind in get_args(VerdictKind)}
    saved = arm.savings.gross
    if saved is not None:
        ends = {"estimate": saved.value, "low": saved.low, "high": saved.high}
        made.saved = {bound: value for bound, value in ends.items() if value is not None}
