"""`avert demo`: the local pipeline, the recorded shop, then the simulated one, with a view; one line of JSON at last.

1. Broker and cache start; the recorded traffic goes into the log, with its own time; then worker and API start, so
   that the partitions' clocks see the recording first (a clock never goes back).
2. The simulated shop opens. Everything shown is counted from the topics; latency is measured by probe visitors.
3. The shop closes; the worker gets DRAIN_S to come to the end of the log; what came out is printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.live import Live

from streams.core.definition import Program
from streams.embedded.demo_view import View
from streams.embedded.local import Local
from streams.embedded.recorded_shop import OPTIONS, RECORDING
from streams.embedded.replaying import replay_recording
from streams.embedded.shopfront import running_shop
from streams.embedded.simulation import Observed, Simulation
from streams.embedded.stack import MEMORY_ONLY
from streams.embedded.tally import Tally, Watcher
from streams.embedded.up import say
from streams.errors import AvertError
from streams.replay import read_recording
from streams.rulefiles.load import load_program
from streams.settings import Settings
from streams.telemetry import configure_logs

DRAIN_S = 15.0  # commits are a second apart; the rest is for a busy machine
LOOK_S = 0.25  # between two looks at the processes, and two pictures
LINE_EVERY_S = 2.0  # where there is no terminal
LAG_EVERY_S = 1.0


class DemoError(AvertError):
    """The demo has ended, and not everything that went in has come out."""

    reason = "demo"
    exit_code = 1


class DemoOptions(NamedTuple):
    """What the command line says."""

    seconds: float | None
    visitors: int
    seed: int
    recording: Path | None


def run_demo(settings: Settings, options: DemoOptions) -> int:
    """Run the demo until its time is up, Ctrl-C or SIGTERM. Raises AvertError."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    configure_logs(settings.log_format, "warning")  # the view says what is going on
    program, _ = load_program(settings.rules_dir)
    say(MEMORY_ONLY)
    def recorded(local_settings: Settings) -> None:
        asyncio.run(_replay(options.recording, local_settings))

    local = Local(settings, before_worker=recorded, say=say)
    with local, running_shop(local) as shop:
        say(f"the shop, for you to click in: {shop.url}")
        result = uvloop.run(_demo(local, program, options))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is ending
    say(msgspec.json.encode(result).decode())
    if result["lag"]:
        raise DemoError(f"{result['lag']} events were not processed within {DRAIN_S:g} s after the end")
    return 0


async def _replay(path: Path | None, settings: Settings) -> None:
    if path is None and not RECORDING.exists():
        say("no recorded traffic here; --recording FILE gives some")
        return
    result = await replay_recording(read_recording(path or RECORDING, OPTIONS), settings, OPTIONS)
    say(f"recorded shop traffic: {result.sent:,} events of {result.visitors} visitors, in their own time")


async def _demo(local: Local, program: Program, options: DemoOptions) -> dict[str, Any]:
    return await _Demo(local, program, options).run()


class _Demo:
    """One run; everything of it in one event loop."""

    def __init__(self, local: Local, program: Program, options: DemoOptions) -> None:
        self._local = local
        self._options = options
        self._console = Console(file=sys.stdout)
        self._invitation = f"become a visitor who searches in vain; paste this:\n  {local.curl_line()}"
        rows = 2 + len(self._invitation) // self._console.width
        self._view = View(program, self._console, rows)
        self._watcher = Watcher(local.settings)
        self._simulation = Simulation(local.api_url, local.keys.write, options.visitors, options.seed)
        self._stop = asyncio.Event()
        self._lag = 0
        self._started = 0.0

    async def run(self) -> dict[str, Any]:
        """From the shop's opening to the summary."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        await self._watcher.start(self._local.settings.partitions)
        self._started = time.monotonic()
        try:
            async with _running(self._watcher.run(), self._supervise(), self._measure_lag(), self._show()):
                async with _running(self._simulation.run()):
                    await self._until_end()
                await self._drain()
        finally:
            await self._watcher.stop()
        return self._summary()

    async def _until_end(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), self._options.seconds)

    async def _drain(self) -> None:
        """Wait until the worker has done everything and the tally has counted it, for DRAIN_S at most."""
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline:
            self._lag = await self._watcher.lag()
            if self._lag == 0 and await self._watcher.unread() == 0:
                return
            await asyncio.sleep(LOOK_S)

    async def _supervise(self) -> None:
        while True:
            self._local.supervise()
            await asyncio.sleep(LOOK_S)

    async def _measure_lag(self) -> None:
        while True:
            with contextlib.suppress(KafkaError):  # a broker that is being restarted
                self._lag = await self._watcher.lag()
            await asyncio.sleep(LAG_EVERY_S)

    async def _show(self) -> None:
        say(self._invitation)  # as it is, and before the picture: what rich wraps cannot be pasted
        if not self._console.is_terminal:
            while True:
                await asyncio.sleep(LINE_EVERY_S)
                say(self._view.line(*self._state()))
        with Live(console=self._console, auto_refresh=False) as live:
            while True:
                live.update(self._view.draw(*self._state()), refresh=True)
                await asyncio.sleep(LOOK_S)

    def _state(self) -> tuple[Tally, Observed, int, float]:
        passed_s = time.monotonic() - self._started
        return self._watcher.tally, self._simulation.observed, self._lag, passed_s

    def _summary(self) -> dict[str, Any]:
        tally = self._watcher.tally
        return {
            "events": tally.events,
            "visitors": len(tally.visitors),
            "sessions": len(tally.sessions),
            "suggestions": tally.suggestions,
            "decisions": dict(sorted(tally.decisions.items())),
            "outcomes": dict(sorted(tally.outcomes.items())),
            "anti_conversion_cost": tally.anti_conversion_cost,
            "dead_letters": tally.dead_letters,
            "latency_ms": self._simulation.observed.latency_ms(),
            "lag": self._lag,
        }


@contextlib.asynccontextmanager
async def _running(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these in the background of the block; one that ends with an error ends the block with it."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
            yield
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
