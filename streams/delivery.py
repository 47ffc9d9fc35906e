"""Suggestions to Redis, so that a website can read them: the only writer to it.

Layout (Redis 7 or later, Valkey; `avert` is the prefix):

- hash ``avert:s:{visitor}``: field = suggestion id, value = its JSON; the key goes with the latest expiry;
- hash ``avert:progress``: field = partition of the clickstream, value = last offset done, for whoever comes late;
- channel ``avert:progress``: the same as JSON ``{"partition": offset}``, after the writes that it speaks of.

Nothing here is the truth: the truth is in Kafka. A write that fails is metered and left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import msgspec
import redis.asyncio as redis
from redis.exceptions import RedisError

from streams.core.effects import Suggestion, Withdrawal
from streams.telemetry import REDIS_ERRORS, log

# The engine keeps at most 8 live suggestions of a visitor; what expired stays in the hash until the whole key goes,
# or until there is twice as much as can be alive.
_FIELDS_MAX = 16

# What a Redis call may end with when Redis is away, slow, or not a Redis. A bug of ours is none of these.
REDIS_FAILURES = (RedisError, OSError, TimeoutError)


def visitor_key(prefix: str, visitor: str) -> str:
    """The key of the hash that holds a visitor's suggestions."""
    return f"{prefix}:s:{visitor}"


def progress_key(prefix: str) -> str:
    """The name of the progress hash, and of the channel that says the same."""
    return f"{prefix}:progress"


class _Expiry(msgspec.Struct):
    """Of a stored suggestion, only what cleaning up needs."""

    expires: int


_encoder = msgspec.json.Encoder()
_expiry_decoder = msgspec.json.Decoder(_Expiry)


class Delivery:
    """Writes suggestions, withdrawals and progress. One per worker; `timeout_ms` bounds each call of `deliver`."""

    def __init__(self, redis_url: str, timeout_ms: int, prefix: str = "avert") -> None:
        self._redis: redis.Redis = redis.Redis.from_url(
            redis_url, socket_connect_timeout=timeout_ms / 1000, socket_timeout=timeout_ms / 1000
        )
        self._timeout_s = timeout_ms / 1000
        self._prefix = prefix
        self._progress = progress_key(prefix)
        self._failing = False

    async def start(self) -> None:
        """Try the connection once, so that the log tells early of a wrong address. Never fails."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._redis.ping()
        except REDIS_FAILURES as error:
            self._failed("ping", error)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def deliver(self, changes: Sequence[Suggestion | Withdrawal], progress: Mapping[int, int]) -> bool:
        """Write `changes` in their order, then publish `progress` ({partition: last offset done}).

        Returns False, and counts it, when Redis did not take it within the timeout; never raises because of Redis.
        Repeating a call is harmless: ids are deterministic.
        """
        if not changes and not progress:
            return True
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._write(changes, progress)
        except REDIS_FAILURES as error:
            self._failed("deliver", error)
            return False
        if self._failing:
            self._failing = False
            log.info("redis_back")
        return True

    async def _write(self, changes: Sequence[Suggestion | Withdrawal], progress: Mapping[int, int]) -> None:
        """One pipeline, in this order: 1. suggestions, withdrawals; 2. expiry; 3. progress, which tells of 1 and 2."""
        pipe = self._redis.pipeline(transaction=False)
        expiries: dict[str, int] = {}
        for change in changes:
            key = visitor_key(self._prefix, change.visitor)
            if isinstance(change, Suggestion):
                pipe.hset(key, change.id, _encoder.encode(change))
                expiries[key] = max(expiries.get(key, 0), change.expires)
            else:
                pipe.hdel(key, change.suggestion)
        for key, expires in expiries.items():
            # GT never sets an expiry where there is none, NX only there: together, "the later one".
            pipe.pexpireat(key, expires, nx=True)
            pipe.pexpireat(key, expires, gt=True)
        for key in expiries:
            pipe.hlen(key)
        if progress:
            as_text = {str(partition): offset for partition, offset in progress.items()}
            pipe.hset(self._progress, mapping=as_text)  # type: ignore[arg-type]  # Mapping is invariant in its key
            pipe.publish(self._progress, _encoder.encode(as_text))
        answers = await pipe.execute()
        first = len(changes) + 2 * len(expiries)
        for key, fields in zip(expiries, answers[first : first + len(expiries)], strict=True):
            if fields > _FIELDS_MAX:
                await self._drop_expired(key)

    async def _drop_expired(self, key: str) -> None:
        now = int(time.time() * 1000)
        stored = await self._redis.hgetall(key)
        gone = [field for field, value in stored.items() if _expiry_decoder.decode(value).expires <= now]
        if gone:
            await self._redis.hdel(key, *gone)

    def _failed(self, operation: str, error: BaseException) -> None:
        REDIS_ERRORS.labels(operation).inc()
        if not self._failing:  # one line an outage, not one a batch
            self._failing = True
            log.warning("redis_unavailable", operation=operation, error=f"{type(error).__name__}: {error}")
