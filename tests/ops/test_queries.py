"""Every query of every panel and alert, run in a real Prometheus that scraped the real program under load.

The program is what `avert up` starts: embedded broker and cache, a worker and an API as processes of their own.
"""

from __future__ import annotations

import math
import re
import subprocess
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from ruamel.yaml import YAML

from streams.embedded.local import Local
from streams.impact.assess import assess
from streams.impact.fetch import totals_of_api
from streams.impact.model import PROGRAMME
from streams.settings import Settings
from streams.telemetry import CLOSED_LABELS
from tests.ops.load import LIMIT_PER_VISITOR_PER_S, Load, write_garbage
from tests.ops.tools import (
    PROMETHEUS_FILES,
    ROOT,
    PanelQuery,
    alerts,
    free_port,
    panel_queries,
    program,
    promtool,
    read_yaml,
    records,
    selectors_in,
)
from tests.support.waiting import wait_for

SCRAPES_MIN = 12  # at one a second: what a rate window of 10 s needs, and something to draw

# What Grafana puts in. A rate window is at least four scrapes.
SUBSTITUTED = {
    "$__rate_interval": "10s", "$__range": "60s", "$instance": ".*", "$rule": ".*", "$outcome": ".*",
}

# Panels that show 0 in a healthy run, and why. Everything else must show more than 0.
ZERO_IS_HEALTHY = {
    "pipeline: Lag": "the worker has caught up",
    "pipeline: Lag by partition": "the worker has caught up",
    "pipeline: Errors of Kafka": "nothing fails",
    "pipeline: Keys file": "nobody changed it",
    "rules: Findings": "the files can be used",
    "rules: Changes of the files": "the files in force came with the start, before the first scrape",
    "pipeline: Rebalances": "the worker was dealt its partitions before the first scrape",
    "pipeline: Requests under way": "the load has ended",
    "pipeline: Streams refused": "no stream was one too many",
    "pipeline: Open streams": "the load opens one only for a moment",
    "pipeline: Errors of Redis": "nothing fails",
    "pipeline: Last recovery": "the worker started with an empty changelog",
    "pipeline: Rows recovered": "the worker started with an empty changelog",
    "worth: Counted nowhere": "the totals have room for everything",
}
# Panels of differences between the arms: chance decides their sign in a run of seconds, and some may be 0.
SIGNED = {"worth: Cost averted by the programme", "worth: Rule by rule", "worth: Cost averted, as it was known"}
# Queries without any data in a healthy run, and why.
NO_DATA_IS_HEALTHY = {
    "pipeline: annotation Rules reloaded": "nobody changed a rule",
    "pipeline: Firing now": "nothing is wrong",
    "rules: annotation Rules reloaded": "nobody changed a rule",
    "runbook: annotation Rules reloaded": "nobody changed a rule",
    "worth: annotation Rules reloaded": "nobody changed a rule",
}
# Selectors of alerts that select nothing in a healthy run, and why.
ABSENT_IS_HEALTHY = {
    'avert_http_requests_total{status=~"5.."}': "no answer was a server error",
}


class Run(NamedTuple):
    """A finished run: where Prometheus answers, when the load began and ended, and what was running."""

    prometheus: httpx.Client
    begin_s: float
    end_s: float
    pages: dict[str, bytes]  # /metrics of each process at the end
    visitors: list[str]
    averted: dict[str, float]  # by the programme, as `avert impact` says: estimate, low, high

    def ask(self, path: str, **parameters: object) -> Any:
        """Prometheus' answer; fails with its message when it refuses the query."""
        answer = self.prometheus.get(f"/api/v1/{path}", params={key: str(value) for key, value in parameters.items()})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def values(self, expr: str) -> list[float]:
        """Every finite value of every series over the run, as a panel would draw them."""
        series = self.ask("query_range", query=expr, start=self.begin_s, end=self.end_s, step=1)["result"]
        numbers = (float(value) for each in series for _, value in each["values"])
        return [number for number in numbers if math.isfinite(number)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("prometheus")
    settings = Settings(
        rules_dir=ROOT / "rules", partitions=2, session_timeout_ms=9 * 60_000, log_format="json",
        rate_per_visitor_per_s=LIMIT_PER_VISITOR_PER_S, worth_every_s=1,
    )
    with Local(settings) as local:
        port = free_port()
        config = scrape_config(folder, local)
        log = (folder / "prometheus.log").open("wb")
        command = [
            program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ]
        with subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                    yield loaded(client, local)
            finally:
                process.terminate()
                process.wait(20)
                log.close()


def scrape_config(folder: Path, local: Local) -> Path:
    """The repository's own configuration, with the run's addresses in place of DNS, and a scrape a second."""
    config = read_yaml(PROMETHEUS_FILES / "prometheus.yml")
    addresses = {"avert-worker": local.worker_url, "avert-api": local.api_metrics_url}
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS_FILES / name) for name in config["rule_files"]]
    config["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://")]}]}
        for job, url in addresses.items()
    ]
    path = folder / "prometheus.yml"
    YAML(typ="safe").dump(config, path)
    return path


