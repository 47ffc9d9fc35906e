"""What a plan gives for a demand: enough of everything, and an honest list of what breaks first."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import SettingsError
from streams.plan.costs import COSTS, costs_with
from streams.plan.demand import Demand
from streams.plan.limits import LIMITS, limits_of
from streams.plan.sizing import Plan, api_us, event_us, plan, power_of_two, top_visitor_cost

OURS = costs_with({})
COSTS_OF_NINE = costs_with({"worker_us": 7, "worker_us_a_rule": 1, "worker_us_a_funnel": 1, "shed_us": 59 / 9})
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
    # 30,000 events/s at peak, 14 + 12 x 0.5 us each: 0.6 s of CPU a second; at 60 % of a core 1 worker; skew 2: 2
    # workers. A funnel of 20 us doubles that.
    demand = Demand(events_per_second=10_000, rules=12, funnels=0, live_visitors=1000, recovery_s=3600, skew=2)
    costs = costs_with({"worker_us": 14, "worker_us_a_rule": 0.5, "worker_us_a_funnel": 20})

    assert plan(demand, costs).workers == 2
    assert plan(replace(demand, events_per_second=20_000), costs).workers == 4
    assert plan(replace(demand, funnels=1), costs).workers == 4


def test_workers_for_memory_are_counted_by_hand() -> None:
    # 2^20 rows of 700 and 1 funnel's 100 bytes, 224 beside: 1 GiB. Of the 100 x 1,800 who are at the site no more than
    # 8 partitions' 16,384 are live, 8 KiB each: 1 GiB. A worker has room for 1 GiB: two.
    demand = Demand(
        events_per_second=1200, live_visitors=2**20, visit_events=12, funnels=1, worker_mib=1124, skew=1,
        recovery_s=3600,
    )  # fmt: skip
    costs = costs_with({
        "worker_base_mib": 100, "visitor_row_bytes": 700, "kept_row_bytes": 700, "row_bytes_a_funnel": 100,
        "visitor_overhead_bytes": 224,
        "visitor_hot_bytes": 8000, "hot_bytes_a_funnel": 192,
    })  # fmt: skip
    found = plan(demand, costs)

    assert (found.workers, found.partitions) == (2, 8)
    assert found.worker_memory_mib == pytest.approx(1124)


def test_recovery_reads_what_the_cleaner_has_left() -> None:
    # 1,000 visitors twice, and an hour of 10 rows a second; by 2 workers, at 380 a second, after 13 s.
    demand = Demand(events_per_second=10, live_visitors=1000, skew=1, recovery_s=3600)
    found = plan(demand, costs_with({"recovery_rows_per_s": 380, "rows_per_event": 1, "changelog_copies": 2}))

    assert found.rows_a_worker == 19_000
    assert found.recovery_s == pytest.approx(13 + 50)


def test_what_a_post_costs_is_shared_by_its_events() -> None:
    demand = Demand(events_per_second=1, events_per_post=4, reads_per_event=0.5)

    assert api_us(demand, costs_with({"post_us": 200, "collect_us": 30, "read_us": 100})) == 50 + 30 + 50


def test_the_compiled_core_costs_less_and_what_was_given_stays() -> None:
    assert event_us(Demand(events_per_second=1), costs_with({}, compiled=True)) < event_us(
        Demand(events_per_second=1), OURS
    )
    assert costs_with({"worker_us": 77}, compiled=True)["worker_us"] == 77


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


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recovery_s": 13}, "recovery s must be above 13, not 13: so long the group waits"),
        ({"worker_mib": 160}, "worker mib must be above 160, not 160: a worker without visitors"),
    ],
)
def test_what_no_number_of_workers_can_do_is_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        planned(Demand(**{"events_per_second": 1, **given}))


def test_an_unknown_cost_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"there is no cost 'worker_ms'; there are: worker_us, "):
        costs_with({"worker_ms": 1})


def test_a_cost_of_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="the cost worker_us must be greater than zero, not 0"):
        costs_with({"worker_us": 0})


def test_every_cost_says_where_it_comes_from() -> None:
    assert [name for name, cost in COSTS.items() if not cost.source or not cost.unit] == []


def test_the_commands_that_measure_costs_are_there() -> None:
    modules = {cost.command.split()[2] for cost in COSTS.values() if cost.command.startswith("python -m ")}

    assert [name for name in modules if find_spec(name) is None] == []


@pytest.mark.parametrize(("share", "cost"), [(0.0, 1), (0.0019, 1), (0.002, 1), (0.02, 0.2)])
def test_the_busiest_visitor_costs_less_where_he_is_shed(share: float, cost: float) -> None:
    """A minute's 1,200 are 20 a second; of 200, nine in ten are shed, at a ninth of the cost."""
    demand = Demand(events_per_second=10_000, peak_factor=1, top_visitor_share=share)
    assert top_visitor_cost(demand, COSTS_OF_NINE) == pytest.approx(cost)


def test_without_a_limit_the_busiest_visitor_costs_what_others_do() -> None:
    demand = Demand(events_per_second=10_000, top_visitor_share=0.05, visitor_events_per_minute_max=0)
    assert top_visitor_cost(demand, COSTS_OF_NINE) == 1
