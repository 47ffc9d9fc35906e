"""What could be seen by now, and how long until the planned effect could be seen.

Under repeated looks there is no closed formula. A difference, in standard errors and times the root of the visitors, is
a Brownian motion with a drift (the same limit on which `bounds` rests); PATHS of them are drawn, always the same ones,
and the moment at which each leaves the interval's boundary is noted. The stated ERROR is twice the standard error of a
share near 80 % over so many paths, and what the limit and the looks in between add; `tests/impact` compares the
prediction with simulated experiments.
"""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.impact.bounds import ALPHA, BEST_AT, Floats, boundary, means_error

PATHS = 3_000
LOOKS = 240
ERROR = 0.04
POWER = 0.8
_FIRST, _LAST = 1 / 50, 40.0  # of the visitors that a single look would need: earlier nothing is seen, later hardly
_SINGLE_LOOK = 2.8  # standard errors at which one look at 5 % has a power of 80 %
_HALVINGS = 14  # to a sixteen-thousandth of the largest effect
_SEED = 20_261_122
_DAY_MS = 86_400_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Effects are differences in the measure's own unit, always positive; visitors are those of both arms together."""

    effect: float  # that which was planned for
    power: float = POWER
    detectable: float | None = None  # the smallest effect that had this chance of being seen by now; None: not even all
    chance: float | None = None  # that the planned effect would have been seen by now
    needed: int | None = None  # visitors until it would be; None: beyond what can be computed
    more: int | None = None  # of them, those still to come
    per_day: float | None = None
    days: float | None = None


class Spread(NamedTuple):
    """Of one visitor: standard errors of a difference are these over the root of all visitors.

    `actual` is how much the difference really varies; `tested` is the error that the interval reckons with when it
    excludes 0 (see `bounds`, 2 and 3). They differ where arms are of different sizes.
    """

    actual: float
    tested: float


def spread_of_rates(rate: float, change: float, control_share: float) -> Spread:
    """For a rate in the control arm and another that is higher by `change` in the treated one."""
    other = min(max(rate + change, 0.0), 1.0)
    shared = control_share * rate + (1 - control_share) * other
    return Spread(
        sqrt(rate * (1 - rate) / control_share + other * (1 - other) / (1 - control_share)),
        sqrt(shared * (1 - shared) * (1 / control_share + 1 / (1 - control_share))),
    )


def spread_of_means(control_variance: float, treated_variance: float, control_share: float) -> Spread:
    """As `spread_of_rates`, of a difference of means."""
    actual = sqrt(control_variance / control_share + treated_variance / (1 - control_share))
    shares = (control_share, control_variance), (1 - control_share, treated_variance)
    return Spread(actual, float(means_error(*shares)))


def chance_by(visitors: float, effect: float, spread: Spread, alpha: float = ALPHA, best_at: float = BEST_AT) -> float:
    """How likely it is that an interval has excluded 0 at some look until `visitors`, if the truth is `effect`."""
    if effect <= 0 or spread.tested <= 0 or visitors <= 0:
        return 0.0
    _, outside = _outside(effect, spread, alpha, best_at, visitors)
    return float(np.mean(outside.any(axis=1)))


def visitors_for(
    effect: float, spread: Spread, power: float = POWER, alpha: float = ALPHA, best_at: float = BEST_AT
) -> int | None:
    """Visitors by whom the effect has been seen with this chance."""
    if effect <= 0 or spread.tested <= 0:
        return None
    at, outside = _outside(effect, spread, alpha, best_at)
    crossings = np.where(outside.any(axis=1), at[outside.argmax(axis=1)], np.inf)
    needed = float(np.quantile(crossings, power, method="higher"))
    return None if np.isinf(needed) else int(np.ceil(needed))


def detectable_by(
    visitors: float, largest: float, spread: Spread, power: float = POWER,
    alpha: float = ALPHA, best_at: float = BEST_AT,
) -> float | None:
    """The smallest effect that had this chance of being seen; None where `largest` has not."""
    if chance_by(visitors, largest, spread, alpha, best_at) < power:
        return None
    low, high = 0.0, largest
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        seen = chance_by(visitors, middle, spread, alpha, best_at) >= power
        low, high = (low, middle) if seen else (middle, high)
    return high


def per_day(visitors: int, first_at: int | None, last_at: int | None) -> float | None:
    """Exposed visitors a day; None before an hour has passed, of which nothing can be said about a day."""
    if first_at is None or last_at is None or last_at - first_at < _DAY_MS / 24:
        return None
    return visitors / ((last_at - first_at) / _DAY_MS)


def _outside(
    effect: float, spread: Spread, alpha: float, best_at: float, until: float = np.inf
) -> tuple[Floats, NDArray[np.bool_]]:
    """The looks, in visitors, up to `until`; and of every path whether it lies outside the boundary at each."""
    drift, noise = effect / spread.tested, spread.actual / spread.tested
    grid, paths = _looks()
    single = (_SINGLE_LOOK / drift) ** 2
    number = int(np.searchsorted(grid, until / single, side="right"))
    at = grid[:number] * single
    moved = paths[:, :number] * (noise * sqrt(single))
    moved += drift * at
    return at, np.abs(moved, out=moved) > boundary(at, alpha, best_at) * np.sqrt(at)


@cache
def _looks() -> tuple[Floats, Floats]:
    """In units of what a single look would need: the looks, and the paths at each of them."""
    grid = np.geomspace(_FIRST, _LAST, LOOKS)
    between = np.sqrt(np.diff(grid, prepend=0.0))
    steps = np.random.default_rng(_SEED).standard_normal((PATHS, LOOKS)) * between
    return grid, np.cumsum(steps, axis=1)
