"""From a demand and the costs to numbers of things. Pure arithmetic, a line a formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from streams.plan.demand import Demand

_MIB = 1024 * 1024
_DAY_S = 86_400
# Room to grow without a new topic: doubling the workers must not need new partitions.
_PARTITIONS_A_WORKER = 2
_PARTITIONS_MIN = 8  # the setting's default
_WORKERS_MIN = 2  # and API processes: one may be lost
_ACTIVE_S = 30 * 60  # a visitor's live object is kept for about a session (at most 16,384 in a partition)
TOPICS = 8  # clickstream, decisions, suggestions, outcomes, journeys, deadletter, totals, the changelog


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demand needs. MiB are 2^20 bytes, MB/s are 10^6."""

    partitions: int
    workers: int
    worker_us: float  # CPU an event
    worker_memory_mib: float  # of one worker
    worker_memory_all_mib: float
    rows_a_worker: float
    recovery_s: float
    api_processes: int
    api_memory_all_mib: float
    kafka_in_mb_per_s: float  # at peak, all topics, before replication
    kafka_out_mb_per_s: float
    brokers: int
    broker_mb_per_s: float  # in and out of one broker, replication included, at peak
    kafka_disk_gib: float  # with replicas
    changelog_gib: float  # compacted, with replicas
    cells: int  # independent parts of the visitors, by site or hash: each has a cache and a Prometheus of its own
    redis_memory_mib: float  # of all cells
    redis_ops_per_s: float
    series: int  # in Prometheus


def plan(demand: Demand, costs: Mapping[str, float]) -> Plan:
    """Size everything for the demand's peak."""
    us = event_us(demand, costs)
    row = costs["visitor_row_bytes"]
    by_cpu = demand.peak * us / 1e6 / demand.utilisation
    by_memory = visitors_mib(demand, costs) / max(demand.worker_mib - costs["worker_base_mib"], 1)
    by_recovery = demand.visitors / max(recoverable_rows(demand, costs), 1)
    workers = max(ceil(max(by_cpu, by_memory, by_recovery) * demand.skew), _WORKERS_MIN)
    partitions = max(_PARTITIONS_MIN, power_of_two(workers * _PARTITIONS_A_WORKER))
    rows_a_worker = demand.visitors / workers * demand.skew
    worker_memory = costs["worker_base_mib"] + visitors_mib(demand, costs) / workers * demand.skew
    api_cpu = demand.peak * (costs["collect_us"] + demand.reads_per_event * costs["read_us"]) / 1e6
    api = max(ceil(api_cpu / demand.utilisation), _WORKERS_MIN)
    written = (
        demand.bytes_per_event + costs["rows_per_event"] * row + costs["effects_per_event"] * costs["effect_bytes"]
    )
    in_mb = demand.peak * written / 1e6
    out_mb = demand.peak * demand.bytes_per_event / 1e6  # workers fetch; the changelog is read in recovery only
    moved_mb = in_mb * (2 * demand.replication - 1) + out_mb  # to and into each other replica as well
    kept = demand.bytes_per_event + costs["effects_per_event"] * costs["effect_bytes"]
    replicas = TOPICS * partitions * demand.replication * demand.sites
    brokers = demand.brokers or max(
        ceil(moved_mb / costs["broker_mb_per_s"]), ceil(replicas / costs["broker_partitions"]), demand.replication
    )
    suggestions = demand.events_per_second * costs["effects_per_event"] * _ACTIVE_S  # an expiry is minutes
    found = series(demand, workers, api)
    redis_ops = demand.peak * (demand.reads_per_event + costs["effects_per_event"])
    return Plan(
        partitions=partitions,
        workers=workers,
        worker_us=us,
        worker_memory_mib=worker_memory,
        worker_memory_all_mib=worker_memory * workers,
        rows_a_worker=rows_a_worker,
        recovery_s=costs["detection_s"] + costs["rebalance_s"] + rows_a_worker / costs["recovery_rows_per_s"],
        api_processes=api,
        api_memory_all_mib=api * costs["api_base_mib"] + demand.open_streams * costs["stream_kib"] / 1024,
        kafka_in_mb_per_s=in_mb,
        kafka_out_mb_per_s=out_mb,
        brokers=brokers,
        broker_mb_per_s=moved_mb / brokers,
        kafka_disk_gib=demand.events_per_second * kept * _DAY_S * demand.retention_days * demand.replication / 1024**3,
        changelog_gib=2 * demand.visitors * row * demand.replication / 1024**3,  # compaction lets it double
        cells=max(
            ceil(redis_ops / (costs["redis_ops_per_s"] * demand.utilisation)),
            ceil(found / costs["prometheus_series"]), 1,
        ),
        redis_memory_mib=suggestions * costs["suggestion_redis_bytes"] / _MIB,
        redis_ops_per_s=redis_ops,
        series=found,
    )


def event_us(demand: Demand, costs: Mapping[str, float]) -> float:
    """CPU of a worker for one event, microseconds."""
    return costs["worker_us"] + demand.rules * costs["worker_us_a_rule"]


def top_visitor_cost(demand: Demand, costs: Mapping[str, float]) -> float:
    """What an event of the busiest visitor costs at peak beside another's: less, as those beyond the limit are shed."""
    sent, most = demand.peak * demand.top_visitor_share, demand.visitor_events_per_minute_max / 60
    if not most or sent <= most:
        return 1.0
    return (most + (sent - most) * costs["shed_us"] / event_us(demand, costs)) / sent


def cold_bytes(costs: Mapping[str, float]) -> float:
    """Memory of a visitor who is not at the site now."""
    return costs["visitor_row_bytes"] + costs["visitor_overhead_bytes"]


def visitors_mib(demand: Demand, costs: Mapping[str, float]) -> float:
    """Memory of all visitors, in all workers together."""
    hot = min(demand.visitors, demand.events_per_second / demand.visit_events * _ACTIVE_S)
    return (demand.visitors * cold_bytes(costs) + hot * costs["visitor_hot_bytes"]) / _MIB


def recoverable_rows(demand: Demand, costs: Mapping[str, float]) -> float:
    """Rows that one worker can read again in the time that a recovery may take."""
    reading_s = demand.recovery_s - costs["detection_s"] - costs["rebalance_s"]
    return max(reading_s, 0) * costs["recovery_rows_per_s"]


def series(demand: Demand, workers: int, api: int) -> int:
    """Time series in Prometheus: a few hundred a process, and about a dozen a rule and worker."""
    return workers * (300 + 12 * demand.rules) + api * 250


def power_of_two(number: int) -> int:
    """The next power of two at or above `number`."""
    return 1 << max(number - 1, 0).bit_length()
