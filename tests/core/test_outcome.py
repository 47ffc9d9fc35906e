"""Money and attribution."""

from __future__ import annotations

import pytest

from streams.core.definition import Amount
from streams.core.event import MISSING
from streams.core.outcome import ALL_COSTS, CREDITED_MAX, amount_of, credit, micros_of
from streams.core.visitor import CREDITS_MAX, Exposure


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
    assert [found.rule for found in credit([exposure], "o", at, 1000, 0, costs=False)] == (["r"] if counts else [])


def test_every_open_exposure_is_credited_with_its_arm():
    exposures = [Exposure("a", "1", "treated", 0), Exposure("b", "2", "control", 5)]
    assert [(e.rule, e.version, e.arm, e.at) for e in credit(exposures, "o", 9, 100, 0, costs=False)] == [
        ("a", "1", "treated", 0),
        ("b", "2", "control", 5),
    ]


def test_an_exposure_says_what_it_was_credited_with_before():
    exposure = Exposure("r", "1", "treated", 0, "short")
    found = [credit([exposure], "o", at, 100, 500, costs=False)[0] for at in (1, 2, 3)]
    assert [(one.variant, one.before, one.before_micros) for one in found] == [
        ("short", 0, 0),
        ("short", 1, 500),
        ("short", 2, 1000),
    ]
    assert exposure.credits == {"o": [3, 1500]}


def test_outcomes_are_credited_by_name():
    exposure = Exposure("r", "1", "treated", 0)
    found = [credit([exposure], name, 1, 100, 5, costs=False)[0] for name in ("a", "b", "a")]
    assert [one.before for one in found] == [0, 0, 1]


@pytest.mark.parametrize(
    ("names", "instead", "also"),
    [
        (["left"], [True], [()]),
        (["left", "left", "bought"], [True, False, True], [(), (), ()]),
        (["left", "bought", "chat", "chat"], [True, True, False, False], [(), (), ("left", "bought"), ()]),
        (["chat", "left"], [False, False], [(), ()]),
    ],
)
def test_what_happens_instead_of_the_rules_own_outcome(names, instead, also):
    exposure = Exposure("r", "1", "treated", 0, None, "chat")
    found = [credit([exposure], name, 1, 100, 5, costs=name != "bought")[0] for name in names]
    assert ([one.instead for one in found], [one.also for one in found]) == (instead, also)


def test_an_exposure_without_an_own_outcome_has_nothing_instead():
    assert not credit([Exposure("programme", "", "treated", 0)], "left", 1, 100, 5, costs=True)[0].instead


def test_all_costs_are_counted_together():
    exposure = Exposure("r", "1", "treated", 0)
    found = [
        credit([exposure], name, 1, 100, micros, costs=costs)[0]
        for name, micros, costs in (("chat", 5, True), ("bought", 7, False), ("call", 9, True), ("chat", 5, True))
    ]
    assert [(one.before, one.costs_before, one.costs_before_micros) for one in found] == [
        (0, 0, 0), (0, 0, 0), (0, 1, 5), (1, 2, 14),
    ]  # fmt: skip


def test_credits_are_bounded_by_name_and_by_count():
    full = Exposure("r", "1", "treated", 0, None, "", {f"o{number}": [1, 0] for number in range(CREDITS_MAX)})
    full.credits[ALL_COSTS] = [1, 0]
    assert credit([full], "one_more", 1, 100, 5, costs=True) == ()
    assert len(credit([full], "o1", 1, 100, 5, costs=True)) == 1
    machine = Exposure("r", "1", "treated", 0, None, "", {"o": [CREDITED_MAX - 1, 0]})
    assert [len(credit([machine], "o", 1, 100, 5, costs=True)) for _ in range(2)] == [1, 0]


def test_the_most_money_that_can_be_credited_fits_a_row():
    most = micros_of(amount_of(Amount(999_999_999.99), lambda path: None))
    assert most * CREDITED_MAX * CREDITS_MAX < 1 << 63
    assert amount_of(Amount(of="props.total", times=3), lambda path: 9e8) is None


@pytest.mark.parametrize(("amount", "micros"), [(None, 0), (0.0, 0), (6.5, 6_500_000), (-1.2, -1_200_000)])
def test_money_in_micro_units(amount, micros):
    assert micros_of(amount) == micros
