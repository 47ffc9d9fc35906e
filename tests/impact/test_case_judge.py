"""From sums to answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from streams.impact.case.count import STRATA, Strata
from streams.impact.case.judge import OTHERS_MIN, Shares, interval, p_values, selected_error, shares_of


def shares(visitors: int, followed: int, base: float, base_n: float = 1e9) -> Shares:
    return Shares(*(np.array([value]) for value in (visitors, followed, base, base_n)))


def strata(**values: list[int]) -> Strata:
    padded = {name: np.array([[*value, *[0] * (STRATA - len(value))]]) for name, value in values.items()}
    return Strata(**padded)


def test_the_base_is_weighted_as_those_are_who_did_it() -> None:
    made = shares_of(strata(exposed=[30, 10], followed=[9, 1], others=[1000, 100], others_followed=[100, 50]))
    assert made.visitors[0] == 40
    assert made.base[0] == pytest.approx((30 * 0.1 + 10 * 0.5) / 40)


@pytest.mark.parametrize(("others", "visitors"), [(OTHERS_MIN - 1, 30), (OTHERS_MIN, 40), (OTHERS_MIN + 1, 40)])
def test_where_nobody_can_be_compared_with_nobody_is_counted(others: int, visitors: int) -> None:
    made = shares_of(strata(exposed=[30, 10], followed=[9, 9], others=[1000, others], others_followed=[100, 0]))
    assert made.visitors[0] == visitors


def test_beside_a_known_base_the_interval_is_clopper_and_pearsons() -> None:
    low, high = interval(shares(50, 12, 0.1), 0.05)
    known = binomtest(12, 50).proportion_ci(0.95)
    assert low[0] == pytest.approx(known.low - 0.1, abs=1e-4)
    assert high[0] == pytest.approx(known.high - 0.1, abs=1e-4)


def test_an_uncertain_base_makes_it_wider() -> None:
    known, guessed = interval(shares(50, 12, 0.1), 0.05), interval(shares(50, 12, 0.1, 40), 0.05)
    assert guessed[0][0] < known[0][0]
    assert guessed[1][0] > known[1][0]


@pytest.mark.parametrize(("visitors", "followed", "base"), [(50, 12, 0.1), (200, 3, 0.1), (20, 0, 0.4), (20, 20, 0.5)])
def test_the_p_value_is_where_the_interval_meets_zero(visitors: int, followed: int, base: float) -> None:
    one = shares(visitors, followed, base, 500)
    p = p_values(one)[0]
    for error, holds in ((p * 0.98, True), (p * 1.02, False)):
        low, high = interval(one, error)
        assert bool(low[0] <= 0 <= high[0]) is holds


def test_no_difference_has_a_p_value_of_one() -> None:
    assert p_values(shares(100, 10, 0.1))[0] == pytest.approx(1.0)


def test_the_selection_is_benjamini_and_yekutielis() -> None:
    """Worked by hand: m = 4, c = 1 + 1/2 + 1/3 + 1/4 = 25/12, steps of 0.05 / (4 c) = 0.006."""
    assert selected_error(np.array([0.5, 0.005, 0.013, 0.9]), 4) == pytest.approx(0.006)
    assert selected_error(np.array([0.5, 0.005, 0.012, 0.9]), 4) == pytest.approx(0.012)
    assert selected_error(np.array([0.017, 0.0175, 0.0179, 0.9]), 4) == pytest.approx(0.018)
    assert selected_error(np.array([0.5, 0.0061, 0.9, 0.9]), 4) == 0
    assert selected_error(np.array([]), 0) == 0
