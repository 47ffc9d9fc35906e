"""The sample-ratio check."""

from __future__ import annotations

import itertools
import math

import pytest

from streams.impact.split import check_split, log_e_value


def test_the_e_value_is_one_on_average_under_the_declared_shares() -> None:
    """What makes it an e-value: over all samples of 12 visitors, weighed by their probability."""
    shares = (0.2, 0.3, 0.5)
    total = 0.0
    for counts in itertools.product(range(13), repeat=3):
        if sum(counts) == 12:
            ways = math.factorial(12) / math.prod(map(math.factorial, counts))
            likely = ways * math.prod(share**count for share, count in zip(shares, counts, strict=True))
            total += likely * math.exp(log_e_value(counts, shares))
    assert total == pytest.approx(1)


def test_a_split_as_declared_is_fine_and_a_broken_one_is_not() -> None:
    declared = {"control": 1.0, "treated": 9.0}
    fine, broken = (check_split(seen, declared) for seen in (
        {"control": 1_030, "treated": 8_970}, {"control": 800, "treated": 9_200},
    ))
    assert fine is not None
    assert broken is not None
    assert (fine.broken, broken.broken) == (False, True)
    assert fine.expected == {"control": 0.1, "treated": 0.9}


def test_a_visitor_where_nobody_should_be_breaks_it() -> None:
    found = check_split({"a": 10, "b": 10, "c": 1}, {"a": 1, "b": 1, "c": 0})
    assert found is not None
    assert found.p == 0


@pytest.mark.parametrize("declared", [{}, {"a": 1.0}, {"a": 1.0, "b": 0.0}])
def test_without_two_shares_there_is_nothing_to_check(declared: dict[str, float]) -> None:
    assert check_split({"a": 5, "b": 5}, declared) is None
