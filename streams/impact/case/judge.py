"""Which antecedents are followed by more anti-conversions than the base rate, and by how many.

1. **Base.** In each stratum the share of those who had not done it (count.py), weighted as those who did are
   distributed over the strata: direct standardisation. Strata with fewer than OTHERS_MIN others are left out.
2. **Interval** of the number beyond the base: the two shares' own intervals combined by the method of variance
   estimates recovery (G. Y. Zou, A. Donner, Statistics in Medicine 27, 2008), which needs no normal distribution. Each
   is Clopper and Pearson's (Biometrika 26, 1934); that of the base with the sample size that its variance amounts to
   (E. L. Korn, B. I. Graubard, Survey Methodology 24, 1998). A visitor is one of the others in several strata, so their
   errors are added as if they went together, which can only widen it.
3. **p-value:** the largest error at which the interval still holds zero.
4. **How many were looked at.** Every antecedent that at least VISITORS_MIN visitors did, whatever followed, is one
   question for each outcome; that choice by frequency is independent of the answer (R. Bourgon, R. Gentleman, W. Huber,
   PNAS 107, 2010). Of what is shown, on average at most RATE_FALSE is false: Y. Benjamini, D. Yekutieli, Annals of
   Statistics 29 (2001), which holds however antecedents depend on each other, and they do: ways contain pages.
5. **Intervals of what was selected** have the error that the selection leaves each of them (Y. Benjamini, D. Yekutieli,
   "False discovery rate-adjusted multiple confidence intervals", JASA 100, 2005): what is shown never holds zero.
6. **Money:** the number beyond the base times what those outcomes cost on average, whose own spread is added.

`python -m tests.impact.case_simulate` measures what 3, 4 and 5 keep.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import betainccinv, betaincinv, ndtri

from streams.impact.case.count import Counts, Strata, Table

RATE_FALSE = 0.05
VISITORS_MIN = 20  # of fewer nothing can be seen after the correction, and nobody's own words are shown
OTHERS_MIN = 10  # in a stratum, to be compared with
_BISECTIONS = 48
_LOWEST = -200.0  # log of the smallest p-value that is told apart from none
_CENTS = 100
_MICROS = 1_000_000


class Shares(NamedTuple):
    """Arrays over antecedents: those who did it, and the base."""

    visitors: Table  # with somebody to compare with
    followed: Table
    base: Table  # the share that was to be expected
    base_n: Table  # the sample size that its variance amounts to


class Finding(NamedTuple):
    """One antecedent and one outcome. `row` and `lane` are numbers; shares from 0 to 1, money in the currency."""

    row: int
    lane: int
    visitors: int
    followed: int
    expected: float
    extra: float
    extra_low: float
    extra_high: float
    p: float
    each: float  # what the outcomes of one visitor cost on average
    cost: float
    cost_low: float
    cost_high: float


class Judged(NamedTuple):
    """The findings, dearest first; how many questions were asked, and the error of each interval."""

    findings: list[Finding]
    fewer: list[Finding]  # followed by fewer than the base
    questions: int
    error: float


def shares_of(strata: Strata) -> Shares:
    """Observed and expected shares of every antecedent."""
    valid = strata.others >= OTHERS_MIN
    exposed = np.where(valid, strata.exposed, 0)
    others = np.where(valid, strata.others, 1)
    visitors = exposed.sum(axis=1)
    weights = exposed / np.maximum(visitors, 1)[:, None]
    rates = np.where(valid, strata.others_followed / others, 0.0)
    base = (weights * rates).sum(axis=1)
    # One half added: a share of which nothing was seen has an error all the same.
    smooth = (np.where(valid, strata.others_followed, 0) + 0.5) / (others + 1)
    error = (weights * np.sqrt(smooth * (1 - smooth) / others)).sum(axis=1)
    middle = (weights * smooth).sum(axis=1)
    base_n = np.divide(middle * (1 - middle), error**2, out=np.ones_like(base), where=error > 0)
    return Shares(visitors, np.where(valid, strata.followed, 0).sum(axis=1), base, base_n)


def interval(shares: Shares, error: Any) -> tuple[Table, Table]:
    """Of the difference of the two shares (2); `error` for both sides together."""
    n, x = np.maximum(shares.visitors, 1).astype(float), shares.followed.astype(float)
    share = x / n
    low, high = _limits(x, n, error)
    base_low, base_high = _limits(shares.base * shares.base_n, shares.base_n, error)
    found = share - shares.base
    return (
        found - np.hypot(share - low, base_high - shares.base),
        found + np.hypot(high - share, shares.base - base_low),
    )


def _limits(x: Any, n: Any, error: Any) -> tuple[Table, Table]:
    """Clopper and Pearson's; `x` need not be whole."""
    tail = np.asarray(error) / 2
    low = np.where(x <= 0, 0.0, betaincinv(np.maximum(x, 1e-9), n - x + 1, tail))
    high = np.where(x >= n, 1.0, betainccinv(x + 1, np.maximum(n - x, 1e-9), tail))
    return low, high


