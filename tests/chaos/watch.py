"""Watches, from outside, what comes out of the workers and when: the pauses, and when work goes on after a fault.

Every applied event makes one outcome that names it (see `house.py`), in the partition with the event's number. So the
moment at which that outcome can be read is the moment at which the event is through.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import defaultdict
from typing import Any, Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError


class _Outcome(msgspec.Struct):
    """As much of an outcome's record as is needed here."""

    outcome: str = ""
    trigger: str = ""


_decode = msgspec.json.Decoder(_Outcome).decode


class Watch:
    """Reads the outcomes in a thread of its own. A context manager. Times are of the monotonic clock, seconds."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, outcome: str) -> None:
        self._bootstrap = bootstrap
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]
        self._outcome = outcome
        self.arrived: dict[str, float] = {}  # event id -> when it was through first
        self.times: dict[int, list[float]] = defaultdict(list)  # partition -> when something came
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30.0)

    def _run(self) -> None:
        asyncio.run(self._read())

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, auto_offset_reset="earliest", enable_auto_commit=False,
            fetch_max_wait_ms=50,
        )  # fmt: skip
        await consumer.start()
        consumer.assign(self._partitions)
        try:
            while not self._ended.is_set():
                try:
                    found = await consumer.getmany(timeout_ms=100)
                except KafkaError:
                    continue  # the broker is away: that is what the test is about
                self._note(found)
        finally:
            await consumer.stop()

    def _note(self, found: dict[TopicPartition, list[Any]]) -> None:
        now = time.monotonic()
        for at, records in found.items():
            self.times[at.partition].append(now)
            for record in records:
                outcome = _decode(record.value)
                if outcome.outcome == self._outcome:
                    self.arrived.setdefault(outcome.trigger, now)

    def pauses(self, began: float, ended: float) -> list[float]:
        """For each partition the longest time in which nothing came out of it, of those that touch the span."""
        longest = []
        for times in self.times.values():
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)
                    if later >= began and earlier <= ended]  # fmt: skip
            longest.append(max(gaps, default=0.0))
        return longest