def loaded(client: httpx.Client, local: Local) -> Run:
    """Send waves until Prometheus has seen enough of them, and until everything sent is done."""
    wait_for(lambda: answers(client), "Prometheus answers")
    begin_s = time.time()
    load = Load(local.api_url, local.keys.write, local.keys.server)
    run = Run(client, begin_s, begin_s, {}, load.visitors, {})
    write_garbage(local.settings)
    assert httpx.get(f"{local.api_metrics_url}/v1/rules").status_code == 401  # once: more is an alert

    def scrapes() -> float:
        found = run.ask("query", query='min(count_over_time(up{job=~"avert-.*"}[5m]))')["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def another_wave_was_enough() -> bool:
        load.wave()
        admin = {"Authorization": f"Bearer {local.keys.admin}"}
        assert httpx.get(f"{local.api_metrics_url}/v1/rules", headers=admin).status_code == 200
        return scrapes() >= SCRAPES_MIN and has_interval()

    def has_interval() -> bool:
        """Whether there are visitors enough for one: on a busy machine a wave takes long."""
        return bool(run.ask("query", query='avert_saved_amount{rule="programme",bound="low"}')["result"])

    def all_is_done_and_scraped() -> bool:
        done = run.ask("query", query="sum(avert_events_total) - 7")["result"]
        sent = run.ask("query", query='sum(avert_collector_events_total{result="accepted"})')["result"]
        receipts = run.ask("query", query="sum(avert_receipts_total)")["result"]
        return float(done[0]["value"][1]) == float(sent[0]["value"][1]) + float(receipts[0]["value"][1])

    wait_for(another_wave_was_enough, "both processes have been scraped a dozen times, and there is an interval")
    wait_for(all_is_done_and_scraped, "the worker has done everything that was sent")
    # What rules are worth is computed for one scrape and shown at the next; then Prometheus has to have both.
    done_s = time.time()

    def worth_is_of_after_the_load() -> bool:
        found = run.ask("query", query="max(avert_worth_timestamp_seconds)")["result"]
        return bool(found) and float(found[0]["value"][1]) > done_s + 2  # the totals are told once a second

    wait_for(worth_is_of_after_the_load, "the API has computed what rules are worth from all that was done")
    pages = {url: httpx.get(f"{url}/metrics").content for url in (local.worker_url, local.api_metrics_url)}
    return run._replace(end_s=time.time(), pages=pages, averted=averted(local))


def averted(local: Local) -> dict[str, float]:
    """What the report says of the programme."""
    report = assess(totals_of_api(local.api_url, local.keys.server))
    programme = next(rule for rule in report.rules if rule.rule == PROGRAMME)
    saved = programme.arms[0].savings.gross
    assert saved is not None
    figures = {"estimate": saved.value, "low": saved.low, "high": saved.high}
    return {bound: value for bound, value in figures.items() if value is not None}


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def filled_in(expr: str) -> str:
    for variable, value in SUBSTITUTED.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr
    return expr


@pytest.mark.parametrize("query", panel_queries(), ids=lambda query: query.id)
def test_a_panel_shows_data(run: Run, query: PanelQuery) -> None:
    values = run.values(filled_in(query.expr))
    if query.id in NO_DATA_IS_HEALTHY:
        return
    assert values, "no series, or only NaN"
    if query.id in SIGNED:
        return
    if query.id in ZERO_IS_HEALTHY:
        assert min(values) >= 0
    else:
        assert max(values) > 0, "all zero"


@pytest.mark.parametrize("exceptions", [ZERO_IS_HEALTHY, NO_DATA_IS_HEALTHY, SIGNED], ids=["zero", "no data", "signed"])
def test_exceptions_name_panels_that_exist(exceptions: Collection[str]) -> None:
    assert set(exceptions) <= {query.id for query in panel_queries()}


@pytest.mark.parametrize("alert", alerts())
def test_what_an_alert_looks_at_exists(run: Run, alert: str) -> None:
    """In a healthy run an alert's expression is empty; but each series that it selects has to be there."""
    expr = alerts()[alert]["expr"]
    run.ask("query", query=expr)
    selectors = selectors_in(expr)
    assert selectors
    for selector in selectors - set(ABSENT_IS_HEALTHY):
        assert run.ask("query", query=f"count({selector})")["result"], f"{selector} selects nothing"


def test_exceptions_name_selectors_that_exist() -> None:
    assert set(ABSENT_IS_HEALTHY) <= {found for rule in alerts().values() for found in selectors_in(rule["expr"])}


def test_prometheus_evaluates_every_alert_and_none_fires_in_a_healthy_run(run: Run) -> None:
    rules = [rule for group in run.ask("rules", type="alert")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == set(alerts())
    assert {rule["name"]: rule["lastError"] for rule in rules if rule["health"] != "ok"} == {}
    firing = {rule["name"] for rule in rules if rule["state"] == "firing"}
    assert firing == set()


def test_prometheus_records_what_it_is_told_to(run: Run) -> None:
    rules = [rule for group in run.ask("rules", type="record")["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule["health"] for rule in rules} == dict.fromkeys(records(), "ok")


def test_what_was_averted_is_what_the_report_says(run: Run) -> None:
    """The board's figures are those of `GET /v1/impact`, assessed: for the rule with the most visitors."""
    shown = run.ask("query", query='max by (bound) (avert_saved_amount{rule="programme"})')["result"]
    figures = {each["metric"]["bound"]: float(each["value"][1]) for each in shown}
    assert figures == pytest.approx(run.averted)
    verdicts = run.ask("query", query='max by (verdict) (avert_verdict{rule="programme"} == 1)')["result"]
    assert len(verdicts) == 1


def test_the_counters_agree_with_what_was_sent(run: Run) -> None:
    """The dashboards show the truth: firings of the waves' stories, each once."""
    made = run.ask("query", query='sum by (kind) (avert_decisions_total)')["result"]
    kinds = {each["metric"]["kind"]: float(each["value"][1]) for each in made}
    assert set(kinds) == {"suggested", "control", "shadow", "suppressed"}
    calls = run.ask("query", query='sum(avert_outcomes_total{outcome="phone_call"})')["result"]
    callers = sum(1 for visitor in run.visitors if visitor.split("-")[2] == "4")
    assert float(calls[0]["value"][1]) == callers


def test_both_pages_follow_the_conventions_of_prometheus(run: Run) -> None:
    for url, page in run.pages.items():
        result = promtool("check", "metrics", stdin=page)
        assert (result.returncode, result.stdout + result.stderr) == (0, b""), url


def test_labels_hold_no_data_of_visitors(run: Run) -> None:
    for page in run.pages.values():
        assert b"visitor-" not in page
        assert b"hostile" not in page
        assert page.count(b"\n") < 1500


def test_labels_said_to_be_closed_are_closed(run: Run) -> None:
    page = b"".join(run.pages.values()).decode()
    for metric, values in CLOSED_LABELS.items():
        found = set(re.findall(rf'^{metric._name}(?:_total)?{{\w+="(\w+)"}}', page, re.MULTILINE))
        assert found == set(values), metric._name
