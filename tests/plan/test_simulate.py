"""The simulation: seeded, whole, and in agreement with what can be calculated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.plan.simulate import Trial, by_worker, shares, simulate

TRIAL = Trial(events_per_second=20_000, event_us=25, partitions=16, workers=2, visitors=10_000)


def test_equal_trials_give_equal_figures() -> None:
    assert simulate(TRIAL) == simulate(TRIAL)
    assert simulate(TRIAL) != simulate(replace(TRIAL, seed=2))


@pytest.mark.parametrize("exponent", [0, 0.8, 1, 1.2])
@pytest.mark.parametrize("visitors", [5, 10_000, 100_000_000])
def test_shares_are_shares(exponent: float, visitors: int) -> None:
    loads = shares(replace(TRIAL, exponent=exponent, visitors=visitors))

    assert sum(loads) == pytest.approx(1)
    assert min(loads) >= 0


def test_the_bots_partition_has_its_share() -> None:
    assert max(shares(replace(TRIAL, top_share=0.4))) >= 0.4


def test_visitors_who_are_alike_and_many_spread_evenly() -> None:
    assert simulate(replace(TRIAL, exponent=0, visitors=10**9)).busiest_partition == pytest.approx(1, abs=0.01)


def test_every_partition_has_one_worker() -> None:
    loads = shares(TRIAL)

    assert sum(by_worker(loads, 3)) == pytest.approx(sum(loads))
    assert by_worker([1, 2, 3, 4, 5], 2) == [9, 6]


def test_catching_up_takes_what_the_rule_of_thumb_says() -> None:
    tried = simulate(replace(TRIAL, exponent=0, visitors=10**9, outage_s=120))
    used = tried.utilisation

    assert tried.catch_up_s == pytest.approx(120 * used / (1 - used), rel=0.1)


def test_a_worker_with_too_much_to_do_never_catches_up() -> None:
    tried = simulate(replace(TRIAL, events_per_second=200_000))

    assert tried.utilisation > 1
    assert tried.catch_up_s is None


def test_waits_grow_with_the_load() -> None:
    little, much = (simulate(replace(TRIAL, events_per_second=rate)) for rate in (20_000, 62_000))

    assert little.wait_p99_s < much.wait_p99_s
    assert much.wait_p50_s <= much.wait_p99_s


def test_a_bot_that_is_shed_loads_its_worker_less() -> None:
    applied, shed = (replace(TRIAL, top_share=0.4, top_cost=cost) for cost in (1.0, 0.2))
    assert simulate(shed).utilisation < simulate(applied).utilisation
