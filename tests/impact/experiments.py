"""Simulated experiments with a known truth: thousands at once, looked at after every 100 visitors.

A scenario is drawn as arrays of (experiment, look); what the program's own intervals say of them is what is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp
from scipy.stats import norm

from streams.impact.bounds import (
    ALPHA,
    Floats,
    boundary,
    means_error,
    rates_hold,
    rates_z,
)
from streams.impact.compare import AMOUNTS_MIN
from streams.impact.plan import chance_by, spread_of_means, spread_of_rates, visitors_for
from streams.impact.split import ALARM_BELOW, CONCENTRATIONS, log_e_value

EVERY = 100
VISITORS = 20_000


@dataclass(frozen=True)
class Rates:
    """A rate in the control arm and in the treated one; `share` of the visitors are in the control arm."""

    share: float
    control: float
    treated: float
    alpha: float = ALPHA

    @property
    def name(self) -> str:
        return f"rates {self.control:g} and {self.treated:g}, {self.share:.0%} control"


@dataclass(frozen=True)
class Money:
    """Log-normal amounts of the share `pays` of visitors, 0 for all others; in the treated arm `lift` times as many."""

    share: float
    pays: float
    sigma: float
    lift: float = 1.0

    @property
    def name(self) -> str:
        return f"money of {self.pays:g}, sigma {self.sigma:g}, lift {self.lift:g}, {self.share:.0%} control"

    @property
    def mean(self) -> float:
        return float(self.pays * np.exp(3 + self.sigma**2 / 2))

    @property
    def variance(self) -> float:
        return float(self.pays * np.exp(6 + 2 * self.sigma**2) - self.mean**2)


@dataclass(frozen=True)
class Seen:
    """Shares of experiments: `covered` at every look; with a `claim` at some look; with one of a naive interval."""

    covered: float
    claims: float
    naive: float


def looks(visitors: int = VISITORS) -> Floats:
    return np.arange(EVERY, visitors + 1, EVERY, dtype=float)


def draw_rates(
    rng: np.random.Generator, runs: int, scenario: Rates, visitors: int = VISITORS
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Visitors and outcomes of both arms at every look, where both have visitors."""
    at = looks(visitors)
    new0 = rng.binomial(EVERY, scenario.share, size=(runs, len(at)))
    new1 = EVERY - new0
    x0, x1 = rng.binomial(new0, scenario.control), rng.binomial(new1, scenario.treated)
    n0, n1 = np.maximum(new0.cumsum(1), 1), np.maximum(new1.cumsum(1), 1)
    return (n0, np.minimum(x0.cumsum(1), n0)), (n1, np.minimum(x1.cumsum(1), n1))


def rates(rng: np.random.Generator, runs: int, scenario: Rates, visitors: int = VISITORS) -> Seen:
    arms = draw_rates(rng, runs, scenario, visitors)
    holds = rates_hold(*arms, scenario.treated - scenario.control, scenario.alpha)
    claims = ~(holds if scenario.treated == scenario.control else rates_hold(*arms, 0.0, scenario.alpha))
    naive = np.abs(rates_z(*arms)) > norm.isf(scenario.alpha / 2)
    return Seen(float(holds.all(1).mean()), float(claims.any(1).mean()), float(naive.any(1).mean()))


def money(rng: np.random.Generator, runs: int, scenario: Money, visitors: int = VISITORS) -> Seen:
    at = looks(visitors)
    new0 = rng.binomial(EVERY, scenario.share, size=(runs, len(at)))
    (n0, k0, s0, q0), (n1, k1, s1, q1) = (
        _amounts(rng, new0, scenario, 1.0), _amounts(rng, EVERY - new0, scenario, scenario.lift),
    )
    v0, v1 = ((q - s**2 / n) / np.maximum(n - 1, 1) for n, s, q in ((n0, s0, q0), (n1, s1, q1)))
    error = means_error((n0, v0), (n1, v1))
    shown = (k0 >= AMOUNTS_MIN) & (k1 >= AMOUNTS_MIN)
    found, truth = s1 / n1 - s0 / n0, scenario.mean * (scenario.lift - 1)
    reach = boundary(n0 + n1) * error
    missed, claims = (np.abs(found - truth) > reach) & shown, (np.abs(found) > reach) & shown
    naive = (np.abs(found) > norm.isf(ALPHA / 2) * error) & shown
    return Seen(*(float(share) for share in (1 - missed.any(1).mean(), claims.any(1).mean(), naive.any(1).mean())))


