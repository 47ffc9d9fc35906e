"""Simulated experiments with a known truth, seeded: the promises, on fewer experiments than `simulate` draws."""

from __future__ import annotations

import numpy as np
import pytest

from streams.impact.assess import assess
from streams.impact.bounds import ALPHA, rates_hold
from streams.impact.model import ArmTotals, OutcomeInfo, OutcomeTotals, RuleTotals, Totals
from streams.impact.plan import ERROR
from tests.impact.experiments import (
    Money,
    Rates,
    draw_rates,
    log_e_agrees,
    money,
    power,
    rates,
    several,
    split_alarms,
)

RUNS = 600


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_261_122)


@pytest.mark.parametrize(
    "scenario",
    [
        Rates(0.5, 0.1, 0.1), Rates(0.5, 0.1, 0.08), Rates(0.1, 0.05, 0.05), Rates(0.1, 0.005, 0.005),
        Rates(0.1, 0.005, 0.003), Rates(0.02, 0.002, 0.002),
    ],
    ids=lambda one: one.name,
)  # fmt: skip
def test_intervals_of_rates_hold_the_truth_at_every_look(scenario: Rates, rng: np.random.Generator) -> None:
    seen = rates(rng, RUNS, scenario)
    assert seen.covered >= 1 - ALPHA
    if scenario.control == scenario.treated:
        assert seen.claims <= ALPHA


@pytest.mark.parametrize(
    "scenario",
    [Money(0.5, 0.03, 1.0), Money(0.1, 0.03, 1.5, 0.8), Money(0.1, 0.3, 1.0)],
    ids=lambda one: one.name,
)  # fmt: skip
def test_intervals_of_skewed_money_hold_the_truth_at_every_look(scenario: Money, rng: np.random.Generator) -> None:
    seen = money(rng, RUNS // 2, scenario)
    assert seen.covered >= 1 - ALPHA
    if scenario.lift == 1:
        assert seen.claims <= ALPHA


def test_an_interval_that_is_made_for_one_look_does_not(rng: np.random.Generator) -> None:
    """That the simulation can tell: of useless rules, a third and more look good at some look."""
    assert rates(rng, RUNS, Rates(0.5, 0.1, 0.1)).naive > 0.3


def test_ten_useless_rules_together_claim_nothing(rng: np.random.Generator) -> None:
    assert several(rng, 300, 10) <= ALPHA


@pytest.mark.parametrize("scenario", [Rates(0.5, 0.1, 0.08), Rates(0.1, 0.1, 0.07)], ids=lambda one: one.name)
def test_the_planner_s_power_comes_true(scenario: Rates, rng: np.random.Generator) -> None:
    predicted, came, _ = power(rng, 4 * RUNS, scenario)
    assert came == pytest.approx(predicted, abs=ERROR)


def test_the_split_check_cries_no_wolf_and_sees_one(rng: np.random.Generator) -> None:
    assert log_e_agrees((480, 520), (0.5, 0.5))
    assert split_alarms(rng, 3_000, (0.1, 0.9), (0.1, 0.9)) <= 0.001
    assert split_alarms(rng, 300, (0.5, 0.5), (0.47, 0.53)) > 0.95


def test_what_was_measured_here_is_what_a_report_says(rng: np.random.Generator) -> None:
    (n0, x0), (n1, x1) = draw_rates(rng, 1, Rates(0.1, 0.02, 0.01))
    for at in (0, 1, 5, 20, 100, 199):
        arms = [
            ArmTotals(arm=name, visitors=int(n[0, at]), outcomes={"chat": OutcomeTotals(visitors=int(x[0, at]))})
            for name, n, x in (("control", n0, x0), ("treated", n1, x1))
        ]
        totals = Totals(currency="EUR", outcomes=[OutcomeInfo(name="chat", kind="anti_conversion")],
                        rules=[RuleTotals(rule="r", target="chat", arms=arms)])  # fmt: skip
        found = assess(totals).rules[0].arms[0].primary.rate
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        cell = tuple((n[:, at], x[:, at]) for n, x in ((n0, x0), (n1, x1)))
        for difference in (found.low + 1e-6, found.high - 1e-6):
            assert bool(rates_hold(cell[0], cell[1], difference)[0])
        for difference in (found.low - 1e-6, found.high + 1e-6):
            assert not bool(rates_hold(cell[0], cell[1], difference)[0])
