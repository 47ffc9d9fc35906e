"""``avert plan``: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams.cli import app, main
from streams.plan.costs import costs_with
from streams.plan.costs_file import read_costs


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


def test_a_busiest_worker_beyond_the_plan_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    bot = ("--top-visitor-share", "0.5", "--visitor-events-per-minute-max", "0")
    for more, told in ((), False), (bot, True):
        run("plan", "--events-per-second", "10000", *more)
        assert ("plan again with --skew" in capsys.readouterr().out) is told


def test_a_cost_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    run("plan", "--events-per-second", "10000", "--set", "worker_us=100", "--set", "worker_us_a_rule=1",
        "--funnels", "0", "--json")

    assert json.loads(capsys.readouterr().out)["plan"]["worker_us"] == 150


def test_costs_come_from_a_file_and_single_ones_go_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "costs.yaml"
    file.write_text("worker_us: 100\nworker_us_a_rule: 1\n")
    given = ["plan", "--events-per-second", "10", "--funnels", "0", "--costs", str(file), "--json"]

    run(*given)
    assert json.loads(capsys.readouterr().out)["plan"]["worker_us"] == 150
    run(*given, "--set", "worker_us=10")
    assert json.loads(capsys.readouterr().out)["plan"]["worker_us"] == 60


def test_a_broken_file_ends_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "costs.yaml"
    file.write_text("\nworker_us: fast\n")

    assert main(["plan", "--events-per-second", "10", "--costs", str(file)]) == 2
    assert "costs.yaml:2:12: the cost worker_us must be a number" in capsys.readouterr().err


def test_the_compiled_core_needs_less(capsys: pytest.CaptureFixture[str]) -> None:
    us = []
    for more in ([], ["--compiled"]):
        run("plan", "--events-per-second", "10", "--json", *more)
        us.append(json.loads(capsys.readouterr().out)["plan"]["worker_us"])

    assert us[1] < us[0]


def test_kafka_is_told_by_topic(capsys: pytest.CaptureFixture[str]) -> None:
    run("plan", "--events-per-second", "10")
    said = capsys.readouterr().out

    assert [name for name in ("journeys", "totals", "changelog") if name not in said] == []


def test_the_list_of_costs_is_a_file_of_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "costs.yaml"
    for more in ([], ["--compiled"]):
        run("plan", "costs", *more)
        file.write_text(capsys.readouterr().out)
        assert read_costs(file) == costs_with({}, compiled=bool(more))


def test_costs_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "costs", "--json") == 0

    assert json.loads(capsys.readouterr().out)["broker_mb_per_s"]["measured"] is False
