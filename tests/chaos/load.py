"""A load like real ones (repeats, lateness, disorder, withdrawn consent, garbage) that knows what was accepted.

*Accepted* is what Kafka has acknowledged, and nothing else. Events are made of a seeded shop's clickstream; what is
added to it is drawn with the same seed.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import msgspec
from aiokafka import AIOKafkaProducer

from bench._workload import Record, clickstream
from streams.http.broker import partition_of

FOLLOWS_LOG = [("avert-clock", b"log")]
ADVANCE = [("avert-clock", b"advance")]
DISORDER_MS = 300  # several collectors, each with its own clock
LATE_MS = 11 * 60_000  # more than max_lateness
PACE_S = 0.05  # the load sends a portion so often
OUTAGE_MS_MAX = 240_000  # a broker may be away for so long
ABANDON_S_MAX = 10.0


@dataclass(frozen=True)
class Sent:
    """One record of the load. `kind`: event, repeat, late, denied, garbage."""

    kind: str
    timestamp: int
    key: bytes
    value: bytes
    id: str = ""


def mixed(events: int, visitors: int, seed: int, start_ms: int) -> Iterator[Sent]:
    """The shop's clickstream with everything that may happen to it. About 3 % repeats, 2 % late, 0.5 % garbage."""
    chance = random.Random(seed)
    latest: dict[str, Sent] = {}
    for record in clickstream(events, visitors, seed, start_ms):
        dice = chance.random()
        if dice < 0.03 and record.visitor in latest:
            again = latest[record.visitor]
            yield Sent("repeat", record.timestamp, again.key, again.value, again.id)
        elif dice < 0.035:
            yield Sent("garbage", record.timestamp, record.visitor.encode(), record.value[: len(record.value) // 2])
        sent = _changed(record, chance)
        if sent.kind == "denied":
            latest.pop(record.visitor, None)
        else:
            latest[record.visitor] = sent
        yield sent


def _changed(record: Record, chance: random.Random) -> Sent:
    event: dict[str, Any] = msgspec.json.decode(record.value)
    timestamp, kind = record.timestamp + chance.randrange(-DISORDER_MS, DISORDER_MS), "event"
    dice = chance.random()
    if dice < 0.02:
        kind, event["ts"] = "late", timestamp - LATE_MS - chance.randrange(60_000)
    elif dice < 0.05:
        event["ts"] = timestamp - chance.randrange(60_000)
    elif dice < 0.053:
        kind, event["context"] = "denied", {"consent": "denied"}
    if hash_of(record.visitor) % 10 == 0:
        event["session"] = f"{record.visitor}-{timestamp // 3_600_000}"
    return Sent(kind, timestamp, record.visitor.encode(), msgspec.json.encode(event), event["id"])


def hash_of(visitor: str) -> int:
    """A number that is the visitor's in every run."""
    return sum(visitor.encode())


@dataclass
class Load:
    """Sends from a thread of its own, `per_s` records a second, until `stop` or the end. A context manager.

    Each partition has a sender of its own, so that one without a leader holds up nobody else; and a send is tried for
    so long that a broker may be away in between.
    """

    bootstrap: str
    topic: str
    partitions: int
    records: Iterator[Sent]
    per_s: int
    headers: list[tuple[str, bytes]] = field(default_factory=lambda: list(FOLLOWS_LOG))
    accepted: dict[tuple[int, int], Sent] = field(default_factory=dict)  # (partition, offset) -> what was acknowledged
    accepted_at: dict[tuple[int, int], float] = field(default_factory=dict)  # monotonic clock
    latest: int = 0  # greatest timestamp sent, ms
    _task: asyncio.Task[None] | None = None
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "load"))

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._sending = self._thread.submit(asyncio.run, self._send())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more; return when everything sent is acknowledged (or abandoned). Raises what went wrong."""
        self._stop.set()
        with suppress(CancelledError, asyncio.CancelledError):
            self._sending.result()

    def abandon(self) -> None:
        """The test has failed: do not wait for acknowledgements, which a broker that is gone would not give."""
        self._stop.set()
        if self._task is not None and not self._sending.done():
            self._loop.call_soon_threadsafe(self._task.cancel)
        wait((self._sending,), ABANDON_S_MAX)

    async def _send(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, acks="all", linger_ms=5, request_timeout_ms=OUTAGE_MS_MAX
        )
        await producer.start()
        try:
            queues: list[asyncio.Queue[Sent | None]] = [asyncio.Queue() for _ in range(self.partitions)]
            async with asyncio.TaskGroup() as senders:
                for number, queue in enumerate(queues):
                    senders.create_task(self._send_to(producer, number, queue))
                await self._deal(queues)
        finally:
            await producer.stop()

    async def _deal(self, queues: list[asyncio.Queue[Sent | None]]) -> None:
        """Give the records to their partitions, at the load's pace."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, sent in enumerate(self.records, 1):
            if self._stop.is_set():
                break
            queues[partition_of(sent.key, self.partitions)].put_nowait(sent)
            if number % max(1, int(self.per_s * PACE_S)) == 0:
                await asyncio.sleep(max(0.0, began + number / self.per_s - loop.time()))
        for queue in queues:
            queue.put_nowait(None)

    async def _send_to(self, producer: Any, partition: int, queue: asyncio.Queue[Sent | None]) -> None:
        waiting = []
        while (sent := await queue.get()) is not None:
            written = await producer.send(
                self.topic, sent.value, sent.key, partition, sent.timestamp, headers=self.headers
            )
            written.add_done_callback(partial(self._acknowledged, sent))
            waiting.append(written)
            self.latest = max(self.latest, sent.timestamp)
        await asyncio.gather(*waiting)

    def _acknowledged(self, sent: Sent, written: Any) -> None:
        if not written.cancelled() and written.exception() is None:
            at = written.result()
            self.accepted[at.partition, at.offset] = sent
            self.accepted_at[at.partition, at.offset] = time.monotonic()

    def advance(self, timestamp: int) -> None:
        """Move every partition's clock to `timestamp` (ms), without an event."""

        async def send() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
            await producer.start()
            try:
                for partition in range(self.partitions):
                    await producer.send_and_wait(self.topic, b"", b"", partition, timestamp, headers=ADVANCE)
            finally:
                await producer.stop()

        asyncio.run(send())
