"""One outcome in two arms: figures of each, and the difference with its interval."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from streams.impact.bounds import Interval, e_value, few, means_error, means_interval, rates_interval, rates_z
from streams.impact.model import MICROS, ArmTotals, OutcomeInfo, OutcomeTotals
from streams.impact.report import ArmFigures, Comparison, Estimate, Measure

# Amounts are compared once each arm has so many visitors with one: of fewer the spread of skewed money is not known.
AMOUNTS_MIN = 10


class Error(NamedTuple):
    """How wide the intervals of a comparison are; see `bounds`."""

    alpha: float
    best_at: float


def figures(arm: ArmTotals, outcome: str) -> ArmFigures:
    """One outcome in one arm."""
    n, seen = arm.visitors, arm.outcomes.get(outcome, OutcomeTotals())
    priced = seen.count - seen.unpriced
    variance = variance_of(arm, outcome)
    return ArmFigures(
        visitors=n, with_outcome=seen.visitors, rate=seen.visitors / n if n else None,
        count=seen.count, count_per_visitor=seen.count / n if n else None, unpriced=seen.unpriced,
        amount=seen.micros / MICROS, amount_per_visitor=seen.micros / (n * MICROS) if n else None,
        amount_per_outcome=seen.micros / (priced * MICROS) if priced else None,
        spread=None if variance is None else sqrt(variance),
    )


def variance_of(arm: ArmTotals, outcome: str) -> float | None:
    """Of one visitor's amount, unbiased; in whole numbers up to the last division. None of fewer than two visitors."""
    n, seen = arm.visitors, arm.outcomes.get(outcome, OutcomeTotals())
    return None if n < 2 else (n * seen.micros_squared - seen.micros**2) / (n * (n - 1) * MICROS**2)


def compare(
    control: ArmTotals, treated: ArmTotals, outcome: OutcomeInfo, error: Error, currency: str, measure: Measure = "rate"
) -> Comparison:
    """One outcome in two arms. `measure` says of which difference the e-value is."""
    one, other = figures(control, outcome.name), figures(treated, outcome.name)
    spreads = variance_of(control, outcome.name), variance_of(treated, outcome.name)
    return Comparison(
        outcome=outcome.name, label=outcome.label or outcome.name, kind=outcome.kind, unit=outcome.unit or currency,
        control=one, treated=other, alpha=error.alpha,
        rate=_rates(one, other, error), amount=_amounts(one, other, spreads, error),
        e_value=_rate_e_value(one, other, error) if measure == "rate" else _amount_e_value(one, other, spreads, error),
    )


_Spreads = tuple[float | None, float | None]


def _pairs(one: ArmFigures, other: ArmFigures) -> tuple[tuple[int, int], tuple[int, int]]:
    return (one.visitors, one.with_outcome), (other.visitors, other.with_outcome)


def _rates(one: ArmFigures, other: ArmFigures, error: Error) -> Estimate | None:
    if one.rate is None or other.rate is None:
        return None
    return _estimate(other.rate - one.rate, rates_interval(*_pairs(one, other), *error))


def _amounts(one: ArmFigures, other: ArmFigures, spreads: _Spreads, error: Error) -> Estimate | None:
    mean0, mean1 = one.amount_per_visitor, other.amount_per_visitor
    if mean0 is None or mean1 is None or not (one.amount or other.amount):
        return None
    if not _enough(one, other) or spreads[0] is None or spreads[1] is None:
        return Estimate(value=mean1 - mean0)
    found = means_interval((one.visitors, mean0, spreads[0]), (other.visitors, mean1, spreads[1]), *error)
    return _estimate(mean1 - mean0, found)


def _enough(one: ArmFigures, other: ArmFigures) -> bool:
    return min(one.with_outcome, other.with_outcome) >= AMOUNTS_MIN


def _estimate(value: float, found: Interval | None) -> Estimate:
    return Estimate(value=value) if found is None else Estimate(value=value, low=found.low, high=found.high)


def _rate_e_value(one: ArmFigures, other: ArmFigures, error: Error) -> float | None:
    pairs = _pairs(one, other)
    if not one.visitors or not other.visitors or few(*pairs):
        return None
    return float(e_value(rates_z(*pairs), one.visitors + other.visitors, *error))


def _amount_e_value(one: ArmFigures, other: ArmFigures, spreads: _Spreads, error: Error) -> float | None:
    mean0, mean1 = one.amount_per_visitor, other.amount_per_visitor
    if mean0 is None or mean1 is None or not spreads[0] or not spreads[1] or not _enough(one, other):
        return None
    z = (mean1 - mean0) / means_error((one.visitors, spreads[0]), (other.visitors, spreads[1]))
    return float(e_value(z, one.visitors + other.visitors, *error))
