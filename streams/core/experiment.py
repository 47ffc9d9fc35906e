"""Stable hashing, arms, holdouts.

The bucket is GrowthBook's published hash, version 2 (https://docs.growthbook.io/lib/build-your-own, "hash",
``hashVersion: 2``), so that sites which run GrowthBook can share buckets: ``fnv1a32(fnv1a32(seed + value))``,
modulo 10,000, over 10,000. Control is variation 0: its range is [0, holdout).
"""

from __future__ import annotations

from typing import Final

from streams.core.effects import Arm

_FNV_OFFSET_32: Final = 0x811C9DC5
_FNV_PRIME_32: Final = 0x01000193
_BUCKETS: Final = 10_000


def fnv1a32(text: str) -> int:
    """FNV-1a, 32 bits, over UTF-16 code units, as GrowthBook's SDKs do it in every language."""
    value = _FNV_OFFSET_32
    units: bytes | memoryview[int] = (
        text.encode() if text.isascii() else memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")
    )
    for unit in units:
        value = ((value ^ unit) * _FNV_PRIME_32) & 0xFFFFFFFF
    return value


def bucket(salt: str, visitor: str) -> float:
    """Where `visitor` falls in [0, 1), in steps of 0.0001, for this salt."""
    return (fnv1a32(str(fnv1a32(salt + visitor))) % _BUCKETS) / _BUCKETS


def arm_of(visitor: str, salt: str, holdout: float) -> Arm:
    """`control` for the share `holdout` (0 to 1) of all visitors, always the same ones for one salt."""
    return "control" if holdout > 0 and bucket(salt, visitor) < holdout else "treated"


def share_of(visitor: str, salt: str, weights: tuple[float, ...]) -> int:
    """Which of several shares the visitor falls into, always the same for one salt; the weights need not sum to 1."""
    at = bucket(salt, visitor) * sum(weights)
    for index, weight in enumerate(weights):
        at -= weight
        if at < 0:
            return index
    return len(weights) - 1  # what rounding has left over
