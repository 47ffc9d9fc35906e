"""Hearing whose suggestions changed, for the pages that are open: one subscription a process, told on inside.

1. The channel names visitors, nothing else: what changed is read from the cache like any other suggestion.
2. While nobody is subscribed here, nobody listens.
3. Whatever may have been missed (before the subscription was confirmed, while Redis was away) is made up for: each time
   that listening begins, everybody is told to look.
"""

from __future__ import annotations

import asyncio

import msgspec
import redis.asyncio as redis

from streams.http.listening import Listener

_decoder = msgspec.json.Decoder(list[str])


class ChangeListener(Listener):
    """Wakes those who asked to be told of a visitor's changes. `asyncio.Event`s are what is woken."""

    name = "changes"
    retry_s = 0.5  # how soon after Redis pages see what is new

    def __init__(self, client: redis.Redis, channel: str) -> None:
        super().__init__(client, channel)
        self._wakes: dict[str, set[asyncio.Event]] = {}
        self._told = False
        self.listening = False  # the subscription is confirmed

    def add(self, visitor: str, wake: asyncio.Event) -> None:
        """Set `wake` from now on whenever `visitor`'s suggestions change, or may have changed."""
        self._wakes.setdefault(visitor, set()).add(wake)
        self.listen()

    def remove(self, visitor: str, wake: asyncio.Event) -> None:
        """Don't any more."""
        wakes = self._wakes[visitor]
        wakes.discard(wake)
        if not wakes:
            del self._wakes[visitor]
        self.used()

    def wanted(self) -> bool:
        """Whether a page is open."""
        return bool(self._wakes)

    async def begun(self) -> None:
        """Everybody looks."""
        self._told, self.listening = False, True
        for wakes in self._wakes.values():
            for wake in wakes:
                wake.set()

    def heard(self, said: bytes) -> None:
        """Those who are concerned look."""
        for visitor in _decoder.decode(said):
            for wake in self._wakes.get(visitor, ()):
                wake.set()

    def lost(self, error: Exception) -> None:
        """One line an outage."""
        self.listening = False
        if not self._told:
            self._told = True
            super().lost(error)

    def ended(self) -> None:
        """A page may miss something: it is told to look when listening begins again."""
        self.listening = False
