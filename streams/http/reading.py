"""Suggestions from Redis, for the API: many visitors in one call, and waiting for the worker's progress."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import redis.asyncio as redis

from streams.core.effects import Suggestion
from streams.delivery import (
    REFUSED_FIELD,
    changes_channel,
    progress_key,
    refused_at,
    visitor_key,
)
from streams.http.changes import ChangeListener
from streams.http.gathered import Gathered, Stored, field_of
from streams.http.progress import ProgressListener
from streams.http.rates import Counted
from streams.telemetry import REDIS_ERRORS, log

_REFUSED = REFUSED_FIELD.encode()

_decoder = msgspec.json.Decoder(Suggestion)


class SuggestionReader:
    """Reads suggestions; one per API process. A failing Redis is an empty answer and a metric, never an exception."""

    def __init__(self, redis_url: str, timeout_ms: int, prefix: str = "avert", limits: tuple[int, ...] = ()) -> None:
        """`limits`: requests a second of what `read_counted` counts, in its order."""
        self._redis: redis.Redis = redis.Redis.from_url(
            redis_url, socket_connect_timeout=timeout_ms / 1000, socket_timeout=timeout_ms / 1000
        )
        self.client = self._redis  # for what else this process asks the cache
        self._prefix = prefix
        self.calls = Gathered(self._redis, timeout_ms, prefix, limits)
        self._progress = ProgressListener(self._redis, progress_key(prefix))
        self.changes = ChangeListener(self._redis, changes_channel(prefix))

    async def close(self) -> None:
        """Stop listening and close the connections."""
        await self._progress.close()
        await self.changes.close()
        await self.calls.close()
        await self._redis.aclose()

    async def ping(self) -> bool:
        """Whether Redis answers now."""
        return await self.calls.ping()

    async def read(self, visitor: str, now_ms: int) -> list[Suggestion]:
        """What may be shown to `visitor` at `now_ms`, highest priority first; [] when Redis does not answer in time."""
        return await self.read_known(visitor, now_ms) or []

    async def read_known(self, visitor: str, now_ms: int) -> list[Suggestion] | None:
        """The same, but None when Redis does not answer in time: for whoever must not take that for "nothing"."""
        stored = (await self.calls.ask(key=visitor_key(self._prefix, visitor))).stored
        return None if stored is None else _live(stored, now_ms)

    async def read_counted(
        self, visitor: str, now_ms: int, wanted: Sequence[Counted]
    ) -> tuple[list[Suggestion], Sequence[int] | None]:
        """The same as `read`, and what `SharedCounts.count` says of `wanted`, in one call.

        What is over its limit reads nothing.
        """
        fields = b"".join([field_of(scope, who) for scope, who in wanted])
        counts, stored = await self.calls.ask(fields, visitor_key(self._prefix, visitor))
        return _live(stored or [], now_ms), counts

    async def wait_for(self, partition: int, offset: int, timeout_ms: int) -> bool:
        """Wait until the worker has done `offset` of `partition`; False when it has not within `timeout_ms`."""
        return await self._progress.wait_for(partition, offset, timeout_ms)

def _live(stored: Stored, now_ms: int) -> list[Suggestion]:
    """What may be shown of a visitor's hash at `now_ms`, highest priority first."""
    if not stored:
        return []
    refused, found = -1, []
    for field, value in zip(stored[::2], stored[1::2], strict=True):
        if field == _REFUSED:
            refused = refused_at(value)
        elif (suggestion := _decode(value)) is not None:
            found.append(suggestion)
    live = [suggestion for suggestion in found if suggestion.expires > now_ms and suggestion.created > refused]
    if len(live) > 1:
        live.sort(key=lambda suggestion: (-suggestion.priority, suggestion.created, suggestion.id))
    return live


def _decode(stored: bytes) -> Suggestion | None:
    try:
        return _decoder.decode(stored)
    except msgspec.DecodeError as error:  # somebody else wrote there, or a worker of another version
        REDIS_ERRORS.labels("decode").inc()
        log.warning("suggestion_unreadable", error=str(error))
        return None
