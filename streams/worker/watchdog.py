"""Ends a worker that does not get on: lag and no progress, no recovery, a stuck main thread.

Consumers that are stuck after a rebalance are known of Faust, without a known cause; a process that is started again
is a cure for all of them. It asks the broker itself how far the log goes: a stuck fetcher knows of no lag.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

from aiokafka.errors import KafkaError

from streams.errors import AvertError, TopicLayoutError
from streams.telemetry import LAG, log
from streams.worker.clock import stepped_ms
from streams.worker.link import Link

CHECK_S = 1.0
STEP_MS_TOLD = 5_000  # a system's clock that is off by more is told of; NTP puts right less by slewing
ASK_S_MAX = 5.0
EXIT_CODE = 7
EXIT_CODE_STUCK_THREAD = 8
EXIT_CODE_CUT_SHORT = 9


class StuckError(AvertError):
    """Lag and no progress."""

    reason = "stuck"
    exit_code = EXIT_CODE


class Watchdog:
    """Looks once a second; also keeps the gauges up to date."""

    def __init__(self, link: Link, app: Any, limit_s: float) -> None:
        self._link = link
        self._app = app
        self._limit_s = limit_s
        self._seen: dict[Any, Any] = {}
        self._since: dict[Any, float] = {}
        self._stepped_ms = 0  # what was told last

    async def run(self) -> None:
        """Until cancelled. Fails the link when something has not moved for the limit."""
        while True:
            await asyncio.sleep(CHECK_S)
            now_s = time.monotonic()
            self._look_at_the_clock(stepped_ms())
            if self._link.spare:
                self._look_for_work(now_s)
                continue
            self._since.pop("spare", None)
            stuck = await self.look(now_s)
            if stuck:
                log.error("watchdog", stuck=stuck, limit_s=self._limit_s, **self._app.consumer.condition())
                self._link.fail(StuckError(f"{stuck} for {self._limit_s:g} s; this process ends, start it again"))
                return

    def _look_at_the_clock(self, stepped: int) -> None:
        """The system's clock has been set by `stepped` ms since the start: say so, once for each time."""
        if abs(stepped - self._stepped_ms) > STEP_MS_TOLD:
            self._stepped_ms = stepped
            log.warning(
                "clock_was_set", by_ms=stepped,
                hint="this process goes on by the time of its start; if the system's clock is right now, restart it",
            )

    def _look_for_work(self, now_s: float) -> None:
        """No partition. It may be a dead worker's ghost that still has one; not for longer than the group's times."""
        settings = self._link.settings
        limit_s = settings.broker_session_timeout_s + settings.broker_rebalance_timeout_s
        if self._still("spare", 0, "spare", now_s, limit_s):
            self._link.fail(TopicLayoutError(
                f"there are more workers than partitions of {self._link.clickstream}: this one has had none for "
                f"{limit_s:g} s. Run at most as many workers as partitions; this process ends"
            ))

    async def look(self, now_s: float) -> str:
        """What has been stuck for the limit, as a sentence; "" when nothing has."""
        link = self._link
        if not link.ready:
            sentence = "the worker has no partitions, or does not recover"
            return self._still("recovery", link.table.rows_read, sentence, now_s)
        self._since.pop("recovery", None)
        try:
            ends = await asyncio.wait_for(self._ends(), ASK_S_MAX)
        except (TimeoutError, KafkaError):
            return self._still("broker", 0, "the broker does not say how far the log goes", now_s)
        self._since.pop("broker", None)
        for partition, end in ends.items():
            memory = link.table.memory(partition)
            if memory is None:
                continue
            next_offset = max(memory.done + 1, memory.committed)
            lag = max(0, end - next_offset)
            LAG.labels(str(partition)).set(lag)
            if not lag:
                self._since.pop(partition, None)
                continue
            sentence = f"partition {partition} is {lag} records behind and stands still"
            stuck = self._still(partition, next_offset, sentence, now_s)
            if stuck:
                return stuck
        return ""

    async def _ends(self) -> dict[int, int]:
        self._link.gauges()
        consumer = self._app.consumer
        mine = [tp for tp in consumer.assignment() if tp.topic == self._link.clickstream]
        if not mine:
            return {}
        ends = {}
        for tp, end in (await consumer.highwaters(*mine)).items():
            fetched = consumer.end_of(tp.partition)  # the embedded broker's answer is too low, its fetches' is right
            ends[tp.partition] = max(end, fetched[0] if fetched else 0)
        return ends

    def _still(self, what: Any, value: Any, sentence: str, now_s: float, limit_s: float | None = None) -> str:
        if what not in self._since or self._seen.get(what) != value:
            self._seen[what] = value
            self._since[what] = now_s
            return ""
        limit_s = self._limit_s if limit_s is None else limit_s
        return sentence if now_s - self._since[what] >= limit_s else ""


class LastResort:
    """Ends the process when its end takes longer than it may: clients of a broker that is away wait for it, in threads.

    What is cut short is not lost: what is not committed is read again and recognised.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        """The end has begun. Only the first call counts; nothing takes it back but the end of the process."""
        if self._timer is None:
            self._timer = threading.Timer(self._limit_s, self._cut_short)
            self._timer.daemon = True
            self._timer.start()

    def _cut_short(self) -> None:
        log.error("end_cut_short", after_s=self._limit_s, exit_code=EXIT_CODE_CUT_SHORT)
        os._exit(EXIT_CODE_CUT_SHORT)


class ThreadWatchdog:
    """A thread that ends the process when the main thread's event loop has not turned for the limit."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._turned_s = time.monotonic()
        self._ended = threading.Event()

    async def run(self) -> None:
        """Until cancelled."""
        threading.Thread(target=self._watch, name="avert-watchdog", daemon=True).start()
        try:
            while True:
                self._turned_s = time.monotonic()
                await asyncio.sleep(CHECK_S)
        finally:
            self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(CHECK_S):
            looked_s = time.monotonic()
            if looked_s - self._turned_s > self._limit_s and not self._ended.wait(CHECK_S) and (
                time.monotonic() - looked_s < 2 * CHECK_S and self._turned_s < looked_s - self._limit_s
            ):  # the second look: a process that was frozen as a whole gets a chance to turn
                log.error("watchdog", stuck="the main thread", limit_s=self._limit_s)
                os._exit(EXIT_CODE_STUCK_THREAD)
