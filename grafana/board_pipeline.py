"""The board for whoever is on call: does everything flow, how fast, what is refused, and why."""

from __future__ import annotations

from grafana.kit import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, YELLOW, Board, Panel, Query, Row, Variable
from grafana.promql import HERE, mean, over_range, quantile, rate, share, total

_E2E = "avert_end_to_end_seconds"
# What came in at all: the log's events, and those that the collector refused before the log.
_REFUSED_AT_ONCE = rate("avert_collector_events_total", where=f'{HERE}, result="rejected"')
_ARRIVED = f"({rate('avert_events_total')} + {_REFUSED_AT_ONCE})"
_P99_BUDGET_S = 0.04  # event accepted to suggestion readable, on Apache Kafka
_P99_ALARM_S = 0.1  # the threshold of alert AvertLatencyHigh


_GLANCE = Row("At a glance", (
    Panel(
        "Events", "Events per second that workers took from the log, whatever became of them.",
        (Query(rate("avert_events_total")),), unit="reqps", kind="stat", width=3, height=5, decimals=1,
    ),
    Panel(
        "Lag", "Records in the log that no worker has finished yet, over all partitions. Tens are normal under load; "
        "what matters is that it does not grow.",
        (Query(total("avert_lag_records")),), kind="stat", width=3, height=5, base_colour=GREEN,
        thresholds=((1_000, YELLOW), (10_000, RED)),
    ),
    Panel(
        "Suggestion readable, p99", "From an event's receipt at the collector to its suggestion being readable: 99 of "
        "100 are faster. Budget: 40 ms on Apache Kafka, 100 ms on the embedded broker.",
        (Query(quantile(0.99, _E2E)),), unit="s", kind="stat", width=3, height=5, base_colour=GREEN,
        thresholds=((_P99_BUDGET_S, YELLOW), (_P99_ALARM_S, RED)),
    ),
    Panel(
        "Dead letters", "Share of the events that could not be used. A jump means that somebody changed a tracker.",
        (Query(share(rate("avert_dead_letters_total"), _ARRIVED)),), unit="percentunit", kind="stat",
        width=3, height=5, decimals=2, base_colour=GREEN, thresholds=((0.001, YELLOW), (0.01, RED)),
    ),
    Panel(
        "Workers ready", "Workers that have their partitions and their state, and work.",
        (Query('sum (avert_ready{process="worker"})'),), kind="stat", width=3, height=5, base_colour=RED,
        thresholds=((1, GREEN),),
    ),
    Panel(
        "API ready", "API processes that reach Kafka and Redis.",
        (Query('sum (avert_ready{process="api"})'),), kind="stat", width=3, height=5, base_colour=RED,
        thresholds=((1, GREEN),),
    ),
    Panel(
        "Live visitors", "Visitors with a state in a worker's memory.",
        (Query(total("avert_live_visitors")),), kind="stat", width=3, height=5,
    ),
    Panel(
        "Rules in force", "Rules that decide about visitors now: live and shadow.",
        (Query('max (sum by (instance) (avert_rules_loaded{mode=~"live|shadow"}))'),), kind="stat", width=3, height=5,
        base_colour=RED, thresholds=((1, GREEN),),
    ),
))

_ALERTS = Row("Alerts", (
    Panel(
        "Firing now", "Alerts that fire or are about to. What each means and what to do: the board *Avert: the "
        "runbook*, by the link at the top.",
        (Query('max by (alertname, alertstate, severity, instance) (ALERTS{alertname=~"Avert.+"})'),), kind="table",
        width=24, height=5, minimum=None,
        columns=(("alertname", "Alert"), ("alertstate", "State"), ("severity", "Severity"), ("instance", "Process")),
    ),
))

_STREAM = Row("The stream", (
    Panel(
        "Events by result", "`applied` is the normal case. `duplicate`: the same id again. `replayed`: applied before "
        "a crash and recognised. `late`: older than the allowed lateness, counted for outcomes only. `no_consent`: "
        "counted here and forgotten. `shed`: beyond the limit of one visitor in one minute (a bot): counted and "
        "nothing else. `dead_letter`: could not be used.",
        (Query(rate("avert_events_total", "result"), "{{result}}"),), unit="reqps", width=12, stacked=True,
        colours=(("applied", BLUE), ("duplicate", PURPLE), ("replayed", YELLOW), ("late", ORANGE),
                 ("no_consent", GREY), ("shed", GREEN), ("dead_letter", RED)),
    ),
    Panel(
        "Lag by partition", "Records not yet done. One partition alone: a visitor (a bot?) with very many events. All "
        "together: too few workers, or a broker in trouble.",
        (Query(total("avert_lag_records", "partition"), "partition {{partition}}"),), width=12,
    ),
    Panel(
        "Batch size", "Records a batch (one partition, one poll): 1 when idle, thousands when catching up. A constant "
        "maximum means that the worker is behind.",
        (Query(quantile(0.5, "avert_batch_records"), "p50"), Query(quantile(0.99, "avert_batch_records"), "p99")),
        width=8,
    ),
    Panel(
        "Engine time a batch", "Time in the engine for one batch, without any waiting for Kafka or Redis. Grows with "
        "the batch; what an event costs is the panel beside it.",
        (Query(quantile(0.5, "avert_batch_step_seconds"), "p50"),
         Query(quantile(0.99, "avert_batch_step_seconds"), "p99")), unit="s", width=8,
    ),
    Panel(
        "Engine time an event", "Mean time in the engine for one event: the figure that rules make dearer.",
        (Query(share(rate("avert_batch_step_seconds_sum"), rate("avert_batch_records_sum")), "mean"),),
        unit="s", width=8,
    ),
    Panel(
        "Offset commits", "Commits by result. They come about once a second and worker while events flow.",
        (Query(rate("avert_commits_total", "result"), "{{result}}"),), unit="ops", width=8,
    ),
    Panel(
        "State written", "Bytes a second written to the changelog: what makes a worker's state survive it.",
        (Query(rate("avert_changelog_bytes_total"), "changelog"),), unit="Bps", width=8,
    ),
    Panel(
        "Timers", "Visitors a second woken by a timer: absences, idleness, ends of sessions.",
        (Query(rate("avert_timers_total"), "visitors"),), unit="ops", width=8,
    ),
))

