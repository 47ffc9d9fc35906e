"""Hearing from the workers how far they are, so that ``?wait`` can answer with what an event led to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
import redis.asyncio as redis

from streams.http.listening import Listener

_decoder = msgspec.json.Decoder(dict[int, int], strict=False)
_Waiter = tuple[int, asyncio.Future[None]]


class ProgressListener(Listener):
    """Listens to the progress channel while somebody waits, and for a while after.

    The channel speaks for every batch of every worker. An offset counts as done only by what was said since listening
    began: a cache that was emptied, or a log that began anew, cannot answer for an older one.
    """

    name = "progress"
    retry_s = 0.2  # a waiting page has a second at most

    def __init__(self, client: redis.Redis, channel: str) -> None:
        super().__init__(client, channel)
        self._done: dict[int, int] = {}
        self._waiters: dict[int, list[_Waiter]] = {}

    async def wait_for(self, partition: int, offset: int, timeout_ms: int) -> bool:
        """Wait until `offset` of `partition` is done; False when it is not within `timeout_ms`."""
        self.used()
        if self._done.get(partition, -1) >= offset:
            return True
        waiter: _Waiter = (offset, asyncio.get_running_loop().create_future())
        self._waiters.setdefault(partition, []).append(waiter)
        self.listen()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await waiter[1]
        except TimeoutError:
            return False
        finally:
            self._waiters[partition].remove(waiter)
        return True

    def wanted(self) -> bool:
        """Whether somebody waits."""
        return any(self._waiters.values())

    async def begun(self) -> None:
        """The cache keeps what was said last."""
        kept = await self._redis.hgetall(self._channel)
        self._take({int(partition): int(offset) for partition, offset in kept.items()})

    def heard(self, said: bytes) -> None:
        """So far they are."""
        self._take(_decoder.decode(said))

    def ended(self) -> None:
        """What is said while nobody listens is not heard."""
        self._done.clear()

    def _take(self, said: Mapping[int, int]) -> None:
        self._done.update(said)
        for partition, offset in said.items():
            for wanted, future in self._waiters.get(partition, ()):
                if wanted <= offset and not future.done():
                    future.set_result(None)
