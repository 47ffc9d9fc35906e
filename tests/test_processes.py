"""The supervisor by itself, with processes that do nothing; with the real ones: tests/http and tests/worker."""

from __future__ import annotations

import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from streams.errors import BrokerUnavailableError
from streams.processes import Program, builtins_of, keep, settings_of
from streams.settings import Settings
from streams.worker.processes import HOPELESS
from streams.worker.watchdog import EXIT_CODE, EXIT_CODE_STUCK_THREAD
from tests.support.pids import gone


class Told:
    """Processes that are told `lines`; once all have answered, this process is told to end as an operator would."""

    def __init__(self, *lines: str, stop_timeout_s: float = 20.0) -> None:
        self.heard: dict[int, str] = {}
        self.pids: dict[int, int] = {}
        self.program = Program(
            name="test", module="tests.support.child", order=lambda number: lines[number].encode(), hopeless={7},
            stop_timeout_s=stop_timeout_s, started=self.pids.__setitem__, heard=self._hear,
        )
        self._count = len(lines)

    def _hear(self, number: int, line: bytes) -> None:
        self.heard[number] = line.decode().strip()
        if len(self.heard) == self._count and "7" not in self.heard.values():
            os.kill(os.getpid(), signal.SIGTERM)


async def test_each_is_told_its_own_line_and_a_signal_ends_all() -> None:
    told = Told("stay", "stay too")
    assert await keep(told.program, 2) == 0
    assert told.heard == {0: "stay", 1: "stay too"}
    assert all(map(gone, told.pids.values()))


async def test_one_that_does_not_end_in_time_is_killed() -> None:
    told = Told("stubborn", stop_timeout_s=0.2)
    assert await keep(told.program, 1) == 0
    assert gone(told.pids[0])


async def test_a_hopeless_end_ends_the_others_with_its_code() -> None:
    told = Told("stay", "7")
    assert await keep(told.program, 2) == 7
    assert all(map(gone, told.pids.values()))


@pytest.mark.parametrize("code", [BrokerUnavailableError.exit_code, EXIT_CODE, EXIT_CODE_STUCK_THREAD])
async def test_a_worker_that_no_longer_knows_its_partitions_is_started_again(code: int) -> None:
    """No heartbeat, no acknowledgement, no progress: all of it is mended by another start."""
    told = iter([str(code), "stay"])
    heard: list[str] = []

    def hear(_number: int, line: bytes) -> None:
        heard.append(line.decode().strip())
        if heard[-1] == "stay":
            os.kill(os.getpid(), signal.SIGTERM)

    program = Program(
        name="test", module="tests.support.child", order=lambda _: next(told).encode(), hopeless=HOPELESS,
        stop_timeout_s=20.0, heard=hear,
    )
    assert await keep(program, 1) == 0
    assert heard == [str(code), "stay"]


async def test_what_is_beside_them_is_open_as_long_as_they_live() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def beside():
        steps.append("open")
        yield
        steps.append("all gone" if all(map(gone, told.pids.values())) else "some live")

    told = Told("stay")
    await keep(told.program, 1, beside())
    assert steps == ["open", "all gone"]


def test_settings_are_the_same_once_told() -> None:
    settings = Settings(rules_dir=Path("somewhere"), api_port=1234)
    assert settings_of(msgspec.json.decode(msgspec.json.encode(builtins_of(settings)))) == settings
