from __future__ import annotations

import pytest

from streams.errors import TooManyRequestsError
from streams.http.rates import Rates, client_address, network_of
from streams.telemetry import REGISTRY


def taken(rates: Rates, who: str, at_s: float, times: int = 1) -> int:
    """How many of `times` requests were let in."""
    for done in range(times):
        try:
            rates.take("key", who, at_s)
        except TooManyRequestsError:
            return done
    return times


def test_a_second_has_so_many_requests_and_the_next_has_as_many() -> None:
    rates = Rates(3, 1, 1)
    assert taken(rates, "a", 10.0, 3) == 3
    assert taken(rates, "a", 10.999) == 0
    assert taken(rates, "a", 11.0, 4) == 3


def test_each_caller_and_each_scope_is_counted_alone() -> None:
    rates = Rates(1, 1, 1)
    for who in ("a", "b"):
        for scope in ("key", "address", "visitor"):
            rates.take(scope, who, 10.0)
    with pytest.raises(TooManyRequestsError) as refused:
        rates.take("visitor", "a", 10.5)
    assert refused.value.retry_after_s == 1


def test_a_refusal_is_metered() -> None:
    before = REGISTRY.get_sample_value("avert_rate_limited_total", {"limit": "key"}) or 0
    assert taken(Rates(1, 1, 1), "a", 10.0, 5) == 1
    assert REGISTRY.get_sample_value("avert_rate_limited_total", {"limit": "key"}) == before + 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"), ("203.0.113.255", "203.0.113.0/24"), ("203.0.114.0", "203.0.114.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1:2::/64"), ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"), ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("", "unknown"), ("unix:", "unknown"),
    ],
)
def test_addresses_are_counted_by_network(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("hops", "forwarded", "address"),
    [
        (0, "", "10.0.0.1"), (0, "1.1.1.1", "10.0.0.1"), (1, "1.1.1.1", "1.1.1.1"), (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (2, "6.6.6.6, 1.1.1.1, 10.0.0.9", "1.1.1.1"), (2, "1.1.1.1", "10.0.0.1"),
    ],
)
def test_a_client_cannot_choose_the_address_it_is_counted_under(hops: int, forwarded: str, address: str) -> None:
    assert client_address("10.0.0.1", forwarded, hops) == address
