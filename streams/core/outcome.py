"""Conversions, anti-conversions, money, attribution to exposures.

1. The amount in force when the outcome happened is the one that counts, whenever it is told of (prices.py).
2. An outcome is credited to every exposure of its visitor that came before it, less than the outcome's window ago.
3. The exposure remembers how often and with how much it was credited, so that the effect can say what the totals need.
4. Money is kept in whole micro-units of the currency: sums of integers do not depend on their order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from streams.core.effects import CreditedExposure
from streams.core.event import MISSING
from streams.core.prices import Amount
from streams.core.suggestion import Lookup
from streams.core.visitor import CREDITS_MAX, Exposure

PROGRAMME: Final = "programme"  # stands where a rule's id stands, for all rules together; no rule may have this id

# Stands where an outcome's name stands, for all anti-conversions; no outcome may be called so.
ALL_COSTS: Final = "all_costs"

_AMOUNT_MAX: Final = 1e9  # of one outcome; the sum of all that one exposure is credited with must fit 64 bits
CREDITED_MAX: Final = 100  # outcomes of one name to one exposure; who opens more chats in a month is a machine
_CENTS: Final = 2  # amounts are kept to the cent
_MICROS: Final = 1_000_000


def amount_of(amount: Amount, lookup: Lookup) -> float | None:
    """The money of one outcome; None when its field is not there or is not a number.

    Numbers written as text (``"15.0"``) count: several trackers send every value as a string.
    """
    if amount.of is None:
        return None if amount.fixed is None else round(amount.fixed * amount.times, _CENTS)
    number = _number(lookup(amount.of))
    if number is None:
        return None
    money = round(number * amount.times, _CENTS)
    return money if abs(money) < _AMOUNT_MAX else None


def _number(value: Any) -> float | None:
    if value is MISSING or isinstance(value, bool):
        return None
    try:
        number = float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None
    # "nan" and "inf" are numbers to float() and poison to a sum.
    return number if number is not None and abs(number) < _AMOUNT_MAX else None


def micros_of(amount: float | None) -> int:
    """Money in whole micro-units; 0 for none."""
    return round(amount * _MICROS) if amount else 0


def credit(
    exposures: Iterable[Exposure], outcome: str, at: int, window: int, micros: int, costs: bool
) -> tuple[CreditedExposure, ...]:
    """Credit one outcome to the exposures at or before `at` whose window (ms) is open; returns them as they were.

    `costs`: it is an anti-conversion, and counts among all costs.
    """
    credited = []
    for exposure in exposures:
        if not 0 <= at - exposure.at < window:
            continue
        known, target = exposure.credits, exposure.target
        earned = known.get(outcome)
        instead = False
        also: tuple[str, ...] = ()
        if earned is None:
            if len(known) - (ALL_COSTS in known) >= CREDITS_MAX:
                continue
            if outcome == target:
                also = tuple(name for name in known if name != ALL_COSTS)
            else:
                instead = bool(target) and target not in known
            earned = known[outcome] = [0, 0]
        elif earned[0] >= CREDITED_MAX:
            continue
        spent = known.setdefault(ALL_COSTS, [0, 0]) if costs else [0, 0]
        credited.append(
            CreditedExposure(
                exposure.rule,
                exposure.version,
                exposure.arm,
                exposure.at,
                exposure.variant,
                earned[0],
                earned[1],
                instead,
                also,
                spent[0],
                spent[1],
            )
        )
        for counts in (earned, spent):
            counts[0] += 1
            counts[1] += micros
    return tuple(credited)
