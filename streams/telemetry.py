"""Every metric and log event, defined once; the only importer of prometheus_client.

Elsewhere they are only emitted. Labels come from closed sets or from loaded rule ids (capped), never from data.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TextIO, cast, get_args

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from streams.core.effects import EventResult, Refusal, WithdrawalReason

# A `_created` series beside every counter would double the page, and no panel reads them.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)  # memory, CPU, open files, start time: process_*
METRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST

# Seconds. Tight around the budgets (15 ms, 40 ms), wide above, where only the order of magnitude matters.
_LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = _LATENCY_BUCKETS_S) -> Histogram:
    return Histogram(name, text, labels, registry=REGISTRY, buckets=buckets)


# --- worker
EVENTS = _counter("avert_events_total", "Events taken from the log, by what became of them.", "result")
DEAD_LETTERS = _counter("avert_dead_letters_total", "Events that could not be used.", "reason")
BATCH_SIZE = _histogram(
    "avert_batch_records", "Records in one batch (one partition, one poll).",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
)
STEP_SECONDS = _histogram(
    "avert_batch_step_seconds", "Time in the engine for one batch.",
    buckets=(0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1),
)
END_TO_END_SECONDS = _histogram(
    "avert_end_to_end_seconds", "From an event's receipt to its suggestion being readable.",
)
HOP_SECONDS = _histogram(
    "avert_hop_seconds", "Where an event's milliseconds go: fetched, applied, effects, delivered, changelog.", "hop",
)
LAG = _gauge("avert_lag_records", "Records in the log that are not yet done.", "partition")
LIVE_VISITORS = _gauge("avert_live_visitors", "Visitors with a state in this worker.")
LIVE_SESSIONS = _gauge("avert_live_sessions", "Sessions going on in this worker.")
DECISIONS = _counter("avert_decisions_total", "Firings, by what they led to.", "rule", "kind", "arm", "reason")
OUTCOMES = _counter("avert_outcomes_total", "Outcomes that happened.", "outcome", "kind")
OUTCOME_AMOUNT = _counter(
    "avert_outcome_amount_total", "Their value or cost, in the rules' currency.", "outcome", "kind",
)
# --- the totals of this worker's partitions: absolute, and exact after any crash; sum them over workers
EXPOSED_VISITORS = _gauge(
    "avert_exposed_visitors", "Visitors exposed to a rule (`programme`: to any), by arm.", "rule", "arm",
)
CREDITED_VISITORS = _gauge(
    "avert_credited_visitors", "Exposed visitors with at least one such outcome in its window.", "rule", "arm",
    "outcome",
)
CREDITED_OUTCOMES = _gauge(
    "avert_credited_outcomes", "Outcomes of exposed visitors in their window.", "rule", "arm", "outcome",
)
CREDITED_AMOUNT = _gauge(
    "avert_credited_amount", "Their value or cost, in the rules' currency.", "rule", "arm", "outcome",
)
FUNNEL_ENTERED = _gauge("avert_funnel_entered", "Journeys that began, by funnel and arm.", "funnel", "arm")
FUNNEL_ENDED = _gauge("avert_funnel_ended", "Of them, those that are over for good.", "funnel", "arm")
FUNNEL_REACHED = _gauge("avert_funnel_reached", "Journeys that reached a step.", "funnel", "step", "arm")
FUNNEL_SKIPPED = _gauge("avert_funnel_skipped", "Journeys that passed a step over.", "funnel", "step", "arm")
FUNNEL_REVERSE = _gauge(
    "avert_funnel_reverse", "Journeys that reached a step after a later one.", "funnel", "step", "arm",
)
FUNNEL_WAYS = _gauge("avert_funnel_ways", "Journeys from the step before to a step, in order.", "funnel", "step", "arm")
FUNNEL_WAY_SECONDS = _gauge("avert_funnel_way_seconds", "What these took together.", "funnel", "step", "arm")
FUNNEL_WAY_CLICKS = _gauge("avert_funnel_way_clicks", "The clicks on these together.", "funnel", "step", "arm")
RECEIPTS_COUNTED = _gauge(
    "avert_suggestions_answered", "Suggestions that were shown, clicked, dismissed.", "rule", "receipt",
)
OUTCOME_PRICE_OUTCOMES = _gauge(
    "avert_outcome_price_outcomes", "Outcomes that a version of the cost was applied to.", "outcome", "price",
)
OUTCOME_PRICE_AMOUNT = _gauge(
    "avert_outcome_price_amount", "Their value or cost, in the rules' currency.", "outcome", "price",
)
TOTALS_REFUSED = _gauge(
    "avert_totals_refused", "Effects that the totals had no room for since the start of this worker.",
)

# --- what they are worth, computed by the API from the totals of all workers: every API process shows the same
SAVED_AMOUNT = _gauge(
    "avert_saved_amount", "Cost that a rule averted (or value that it brought), and its interval.", "rule", "bound",
)
NUDGE_COST = _gauge("avert_nudge_cost_amount", "What a rule's suggestions cost.", "rule")
SPLIT_P_VALUE = _gauge(
    "avert_split_p_value", "How often chance alone would split visitors as oddly between the arms.", "rule",
)
HOLDOUT_SHARE = _gauge("avert_control_share", "Share of a rule's visitors in the control arm.", "rule", "kind")
VERDICT = _gauge("avert_verdict", "1 for what may be said of a rule now.", "rule", "verdict")
WORTH_COMPUTED_AT = _gauge("avert_worth_timestamp_seconds", "When this process last computed what rules are worth.")
WORTH_SECONDS = _gauge("avert_worth_computation_seconds", "Seconds of CPU that took.")

WITHDRAWALS = _counter("avert_withdrawals_total", "Suggestions withdrawn.", "reason")
COMMITS = _counter("avert_commits_total", "Offset commits.", "result")
CHANGELOG_BYTES = _counter("avert_changelog_bytes_total", "Bytes of state written to the changelog.")
RECOVERY_SECONDS = _gauge("avert_recovery_seconds", "How long the last recovery of the table took.")
REBALANCES = _counter("avert_rebalances_total", "Times that this worker was dealt its partitions anew.")
RECOVERED_ROWS = _counter("avert_recovered_rows_total", "Rows read from the changelog during recovery.")
PARTITIONS = _gauge("avert_assigned_partitions", "Partitions of the clickstream that this worker has.")
READY = _gauge("avert_ready", "1 when this process can do its work.", "process")
TIMERS_FIRED = _counter("avert_timers_total", "Visitors woken by a timer.")
KAFKA_ERRORS = _counter("avert_kafka_errors_total", "Errors of Kafka calls.", "operation")
REDIS_ERRORS = _counter(
    "avert_redis_errors_total", "Errors of Redis calls; the page got [] or the write was left out.", "operation",
)
RULES_LOADED = _gauge("avert_rules_loaded", "Rules in force, by mode.", "mode")
RULES_INFO = _gauge("avert_rules_info", "1 for the version of the rules in force.", "version")
RULES_LOADED_AT = _gauge("avert_rules_loaded_timestamp_seconds", "When the rules in force were loaded.")
RULES_RELOADS = _counter(
    "avert_rules_reloads_total", "Sets of rule files that came along, by what became of them.", "result",
)
RULES_BROKEN = _gauge(
    "avert_rules_broken", "1 while the newest rule files cannot be used, by where they are.", "source",
)
RULES_DIRECTORY_DIFFERS = _gauge(
    "avert_rules_directory_differs", "1 while this worker's directory holds other files than those in force.",
)

# --- API
HTTP_REQUESTS = _counter("avert_http_requests_total", "Answers, by route and status.", "route", "status")
HTTP_SECONDS = _histogram("avert_http_request_seconds", "Time to answer.", "route")
ACCEPTED_EVENTS = _counter("avert_collector_events_total", "Events at the collector.", "result")
RECEIPTS = _counter("avert_receipts_total", "Receipts from sites.", "kind")
SUGGESTIONS_READ = _counter("avert_suggestions_read_total", "Suggestions handed to sites.")
RATE_LIMITED = _counter("avert_rate_limited_total", "Requests refused by a limit.", "limit")

REQUESTS_UNDER_WAY = _gauge("avert_http_requests_under_way", "Requests that have arrived and are not yet answered.")
OVERLOADED = _counter("avert_http_overloaded_total", "Requests answered 503 by a bound on what is under way.", "bound")
STREAMS = _gauge("avert_streams", "Streams of suggestions that are open.")
STREAM_UPDATES = _counter("avert_stream_updates_total", "Lists of suggestions sent on streams.")
STREAMS_ENDED = _counter("avert_streams_ended_total", "Streams that ended, by why.", "reason")
STREAMS_REFUSED = _counter("avert_streams_refused_total", "Streams that were one too many, by the limit.", "limit")
ADMIN_CALLS = _counter(
    "avert_admin_calls_total", "Calls on the private port, by what became of them.", "call", "result",
)
KEYS_RELOADS = _counter("avert_keys_reloads_total", "Changes of the keys file, by what became of them.", "result")
KEYS_BROKEN = _gauge("avert_keys_broken", "1 while the keys file cannot be used; the keys from before are in force.")

# Labels of closed sets start at 0: a rate over a series that appears with its first increment misses just that one,
# and a panel cannot tell "no errors" from "no data". (Labels that rules bring along start with their first firing.)
CLOSED_LABELS: dict[Counter | Gauge, Iterable[str]] = {
    EVENTS: [result.value for result in EventResult],
    DEAD_LETTERS: [reason.value for reason in Refusal],
    WITHDRAWALS: get_args(WithdrawalReason),
    COMMITS: ("ok", "refused", "late"),  # refused by the group; late: not within its time at a hand-over
    KAFKA_ERRORS: ("connect", "create_topics", "append", "send", "close", "rules", "totals"),
    REDIS_ERRORS: ("ping", "deliver", "announce", "read", "progress", "changes", "limits", "workers", "decode"),
    RULES_LOADED: ("draft", "shadow", "live", "off"),
    RULES_RELOADS: ("applied", "broken", "unpublished"),
    RULES_BROKEN: ("directory", "topic"),
    ACCEPTED_EVENTS: ("accepted", "rejected"),
    RECEIPTS: ("shown", "clicked", "dismissed"),
    RATE_LIMITED: ("key", "address", "visitor"),
    KEYS_RELOADS: ("applied", "broken"),
    OVERLOADED: ("requests", "bytes"),
    STREAMS_ENDED: ("client", "expired", "slow", "stopped"),
    STREAMS_REFUSED: ("visitor", "process"),
}
for _metric, _values in CLOSED_LABELS.items():
    for _value in _values:
        _metric.labels(_value)

OTHER = "other"
# A rule has up to twenty series in a worker (kinds, arms, reasons; more with outcomes), and Prometheus keeps each for
# as long as its retention is: 500 rules are some 10,000 series, which the smallest Prometheus carries.
RULE_LABELS_MAX = 500
OUTCOME_LABELS_MAX = 100


class CappedLabels:
    """Label values that files bring along. The first `most` that come keep their names, all others are `other`.

    So sums stay right whatever the number of names; and a name that has a series keeps it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The label to use for `name`."""
        known = self._known.get(name)
        if known is not None:
            return known
        if len(self._known) >= self._most:
            return OTHER
        self._known[name] = name
        return name


rule_label = CappedLabels(RULE_LABELS_MAX)
outcome_label = CappedLabels(OUTCOME_LABELS_MAX)


def metrics_page() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)


def merged_pages(pages: Mapping[str, str]) -> str:
    """Several processes' pages as one: each series with one label more, `number`, the page's key.

    Counters of several processes must not be one series: it would fall when one of them begins anew.
    """
    families: dict[str, list[str]] = {}
    for number, page in pages.items():
        samples: list[str] = []
        for line in page.splitlines():
            if line.startswith("#"):
                samples = families.setdefault(line.split(" ", 3)[2], [])
                if line not in samples[:2]:  # HELP and TYPE stand first, once
                    samples.append(line)
                continue
            name, brace, rest = line.partition("{")
            if brace:
                samples.append(f'{name}{{number="{number}",{rest}')
            else:
                name, _, value = line.partition(" ")
                samples.append(f'{name}{{number="{number}"}} {value}')
    return "".join(f"{line}\n" for samples in families.values() for line in samples)


class _Stderr(io.TextIOBase):
    """Whatever stderr is when a line is written: loggers live longer than a stream that was put in its place."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure_logs(form: Literal["json", "console"], level: str) -> None:
    """One line an event: JSON for machines, colours for people. Foreign loggers (faust, aiokafka) go the same way."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer] if form == "json" else [*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_Stderr())
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[
        structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer,
    ]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Faust and aiokafka tell every rebalance step at INFO; what operations need is logged by us.
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))


log: Any = structlog.get_logger()
