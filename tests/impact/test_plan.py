"""What the planner says; whether it comes true is in test_simulated.py."""

from __future__ import annotations

import pytest

from streams.impact.plan import POWER, chance_by, detectable_by, per_day, spread_of_rates, visitors_for

SPREAD = spread_of_rates(0.1, -0.02, 0.5)
HOUR_MS = 3_600_000


def test_the_visitors_needed_have_the_planned_chance() -> None:
    needed = visitors_for(0.02, SPREAD)
    assert needed is not None
    assert chance_by(needed, 0.02, SPREAD) == pytest.approx(POWER, abs=0.01)


def test_what_can_be_detected_by_then_is_the_planned_effect() -> None:
    needed = visitors_for(0.02, SPREAD)
    assert needed is not None
    assert detectable_by(needed, 0.1, SPREAD) == pytest.approx(0.02, rel=0.01)


def test_half_the_effect_needs_about_four_times_as_many() -> None:
    large, small = visitors_for(0.02, SPREAD), visitors_for(0.01, SPREAD)
    assert large is not None
    assert small is not None
    assert 3 < small / large < 5.5


def test_more_looks_cost_more_than_one_but_not_everything() -> None:
    single = (2.8 / (0.02 / SPREAD.tested)) ** 2
    assert 1 < (visitors_for(0.02, SPREAD) or 0) / single < 2


def test_unequal_arms_need_more() -> None:
    assert (visitors_for(0.02, spread_of_rates(0.1, -0.02, 0.1)) or 0) > 2 * (visitors_for(0.02, SPREAD) or 0)


def test_nothing_can_be_detected_by_too_few() -> None:
    assert detectable_by(30, 0.1, SPREAD) is None


def test_no_effect_is_never_planned() -> None:
    assert visitors_for(0.0, SPREAD) is None
    assert chance_by(10_000, 0.0, SPREAD) == 0


@pytest.mark.parametrize(("last", "expected"), [(HOUR_MS - 1, None), (HOUR_MS, 2_400.0), (2 * HOUR_MS, 1_200.0)])
def test_traffic_is_known_after_an_hour(last: int, expected: float | None) -> None:
    assert per_day(100, 0, last) == expected


def test_without_times_traffic_is_not_known() -> None:
    assert per_day(100, None, 5) is None
