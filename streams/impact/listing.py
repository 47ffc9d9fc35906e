"""A report's figures in the order in which the terminal and the page list them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from streams.impact.report import ArmFigures, ArmReport, RuleReport


class Listed(NamedTuple):
    """One outcome in one arm."""

    label: str
    unit: str
    arm: str
    figures: ArmFigures


def arm_name(arm: ArmReport) -> str:
    """``treated`` or ``treated · short``."""
    return f"{arm.arm} · {arm.variant}" if arm.variant else arm.arm


def better_of(rule: RuleReport) -> int:
    """1 where more of the rule's outcome is better, -1 where less is."""
    return 1 if rule.kind == "conversion" else -1


def listed(rule: RuleReport) -> Iterator[Listed]:
    """Every outcome in every arm: the rule's own first, the control arm first."""
    if not rule.arms:
        return
    outcomes = [[arm.primary for arm in rule.arms]]
    names = dict.fromkeys(one.comparison.outcome for arm in rule.arms for one in arm.beside)
    outcomes += [
        [one.comparison for arm in rule.arms for one in arm.beside if one.comparison.outcome == name] for name in names
    ]
    for comparisons in outcomes:
        first = comparisons[0]
        yield Listed(first.label, first.unit, rule.control, first.control)
        if len(comparisons) == len(rule.arms):
            for arm, one in zip(rule.arms, comparisons, strict=True):
                yield Listed(one.label, one.unit, arm_name(arm), one.treated)
