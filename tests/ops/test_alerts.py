"""Scrape configuration and alert rules, judged by Prometheus' own tool; and each alert by its cases and its runbook."""

from __future__ import annotations

import re

import pytest

from streams.telemetry import metrics_page
from tests.ops.tools import (
    PROMETHEUS_FILES,
    ROOT,
    alerts,
    metric_families,
    metrics_named_in,
    panel_queries,
    promtool,
    read_yaml,
    records,
)

ALERTS = alerts()
CASES = [case["name"] for case in read_yaml(PROMETHEUS_FILES / "alerts_test.yml")["tests"]]


def test_prometheus_accepts_the_configuration() -> None:
    result = promtool("check", "config", "prometheus.yml")
    assert result.returncode == 0, result.stderr.decode()
    assert b"2 rule files found" in result.stdout


def test_prometheus_accepts_the_alert_rules() -> None:
    result = promtool("check", "rules", "alerts.yml")
    assert result.returncode == 0, result.stderr.decode()
    assert f"{len(ALERTS)} rules found".encode() in result.stdout


def test_alerts_fire_and_stay_silent_as_their_cases_say() -> None:
    result = promtool("test", "rules", "alerts_test.yml")
    assert result.returncode == 0, result.stdout.decode() + result.stderr.decode()


def test_prometheus_accepts_the_recording_rules() -> None:
    result = promtool("check", "rules", "records.yml")
    assert result.returncode == 0, result.stderr.decode()
    assert f"{len(records())} rules found".encode() in result.stdout


def test_recording_rules_record_what_their_cases_say() -> None:
    result = promtool("test", "rules", "records_test.yml")
    assert result.returncode == 0, result.stdout.decode() + result.stderr.decode()


@pytest.mark.parametrize("record", records())
def test_a_recording_rule_has_a_case_and_a_reader(record: str) -> None:
    """Named as Prometheus' guide says (level:metric:operations), tried, and asked for by a board."""
    assert re.fullmatch(r"[a-z_]+:avert_[a-z_]+:[a-z0-9_]+", record)
    cases = read_yaml(PROMETHEUS_FILES / "records_test.yml")["tests"]
    assert any(record in case["name"] for case in cases)
    assert any(record in query.expr for query in panel_queries())


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_cases_of_both_kinds(alert: str) -> None:
    assert any(name.startswith(f"{alert} fires: ") for name in CASES)
    assert any(name.startswith(f"{alert} silent: ") for name in CASES)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_it_means_and_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert f"docs/operations.md#{alert.lower()}" == rule["annotations"]["runbook"]


def test_the_runbook_has_an_entry_for_each_alert_and_for_no_other() -> None:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert sorted(ALERTS) == sorted(re.findall(r"^#### (Avert\w+)$", text, re.MULTILINE))


def test_alerts_name_metrics_that_exist() -> None:
    known = {*metric_families(), "process_start_time_seconds", "process_resident_memory_bytes"}
    unknown = {alert: metrics_named_in(rule["expr"]) - known for alert, rule in ALERTS.items()}
    assert {alert: names for alert, names in unknown.items() if names} == {}


def test_metric_names_follow_the_conventions_of_prometheus() -> None:
    result = promtool("check", "metrics", stdin=metrics_page())
    assert (result.returncode, result.stdout + result.stderr) == (0, b"")
