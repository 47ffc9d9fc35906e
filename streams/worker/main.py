"""One worker process from start to end.

1. Wait for the broker. 2. Create and check the topics. 3. Put the first rules into force (reload.py), and follow them
from then on. 4. Start Faust, which joins the group and recovers the table. 5. Ready. 6. At SIGTERM or SIGINT: finish
what is in hand, commit, leave the group.

Whatever cannot be put right ends the process with a message and an exit code that is not 0, for the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from streams.core import build
from streams.delivery import Delivery
from streams.errors import AvertError, BrokerUnavailableError
from streams.rulefiles.options import engine_options
from streams.settings import Settings
from streams.telemetry import READY, configure_logs, log
from streams.worker.announce import Announcer
from streams.worker.app import WorkerApp, build_app, scratch_folder
from streams.worker.apply import Applier
from streams.worker.clock import stepped_ms, wall_ms
from streams.worker.commit import BatchProcedure
from streams.worker.explaining import AdminKeysNow, Explainer
from streams.worker.exporting import Exporter
from streams.worker.lease import Lease
from streams.worker.ledger import Ledger
from streams.worker.link import Link
from streams.worker.machine import Machine, core_machine
from streams.worker.partition import PartitionMemory
from streams.worker.publish import TotalsPublisher
from streams.worker.quiet import quiet_foreign_logs
from streams.worker.reload import Rules
from streams.worker.send import RecordSender
from streams.worker.server import StatusServer
from streams.worker.topics import changelog_name, connect_admin, ensure_topics
from streams.worker.watchdog import LastResort, ThreadWatchdog, Watchdog

# How long the engine may keep the consumer's thread from unpacking records: Python's 5 ms makes them hand the lock back
# and forth for a tenth of the time when behind. With little to do neither keeps it for a millisecond.
SWITCH_INTERVAL_S = 0.02
GC_THRESHOLDS = (100_000, 50, 1_000)  # measured: 5 % of the engine's time against the defaults
TICK_S = 0.1  # how often the timers are looked at
LAST_S = 0.5  # of the stop timeout: what then has not ended is ended
CLOSE_S = 2.0  # of the stop timeout: for what comes after Faust's end, each client's second at once


def main(settings: Settings) -> int:
    """Run a worker until a signal; returns the exit code."""
    configure_logs(settings.log_format, settings.log_level)
    # Hundreds of thousands of live objects that are in no cycle: walking them over and over finds nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    code = uvloop.run(run_worker(settings))
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        # Faust's consumer waits in a thread of its own for a broker that is away; Python would wait for the thread.
        sys.stdout.flush()
        os._exit(code)
    return code


async def run_worker(
    settings: Settings, *, ready: Callable[[], None] | None = None, machine: Machine | None = None
) -> int:
    """Run a worker until SIGTERM, SIGINT or cancellation; returns the exit code.

    `ready` is called once, when the table is recovered. `machine`: another engine than the core's with the rules of
    `settings.rules_dir` (for tests).
    """
    quiet_foreign_logs()
    stop, last_resort = asyncio.Event(), LastResort(max(LAST_S, settings.stop_timeout_s - LAST_S))
    loop = asyncio.get_running_loop()

    def asked_to_stop() -> None:
        last_resort.begin()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):  # not in the main thread
            loop.add_signal_handler(number, asked_to_stop)
    try:
        worker = Worker(settings, machine, stop, last_resort)
        await worker.run(ready)
    except AvertError as error:
        log.error("worker_ends", reason=error.reason, error=str(error), exit_code=error.exit_code)
        return error.exit_code
    return 0


class Worker:
    """The parts of one worker, and their order at start and end."""

    def __init__(
        self, settings: Settings, machine: Machine | None, stop: asyncio.Event, last_resort: LastResort
    ) -> None:
        """`machine`: an engine whose rules do not change; None: the core's, with the rules of the settings."""
        self._settings = settings
        self._stop = stop
        self._last_resort = last_resort
        self._machine = machine or core_machine(None)
        applier = Applier(self._machine, settings.topic("clickstream"))
        self._rules = Rules(settings, engine_options(settings), applier.use) if machine is None else None
        lease = Lease(settings.broker_session_timeout_s, 2 * settings.broker_heartbeat_s)
        self._link = Link(settings, lease, Ledger())
        self._sender = RecordSender(
            settings.kafka_bootstrap, lease, settings.send_timeout_s, settings.app_id
        )
        self._delivery = Delivery(settings.redis_url, settings.redis_timeout_ms, settings.cache_prefix)
        self._link.procedure = BatchProcedure(
            applier, self._sender, self._delivery, self._link.ledger, settings.topic, changelog_name(settings),
        )
        self._publisher = TotalsPublisher(
            self._sender, settings.topic("totals"), self._told_of,
            lambda: self._rules.ruleset if self._rules is not None else None,
        )
        explainer = Explainer(
            AdminKeysNow(settings.keys_file), self._ready_memories, lambda: self._partitions,
            lambda: self._rules.ruleset if self._rules is not None else None,
        )
        self._server = StatusServer(
            settings.worker_http_host, settings.worker_http_port, lambda: self._link.ready, explainer.handle,
            Exporter(
                AdminKeysNow(settings.keys_file, "visitors_read"), self._ready_memories, lambda: self._partitions
            ).handle,
        )
        self._partitions = settings.partitions  # of the topics, once they are known
        self._announcer = Announcer(
            self._delivery,
            lambda: self._server.address,
            lambda: tuple(memory.partition for memory in self._link.table.ready_memories()) if self._link.ready else (),
            lambda: self._partitions,
            lambda: self._rules.ruleset if self._rules is not None else None,
        )
        self._app: WorkerApp

    def _ready_memories(self) -> list[PartitionMemory]:
        return self._link.table.ready_memories() if self._link.ready else []

    def _told_of(self) -> list[PartitionMemory]:
        return list(self._link.table.memories.values()) if self._link.ready or self._link.ending else []

    async def run(self, ready: Callable[[], None] | None) -> None:
        """From start to end. Raises AvertError."""
        settings = self._settings
        READY.labels("worker").set(0)
        await self._server.start()
        try:
            if not await self._unless_stopped(self._prepare()):
                return
            log.info("worker_starts", core=build(), partitions=self._partitions)
            with scratch_folder() as scratch:
                self._app = build_app(settings, self._link, self._machine, self._partitions, scratch)
                self._link.on_ready = ready
                await self._serve()
        finally:
            READY.labels("worker").set(0)
            await self._announcer.close()
            closing = [self._sender.close(), self._delivery.close(), self._server.close()]
            if self._rules is not None:
                closing.append(self._rules.close())
            await asyncio.gather(*closing)

    async def _prepare(self) -> bool:
        """Everything before Faust; False when a stop was asked for."""
        settings = self._settings
        admin = await connect_admin(settings, self._stop)
        if admin is None:
            return False
        try:
            self._partitions = await ensure_topics(admin, settings)
        finally:
            await admin.close()
        if self._rules is not None:
            await self._rules.start()
        await self._sender.start()
        await self._delivery.start()
        return True

    async def _unless_stopped(self, work: Coroutine[Any, Any, bool]) -> bool:
        """The work's answer; False when a stop comes first: a client that waits for a broker takes its time."""
        working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait((working,), timeout=CLOSE_S)
            return False
        return working.result()

    async def _serve(self) -> None:
        """Faust, from its start to its end."""
        link, app = self._link, self._app
        watchdog = Watchdog(link, app, self._settings.watchdog_s)
        jobs = [
            ("start", app.start()),
            ("ticks", self._ticks()),
            ("watchdog", watchdog.run()),
            ("totals", self._publisher.run()),
            ("thread watchdog", ThreadWatchdog(self._settings.watchdog_s).run()),
            ("crash", self._crash()),
            ("announcer", self._announcer.run()),
        ]
        if self._rules is not None:
            jobs += [("rules' directory", self._rules.watch()), ("rules' topic", self._rules.follow())]
        tasks = {asyncio.create_task(work, name=name) for name, work in jobs}
        for task in tasks:
            task.add_done_callback(self._task_ended)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((stopping, link.failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await self._end(tasks)
        if link.failed.done():
            error = link.failed.result()
            raise error if isinstance(error, AvertError) else BrokerUnavailableError(
                f"Faust ended: {type(error).__name__} {error}"
            ) from error

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._link.fail(error)

    async def _crash(self) -> None:
        """A Faust service that crashed takes the app with it."""
        await self._app._crashed.wait()  # mode has no other way to wait for it
        self._link.fail(self._app.crash_reason or BrokerUnavailableError("Faust crashed"))

    async def _ticks(self) -> None:
        """Look at the timers of every partition that has nothing in hand."""
        link, grace_ms = self._link, self._settings.clock_grace_ms
        while True:
            await asyncio.sleep(TICK_S)
            if not link.ready:
                continue
            for memory in link.table.ready_memories():
                if link.ledger.closed or link.ledger.busy(memory.partition):
                    continue
                known = self._app.consumer.end_of(memory.partition)
                caught_up_at = None
                if known is not None and max(memory.done + 1, memory.committed) >= known[0]:
                    # Nothing more had come when the broker said so: until then the clock may go, not until now.
                    # (That moment is of the system's clock, which may have been set since the start: see clock.py.)
                    caught_up_at = min(wall_ms(), known[1] - stepped_ms()) - grace_ms
                now = max(memory.clock, caught_up_at or 0) if memory.follows_wall else memory.clock
                due = memory.timers.next_due()
                if memory.doomed or (now and due is not None and due <= now):
                    link.tick(memory.partition, caught_up_at)

    async def _end(self, tasks: set[asyncio.Task[Any]]) -> None:
        """Finish what is in hand, commit, leave the group; within the stop timeout, whatever Faust does."""
        self._last_resort.begin()
        began = time.monotonic()
        failed = self._link.failed.done()
        for task in tasks:
            if task.get_name() != "start":
                task.cancel()
        try:
            async with asyncio.timeout(max(0.0, self._settings.stop_timeout_s - 2 * CLOSE_S)):
                if not failed:
                    self._link.ending = True
                    await self._link.hand_over()
                    await self._app.consumer.commit_done()
                    await self._publisher.publish()  # what has changed in the last second
                await self._app.stop()
        except TimeoutError:
            log.warning("stop_timed_out", after_s=self._settings.stop_timeout_s)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CLOSE_S)
        log.info("worker_stopped", seconds=round(time.monotonic() - began, 2))
