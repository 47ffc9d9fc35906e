"""Intervals: against their formulas, against brute force, and at their edges. Coverage: test_simulated.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from streams.impact.bounds import (
    EXPECTED_MIN,
    boundary,
    e_value,
    few,
    means_error,
    means_interval,
    rate_interval,
    rates_hold,
    rates_interval,
    rates_z,
    restricted_rates,
    tuning,
)

ARM = st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def test_the_boundary_is_the_published_one() -> None:
    rho2, t = tuning(), 5_000
    published = math.sqrt(2 * (t * rho2 + 1) / (t * t * rho2) * math.log(math.sqrt(t * rho2 + 1) / 0.05))
    assert float(boundary(t)) / math.sqrt(t) == pytest.approx(published)


@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_it_is_tightest_where_it_is_tuned_to(alpha: float) -> None:
    at_best = float(boundary(10_000, alpha, 10_000))
    assert at_best < min(float(boundary(10_000, alpha, other)) for other in (2_000, 7_000, 14_000, 50_000))


def test_it_is_wider_than_a_single_look_and_widest_at_first() -> None:
    reach = boundary(np.array([10, 100, 1_000, 10_000]))
    assert list(reach) == sorted(reach, reverse=True)
    assert reach[-1] > 1.96


def test_an_e_value_of_one_over_alpha_is_the_interval_s_end() -> None:
    t = np.array([100, 10_000, 1_000_000])
    assert e_value(boundary(t), t) == pytest.approx([20.0] * 3)


@settings(deadline=None)  # a busy machine is no defect
@given(ARM, ARM, st.floats(-0.95, 0.95))
def test_the_restricted_rates_are_the_likeliest_with_that_difference(
    control: tuple[int, int], treated: tuple[int, int], difference: float
) -> None:
    def unlikely(rate: float) -> float:
        arms = ((control, rate), (treated, rate + difference))
        clipped = [(n, x, min(max(share, 1e-12), 1 - 1e-12)) for (n, x), share in arms]
        return -sum(x * math.log(share) + (n - x) * math.log(1 - share) for n, x, share in clipped)

    found, other = restricted_rates(control, treated, difference)
    bounds = (max(0.0, -difference), min(1.0, 1 - difference))
    best = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    assert unlikely(float(found)) <= best.fun + 1e-4
    assert float(other) == pytest.approx(float(found) + difference)


@settings(deadline=None)  # a busy machine is no defect
@given(ARM, ARM)
def test_an_interval_holds_the_observed_difference_and_is_one_of_differences(
    control: tuple[int, int], treated: tuple[int, int]
) -> None:
    found = rates_interval(control, treated)
    assert found is not None
    observed = treated[1] / treated[0] - control[1] / control[0]
    assert -1 <= found.low <= observed + 1e-9
    assert observed - 1e-9 <= found.high <= 1


@pytest.mark.parametrize("arms", [((1_000, 100), (9_000, 700)), ((40, 3), (60, 1)), ((5_000, 30), (5_000, 11))])
def test_a_difference_holds_exactly_within_the_interval(arms: tuple[tuple[int, int], tuple[int, int]]) -> None:
    low, high = rates_interval(*arms) or (0, 0)
    inside = [rates_hold(*arms, value) for value in (low + 1e-9, high - 1e-9)]
    outside = [rates_hold(*arms, value) for value in (low - 1e-9, high + 1e-9)]
    assert (all(inside), any(outside)) == (True, False)


def test_arms_exchanged_give_the_interval_mirrored() -> None:
    one, other = rates_interval((300, 30), (900, 120)), rates_interval((900, 120), (300, 30))
    assert one is not None
    assert other is not None
    assert one == pytest.approx((-other.high, -other.low), abs=1e-9)


def test_no_outcome_at_all_is_no_certainty() -> None:
    found = rates_interval((10, 0), (90, 0))
    assert found is not None
    assert found.low < -0.2
    assert found.high > 0.03


def test_an_arm_without_visitors_has_no_interval() -> None:
    assert rates_interval((0, 0), (10, 1)) is None
    assert means_interval((0, 0.0, 0.0), (10, 1.0, 1.0)) is None


@pytest.mark.parametrize(("happened", "is_few"), [(4, True), (5, False), (6, False)])
def test_few_outcomes_are_fewer_than_five_expected_in_the_smaller_arm(happened: int, is_few: bool) -> None:
    arms = (100, happened), (900, 9 * happened)
    assert EXPECTED_MIN == 5
    assert bool(few(*arms)) is is_few


def test_few_without_the_outcome_are_few_too() -> None:
    assert bool(few((100, 97), (100, 97)))


def test_z_is_the_score_test_s() -> None:
    pooled = (30 + 50) / 800
    expected = (50 / 500 - 30 / 300) / math.sqrt(pooled * (1 - pooled) * (1 / 300 + 1 / 500))
    assert float(rates_z((300, 30), (500, 50))) == expected == 0
    pooled = (30 + 90) / 800
    expected = (90 / 500 - 30 / 300) / math.sqrt(pooled * (1 - pooled) * (1 / 300 + 1 / 500))
    assert float(rates_z((300, 30), (500, 90))) == pytest.approx(expected)


def test_the_error_of_means_is_the_larger_of_both() -> None:
    unpooled, pooled = math.sqrt(4 / 10 + 1 / 90), math.sqrt((40 + 90) / 100 * (1 / 10 + 1 / 90))
    assert float(means_error((10, 4.0), (90, 1.0))) == pytest.approx(max(unpooled, pooled))
    unpooled, pooled = math.sqrt(1 / 10 + 4 / 90), math.sqrt((10 + 360) / 100 * (1 / 10 + 1 / 90))
    assert float(means_error((10, 1.0), (90, 4.0))) == pytest.approx(max(unpooled, pooled))


def test_equal_amounts_say_nothing_of_the_spread() -> None:
    assert means_interval((10, 3.0, 0.0), (10, 3.0, 0.0)) is None


@pytest.mark.parametrize(("visitors", "happened"), [(0, 0), (1, 0), (1, 1), (50, 0), (50, 50)])
def test_one_rate_at_the_edges(visitors: int, happened: int) -> None:
    low, high = rate_interval(visitors, happened)
    assert 0 <= low <= high <= 1
    assert (float(low) == 0) == (happened == 0)
    assert (float(high) == 1) == (happened == visitors)
