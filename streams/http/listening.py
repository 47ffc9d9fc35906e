"""Listening to a channel of the cache for as long as somebody needs it, through the cache's outages."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import suppress

import redis.asyncio as redis

from streams.delivery import REDIS_FAILURES
from streams.telemetry import REDIS_ERRORS, log

_IDLE_S = 10.0  # nobody listens longer than this without need: others come before it is over, or not for long
_POLL_S = 1.0  # how often an idle listener looks at the clock

# Redis went away; or somebody else writes there what cannot be read (ValueError: msgspec's decode errors).
_LOST = (*REDIS_FAILURES, ValueError)


class Listener(ABC):
    """One subscription a process, from `listen` until nobody has needed it for a while; asked for again, again."""

    name: str  # in the metric of errors and in the log
    retry_s: float  # between two tries to listen

    def __init__(self, client: redis.Redis, channel: str) -> None:
        self._redis = client
        self._channel = channel
        self._used_s = 0.0
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def listen(self) -> None:
        """Begin, unless it has begun."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen())

    def used(self) -> None:
        """Somebody needs it, or did until now."""
        self._used_s = time.monotonic()

    async def _listen(self) -> None:
        while self._needed():
            try:
                await self._listen_once()
            except _LOST as error:
                REDIS_ERRORS.labels(self.name).inc()
                self.lost(error)
                await asyncio.sleep(self.retry_s)
            finally:
                self.ended()

    def _needed(self) -> bool:
        return self.wanted() or time.monotonic() - self._used_s < _IDLE_S

    async def _listen_once(self) -> None:
        """1. Subscribe and await the confirmation; 2. make up for what was missed; 3. hear what comes from now on."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(self._channel)
            while await channel.get_message(timeout=_POLL_S) is None:
                pass  # what is said before the confirmation is not heard
            await self.begun()
            while self._needed():
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=_POLL_S)
                if message is not None:
                    self.heard(message["data"])

    @abstractmethod
    def wanted(self) -> bool:
        """Whether somebody waits for what is said."""

    @abstractmethod
    async def begun(self) -> None:
        """It is confirmed: what was said before has to be found out."""

    @abstractmethod
    def heard(self, said: bytes) -> None:
        """A message. Raises ValueError for what is none."""

    def lost(self, error: Exception) -> None:
        """Redis is away, or what was heard is no message."""
        log.warning(f"redis_{self.name}_lost", error=f"{type(error).__name__}: {error}")

    @abstractmethod
    def ended(self) -> None:
        """Nobody hears what is said from now on, until it begins again."""
