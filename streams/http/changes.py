"""Hearing whose suggestions changed, for the pages that are open: one subscription a process, told on inside.

1. The channel names visitors, nothing else: what changed is read from the cache like any other suggestion.
2. While nobody is subscribed here, nobody listens.
3. Whatever may have been missed (before the subscription was confirmed, while Redis was away) is made up for: each time
   that listening begins, everybody is told to look.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import msgspec
import redis.asyncio as redis

from streams.delivery import REDIS_FAILURES
from streams.telemetry import REDIS_ERRORS, log

_IDLE_S = 10.0  # the last page went: the next is often there before this is over
_POLL_S = 1.0  # how often an idle listener looks at the clock
_RETRY_S = 0.5  # between two tries to listen: how soon after Redis pages see what is new

# Redis went away; or somebody else writes there what is no list of visitors (ValueError: msgspec's decode errors).
_LOST = (*REDIS_FAILURES, ValueError)

_decoder = msgspec.json.Decoder(list[str])


class ChangeListener:
    """Wakes those who asked to be told of a visitor's changes. `asyncio.Event`s are what is woken."""

    def __init__(self, client: redis.Redis, channel: str) -> None:
        self._redis = client
        self._channel = channel
        self._wakes: dict[str, set[asyncio.Event]] = {}
        self._used_s = 0.0
        self._told = False
        self.listening = False  # the subscription is confirmed
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def add(self, visitor: str, wake: asyncio.Event) -> None:
        """Set `wake` from now on whenever `visitor`'s suggestions change, or may have changed."""
        self._wakes.setdefault(visitor, set()).add(wake)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen())

    def remove(self, visitor: str, wake: asyncio.Event) -> None:
        """Don't any more."""
        wakes = self._wakes[visitor]
        wakes.discard(wake)
        if not wakes:
            del self._wakes[visitor]
        self._used_s = time.monotonic()

    async def _listen(self) -> None:
        while self._needed():
            try:
                await self._listen_once()
            except _LOST as error:
                REDIS_ERRORS.labels("changes").inc()
                if not self._told:  # one line an outage
                    self._told = True
                    log.warning("redis_changes_lost", error=f"{type(error).__name__}: {error}")
                self.listening = False
                await asyncio.sleep(_RETRY_S)
        self.listening = False

    def _needed(self) -> bool:
        return bool(self._wakes) or time.monotonic() - self._used_s < _IDLE_S

    async def _listen_once(self) -> None:
        """1. Subscribe and await the confirmation; 2. everybody looks; 3. hear what changes from now on."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(self._channel)
            while await channel.get_message(timeout=_POLL_S) is None:
                pass
            self._told, self.listening = False, True
            for wakes in self._wakes.values():
                for wake in wakes:
                    wake.set()
            while self._needed():
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=_POLL_S)
                if message is not None:
                    for visitor in _decoder.decode(message["data"]):
                        for wake in self._wakes.get(visitor, ()):
                            wake.set()
