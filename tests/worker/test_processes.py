"""Two workers under one command: what they share, what becomes of one that ends, how all of them end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.core.event import Event, encode_event
from streams.errors import SettingsError
from streams.processes import PROCESSES_MAX
from streams.settings import Settings
from streams.worker.processes import supervise
from tests.support.pids import children_of, gone
from tests.worker.support import WorkerProcess, caught_up, producer, put, test_settings, until

Start = Callable[..., WorkerProcess]
TWO = "tests.worker.two"


@pytest.fixture
def settings(broker: str, unique: str) -> Settings:
    return test_settings(broker, unique)


def workers_of(process: WorkerProcess) -> list[int]:
    """Whom the supervisor started."""
    return children_of(process.process.pid)


def partitions_of(process: WorkerProcess) -> list[float]:
    return [process.metric(f'avert_assigned_partitions{{number="{number}"}}') for number in range(2)]


async def test_two_share_the_partitions_and_answer_as_one(settings: Settings, start: Start) -> None:
    process = await start(settings, TWO).ready()
    await until(lambda: partitions_of(process) == [2, 2], "each has two of four partitions")
    assert process.get("/healthz") == (200, "ok\n")
    now = int(time.time() * 1000)
    events = [
        (f"v{n}".encode(), encode_event(Event(f"e{n}", f"v{n}", "page_view", now))) for n in range(100)
    ]
    async with producer(settings) as client:
        await put(client, settings, events)
    await caught_up(settings)
    applied = [process.metric(f'avert_events_total{{number="{number}",result="applied"}}') for number in range(2)]
    assert sum(applied) == 100
    assert all(applied)
    assert process.get("/v1/explain?visitor=v1&rule=nope")[0] in (401, 403, 404)  # a worker's own answer


async def test_one_that_is_killed_is_started_again(settings: Settings, start: Start) -> None:
    process = await start(settings, TWO).ready()
    killed, other = workers_of(process)
    os.kill(killed, signal.SIGKILL)
    await until(lambda: other in workers_of(process) and killed not in workers_of(process), "the killed one is gone")
    await until(lambda: len(workers_of(process)) == 2, "a new one is there")
    await until(lambda: process.get("/readyz") == (200, "2 of 2 ready\n"), "both are ready")
    process.signal(signal.SIGTERM)
    assert await process.ended() == 0


async def test_a_signal_ends_all_of_them(settings: Settings, start: Start) -> None:
    process = await start(settings, TWO).ready()
    workers = workers_of(process)
    process.signal(signal.SIGTERM)
    assert await process.ended() == 0
    assert all(map(gone, workers))
    assert process.output().count("worker_stopped") == 2
    assert "worker_process_killed" not in process.output()


async def test_a_killed_supervisor_takes_them_along(settings: Settings, start: Start) -> None:
    process = await start(settings, TWO).ready()
    workers = workers_of(process)
    process.signal(signal.SIGKILL)
    await process.ended()
    await until(lambda: all(map(gone, workers)), "its workers end too")


async def test_what_no_worker_can_get_over_ends_all_of_them(
    broker: str, unique: str, tmp_path: Path, start: Start
) -> None:
    (tmp_path / "outcomes.yaml").write_text("currency: [")
    process = start(test_settings(broker, unique, rules_dir=tmp_path), TWO)
    assert await process.ended() == 3


@pytest.mark.parametrize("number", [0, PROCESSES_MAX + 1])
def test_a_senseless_number_is_refused(number: int) -> None:
    with pytest.raises(SettingsError, match="--processes takes 1 to"):
        supervise(Settings(), number)
