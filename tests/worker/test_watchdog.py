"""Lag without progress, recovery without progress, a broker that does not answer, a stuck main thread."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from streams.worker.partition import PartitionMemory
from streams.worker.watchdog import EXIT_CODE_CUT_SHORT, EXIT_CODE_STUCK_THREAD, Watchdog
from tests.worker.small import SMALL

LIMIT_S = 60.0
TP = TopicPartition("clicks", 0)


class World:
    """As much of link, table, app and consumer as the watchdog sees: one partition."""

    def __init__(self) -> None:
        self.ready = True
        self.clickstream = "clicks"
        self.rows_read = 0
        self.one = PartitionMemory(0, SMALL)
        self.end = 10
        self.answers = True
        self.table = self.consumer = self
        self.watchdog = Watchdog(self, self, LIMIT_S)

    def memory(self, partition: int) -> PartitionMemory:
        return self.one

    def gauges(self) -> None: ...

    def assignment(self) -> set[Any]:
        return {TP}

    def end_of(self, partition: int) -> None: ...

    async def highwaters(self, *tps: Any) -> dict[Any, int]:
        if not self.answers:
            raise KafkaConnectionError
        return dict.fromkeys(tps, self.end)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(("after_s", "stuck"), [(59.9, False), (60.0, True), (60.1, True)])
async def test_lag_without_progress_is_stuck_after_the_limit(world: World, after_s: float, stuck: bool) -> None:
    assert await world.watchdog.look(100.0) == ""
    assert bool(await world.watchdog.look(100.0 + after_s)) == stuck


async def test_lag_with_progress_is_not_stuck(world: World) -> None:
    for second in range(200):
        world.one.done = second // 30
        assert await world.watchdog.look(float(second)) == ""


async def test_no_lag_is_not_stuck(world: World) -> None:
    world.one.done = 9
    await world.watchdog.look(0.0)
    assert await world.watchdog.look(1_000.0) == ""


async def test_lag_that_comes_late_starts_its_own_clock(world: World) -> None:
    world.one.done = 9
    await world.watchdog.look(0.0)
    await world.watchdog.look(500.0)
    world.end = 11
    assert await world.watchdog.look(501.0) == ""
    assert "1 records behind" in await world.watchdog.look(561.0)


async def test_recovery_that_reads_rows_is_not_stuck(world: World) -> None:
    world.ready = False
    for second in range(0, 600, 30):
        world.rows_read += 1
        assert await world.watchdog.look(float(second)) == ""


async def test_recovery_that_reads_nothing_is_stuck(world: World) -> None:
    world.ready = False
    await world.watchdog.look(0.0)
    assert "recover" in await world.watchdog.look(60.0)


async def test_broker_that_does_not_answer_is_stuck_after_the_limit(world: World) -> None:
    world.answers = False
    assert await world.watchdog.look(0.0) == ""
    assert "broker" in await world.watchdog.look(60.0)


async def test_broker_that_comes_back_in_time_is_forgiven(world: World) -> None:
    world.one.done = 9
    world.answers = False
    await world.watchdog.look(0.0)
    world.answers = True
    await world.watchdog.look(30.0)
    world.answers = False
    assert await world.watchdog.look(61.0) == ""


def test_stuck_main_thread_ends_the_process() -> None:
    program = """
import asyncio, time
from streams.worker import watchdog
watchdog.CHECK_S = 0.05
async def main():
    task = asyncio.create_task(watchdog.ThreadWatchdog(0.2).run())
    await asyncio.sleep(0)
    time.sleep(30)
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == EXIT_CODE_STUCK_THREAD
    assert "main thread" in ended.stderr + ended.stdout


def test_an_end_that_takes_too_long_is_cut_short() -> None:
    program = (
        "import threading; from streams.worker.watchdog import LastResort; "
        "LastResort(0.2).begin(); threading.Event().wait()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == EXIT_CODE_CUT_SHORT
    assert "end_cut_short" in ended.stdout + ended.stderr


def test_a_clock_that_was_set_is_told_once_each_time(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for stepped in (0, 5_000, 5_001, 5_002, 3_600_000, 3_600_001, 0):
        world.watchdog._look_at_the_clock(stepped)
        told.append("clock_was_set" in capsys.readouterr().out)
    assert told == [False, False, True, False, True, False, True]
