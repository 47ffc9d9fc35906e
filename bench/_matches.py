"""Reads matches as they become readable in a peer's output topic: whose, of when, and when they were read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

_POLL_MS = 100


class Match(msgspec.Struct):
    """What every peer writes: the visitor, and the time in ms of the event or the deadline."""

    visitor: str
    at: int


class Read(NamedTuple):
    """One match, and when it was read (seconds since the epoch)."""

    visitor: str
    at: int
    read_at: float


_decode = msgspec.json.Decoder(Match).decode


class MatchReader:
    """Reads what is added to a topic from now on; of transactions, what has been committed."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, isolation_level="read_committed",
        )  # fmt: skip
        self._parts = [TopicPartition(topic, number) for number in range(partitions)]
        self._task: asyncio.Task[None] | None = None
        self.found: list[Read] = []

    async def __aenter__(self) -> Self:
        """Stand at the end of the topic."""
        await self._consumer.start()
        self._consumer.assign(self._parts)
        for part, end in (await self._consumer.end_offsets(self._parts)).items():
            self._consumer.seek(part, end)
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()

    async def _run(self) -> None:
        while True:
            got: dict[TopicPartition, list[Any]] = await self._consumer.getmany(timeout_ms=_POLL_MS)
            now = time.time()
            for records in got.values():
                for record in records:
                    match = _decode(record.value)
                    self.found.append(Read(match.visitor, match.at, now))

    async def until_read(self, visitors: Iterable[str], alive: Any, timeout_s: float) -> float:
        """Return when a match of each of `visitors` has been read: the moment of the last of them.

        `alive()` raises when waiting is in vain. Raises TimeoutError.
        """
        missing, looked, last = set(visitors), 0, 0.0
        deadline = time.monotonic() + timeout_s
        while missing:
            alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"no match of {sorted(missing)} within {timeout_s:g} s; {len(self.found)} matches")
            for read in self.found[looked:]:
                if read.visitor in missing:
                    missing.discard(read.visitor)
                    last = max(last, read.read_at)
            looked = len(self.found)
            await asyncio.sleep(0.01)
        return last

    async def until_quiet(self, quiet_s: float) -> None:
        """Return when nothing has come for so long: what is there twice has come, too."""
        before = -1
        while len(self.found) != before:
            before = len(self.found)
            await asyncio.sleep(quiet_s)
