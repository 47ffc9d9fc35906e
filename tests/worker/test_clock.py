"""The worker's wall time: it goes on from the process's start, whoever sets the system's clock meanwhile."""

from __future__ import annotations

import time

import pytest

from streams.worker import clock
from streams.worker.clock import stepped_ms, wall_ms

HOUR_S = 3_600
NEAR_MS = 60_000  # a test may be interrupted


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_system_clock_that_is_set_moves_nothing(monkeypatch: pytest.MonkeyPatch, step_s: int) -> None:
    before = wall_ms()
    system = time.time_ns
    monkeypatch.setattr(clock.time, "time_ns", lambda: system() + step_s * 10**9)
    assert 0 <= wall_ms() - before < NEAR_MS
    assert abs(stepped_ms() - step_s * 1_000) < NEAR_MS


def test_wall_time_is_the_system_s_as_long_as_nobody_sets_it() -> None:
    assert abs(stepped_ms()) < NEAR_MS
    assert abs(time.time() * 1_000 - wall_ms()) < NEAR_MS
