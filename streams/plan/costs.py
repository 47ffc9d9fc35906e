"""What an event, a visitor and a partition cost: measured figures, each with the command that measured it.

1. They are of one machine. Run the command on yours, and give what differs: ``avert plan --set worker_us=18``, or all
   of it in a file (costs_file.py): ``avert plan --costs FILE``.
2. A figure that was not measured but assumed has no command; see `Cost.measured`.
3. Some have a second value, for the core compiled (``make compiled``): the image and a plain installation have it as it
   is written.
4. A visitor's row has two figures, ROW_BYTES, as its codec changes now and then; all that follows is made of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Cost:
    """One figure: its value in `unit`, what it is of, and the command that measures it ("": it is assumed).

    `compiled`: the value with the core compiled, where that is another.
    """

    value: float
    unit: str
    source: str
    command: str = ""
    compiled: float | None = None

    @property
    def measured(self) -> bool:
        """Whether it was measured."""
        return bool(self.command)


# A row of version 5, during a visit of twelve events and after it, with fifty rules of every kind: what `bench.sizes`
# says.
ROW_BYTES = (575, 425)

_CURVE = "python -m bench.curve --work partitions --partitions 4 --rules"
_SIZES = "python -m bench.sizes"
_SHIPPED = "python -m bench.sizes --rules shipped"
_FUNNELS = "python -m bench.funnels"
_HTTP = "python -m bench.http --batch"
_RECOVERY = "python -m bench.recovery"

# The machine: 4 shared virtual cores (Intel Xeon), Python 3.11, Apache Kafka 4.3.1, 2026-11-22.
COSTS: Mapping[str, Cost] = {
    # --- worker
    "worker_us": Cost(
        17, "CPU us an event", "everything but the rules: 13 with one rule (compiled: 6)", f"{_CURVE} 1", 7.5,
    ),
    "worker_us_a_rule": Cost(
        0.42, "CPU us an event and rule", "29 with 20 rules, 37 with 50 (compiled: 16)", f"{_CURVE} 50", 0.19,
    ),
    "worker_us_a_funnel": Cost(9, "CPU us an event and funnel", "two that hear pages: 18 (compiled: 7)", _FUNNELS, 4),
    "shed_us": Cost(
        6, "CPU us an event", "read and shed: 4.2 to 6.7 (applied: 27 to 29), and 1 fetched", "python -m bench.hotkey",
    ),
    "worker_base_mib": Cost(160, "MiB", "a worker without visitors, and what a poll brings", "python -m bench.jobs"),
    "visitor_row_bytes": Cost(ROW_BYTES[0], "bytes", "during a visit; 50 rules of every kind, 12 events", _SIZES),
    "kept_row_bytes": Cost(ROW_BYTES[1], "bytes", "after it, of a visitor who was exposed to a rule", _SIZES),
    "row_bytes_a_funnel": Cost(75, "bytes", "354 with two funnels, 207 without (28 events: 430 and 253)", _SHIPPED),
    "visitor_overhead_bytes": Cost(
        320, "bytes", "dictionary entries, timer and id of a visitor beside its row", _SIZES,
    ),
    "visitor_hot_bytes": Cost(7_300, "bytes", "the live object of a visitor that was touched lately", _SIZES, 8_800),
    "hot_bytes_a_funnel": Cost(1_300, "bytes", "4,800 with two funnels, 2,300 without", _SHIPPED),
    "recovery_rows_per_s": Cost(
        150_000, "rows/s", "232,000 of 709 bytes on one machine; 1 Gbit/s carries 150,000 of 800", _RECOVERY,
    ),
    "detection_s": Cost(10, "s", "AVERT_BROKER_SESSION_TIMEOUT_S: until the group notices a dead worker"),
    "rebalance_s": Cost(3, "s", "from the group's notice to partitions handed out"),
    # --- what leaves
    "rows_per_event": Cost(
        1, "rows", "a row is written once a batch: one an event where little waits, 0.3 to 0.6 behind",
    ),
    "decisions_per_event": Cost(0.1, "records", "between 0.05 (as shipped) and 0.21 (fifty without limits)", _SHIPPED),
    "decision_bytes": Cost(320, "bytes", "a record of the topic decisions", _SIZES),
    "suggestions_per_event": Cost(0.05, "records", "between 0.01 (as shipped) and 0.21 (without limits)", _SHIPPED),
    "suggestion_bytes": Cost(630, "bytes", "a record of the topic suggestions (fifty short ones: 380)", _SHIPPED),
    "outcomes_per_event": Cost(0.06, "records", "as shipped; the benchmarks' two outcomes: 0.03", _SHIPPED),
    "outcome_bytes": Cost(410, "bytes", "a record of the topic outcomes, with whom it is credited to", _SIZES),
    "journeys_per_event": Cost(0.1, "records a funnel", "two funnels: 0.19", _SHIPPED),
    "journey_bytes": Cost(230, "bytes", "a record of the topic journeys", _SHIPPED),
    "deadletters_per_event": Cost(0.001, "records", "what is normal; each alert is at ten times this"),
    "deadletter_bytes": Cost(700, "bytes", "with the event as it came"),
    "line_bytes": Cost(620, "bytes", "a line of the totals (without funnels 320 to 380)", _SHIPPED),
    # --- API
    "post_us": Cost(210, "CPU us a POST", "of one event 238, of ten 500, limits counted in the cache", f"{_HTTP} 1"),
    "collect_us": Cost(30, "CPU us an event of it", "the same; beside other work half as much again", f"{_HTTP} 10"),
    "read_us": Cost(85, "CPU us a GET", "71 to 82, limits counted in the cache; beside other work 128", f"{_HTTP} 10"),
    "api_base_mib": Cost(110, "MiB", "an API process (73 to 78 in the soak)", "make soak"),
    "stream_kib": Cost(40, "KiB", "one open event stream in an API process"),
    # --- around: assumed, as it depends on what is bought
    "broker_mb_per_s": Cost(100, "MB/s", "what one Kafka broker takes in and gives out comfortably"),
    "broker_partitions": Cost(2_000, "replicas", "partition replicas that one broker leads or follows"),
    "changelog_copies": Cost(
        2, "times", "Kafka's cleaner lets a compacted topic double (min.cleanable.dirty.ratio 0.5)",
    ),
    "redis_ops_per_s": Cost(80_000, "commands/s", "one core of Redis or Valkey"),
    "suggestion_redis_bytes": Cost(
        1_440, "bytes", "a visitor's first suggestion in the cache; each further one 600", _SHIPPED,
    ),
    "prometheus_series": Cost(2_000_000, "series", "one Prometheus with some 8 GiB"),
}  # fmt: skip


def refuse_senseless(name: str, value: float) -> None:
    """Raises SettingsError for a figure that is no cost's name, or that none can have."""
    if name not in COSTS:
        raise SettingsError(f"there is no cost {name!r}; there are: {', '.join(COSTS)}")
    if not 0 < value < float("inf"):
        raise SettingsError(f"the cost {name} must be greater than zero, not {value:g}")


def costs_with(given: Mapping[str, float], compiled: bool = False) -> dict[str, float]:
    """The values, with those that were given in place of ours. Raises SettingsError for an unknown or senseless one.

    `compiled`: of a worker whose core is compiled.
    """
    for name, value in given.items():
        refuse_senseless(name, value)
    ours = {
        name: cost.compiled if compiled and cost.compiled is not None else cost.value for name, cost in COSTS.items()
    }
    return ours | dict(given)
