"""Several processes of one program, supervised by one that does none of their work: `--processes N` of the commands.

1. Each is told what to do in one line on its standard input, which then stays open: a supervisor that is killed takes
   its processes along, because they see their input end.
2. A process that ends by itself is started again after a pause that doubles. What it cannot get over ends all of them,
   with its exit code.
3. SIGTERM or SIGINT ends all of them at once, each as gracefully as one alone; whoever is not done within the stop
   timeout is killed.

What differs between the commands is in a `Program`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable, Set
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from streams.errors import SettingsError
from streams.settings import Settings
from streams.telemetry import log

PROCESSES_MAX = 64
_PAUSE_FIRST_S, _PAUSE_MAX_S = 0.5, 30.0
_STEADY_S = 60.0  # a life of this long resets the pause


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is run several times, numbered from 0."""

    name: str  # begins the names of the log's events: `NAME_process_ended`
    module: str  # run as ``python -m``
    order: Callable[[int], bytes]  # number -> the line that it is told
    hopeless: Set[int]  # exit codes that another start would not mend
    stop_timeout_s: float
    started: Callable[[int, int], None] | None = None  # told number and pid
    heard: Callable[[int, bytes], None] | None = None  # told number and line of standard output; None: nobody listens


def refuse_count(processes: int) -> None:
    """Raises SettingsError when nobody could mean so many processes."""
    if not 1 <= processes <= PROCESSES_MAX:
        raise SettingsError(f"--processes takes 1 to {PROCESSES_MAX} and not {processes}")


async def keep(
    program: Program, processes: int, beside: AbstractAsyncContextManager[object] | None = None
) -> int:
    """Start all, keep them until SIGINT or SIGTERM, end all. Returns the exit code. `beside` is open meanwhile."""
    supervisor = _Supervisor(program)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, supervisor.stop.set)
    async with beside or nullcontext():
        await asyncio.gather(*(supervisor.keep(number) for number in range(processes)))
    log.info(f"{program.name}_processes_stopped")
    return supervisor.code


class _Supervisor:
    def __init__(self, program: Program) -> None:
        self._program = program
        self.stop = asyncio.Event()
        self.code = 0

    async def keep(self, number: int) -> None:
        """One process, and its successors."""
        pause_s = _PAUSE_FIRST_S
        while not self.stop.is_set():
            began = time.monotonic()
            code = await self._live(number)
            if self.stop.is_set():
                return
            if code in self._program.hopeless:
                self.code = code
                self.stop.set()
                return
            steady = time.monotonic() - began > _STEADY_S
            pause_s = _PAUSE_FIRST_S if steady else min(pause_s * 2, _PAUSE_MAX_S)
            log.error(f"{self._program.name}_process_ended", number=number, exit_code=code, again_in_s=pause_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self.stop.wait()

    async def _live(self, number: int) -> int:
        """One life of a process; how it ended."""
        program = self._program
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", program.module, stdin=PIPE, stdout=PIPE if program.heard else None,
            process_group=0,  # Ctrl-C is for the supervisor
        )
        assert process.stdin is not None  # noqa: S101  # asked for above
        process.stdin.write(program.order(number) + b"\n")
        if program.started:
            program.started(number, process.pid)
        hearing = asyncio.create_task(self._hear(number, process.stdout))
        stopping = asyncio.create_task(self.stop.wait())
        ended = asyncio.create_task(process.wait())
        await asyncio.wait((stopping, ended), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
            try:
                async with asyncio.timeout(program.stop_timeout_s):
                    await asyncio.shield(ended)
            except TimeoutError:
                log.warning(f"{program.name}_process_killed", number=number, after_s=program.stop_timeout_s)
                process.kill()
        stopping.cancel()
        code = await ended
        await hearing
        return code

    async def _hear(self, number: int, said: asyncio.StreamReader | None) -> None:
        if said is not None and self._program.heard is not None:
            async for line in said:
                self._program.heard(number, line)


# --- settings, as they are told to a process --------------------------------------------------------------------------


def builtins_of(settings: Settings) -> dict[str, Any]:
    """What can be written as JSON, and read back by `settings_of`."""
    found: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=str)
    return found


def settings_of(given: dict[str, Any]) -> Settings:
    """The settings that `builtins_of` was given."""
    return msgspec.convert(given, Settings, dec_hook=lambda kind, value: Path(value) if kind is Path else value)
