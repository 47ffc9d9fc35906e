"""What several API processes count together, in the cache: requests in a second, streams of a visitor.

1. Visitors, addresses and keys stand there as hashes only, and for seconds only.
2. Requests are counted in the calls that read suggestions too (gathered.py): a read is one round trip with its limits.
3. Redis away: `None`, for the caller to count by himself; and it is not asked again for a moment.

The suggestions themselves have one writer only (delivery.py); nothing here touches them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import redis.asyncio as redis

from streams.delivery import REDIS_FAILURES
from streams.http.gathered import Gathered, field_of
from streams.telemetry import REDIS_ERRORS, log

T = TypeVar("T")

_REST_AFTER_FAILURE_S = 0.2
_LEASE_MS = 45_000  # three heartbeats of a stream: a place that nobody renews is free again, its process was killed

# KEYS[1]: a visitor's places. ARGV: whose place, how many there are, how long it is held, ms. A place held is renewed.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""

class _Bounded:
    """Calls that take no longer than the timeout, and are not tried for a moment after one failed."""

    def __init__(self, client: redis.Redis, timeout_ms: int, operation: str) -> None:
        self._redis = client
        self._timeout_s = timeout_ms / 1000
        self._operation = operation
        self._rest_until_s = 0.0
        self._failing = False

    @property
    def resting(self) -> bool:
        return time.monotonic() < self._rest_until_s

    async def call(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """None when Redis did not answer in time."""
        if self.resting:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await call()
        except REDIS_FAILURES as error:
            REDIS_ERRORS.labels(self._operation).inc()
            self._rest_until_s = time.monotonic() + _REST_AFTER_FAILURE_S
            if not self._failing:  # one line an outage
                self._failing = True
                why = f"{type(error).__name__}: {error}"
                log.warning("redis_limits_lost", error=why, now="each process counts for itself")
            return None
        self._failing = False
        return answer


class CountsInRedis:
    """Requests in a second, over all processes (see `rates.SharedCounts`)."""

    def __init__(self, calls: Gathered) -> None:
        self._calls = calls

    async def count(self, wanted: Sequence[tuple[str, str]]) -> Sequence[int] | None:
        """Count one request for each; how many each has had in this second, this one included."""
        if not wanted:
            return []
        return (await self._calls.ask(b"".join([field_of(scope, who) for scope, who in wanted]))).counts


class PlacesInRedis:
    """The streams that a visitor has open, over all processes."""

    def __init__(self, client: redis.Redis, timeout_ms: int, most: int, prefix: str = "avert") -> None:
        self._redis = client
        self._bounded = _Bounded(client, timeout_ms, "limits")
        self._script: Any = client.register_script(_TAKE)
        self._most = most
        self._prefix = prefix

    async def take(self, visitor: str, name: str) -> bool:
        """Take a place, or keep the one that `name` has; False when there is none. Redis away: True."""
        key = self._key(visitor)
        taken = await self._bounded.call(lambda: self._script(keys=[key], args=[name, self._most, _LEASE_MS]))
        return taken is None or bool(taken)

    async def leave(self, visitor: str, name: str) -> None:
        """Give the place back. Redis away: it is free after the lease."""
        key = self._key(visitor)
        await self._bounded.call(lambda: self._redis.zrem(key, name))

    def _key(self, visitor: str) -> str:
        return f"{self._prefix}:streams:{field_of('stream', visitor).hex()}"
