"""What one of an outcome costs or is worth, from when on, and what each such version is called.

The amount in force when the outcome happened is the one that counts, whenever it is told of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

_TEXT_CHARS_MAX = 40


@dataclass(frozen=True, slots=True)
class Amount:
    """Money: `fixed`, or the number found at `of` (a full dotted path) multiplied by `times`."""

    fixed: float | None = None
    of: str | None = None
    times: float = 1.0


@dataclass(frozen=True, slots=True)
class Price:
    """The amount of outcomes that happen at `since` (ms) or later, until the next one's."""

    since: int
    amount: Amount


class PriceVersion(NamedTuple):
    """A price that has a name. `since` of the first one has no meaning: it was always in force."""

    since: int
    amount: Amount
    version: str


def price_at(prices: Sequence[PriceVersion], at: int) -> PriceVersion:
    """The one in force at `at`, ms."""
    for price in prices[:0:-1]:
        if price.since <= at:
            return price
    return prices[0]


def priced(currency: str, amount: Amount, prices: Sequence[Price]) -> tuple[PriceVersion, ...]:
    """All prices of an outcome with their names: what it says, and a hash of all that it means."""
    every = (Price(0, amount), *prices)
    return tuple(PriceVersion(price.since, price.amount, _version(currency, price)) for price in every)


def _version(currency: str, price: Price) -> str:
    amount = price.amount
    number = f"{amount.fixed if amount.of is None else amount.times:g}" if amount != Amount() else "none"
    text = number if amount.of is None else f"{number} x {amount.of.removeprefix('props.')}"
    meaning = f"{currency} {amount.fixed!r} {amount.of!r} {amount.times!r} {price.since}"
    return f"{text[:_TEXT_CHARS_MAX]} #{blake2b(meaning.encode(), digest_size=4).hexdigest()}"
