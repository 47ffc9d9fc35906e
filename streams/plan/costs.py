"""What an event, a visitor and a partition cost: measured figures, each with where it comes from.

They are of one machine. Measure on yours (`make bench`), and give what differs: ``avert plan --set worker_us=18``.
A figure that was not measured but assumed says so; see `Cost.measured`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Cost:
    """One figure: its value in `unit`, and its source."""

    value: float
    unit: str
    source: str
    measured: bool = True


# The machine: 4 shared virtual cores (Intel Xeon), Python 3.11, Apache Kafka 4.3.1, 2026-11-22.
COSTS: Mapping[str, Cost] = {
    # --- worker
    "worker_us": Cost(14.0, "CPU us an event", "bench.worker: everything but the rules"),
    "worker_us_a_rule": Cost(0.5, "CPU us an event and rule", "bench.worker, 20 rules of which most listen"),
    "shed_us": Cost(6, "CPU us an event", "bench.hotkey: read and shed (4.2 to 6.7; applied: 27 to 29), and 1 fetched"),
    "worker_base_mib": Cost(130, "MiB", "resident size of a worker without visitors"),
    "visitor_row_bytes": Cost(700, "bytes", "a visitor's row; 245 with rules/, 1,100 with 20 rules of all kinds"),
    "visitor_overhead_bytes": Cost(375, "bytes", "dictionary entries, timer and id of a visitor beside its row"),
    "visitor_hot_bytes": Cost(2_620, "bytes", "the live object of a visitor that was touched lately"),
    "recovery_rows_per_s": Cost(140_000, "rows/s", "178,000 rows read again in 1.27 s"),
    "detection_s": Cost(10, "s", "broker_session_timeout_s: until the group notices a dead worker"),
    "rebalance_s": Cost(3, "s", "from the group's notice to partitions handed out"),
    # --- what leaves
    "rows_per_event": Cost(0.6, "rows", "a visitor's row is written once a batch; 1 when nearly idle"),
    "effects_per_event": Cost(0.1, "records", "bench.worker: one event in fourteen fires; the demo: one in ten"),
    "effect_bytes": Cost(450, "bytes", "a decision and its suggestion, JSON"),
    # --- API
    "collect_us": Cost(53, "CPU us an event", "POST in batches of 10 to Apache Kafka: 18,800 events/s a process"),
    "read_us": Cost(85, "CPU us a GET", "GET /v1/suggestions: 11,700/s a process"),
    "api_base_mib": Cost(110, "MiB", "resident size of an API process"),
    "stream_kib": Cost(40, "KiB", "one open event stream in an API process"),
    # --- around: assumed, as it depends on what is bought
    "broker_mb_per_s": Cost(100, "MB/s", "what one Kafka broker takes in and gives out comfortably", measured=False),
    "broker_partitions": Cost(2_000, "replicas", "partition replicas that one broker leads or follows", measured=False),
    "redis_ops_per_s": Cost(80_000, "commands/s", "one core of Redis or Valkey", measured=False),
    "prometheus_series": Cost(2_000_000, "series", "one Prometheus with some 8 GiB", measured=False),
    "suggestion_redis_bytes": Cost(900, "bytes", "a suggestion in the cache, with its key", measured=False),
}  # fmt: skip


def costs_with(given: Mapping[str, float]) -> dict[str, float]:
    """The values, with those that were given in place of ours. Raises SettingsError for an unknown or senseless one."""
    for name, value in given.items():
        if name not in COSTS:
            raise SettingsError(f"there is no cost {name!r}; there are: {', '.join(COSTS)}")
        if not 0 < value < float("inf"):
            raise SettingsError(f"the cost {name} must be greater than zero, not {value:g}")
    return {name: cost.value for name, cost in COSTS.items()} | dict(given)
