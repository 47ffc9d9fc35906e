"""Buckets as GrowthBook's own package computes them; arms that stay."""

from __future__ import annotations

import pytest
from growthbook.core import chooseVariation, gbhash, getBucketRanges
from hypothesis import given
from hypothesis import strategies as st

from streams.core.experiment import arm_of, bucket, fnv1a32, share_of


@pytest.mark.parametrize(
    ("seed", "value", "expected"),
    [
        ("seed", "a", 0.0505),
        ("seed", "b", 0.2696),
        ("foo", "ab", 0.2575),
        ("foo", "def", 0.2019),
        ("90850943850283058242805", "123", 0.7516),
        ("()**(%$##$%#$#", '___)((*":&', 0.0128),
    ],
)
def test_growthbooks_published_cases_of_hash_version_2(seed, value, expected):
    assert (bucket(seed, value), gbhash(seed, value, 2)) == (expected, expected)


@pytest.mark.parametrize("value", ["a", "visitor-1", "3f0e7c1a-9d0b", "", "é", "日本", "😀", "a\x00b"])
def test_the_bucket_is_growthbooks(value):
    assert bucket("search-dead-end", value) == gbhash("search-dead-end", value, 2)


@given(st.text(max_size=30), st.text(max_size=130))
def test_any_bucket_is_growthbooks(salt, visitor):
    assert bucket(salt, visitor) == gbhash(salt, visitor, 2)


def test_fnv_of_nothing_is_its_offset():
    """The published test vectors of FNV-1a, 32 bits."""
    assert (fnv1a32(""), fnv1a32("a"), fnv1a32("foobar")) == (0x811C9DC5, 0xE40C292C, 0xBF9CF968)


@pytest.mark.parametrize(("holdout", "expected"), [(0.0, 0), (1.0, 2000)])
def test_nobody_and_everybody(holdout, expected):
    assert sum(arm_of(f"v{index}", "s", holdout) == "control" for index in range(2000)) == expected


def test_a_tenth_is_about_a_tenth():
    held = sum(arm_of(f"v{index}", "s", 0.1) == "control" for index in range(20_000))
    assert 1800 < held < 2200


def test_the_boundary_of_a_holdout_belongs_to_the_treated():
    exact = bucket("s", "v")
    arms = [arm_of("v", "s", holdout) for holdout in (exact - 0.0001, exact, exact + 0.0001)]
    assert arms == ["treated", "treated", "control"]


@given(st.text(min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_holdout_only_adds_visitors(visitor, one, other):
    small, large = sorted((one, other))
    assert not (arm_of(visitor, "s", small) == "control" and arm_of(visitor, "s", large) == "treated")


def test_salts_shuffle_visitors_anew():
    same = sum(arm_of(f"v{i}", "s1", 0.5) == arm_of(f"v{i}", "s2", 0.5) for i in range(4000))
    assert 1800 < same < 2200


@pytest.mark.parametrize(
    ("weights", "ranges"),
    [
        ((0.5, 0.5), [(0, 0.5), (0.5, 1)]),
        ((0.4, 0.6), [(0, 0.4), (0.4, 1)]),
        ((0.2, 0.3, 0.5), [(0, 0.2), (0.2, 0.5), (0.5, 1)]),
        ((0.25, 0.25, 0.25, 0.25), [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]),
    ],
)
def test_growthbooks_published_bucket_ranges_hold_for_variants_and_arms(weights, ranges):
    """Where its package puts a visitor by these ranges, the share is the same; a holdout is its variation 0."""
    found = getBucketRanges(len(weights), 1, list(weights))
    assert [(round(low, 9), round(high, 9)) for low, high in found] == ranges
    for visitor in map(str, range(500)):
        chosen = chooseVariation(gbhash("salt", visitor, 2), found)
        assert share_of(visitor, "salt", weights) == chosen
        if len(weights) == 2:
            assert arm_of(visitor, "salt", weights[0]) == ("treated" if chosen else "control")
