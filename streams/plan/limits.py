"""What breaks first: for each limit the load at which it is reached, and what to do then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streams.plan.demand import Demand
from streams.plan.sizing import Plan, api_us, event_us, recoverable_rows, top_visitor_cost
from streams.plan.topics import TOPICS

Costs = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit. `ceiling` gives the mean events a second at which it is reached with this plan."""

    name: str
    formula: str
    remedy: str
    ceiling: Callable[[Demand, Costs, Plan], float]


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit beside a demand: `headroom` 2 means that the load may double; below 1 it is exceeded."""

    limit: Limit
    ceiling: float  # events a second, mean
    headroom: float


def _core(demand: Demand, costs: Costs) -> float:
    """Events a second that one core takes at the planned utilisation."""
    return 1e6 / event_us(demand, costs) * demand.utilisation


def _hot_visitor(demand: Demand, costs: Costs, plan: Plan) -> float:
    """The partition of the busiest visitor must fit on one core with its share of everybody else."""
    share = demand.top_visitor_share * top_visitor_cost(demand, costs)
    share += (1 - demand.top_visitor_share) / plan.partitions
    return _core(demand, costs) / demand.peak_factor / share


LIMITS: tuple[Limit, ...] = (
    Limit(
        "workers' cores", "workers x core at the planned utilisation / skew",
        "add workers, as many as there are partitions",
        lambda d, c, p: p.workers * _core(d, c) / d.skew / d.peak_factor,
    ),
    Limit(
        "partitions", "partitions x core at the planned utilisation / skew",
        "a worker more than partitions is refused. New topics with more partitions, and a replay of the log into them;"
        " choose twice what you need at the start",
        lambda d, c, p: p.partitions * _core(d, c) / d.skew / d.peak_factor,
    ),
    Limit(
        "the busiest visitor's partition",
        "core at the planned utilisation / (share of the top visitor, shed ones by their cost, + 1 / partitions)",
        "lower AVERT_VISITOR_EVENTS_PER_MINUTE_MAX, so that more of a bot is shed; keep bots out at the CDN: what is"
        " shed has been fetched and read",
        _hot_visitor,
    ),
    Limit(
        "recovery of a lost worker", "rows of the changelog a worker / rows read a second + detection + rebalance",
        "more workers, so that each reads fewer rows; a shorter delay of outcomes (AVERT_OUTCOME_DELAY_MS); or let it"
        " take longer (--recovery-s)",
        lambda d, c, p: d.events_per_second * recoverable_rows(d, c) / p.rows_a_worker,
    ),
    Limit(
        "a worker's memory", "base + rows x (row + overhead) + hot visitors x live object",
        "more workers; a shorter attribution window; rules with smaller state (avert rules show --cost)",
        lambda d, c, p: d.events_per_second * (d.worker_mib - c["worker_base_mib"])
        / max(p.worker_memory_mib - c["worker_base_mib"], 1e-9),
    ),
    Limit(
        "API processes", "processes x 1 / (post / events a post + collect + reads x read) at the planned utilisation",
        "add API processes; they share nothing but Kafka and Redis",
        lambda d, c, p: p.api_processes * d.utilisation * 1e6
        / api_us(d, c) / d.peak_factor,
    ),
    Limit(
        "Kafka brokers' network", "brokers x what one takes / (in x (2 x replication - 1) + out)",
        "add brokers; fewer rules and funnels that fire often; nothing else that reads these topics at peak",
        lambda d, c, p: d.events_per_second * c["broker_mb_per_s"] / p.broker_mb_per_s,
    ),
    Limit(
        "Kafka brokers' partitions", "brokers x replicas that one holds / (topics x partitions x replication x sites)",
        "fewer partitions a site; several sites behind one topic prefix; more brokers",
        lambda d, c, p: d.events_per_second * p.brokers * c["broker_partitions"]
        / (TOPICS * p.partitions * d.replication * d.sites),
    ),
    Limit(
        "the cache", "cells x commands a second of one core / (reads + suggestions + posts) an event",
        "event streams instead of polling; several cells, each with its own cache: by site or visitor",
        lambda d, c, p: d.events_per_second * p.cells * c["redis_ops_per_s"] * d.utilisation
        / max(p.redis_ops_per_s, 1e-9),
    ),
    Limit(
        "Prometheus", "cells x series of one / (workers x (300 + 12 x rules + 50 x funnels) + API processes x 250)",
        "recording rules; drop the per-rule series of shadow rules; one Prometheus a cell",
        lambda d, c, p: d.events_per_second * p.cells * c["prometheus_series"] / max(p.series, 1),
    ),
)  # fmt: skip


def limits_of(demand: Demand, costs: Costs, plan: Plan) -> list[Reached]:
    """Every limit, the one that breaks first at the top."""
    reached = [
        Reached(limit, ceiling, ceiling / demand.events_per_second)
        for limit in LIMITS
        for ceiling in (limit.ceiling(demand, costs, plan),)
    ]
    return sorted(reached, key=lambda one: one.headroom)