def _amounts(rng: np.random.Generator, new: Floats, scenario: Money, lift: float) -> tuple[Floats, ...]:
    """Visitors, those with an amount, sum and sum of squares, at every look."""
    paying = rng.binomial(new, scenario.pays * lift)
    amounts = rng.lognormal(3, scenario.sigma, int(paying.sum()))
    cell = np.repeat(np.arange(paying.size), paying.ravel())
    sums = [np.bincount(cell, values, paying.size).reshape(paying.shape).cumsum(1) for values in (amounts, amounts**2)]
    return np.maximum(new.cumsum(1), 1), paying.cumsum(1), sums[0], sums[1]


def several(rng: np.random.Generator, runs: int, rules: int, rate: float = 0.1, share: float = 0.1) -> float:
    """Share of programmes of so many useless rules in which at least one was ever said to do something."""
    scenario = Rates(share, rate, rate, ALPHA / rules)
    claimed = np.zeros(runs, dtype=bool)
    for _ in range(rules):
        claimed |= (~rates_hold(*draw_rates(rng, runs, scenario), 0.0, scenario.alpha)).any(1)
    return float(claimed.mean())


def power(rng: np.random.Generator, runs: int, scenario: Rates, wanted: float = 0.8) -> tuple[float, float, int]:
    """What the planner predicted by the number of visitors that it asked for, what came true, and that number."""
    change = scenario.treated - scenario.control
    spread = spread_of_rates(scenario.control, change, scenario.share)
    needed = visitors_for(abs(change), spread, wanted)
    assert needed is not None
    visitors = -(-needed // EVERY) * EVERY
    arms = draw_rates(rng, runs, scenario, visitors)
    came = float((~rates_hold(*arms, 0.0)).any(1).mean())
    return chance_by(visitors, abs(change), spread), came, needed


def power_of_money(rng: np.random.Generator, runs: int, scenario: Money) -> tuple[float, float, int]:
    """The same for a difference of means."""
    lifted = Money(scenario.share, scenario.pays * scenario.lift, scenario.sigma)
    spread = spread_of_means(scenario.variance, lifted.variance, scenario.share)
    effect = abs(lifted.mean - scenario.mean)
    needed = visitors_for(effect, spread)
    assert needed is not None
    visitors = -(-needed // EVERY) * EVERY
    return chance_by(visitors, effect, spread), money(rng, runs, scenario, visitors).claims, needed


def split_alarms(rng: np.random.Generator, runs: int, declared: Sequence[float], true: Sequence[float]) -> float:
    """Share of experiments in which the sample-ratio check raised an alarm at some look."""
    counts = rng.multinomial(EVERY, true, size=(runs, len(looks()))).cumsum(1)
    return float((_log_e(counts, np.array(declared)) > -np.log(ALARM_BELOW)).any(1).mean())


def _log_e(counts: Floats, share: Floats) -> Floats:
    """`split.log_e_value` of many at once; that they agree is a test of its own."""
    total = counts.sum(-1)
    values = [
        gammaln(k) - gammaln(k + total) + (gammaln(k * share + counts) - gammaln(k * share)).sum(-1)
        for k in CONCENTRATIONS
    ]
    mixed: Floats = logsumexp(values, axis=0) - np.log(len(values)) - (counts * np.log(share)).sum(-1)
    return mixed


def log_e_agrees(counts: Sequence[int], share: Sequence[float]) -> bool:
    return bool(np.isclose(_log_e(np.array(counts), np.array(share)), log_e_value(counts, share)))
