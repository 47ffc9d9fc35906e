"""From a demand and the costs to numbers of things. Pure arithmetic, a line a formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from streams.errors import SettingsError
from streams.plan.demand import Demand
from streams.plan.topics import TOPICS, Topic, changelog_rows, resting_bytes, topics

_MIB = 1024 * 1024
# Room to grow without a new topic: doubling the workers must not need new partitions.
_PARTITIONS_A_WORKER = 2
_PARTITIONS_MIN = 8  # the setting's default
_WORKERS_MIN = 2  # and API processes: one may be lost
_ACTIVE_S = 30 * 60  # a visitor's live object is kept for about a session, if there are not more than:
HOT_VISITORS_MAX = 16_384  # of a partition (worker/partition.py)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demand needs. MiB are 2^20 bytes, MB/s are 10^6."""

    partitions: int
    workers: int
    worker_us: float  # CPU an event
    worker_memory_mib: float  # of one worker
    worker_memory_all_mib: float
    visitors_a_worker: float
    rows_a_worker: float  # of the changelog, to be read by a worker that begins
    recovery_s: float
    api_processes: int
    api_memory_all_mib: float
    topics: tuple[Topic, ...]
    kafka_in_mb_per_s: float  # at peak, all topics, before replication
    kafka_out_mb_per_s: float
    brokers: int
    broker_mb_per_s: float  # in and out of one broker, replication included, at peak
    kafka_disk_gib: float  # with replicas
    cells: int  # independent parts of the visitors, by site or hash: each has a cache and a Prometheus of its own
    redis_memory_mib: float  # of all cells
    redis_ops_per_s: float
    series: int  # in Prometheus


def plan(demand: Demand, costs: Mapping[str, float]) -> Plan:
    """Size everything for the demand's peak. Raises SettingsError for what no number of workers can do."""
    _refuse_impossible(demand, costs)
    us = event_us(demand, costs)
    workers, partitions = _workers(demand, costs)
    rows_a_worker = changelog_rows(demand, costs) / workers * demand.skew
    worker_memory = costs["worker_base_mib"] + visitors_mib(demand, costs, partitions) / workers * demand.skew
    api = max(ceil(demand.peak * api_us(demand, costs) / 1e6 / demand.utilisation), _WORKERS_MIN)
    found_topics = tuple(topics(demand, costs, partitions))
    in_mb = sum(topic.mb_per_s for topic in found_topics)
    out_mb = found_topics[0].mb_per_s  # workers fetch the events; the changelog is read in recovery only
    moved_mb = in_mb * (2 * demand.replication - 1) + out_mb  # to and into each other replica as well
    replicas = TOPICS * partitions * demand.replication * demand.sites
    brokers = demand.brokers or max(
        ceil(moved_mb / costs["broker_mb_per_s"]), ceil(replicas / costs["broker_partitions"]), demand.replication
    )
    suggestions = demand.events_per_second * costs["suggestions_per_event"] * _ACTIVE_S  # an expiry is minutes
    found = series(demand, workers, api)
    redis_ops = demand.peak * (
        demand.reads_per_event + costs["suggestions_per_event"] + 1 / demand.events_per_post  # which counts for limits
    )
    return Plan(
        partitions=partitions,
        workers=workers,
        worker_us=us,
        worker_memory_mib=worker_memory,
        worker_memory_all_mib=worker_memory * workers,
        visitors_a_worker=demand.visitors / workers * demand.skew,
        rows_a_worker=rows_a_worker,
        recovery_s=costs["detection_s"] + costs["rebalance_s"] + rows_a_worker / costs["recovery_rows_per_s"],
        api_processes=api,
        api_memory_all_mib=api * costs["api_base_mib"] + demand.open_streams * costs["stream_kib"] / 1024,
        topics=found_topics,
        kafka_in_mb_per_s=in_mb,
        kafka_out_mb_per_s=out_mb,
        brokers=brokers,
        broker_mb_per_s=moved_mb / brokers,
        kafka_disk_gib=sum(topic.disk_gib for topic in found_topics),
        cells=max(
            ceil(redis_ops / (costs["redis_ops_per_s"] * demand.utilisation)),
            ceil(found / costs["prometheus_series"]), 1,
        ),
        redis_memory_mib=suggestions * costs["suggestion_redis_bytes"] / _MIB,
        redis_ops_per_s=redis_ops,
        series=found,
    )  # fmt: skip