_LATENCY = Row("In time or not at all", (
    Panel(
        "Event received → suggestion readable", "The time that a visitor's page waits. Dashed: the budget of 40 ms and "
        "the alarm at 100 ms, both for p99.",
        tuple(Query(quantile(q, _E2E), name) for q, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))), unit="s",
        width=12, thresholds=((_P99_BUDGET_S, YELLOW), (_P99_ALARM_S, RED)),
    ),
    Panel(
        "Where the milliseconds go", "Mean time of each hop; stacked, they add up to the mean way of an event: fetched "
        "from Kafka, applied by the engine, effects acknowledged, delivered to Redis, changelog acknowledged.",
        (Query(mean("avert_hop_seconds", "hop"), "{{hop}}"),), unit="s", width=12, stacked=True,
    ),
    Panel(
        "Hops, p99", "The slow end of each hop. One that rises alone names the culprit.",
        (Query(quantile(0.99, "avert_hop_seconds", "hop"), "{{hop}}"),), unit="s", width=12,
    ),
    Panel(
        "Distribution", "Every suggestion's way, by duration.",
        (Query(f"sum by (le) (increase({_E2E}_bucket{{{HERE}}}[$__rate_interval]))", "{{le}}"),), unit="s",
        kind="heatmap", width=12, minimum=None,
    ),
))

_STATE = Row("Workers and their state", (
    Panel(
        "Live visitors and sessions", "What the workers keep in memory. Grows with traffic and falls with it.",
        (Query(total("avert_live_visitors"), "visitors"), Query(total("avert_live_sessions"), "sessions")),
    ),
    Panel(
        "Rebalances", "Times in the time shown that workers were dealt their partitions anew: one when a worker comes "
        "or goes. More and more of them without that: a worker that cannot keep its heartbeat.",
        (Query(over_range("avert_rebalances_total", "instance"), "{{instance}}"),), kind="stat", decimals=0,
    ),
    Panel(
        "Partitions by worker", "A worker without partitions is one too many: there are no more than partitions.",
        (Query('sum by (instance) (avert_assigned_partitions{job="avert-worker", instance=~"$instance"})',
               "{{instance}}"),), stacked=True,
    ),
    Panel(
        "Ready", "1 while the process can do its work. A worker is ready only after recovery.",
        (Query(f"avert_ready{{{HERE}}}", "{{process}} {{instance}}"),), maximum=1,
    ),
    Panel(
        "Last recovery", "How long reading the state back from the changelog took, by worker.",
        (Query('avert_recovery_seconds{job="avert-worker", instance=~"$instance"}', "{{instance}}"),), unit="s",
    ),
    Panel(
        "Rows recovered", "Rows of state read back in the time shown. Each hand-over of a partition costs some.",
        (Query(over_range("avert_recovered_rows_total"), "rows"),), kind="stat",
    ),
    Panel(
        "Memory", "Resident memory of each process. The compose file limits a worker to 1 GiB.",
        (Query(f"process_resident_memory_bytes{{{HERE}}}", "{{job}} {{instance}}"),), unit="bytes",
    ),
    Panel(
        "CPU", "Cores in use by each process. One worker uses at most about one: add workers, not cores.",
        (Query(f"rate(process_cpu_seconds_total{{{HERE}}}[$__rate_interval])", "{{job}} {{instance}}"),), decimals=2,
    ),
    Panel(
        "Up since", "When each process started. A young one among old ones has been restarted.",
        (Query(f"time() - process_start_time_seconds{{{HERE}}}", "{{job}} {{instance}}"),), unit="s",
    ),
    Panel(
        "Open files", "File descriptors, connections among them.",
        (Query(f"process_open_fds{{{HERE}}}", "{{job}} {{instance}}"),),
    ),
))

