"""Money and attribution."""

from __future__ import annotations

import pytest

from streams.core.definition import Amount
from streams.core.event import MISSING
from streams.core.outcome import amount_of, credited
from streams.core.visitor import Exposure


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (100, 12.0),
        (99.99, 12.0),
        (1.04, 0.12),
        (0, 0.0),
        (-10, -1.2),
        ("100", 12.0),
        (" 15.0 ", 1.8),
        ("", None),
        ("ten", None),
        ("nan", None),
        ("inf", None),
        ("1e300", None),
        (True, None),
        (None, None),
        ([], None),
        ({}, None),
        (MISSING, None),
        (float("inf"), None),
        (float("nan"), None),
        (10**400, None),
        (10**16, None),
    ],
)
def test_an_amount_is_a_share_of_a_field(found, expected):
    assert amount_of(Amount(of="props.total", times=0.12), lambda path: found) == expected


@pytest.mark.parametrize(("amount", "expected"), [(Amount(6.5), 6.5), (Amount(6.5, times=2), 13.0), (Amount(), None)])
def test_a_fixed_amount_needs_no_field(amount, expected):
    def nobody(path):
        raise AssertionError(path)

    assert amount_of(amount, nobody) == expected


def test_the_field_is_asked_for_by_its_path():
    asked = []
    amount_of(Amount(of="props.total"), lambda path: asked.append(path) or 1)
    assert asked == ["props.total"]


@pytest.mark.parametrize(
    ("at", "counts"),
    [(99, False), (100, True), (101, True), (1099, True), (1100, False), (1101, False)],
)
def test_an_exposure_counts_from_itself_until_its_window_closes(at, counts):
    exposure = Exposure("r", "1", "treated", 100)
    assert [found.rule for found in credited([exposure], at, 1000)] == (["r"] if counts else [])


def test_every_open_exposure_is_credited_with_its_arm():
    exposures = [Exposure("a", "1", "treated", 0), Exposure("b", "2", "control", 5)]
    assert [(e.rule, e.version, e.arm, e.at) for e in credited(exposures, 9, 100)] == [
        ("a", "1", "treated", 0),
        ("b", "2", "control", 5),
    ]
