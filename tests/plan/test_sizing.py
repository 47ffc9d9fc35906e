"""What a plan gives for a demand: enough of everything, and an honest list of what breaks first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import SettingsError
from streams.plan.costs import COSTS, costs_with
from streams.plan.demand import Demand
from streams.plan.limits import LIMITS, limits_of
from streams.plan.sizing import Plan, plan, power_of_two, top_visitor_cost

OURS = costs_with({})
COSTS_OF_NINE = costs_with({"shed_us": 39 / 9})  # of 39 us, what an event costs with 50 rules
loads = st.floats(min_value=1, max_value=1e6)


def planned(demand: Demand) -> Plan:
    return plan(demand, OURS)


@given(loads, st.integers(0, 500), st.floats(1, 10))
def test_a_plan_stands_its_own_load(rate: float, rules: int, peak: float) -> None:
    demand = Demand(events_per_second=rate, rules=rules, peak_factor=peak)
    exceeded = [one.limit.name for one in limits_of(demand, OURS, planned(demand)) if one.headroom < 0.999]

    assert exceeded == []


@given(loads)
def test_there_are_never_fewer_partitions_than_workers(rate: float) -> None:
    found = planned(Demand(events_per_second=rate))

    assert found.workers <= found.partitions


@given(loads, st.floats(1.5, 20))
def test_more_load_never_needs_less(rate: float, times: float) -> None:
    less, more = (planned(Demand(events_per_second=rate * factor)) for factor in (1, times))

    assert more.workers >= less.workers
    assert more.partitions >= less.partitions
    assert more.api_processes >= less.api_processes
    assert more.kafka_in_mb_per_s > less.kafka_in_mb_per_s


def test_workers_are_counted_by_hand() -> None:
    # 30,000 events/s at peak, 20 us each: 0.6 s of CPU a second; at 60 % of a core 1 worker; skew 2: 2 workers.
    demand = Demand(events_per_second=10_000, rules=12, live_visitors=1000, skew=2)
    costs = costs_with({"worker_us": 14, "worker_us_a_rule": 0.5})

    assert plan(demand, costs).workers == 2
    assert plan(replace(demand, events_per_second=20_000), costs).workers == 4


def test_visitors_follow_littles_law() -> None:
    # 100 visits a second stay 3,000 s each; a tenth of them a day.
    demand = Demand(events_per_second=1200, visit_events=12, visit_s=3000, exposed_share=0.1, exposed_s=86_400)

    assert demand.visitors == pytest.approx(100 * (3000 + 8640))
    assert replace(demand, live_visitors=7).visitors == 7


def test_a_bot_makes_its_partition_the_first_to_break() -> None:
    demand = Demand(events_per_second=100_000, top_visitor_share=0.5)

    assert limits_of(demand, OURS, planned(demand))[0].limit.name == "the busiest visitor's partition"


def test_a_short_recovery_needs_more_workers() -> None:
    demand = Demand(events_per_second=100_000)

    assert planned(replace(demand, recovery_s=15)).workers > planned(demand).workers


def test_limits_come_in_the_order_in_which_they_break() -> None:
    demand = Demand(events_per_second=5000)
    reached = limits_of(demand, OURS, planned(demand))

    assert len(reached) == len(LIMITS)
    assert [one.headroom for one in reached] == sorted(one.headroom for one in reached)


@pytest.mark.parametrize(("number", "power"), [(0, 1), (1, 1), (2, 2), (3, 4), (8, 8), (9, 16)])
def test_power_of_two(number: int, power: int) -> None:
    assert power_of_two(number) == power


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"events_per_second": 0}, "events per second must be above zero, not 0"),
        ({"events_per_second": float("nan")}, "events per second must be above zero, not nan"),
        ({"rules": -1}, "rules must be zero or more, not -1"),
        ({"utilisation": 1.5}, "utilisation is a share: at most 1, not 1.5"),
        ({"skew": 0.5}, "skew and peak factor are at least 1: the busiest is not below the mean"),
        ({"brokers": 2}, "3 replicas need as many brokers, not 2"),
    ],
)
def test_a_demand_that_means_nothing_is_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Demand(**{"events_per_second": 1, **given})

    assert str(refused.value) == message


def test_an_unknown_cost_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"there is no cost 'worker_ms'; there are: worker_us, "):
        costs_with({"worker_ms": 1})


def test_a_cost_of_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="the cost worker_us must be greater than zero, not 0"):
        costs_with({"worker_us": 0})


def test_every_cost_says_where_it_comes_from() -> None:
    assert [name for name, cost in COSTS.items() if not cost.source or not cost.unit] == []


@pytest.mark.parametrize(("share", "cost"), [(0.0, 1), (0.0019, 1), (0.002, 1), (0.02, 0.2)])
def test_the_busiest_visitor_costs_less_where_he_is_shed(share: float, cost: float) -> None:
    """A minute's 1,200 are 20 a second; of 200, nine in ten are shed, at a ninth of the cost."""
    demand = Demand(events_per_second=10_000, peak_factor=1, top_visitor_share=share)
    assert top_visitor_cost(demand, COSTS_OF_NINE) == pytest.approx(cost)


def test_without_a_limit_the_busiest_visitor_costs_what_others_do() -> None:
    demand = Demand(events_per_second=10_000, top_visitor_share=0.05, visitor_events_per_minute_max=0)
    assert top_visitor_cost(demand, COSTS_OF_NINE) == 1