_REFUSED = Row("What goes wrong", (
    Panel(
        "Dead letters by reason", "Why events could not be used. The letters themselves, with their sender's mistake, "
        "are in the topic `deadletter`. `engine` is a defect of ours: report it.",
        (Query(rate("avert_dead_letters_total", "reason"), "{{reason}}"),), unit="reqps", width=12, stacked=True,
    ),
    Panel(
        "Errors of Kafka", "Failed calls by operation. Zero is normal.",
        (Query(rate("avert_kafka_errors_total", "operation"), "{{operation}}"),), unit="ops", width=6,
    ),
    Panel(
        "Errors of Redis", "Failed calls by operation. Pages get no suggestions meanwhile, and do not break.",
        (Query(rate("avert_redis_errors_total", "operation"), "{{operation}}"),), unit="ops", width=6,
    ),
))

_API = Row("The API", (
    Panel(
        "Requests by route and status", "All answers. A page that never breaks shows up here as 200 with `[]`.",
        (Query(rate("avert_http_requests_total", "route, status"), "{{route}} {{status}}"),), unit="reqps", width=12,
        stacked=True,
    ),
    Panel(
        "Answers, p50 and p99", "Time to answer by route. `POST /v1/events?wait` waits on purpose.",
        (Query(quantile(0.5, "avert_http_request_seconds", "route"), "{{route}} p50"),
         Query(quantile(0.99, "avert_http_request_seconds", "route"), "{{route}} p99")), unit="s", width=12,
    ),
    Panel(
        "Events at the collector", "What the collector did with the events of requests.",
        (Query(rate("avert_collector_events_total", "result"), "{{result}}"),), unit="reqps", stacked=True,
    ),
    Panel(
        "Refused by a limit", "Requests answered with 429, by the limit that they hit.",
        (Query(rate("avert_rate_limited_total", "limit"), "{{limit}}"),), unit="reqps",
    ),
    Panel(
        "Requests under way", "Above `AVERT_REQUESTS_MAX` or `AVERT_BODIES_BYTES_MAX`: 503 with Retry-After.",
        (Query(total("avert_http_requests_under_way"), "under way"),
         Query(rate("avert_http_overloaded_total", "bound"), "refused a second: {{bound}}")),
    ),
    Panel(
        "Open streams", "Pages that are told of suggestions as they come. Each is a connection.",
        (Query(total("avert_streams"), "streams"),),
    ),
    Panel(
        "Streams: lists sent, ends", "`expired`: the token, or the right to read. `slow`: a client that read nothing.",
        (Query(rate("avert_stream_updates_total"), "lists sent"),
         Query(rate("avert_streams_ended_total", "reason"), "ended: {{reason}}")), unit="ops",
    ),
    Panel(
        "Streams refused", "One too many for their visitor, or for the process.",
        (Query(rate("avert_streams_refused_total", "limit"), "{{limit}}"),), unit="ops",
    ),
    Panel(
        "Admin calls", "On the private port, in the time shown, by what became of them. Who asked what stands in the "
        "log (`admin_call`). `refused`: somebody without a key for it.",
        (Query(over_range("avert_admin_calls_total", "call, result"), "{{call}} {{result}}"),), kind="stat",
    ),
    Panel(
        "Computing what rules are worth", "Seconds of CPU that the last computation for the board of what it is worth "
        "took, and how old its result is, by API process.",
        (Query(f"avert_worth_computation_seconds{{{HERE}}} > 0", "took, {{instance}}"),
         Query(f"time() - (avert_worth_timestamp_seconds{{{HERE}}} > 0)", "age, {{instance}}")), unit="s",
    ),
    Panel(
        "Keys file", "Changes of the keys file in the time shown, by what became of them. After a broken one the "
        "keys from before stay in force.",
        (Query(over_range("avert_keys_reloads_total", "result"), "{{result}}"),), kind="stat",
    ),
    Panel(
        "Suggestions handed out, receipts back", "Suggestions that sites read, and what they told about them.",
        (Query(rate("avert_suggestions_read_total"), "read"),
         Query(rate("avert_receipts_total", "kind"), "{{kind}}")), unit="reqps",
    ),
))

_RULES = Row("Rules in force", (
    Panel(
        "Rules by mode", "`live` rules speak to visitors, `shadow` rules only decide.",
        (Query("max by (mode) (avert_rules_loaded)", "{{mode}}"),), kind="stat", height=6, base_colour=BLUE,
    ),
    Panel(
        "Version", "Which version of the rules each process has. More than one for longer than a reload is an alert.",
        (Query("avert_rules_info == 1"),), kind="table", height=6, minimum=None,
        columns=(("instance", "Process"), ("version", "Version")),
    ),
    Panel(
        "Age", "Time since the rules in force were loaded, by process.",
        (Query("time() - (avert_rules_loaded_timestamp_seconds > 0)", "{{instance}}"),), unit="s",
        kind="stat", height=6,
    ),
))

BOARD = Board(
    uid="avert-pipeline",
    title="Avert: the pipeline",
    about="For whoever is on call: does everything flow, how fast, what is refused, and why.",
    tags=("operations",),
    rows=(_GLANCE, _ALERTS, _STREAM, _LATENCY, _STATE, _REFUSED, _API, _RULES),
    variables=(Variable("instance", "Process", "avert_ready", "instance"),),
)
