"""The only reader of the environment: every setting, its unit and default, as one immutable value.

A setting `redis_url` is read from ``AVERT_REDIS_URL``. Unknown ``AVERT_*`` names are an error, so that a
typing mistake cannot silently leave a default in force.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from streams.errors import SettingsError

PREFIX = "AVERT_"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. Durations carry their unit in the name."""

    # --- where things are
    kafka_bootstrap: str = "127.0.0.1:9092"
    redis_url: str = "redis://127.0.0.1:6379/0"
    rules_dir: Path = Path("rules")
    # Many sites in one cluster: everything that has a name outside of the process has one of these two before it.
    # Kafka's consumer group, the changelog, and what stands in the cache; `load_settings` makes it of the prefix.
    app_id: str = "avert"
    topic_prefix: str = ""  # put before every other topic's name
    partitions: int = 8  # of every topic, when Avert creates them
    replication_factor: int = 1
    # How long each topic keeps its records when Avert creates it; -1 keeps all. (A replay of older events needs that of
    # the clickstream, whose records carry the events' time.)
    clickstream_retention_ms: int = 7 * 86_400_000
    decisions_retention_ms: int = 90 * 86_400_000  # with the outcomes: what `avert impact --from` reads
    suggestions_retention_ms: int = 7 * 86_400_000  # what was said to whom; the suggestions themselves are in Redis
    outcomes_retention_ms: int = 90 * 86_400_000
    journeys_retention_ms: int = 90 * 86_400_000
    deadletter_retention_ms: int = 14 * 86_400_000  # two weeks to find out what was wrong with a sender
    erasures_retention_ms: int = 365 * 86_400_000  # who copies the topics has so long to hear of an erasure
    changelog_erased_ms: int = 86_400_000  # a row that was replaced or erased is gone from the changelog's closed files

    # --- sessions and time
    session_timeout_ms: int = 30 * 60_000
    max_lateness_ms: int = 10 * 60_000
    attribution_window_ms: int = 24 * 3_600_000
    outcome_delay_ms: int = 3 * 86_400_000  # an outcome may be told of so much later; exposures are kept for it
    clock_grace_ms: int = 500  # wall time moves a caught-up partition's clock only to now minus this
    # Of one visitor, in a minute of the log; those beyond are shed. 0: none are. 20 a second for a minute on end is no
    # hand's work (a busy tracker sends one or two), and at 25 us an event it is a two-thousandth of a core.
    visitor_events_per_minute_max: int = 1_200
    consent_default: Literal["granted", "denied"] = "granted"  # when an event says nothing of consent
    allowed_link_hosts: tuple[str, ...] = ()
    # Thresholds of the built-in signals; where each figure comes from stands in core/signals.py.
    signal_rage_clicks: int = 4
    signal_rage_click_ms: int = 750
    signal_dead_click_ms: int = 2500
    signal_error_click_ms: int = 1000
    signal_u_turn_ms: int = 10_000
    signal_search_refines: int = 2
    signal_search_refine_ms: int = 60_000
    signal_thrash_page_views: int = 3
    signal_thrash_ms: int = 5_000
    honour_dnt: bool = False  # `DNT: 1` like `Sec-GPC: 1`; the first was given up by its standard's authors
    url_query_allowed: tuple[str, ...] = ("utm_source", "utm_medium", "utm_campaign")

    # --- worker
    poll_records_max: int = 16_000  # when behind: a visitor's row is written once a batch
    fetch_wait_ms: int = 100  # how long the broker may hold a fetch; 20 for the embedded broker
    broker_session_timeout_s: float = 10.0
    broker_heartbeat_s: float = 2.0
    broker_rebalance_timeout_s: float = 12.0
    commit_interval_s: float = 1.0
    rules_poll_ms: int = 500  # how often the rules' directory is looked at
    send_timeout_s: float = 30.0  # effects or changelog unacknowledged for this long end the process
    redis_timeout_ms: int = 250  # one write of suggestions; the stream never waits longer
    watchdog_s: float = 60.0  # lag without progress for this long ends the process
    stop_timeout_s: float = 10.0
    worker_http_port: int = 0  # /metrics /healthz /readyz on worker_http_host; 0: a free port
    worker_http_host: str = "127.0.0.1"

    # --- API
    api_host: str = "127.0.0.1"
    api_port: int = 8080
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9464
    worth_every_s: float = 60.0  # what rules are worth is computed for a scrape this long after the last time
    keys_file: Path | None = None
    visitor_ids: Literal["minted", "capability"] = "minted"
    token_ttl_s: int = 3600
    renewal_ttl_s: int = 30 * 86_400
    request_bytes_max: int = 1024 * 1024  # after decompression
    request_events_max: int = 500
    wait_ms_max: int = 1000
    proxy_hops: int = 0  # proxies in front, each of which appends to X-Forwarded-For; 0: that header is ignored
    rate_per_key_per_s: int = 5000
    rate_per_address_per_s: int = 2000
    rate_per_visitor_per_s: int = 50
    head_timeout_s: float = 20.0  # for a request's head, and for a kept connection's next request
    body_timeout_s: float = 20.0  # for all of a request's body
    connections_max: int = 16_000  # of one process; those beyond wait in the kernel
    requests_max: int = 1_000  # under way in one process; streams are counted by themselves
    waits_max: int = 500  # of these with ?wait
    bodies_bytes_max: int = 64 * 1024 * 1024  # held for requests that are under way, before and after decompression
    limits_in: Literal["process", "redis"] = "process"  # where requests and streams are counted
    streams_per_visitor_max: int = 6  # tabs; a browser opens six connections to one place with HTTP/1.1
    streams_max: int = 10_000  # of one process, some 25 KB each

    # --- logs
    log_format: Literal["json", "console"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def topic(self, name: str) -> str:
        """The full name of one of Avert's topics: ``clickstream``, ``decisions``, ..."""
        return self.topic_prefix + name

    @property
    def cache_prefix(self) -> str:
        """Before the colon of every key and channel in the cache."""
        return self.app_id


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environment` (default: the process's own). Raises SettingsError naming the variable."""
    given = os.environ if environment is None else environment
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    values: dict[str, object] = {}
    for variable, text in given.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in fields:
            raise SettingsError(f"{variable}: there is no such setting; see docs/operations.md")
        values[name] = tuple(filter(None, text.split(","))) if name in _LISTS else text
    if "topic_prefix" in values:
        # With a group of the same name, two sites' workers would divide each other's partitions.
        values.setdefault("app_id", f"{values['topic_prefix']}{Settings().app_id}")
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise SettingsError(f"a setting ({PREFIX}*) has the wrong form: {error}") from error


def settings_environment(settings: Settings) -> dict[str, str]:
    """The settings as the variables that `load_settings` reads: what a child process is given."""
    texts: dict[str, str] = {}
    for field in msgspec.structs.fields(Settings):
        value = getattr(settings, field.name)
        if value is not None:
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            texts[PREFIX + field.name.upper()] = text
    return texts


_LISTS = {"allowed_link_hosts", "url_query_allowed"}


def _decode(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(kind)