def _refuse_impossible(demand: Demand, costs: Mapping[str, float]) -> None:
    waited_s = costs["detection_s"] + costs["rebalance_s"]
    if demand.recovery_s <= waited_s:
        raise SettingsError(
            f"recovery s must be above {waited_s:g}, not {demand.recovery_s:g}: so long the group waits before anybody "
            "reads (the costs detection_s and rebalance_s)"
        )
    if demand.worker_mib <= costs["worker_base_mib"]:
        raise SettingsError(
            f"worker mib must be above {costs['worker_base_mib']:g}, not {demand.worker_mib:g}: a worker without "
            "visitors has as much (the cost worker_base_mib)"
        )


def _workers(demand: Demand, costs: Mapping[str, float]) -> tuple[int, int]:
    """Workers and partitions. More partitions may hold more live objects, and those may need more workers: again, then.

    That ends: what all partitions together hold live is bounded by who is at the site.
    """
    by_cpu = demand.peak * event_us(demand, costs) / 1e6 / demand.utilisation
    by_recovery = changelog_rows(demand, costs) / recoverable_rows(demand, costs)
    workers = max(ceil(max(by_cpu, by_recovery) * demand.skew), _WORKERS_MIN)
    while True:
        partitions = max(_PARTITIONS_MIN, power_of_two(workers * _PARTITIONS_A_WORKER))
        room_mib = demand.worker_mib - costs["worker_base_mib"]
        needed = ceil(visitors_mib(demand, costs, partitions) / room_mib * demand.skew)
        if needed <= workers:
            return workers, partitions
        workers = needed


def event_us(demand: Demand, costs: Mapping[str, float]) -> float:
    """CPU of a worker for one event, microseconds."""
    return (
        costs["worker_us"] + demand.rules * costs["worker_us_a_rule"] + demand.funnels * costs["worker_us_a_funnel"]
    )


def api_us(demand: Demand, costs: Mapping[str, float]) -> float:
    """CPU of API processes for one event and the reads that come with it, microseconds."""
    return costs["post_us"] / demand.events_per_post + costs["collect_us"] + demand.reads_per_event * costs["read_us"]


def top_visitor_cost(demand: Demand, costs: Mapping[str, float]) -> float:
    """What an event of the busiest visitor costs at peak beside another's: less, as those beyond the limit are shed."""
    sent, most = demand.peak * demand.top_visitor_share, demand.visitor_events_per_minute_max / 60
    if not most or sent <= most:
        return 1.0
    return (most + (sent - most) * costs["shed_us"] / event_us(demand, costs)) / sent


def cold_bytes(demand: Demand, costs: Mapping[str, float]) -> float:
    """Memory of a visitor in the mean, beside a live object."""
    return resting_bytes(demand, costs) + costs["visitor_overhead_bytes"]


def visitors_mib(demand: Demand, costs: Mapping[str, float], partitions: int) -> float:
    """Memory of all visitors, in all workers together."""
    at_the_site = demand.events_per_second / demand.visit_events * _ACTIVE_S
    hot = min(demand.visitors, at_the_site, partitions * HOT_VISITORS_MAX)
    object_bytes = costs["visitor_hot_bytes"] + demand.funnels * costs["hot_bytes_a_funnel"]
    return (demand.visitors * cold_bytes(demand, costs) + hot * object_bytes) / _MIB


def recoverable_rows(demand: Demand, costs: Mapping[str, float]) -> float:
    """Rows that one worker can read again in the time that a recovery may take."""
    reading_s = demand.recovery_s - costs["detection_s"] - costs["rebalance_s"]
    return reading_s * costs["recovery_rows_per_s"]


def series(demand: Demand, workers: int, api: int) -> int:
    """Time series in Prometheus: a few hundred a process; about a dozen a rule and fifty a funnel, and worker."""
    return workers * (300 + 12 * demand.rules + 50 * demand.funnels) + api * 250


def power_of_two(number: int) -> int:
    """The next power of two at or above `number`."""
    return 1 << max(number - 1, 0).bit_length()
