"""``avert plan``: what it prints, and what it refuses."""

from __future__ import annotations

import json

import pytest

from streams.cli import app


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        app(list(arguments))
    return int(ended.value.code or 0)


def test_json_holds_plan_limits_and_simulation(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "--events-per-second", "10000", "--json") == 0
    said = json.loads(capsys.readouterr().out)

    assert said["demand"]["events_per_second"] == 10_000
    assert said["plan"]["workers"] <= said["plan"]["partitions"]
    assert {"name", "events_per_second", "headroom"} == set(said["limits"][0])
    assert said["simulated"]["skew"] >= 1


def test_text_names_what_breaks_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "--events-per-second", "10000") == 0
    said = capsys.readouterr().out

    assert "What breaks first" in said
    assert "Simulated at peak" in said


def test_a_cost_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    run("plan", "--events-per-second", "10000", "--set", "worker_us=100", "--set", "worker_us_a_rule=1", "--json")

    assert json.loads(capsys.readouterr().out)["plan"]["worker_us"] == 150


def test_costs_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "costs", "--json") == 0

    assert json.loads(capsys.readouterr().out)["broker_mb_per_s"]["measured"] is False
