"""Prices: which is in force, and what it is called."""

from __future__ import annotations

import pytest

from streams.core.prices import Amount, Price, price_at, priced

DATED = priced("EUR", Amount(6.5), [Price(100, Amount(7.2)), Price(200, Amount(of="props.total", times=0.1))])


@pytest.mark.parametrize(
    ("at", "index"), [(-1, 0), (0, 0), (99, 0), (100, 1), (101, 1), (199, 1), (200, 2), (10**15, 2)]
)
def test_a_price_applies_from_its_day_to_the_next_ones(at, index):
    assert price_at(DATED, at) is DATED[index]


def test_one_price_always_applies():
    (only,) = priced("EUR", Amount(6.5), ())
    assert price_at((only,), 0) is price_at((only,), 10**15) is only


def test_a_version_says_what_it_is():
    assert [price.version.partition(" #")[0] for price in DATED] == ["6.5", "7.2", "0.1 x total"]
    assert priced("EUR", Amount(), ())[0].version.startswith("none #")


def test_a_version_changes_with_everything_that_it_means():
    def version(currency="EUR", amount=Amount(6.5), since=()):  # noqa: B008 - a value
        return priced(currency, amount, since)[-1].version

    versions = {
        version(), version("USD"), version(amount=Amount(6.6)), version(amount=Amount(of="props.a")),
        version(amount=Amount(of="props.b")), version(amount=Amount(of="props.a", times=2)),
        version(since=[Price(1, Amount(6.5))]), version(since=[Price(2, Amount(6.5))]),
    }  # fmt: skip
    assert len(versions) == 8
    assert version() == version()
