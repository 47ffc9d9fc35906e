"""How many requests a second: per key, per address, per visitor; in memory, per process.

A window is one second of the monotonic clock, which is an argument. The counts of a window are one dictionary that
is thrown away with it: nothing to expire, and no more entries than requests in a second.
"""

from __future__ import annotations

import ipaddress
import math
from functools import lru_cache
from typing import Literal

from streams.errors import TooManyRequestsError
from streams.telemetry import RATE_LIMITED

Scope = Literal["key", "address", "visitor"]
_IPV4_PREFIX_BITS = 24  # addresses are counted, not kept: truncated to what one household or office shares
_IPV6_PREFIX_BITS = 48


class Rates:
    """The three limits, requests a second each."""

    def __init__(self, per_key: int, per_address: int, per_visitor: int) -> None:
        self._limits: dict[Scope, int] = {"key": per_key, "address": per_address, "visitor": per_visitor}
        self._window = 0
        self._counts: dict[tuple[Scope, str], int] = {}

    def take(self, scope: Scope, who: str, now_s: float) -> None:
        """Count one request at `now_s`. Raises TooManyRequestsError when `who` has had all of this second's."""
        window = math.floor(now_s)
        if window != self._window:
            self._window = window
            self._counts = {}
        count = self._counts.get((scope, who), 0)
        if count >= self._limits[scope]:
            RATE_LIMITED.labels(scope).inc()
            raise TooManyRequestsError(f"at most {self._limits[scope]} requests a second per {scope}", retry_after_s=1)
        self._counts[scope, who] = count + 1



@lru_cache(maxsize=16_384)
def network_of(address: str) -> str:
    """The network that an address is counted under: /24 or /48. Anything else is counted under one name."""
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
