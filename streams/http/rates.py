"""How many requests a second: per key, per address, per visitor.

A window is one second. Counted in this process, the counts of a window are one dictionary that is thrown away with it:
nothing to expire, and no more entries than requests in a second. Where several processes serve, they count together in
the cache (shared.py); while that is away, each counts for itself again.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, Protocol

from streams.errors import TooManyRequestsError
from streams.telemetry import RATE_LIMITED

Scope = Literal["key", "address", "visitor"]
Counted = tuple[Scope, str]
# Addresses are counted, not kept: truncated to what one household or office shares.
_IPV4_PREFIX_BITS = 24
_IPV6_PREFIX_BITS = 64


class SharedCounts(Protocol):
    """Counts that several processes have in common."""

    async def count(self, wanted: Sequence[Counted]) -> Sequence[int] | None:
        """Count one request for each; how many each has had in this second, this one included. None: not to be had."""
        ...


class Rates:
    """The three limits, requests a second each."""

    def __init__(
        self, per_key: int, per_address: int, per_visitor: int, shared: SharedCounts | None = None
    ) -> None:
        self._limits: dict[Scope, int] = {"key": per_key, "address": per_address, "visitor": per_visitor}
        self._window = 0
        self._counts: dict[Counted, int] = {}
        self._shared = shared

    @property
    def shared(self) -> bool:
        """Whether several processes count together."""
        return self._shared is not None

    async def admit(self, *wanted: Counted) -> None:
        """Count one request for each of `wanted`. Raises TooManyRequestsError when one of them has had its share."""
        self.judge(wanted, None if self._shared is None else await self._shared.count(wanted))

    def judge(self, wanted: Sequence[Counted], counts: Sequence[int] | None) -> None:
        """By what `SharedCounts.count` said of `wanted`; without it they are counted here, by this process alone.

        Raises TooManyRequestsError.
        """
        if counts is None:
            now_s = time.monotonic()
            for scope, who in wanted:
                self.take(scope, who, now_s)
            return
        for (scope, _), count in zip(wanted, counts, strict=True):
            if count > self._limits[scope]:
                self._refuse(scope)

    def take(self, scope: Scope, who: str, now_s: float) -> None:
        """Count one request at `now_s` in this process. Raises TooManyRequestsError when `who` has had all of it."""
        window = math.floor(now_s)
        if window != self._window:
            self._window = window
            self._counts = {}
        count = self._counts.get((scope, who), 0)
        if count >= self._limits[scope]:
            self._refuse(scope)
        self._counts[scope, who] = count + 1

    def _refuse(self, scope: Scope) -> None:
        RATE_LIMITED.labels(scope).inc()
        raise TooManyRequestsError(f"at most {self._limits[scope]} requests a second per {scope}", retry_after_s=1)


@lru_cache(maxsize=16_384)
def network_of(address: str) -> str:
    """The network that an address is counted under: /24 or /64. Anything else is counted under one name."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    bits = _IPV4_PREFIX_BITS if parsed.version == 4 else _IPV6_PREFIX_BITS
    return str(ipaddress.ip_network((parsed, bits), strict=False))


def client_address(peer: str, forwarded: str, proxy_hops: int) -> str:
    """Who is at the other end, past `proxy_hops` proxies of our own.

    `forwarded` is the X-Forwarded-For header: each proxy appends whom it heard from, so the last `proxy_hops` entries
    are our proxies' word, and what stands before them is whatever the client liked to write.
    """
    if proxy_hops == 0:
        return peer
    said = forwarded.split(",")
    return said[-proxy_hops].strip() if len(said) >= proxy_hops else peer
