"""Conversions, anti-conversions, money, attribution to exposures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streams.core.definition import Amount
from streams.core.effects import CreditedExposure
from streams.core.event import MISSING
from streams.core.suggestion import Lookup
from streams.core.visitor import Exposure

_AMOUNT_MAX = 1e15  # beyond it a float cannot tell cents apart
_CENTS = 2  # amounts are kept to the cent; sums of floats are rounded by whoever shows them


def amount_of(amount: Amount, lookup: Lookup) -> float | None:
    """The money of one outcome; None when its field is not there or is not a number.

    Numbers written as text (``"15.0"``) count: several trackers send every value as a string.
    """
    if amount.of is None:
        return None if amount.fixed is None else round(amount.fixed * amount.times, _CENTS)
    number = _number(lookup(amount.of))
    return None if number is None else round(number * amount.times, _CENTS)


def _number(value: Any) -> float | None:
    if value is MISSING or isinstance(value, bool):
        return None
    try:
        number = float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None
    # "nan" and "inf" are numbers to float() and poison to a sum.
    return number if number is not None and abs(number) < _AMOUNT_MAX else None


def credited(exposures: Iterable[Exposure], at: int, window: int) -> tuple[CreditedExposure, ...]:
    """The exposures at or before `at` whose attribution window (ms) is still open."""
    return tuple(
        CreditedExposure(exposure.rule, exposure.version, exposure.arm, exposure.at)
        for exposure in exposures
        if 0 <= at - exposure.at < window
    )