def p_values(shares: Shares) -> Table:
    """The largest error at which the interval still holds zero (3)."""
    above = shares.followed > shares.base * shares.visitors
    low, high = np.full(len(above), _LOWEST), np.zeros(len(above))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        lower, upper = interval(shares, np.exp(middle))
        holds = np.where(above, lower <= 0, upper >= 0)
        low, high = np.where(holds, middle, low), np.where(holds, high, middle)
    return np.asarray(np.exp(high))


def selected_error(p: Table, questions: int, rate: float = RATE_FALSE) -> float:
    """The error below which an answer is selected (4), 0 when none is. `p` of all questions, in any order."""
    if not questions:
        return 0.0
    steps = np.arange(1, len(p) + 1) * rate / (questions * (1 / np.arange(1, questions + 1)).sum())
    good = np.nonzero(np.sort(p) <= steps)[0]
    return float(steps[good[-1]]) if len(good) else 0.0


def judge(counts: Counts, allowed: Any, rate: float = RATE_FALSE) -> Judged:
    """All answers. `allowed`: a truth value for each row and lane: whether the question makes sense."""
    counts.tidy()
    asked: list[tuple[int, Shares, Table]] = []
    for lane in range(len(counts.windows)):
        shares = shares_of(counts.strata(lane))
        rows = np.nonzero((shares.visitors >= VISITORS_MIN) & allowed[: len(shares.visitors), lane])[0]
        asked.append((lane, Shares(*(part[rows] for part in shares)), rows))
    p = [p_values(shares) for _, shares, _ in asked]
    every = np.concatenate(p) if p else np.zeros(0)
    error = selected_error(every, len(every), rate)
    findings: list[Finding] = []
    names = list(counts.rows)
    for (lane, shares, rows), values in zip(asked, p, strict=True):
        lower, upper = interval(shares, error or rate)
        for at in np.nonzero(values <= error)[0]:
            row = int(rows[at])
            ends = float(lower[at]), float(upper[at])
            paid = counts.paid(names[row], lane)
            findings.append(_finding((row, lane), shares, int(at), (float(values[at]), *ends, error), paid))
    more = [one for one in findings if one.extra > 0]
    return Judged(
        sorted(more, key=lambda one: (-one.cost, names[one.row], one.lane)),
        sorted((one for one in findings if one.extra < 0), key=lambda one: (one.extra, names[one.row], one.lane)),
        len(every), error,
    )  # fmt: skip


def _finding(
    where: tuple[int, int], shares: Shares, at: int, answer: tuple[float, float, float, float],
    paid: tuple[int, int, int],
) -> Finding:  # fmt: skip
    p, low, high, error = answer
    n, x, base = int(shares.visitors[at]), int(shares.followed[at]), float(shares.base[at])
    number, micros, squared = paid
    each = micros / _MICROS / number if number else 0.0
    spread = max(squared / _CENTS**2 - number * each**2, 0.0) / (number * (number - 1)) if number > 1 else 0.0
    reach = float(-ndtri(error / 2)) * spread**0.5
    extra, least, most = x - n * base, n * low, n * high
    cost, off = extra * each, extra * reach
    return Finding(
        *where, n, x, n * base, extra, least, most, p, each,
        cost, cost - float(np.hypot((extra - least) * each, off)), cost + float(np.hypot((most - extra) * each, off)),
    )  # fmt: skip
