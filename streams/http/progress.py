"""Hearing from the workers how far they are, so that ``?wait`` can answer with what an event led to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress

import msgspec
import redis.asyncio as redis

from streams.delivery import REDIS_FAILURES
from streams.telemetry import REDIS_ERRORS, log

# The channel speaks for every batch of every worker: nobody listens longer than this without need.
_IDLE_S = 10.0
_POLL_S = 1.0  # how often an idle listener looks at the clock
_RETRY_S = 0.2  # pause between two tries to listen; a waiting page has a second at most

# Redis went away; or somebody else writes there what is no progress (ValueError covers msgspec's decode errors).
_LOST = (*REDIS_FAILURES, ValueError)

_decoder = msgspec.json.Decoder(dict[int, int], strict=False)
_Waiter = tuple[int, asyncio.Future[None]]


class ProgressListener:
    """Listens to the progress channel while somebody waits, and for a while after.

    An offset counts as done only by what was said since listening began: a cache that was emptied, or a log that
    began anew, cannot answer for an older one.
    """

    def __init__(self, client: redis.Redis, channel: str) -> None:
        self._redis = client
        self._channel = channel
        self._done: dict[int, int] = {}
        self._waiters: dict[int, list[_Waiter]] = {}
        self._used_s = 0.0
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def wait_for(self, partition: int, offset: int, timeout_ms: int) -> bool:
        """Wait until `offset` of `partition` is done; False when it is not within `timeout_ms`."""
        self._used_s = time.monotonic()
        if self._done.get(partition, -1) >= offset:
            return True
        waiter: _Waiter = (offset, asyncio.get_running_loop().create_future())
        self._waiters.setdefault(partition, []).append(waiter)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen())
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await waiter[1]
        except TimeoutError:
            return False
        finally:
            self._waiters[partition].remove(waiter)
        return True

    async def _listen(self) -> None:
        while self._needed():
            try:
                await self._listen_once()
            except _LOST as error:
                REDIS_ERRORS.labels("progress").inc()
                log.warning("redis_progress_lost", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(_RETRY_S)
            finally:
                self._done.clear()  # what is said while nobody listens is not heard

    def _needed(self) -> bool:
        return any(self._waiters.values()) or time.monotonic() - self._used_s < _IDLE_S

    async def _listen_once(self) -> None:
        """1. Subscribe and await the confirmation; 2. read what was said before; 3. hear what is said from now on."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(self._channel)
            while await channel.get_message(timeout=_POLL_S) is None:
                pass  # what is said before the confirmation is not heard
            self._take({int(partition): int(offset) for partition, offset in
                        (await self._redis.hgetall(self._channel)).items()})
            while self._needed():
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=_POLL_S)
                if message is not None:
                    self._take(_decoder.decode(message["data"]))

    def _take(self, said: Mapping[int, int]) -> None:
        self._done.update(said)
        for partition, offset in said.items():
            for wanted, future in self._waiters.get(partition, ()):
                if wanted <= offset and not future.done():
                    future.set_result(None)
