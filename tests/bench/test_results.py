"""RESULTS.md from what the benchmarks said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bench._results import markdown, render
from bench._tree import TreeWatch


def part(result: dict[str, Any]) -> dict[str, Any]:
    return {"began": "2026-01-01 00:00", "minutes": 1, "load_before": 1.0, "load_after": 2.0, "commit": "abc",
            "machine": "a machine", "java": "a Java", "result": result}  # fmt: skip


def row(peer: str, rate: int, cpu: float, *, right: bool) -> dict[str, Any]:
    return {"job": "count", "events": 300_000, "peer": peer, "runs": 3, "events_per_s": rate, "events_per_s_min": rate,
            "events_per_s_max": rate, "cpu_s_per_m": cpu, "cpu_s_per_m_min": cpu, "cpu_s_per_m_max": cpu,
            "start_cpu_s": 1.0, "peak_mib": 100, "matches": 7, "right": right, "load_average": 1.0}  # fmt: skip


def test_numbers_are_readable() -> None:
    assert markdown(("a", "b"), [[1234567, 0.123456]]).splitlines()[-1] == "| 1,234,567 | 0.123 |"


def test_a_peer_stands_beside_us_with_both_ratios() -> None:
    rows = [row("avert", 100_000, 10.0, right=True), row("bytewax", 200_000, 5.0, right=True)]

    page = render({"jobs": part({"rows": rows})})

    assert "Bytewax 0.50 and 0.50" in page


def test_under_another_load_nothing_is_compared() -> None:
    rows = [row("avert", 100, 10.0, right=True), row("flink", 50, 20.0, right=True) | {"load_average": 1.6}]

    page = render({"jobs": part({"rows": rows})})

    assert "Flink not comparable (load 1.6 beside 1.0)" in page


def test_wrong_matches_stand_out() -> None:
    page = render({"jobs": part({"rows": [row("avert", 1, 1.0, right=False)]})})

    assert "| **no** |" in page


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are watched on Linux only")
def test_a_process_is_watched_with_its_cpu_and_memory() -> None:
    with TreeWatch(os.getpid()) as watch:
        while len(watch.samples) < 3:
            sum(range(100_000))

    first, last = watch.samples[0], watch.samples[-1]
    assert last.cpu_s > first.cpu_s
    assert first.cpu_s <= watch.cpu_s_at((first.at + last.at) / 2) <= last.cpu_s
    assert watch.peak_mib > 1


def test_workers_that_ended_are_told_below_the_curve() -> None:
    curve = {"partitions": 4, "processes": 2, "runs": 1, "events_per_s": 7, "events_per_s_min": 7,
             "events_per_s_max": 7, "cpu_s_per_m": 1.0, "load_average": 85.0}  # fmt: skip
    runs = [curve | {"ended": ["exit code 5 (lease_lost)"]}]
    page = render({"curve": part({"rules": 50, "rows": [curve], "runs": runs})})

    assert "started again 1 times: exit code 5 (lease_lost)" in page
