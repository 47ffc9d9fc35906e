"""What `bench.curve` says of a machine that cannot do what is asked of it."""

from __future__ import annotations

from typing import Any

import pytest

from bench.curve import ends_in, summary
from streams.telemetry import configure_logs, log


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Any:
    """Write a line as the supervisor does; what is in the log."""
    configure_logs("console", "info")

    def line(event: str, **fields: object) -> str:
        log.error(event, **fields)
        return capsys.readouterr().err

    return line


def test_a_worker_that_ends_is_told_with_its_reason(logged: Any) -> None:
    text = logged("worker_ends", reason="lease_lost", error="no heartbeat was answered", exit_code=5)
    text += logged("worker_process_ended", number=1, exit_code=5, again_in_s=0.5)

    assert ends_in(text) == ["exit code 5 (lease_lost)"]


def test_one_that_was_killed_gave_no_reason(logged: Any) -> None:
    text = logged("worker_ends", reason="lease_lost", error="no heartbeat was answered", exit_code=5)
    text += logged("worker_process_ended", number=1, exit_code=5, again_in_s=0.5)
    text += logged("worker_process_ended", number=0, exit_code=-9, again_in_s=0.5)

    assert ends_in(text) == ["exit code 5 (lease_lost)", "exit code -9"]


def test_a_quiet_log_has_no_ends(logged: Any) -> None:
    assert ends_in(logged("worker_processes_stopped")) == []


def run_of(events_per_s: int, *ended: str) -> dict[str, Any]:
    return {"partitions": 4, "processes": 2, "events_per_s": events_per_s, "cpu_s_per_m": 1.0, "load_average": 1.0,
            "ended": list(ended)}  # fmt: skip


def test_a_run_in_which_a_worker_ended_does_not_count_beside_others() -> None:
    (row,) = summary([run_of(100), run_of(7, "exit code 5")])

    assert (row["events_per_s"], row["runs"], row["ended"]) == (100, 1, 0)


def test_where_there_is_no_other_it_is_told() -> None:
    (row,) = summary([run_of(7, "exit code 5")])

    assert (row["events_per_s"], row["ended"]) == (7, 1)
