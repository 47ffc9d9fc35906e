"""From totals to what is said of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from streams.impact.assess import assess
from streams.impact.model import (
    ALL_COSTS,
    PROGRAMME,
    ArmTotals,
    OutcomeInfo,
    OutcomeTotals,
    RuleTotals,
    SuggestionCounts,
    Totals,
    pooled,
)
from streams.impact.report import ArmReport, Options

CHAT = OutcomeInfo(name="chat", kind="anti_conversion", label="Chat")
ORDER = OutcomeInfo(name="order", kind="conversion", label="Order")
PRICE = 6_500_000


def outcome(visitors: int, micros: int = PRICE) -> OutcomeTotals:
    squared = visitors * micros**2
    return OutcomeTotals(visitors=visitors, count=visitors, micros=visitors * micros, micros_squared=squared)


def arm(name: str, visitors: int, chats: int, orders: int = 0, variant: str = "", **more: Any) -> ArmTotals:
    return ArmTotals(arm=name, variant=variant, visitors=visitors,
                     outcomes={"chat": outcome(chats), "order": outcome(orders, 40_000_000)}, **more)  # fmt: skip


def totals(*rules: list[ArmTotals], **more: Any) -> Totals:
    return Totals(
        currency="EUR", outcomes=[CHAT, ORDER],
        rules=[RuleTotals(rule=f"r{index}", **{"target": "chat", **more}, arms=arms)
               for index, arms in enumerate(rules)],
    )  # fmt: skip


def said(*arms: ArmTotals, options: Options | None = None, **more: Any) -> ArmReport:
    return assess(totals(list(arms), **more), options).rules[0].arms[0]


# --- verdicts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "treated", "kind"),
    [
        ((2_000, 400), (18_000, 2_700), "helps"),
        ((2_000, 400), (18_000, 4_500), "harms"),
        ((2_000, 400), (18_000, 3_500), "too_early"),
        ((1_000_000, 200_000), (1_000_000, 200_100), "no_effect_larger_than"),
        ((0, 0), (10, 1), "too_early"),
        ((10, 0), (0, 0), "too_early"),
        ((10, 0), (90, 0), "too_early"),
    ],
)
def test_the_verdict_is_one_of_a_closed_set(control: tuple[int, int], treated: tuple[int, int], kind: str) -> None:
    assert said(arm("control", *control), arm("treated", *treated)).verdict.kind == kind


def test_of_a_conversion_more_is_better() -> None:
    found = said(arm("control", 2_000, 0, 300), arm("treated", 18_000, 0, 3_600), target="order")
    assert found.verdict.kind == "helps"
    assert found.savings.gross is not None
    assert found.savings.gross.value > 0


def test_a_broken_split_comes_before_all_else() -> None:
    found = said(arm("control", 1_500, 400), arm("treated", 18_000, 2_700), shares={"control": 1, "treated": 9})
    assert found.verdict.kind == "broken_split"
    assert "instead of 10.00 %" in found.verdict.sentence
    assert {one.state for one in found.beside} == {"open"}


def test_amounts_are_judged_where_they_are_the_measure() -> None:
    arms = arm("control", 5_000, 0, 500), arm("treated", 5_000, 0, 500)
    assert said(*arms, target="order", measure="amount").verdict.kind == "too_early"
    arms[1].outcomes["order"] = outcome(500, 80_000_000)
    assert said(*arms, target="order", measure="amount").verdict.kind == "helps"
    assert said(*arms, target="order", measure="rate").verdict.kind == "too_early"


def test_the_sentence_has_the_difference_its_interval_and_the_money() -> None:
    sentence = said(arm("control", 2_000, 400), arm("treated", 18_000, 2_700)).verdict.sentence
    assert sentence.startswith("Helps: the rate of “Chat” is 5.00 points lower than in the control arm (between ")
    assert "That avoided 5,850 EUR so far" in sentence


# --- several questions ---------------------------------------------------------------------------------------------


def test_questions_share_the_error_and_their_intervals_grow() -> None:
    arms = [arm("control", 2_000, 400), arm("treated", 18_000, 3_200)]
    widths = []
    for number in (1, 2, 20):
        report = assess(totals(*[arms] * number))
        assert report.questions == number
        rate = report.rules[0].arms[0].primary.rate
        assert rate is not None
        widths.append((rate.high or 0) - (rate.low or 0))
    assert all(narrow < wide for narrow, wide in pairwise(widths))


def test_a_rule_without_visitors_asks_nothing() -> None:
    assert assess(totals([arm("control", 5, 1), arm("treated", 5, 1)], [], [arm("treated", 5, 1)])).questions == 1


def test_each_arm_and_each_variant_is_compared_with_the_control_arm() -> None:
    arms = [arm("control", 100, 20), arm("treated", 50, 5, variant="a"), arm("treated", 50, 9, variant="b")]
    report = assess(totals(arms))
    assert [(one.arm, one.variant, one.primary.treated.with_outcome) for one in report.rules[0].arms] == [
        ("treated", "", 14), ("treated", "a", 5), ("treated", "b", 9),
    ]  # fmt: skip
    assert report.questions == 3


# --- money ---------------------------------------------------------------------------------------------------------


def test_savings_are_the_difference_times_the_exposed_times_the_price() -> None:
    found = said(arm("control", 1_000, 200), arm("treated", 9_000, 1_350)).savings
    assert found.unit_cost == 6.5
    assert found.outcomes is not None
    assert found.gross is not None
    assert found.outcomes.value == pytest.approx(450)
    assert found.gross.value == pytest.approx(450 * 6.5)
    assert found.gross.low is not None
    assert found.gross.low < found.gross.value < (found.gross.high or 0)


def test_suggestions_cost_what_was_declared() -> None:
    treated = arm("treated", 9_000, 1_350, suggestions=SuggestionCounts(made=8_000))
    found = said(arm("control", 1_000, 200), treated, options=Options(nudge_cost=0.05)).savings
    assert found.nudge_cost == pytest.approx(400)
    assert found.gross is not None
    assert found.net is not None
    assert found.net.value == pytest.approx(found.gross.value - 400)


def test_money_per_visitor_needs_ten_visitors_with_some_in_each_arm() -> None:
    few, enough = (said(arm("control", 100, number), arm("treated", 100, 30)).primary.amount for number in (9, 10))
    assert few is not None
    assert enough is not None
    assert (few.low is None, enough.low is None) == (True, False)


def test_the_spread_of_amounts_is_that_of_visitors() -> None:
    values = [0, 0, 3, 5]
    one = ArmTotals(arm="control", visitors=4, outcomes={"order": OutcomeTotals(
        visitors=2, count=3, micros=8_000_000, micros_squared=34 * 10**12)})  # fmt: skip
    found = said(one, arm("treated", 4, 0, 1), target="order").primary.control
    mean = sum(values) / 4
    assert found.spread == pytest.approx((sum((value - mean) ** 2 for value in values) / 3) ** 0.5)
    assert found.amount_per_visitor == 2.0


# --- guardrails ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("orders", "state"), [((5_000, 4_000), "hurt"), ((5_000, 5_000), "open"), ((5_000, 6_000), "safe")]
)
def test_a_guardrail_is_hurt_safe_or_open(orders: tuple[int, int], state: str) -> None:
    found = said(arm("control", 20_000, 10, orders[0]), arm("treated", 20_000, 10, orders[1]))
    assert [(one.comparison.outcome, one.state) for one in found.beside] == [("order", state)]


@pytest.mark.parametrize(("dismissed", "state"), [(10, "safe"), (200, "open"), (400, "hurt")])
def test_dismissals_are_a_guardrail(dismissed: int, state: str) -> None:
    shown = SuggestionCounts(made=1_000, shown=1_000, dismissed=dismissed)
    found = said(arm("control", 100, 10), arm("treated", 1_000, 10, suggestions=shown)).dismissals
    assert found is not None
    assert found.state == state


# --- planning, totals ------------------------------------------------------------------------------------------------


def test_waiting_is_told_in_days_of_the_traffic_seen() -> None:
    day = 86_400_000
    times = {"first_exposure": 0, "last_exposure": 10 * day}
    plan = said(arm("control", 1_000, 200, **times), arm("treated", 9_000, 1_800, **times)).plan
    assert plan is not None
    assert plan.per_day == 1_000
    assert plan.days == pytest.approx((plan.more or 0) / 1_000)


def test_without_any_outcome_nothing_can_be_planned() -> None:
    assert said(arm("control", 1_000, 0), arm("treated", 9_000, 10)).plan is None


def test_variants_add_up() -> None:
    one = arm("treated", 10, 2, variant="a", first_exposure=5)
    other = arm("treated", 20, 3, variant="b", last_exposure=9)
    one.instead, other.instead = {"order": 1}, {"order": 2}
    found = pooled([one, other, arm("control", 7, 1)], "treated")
    assert (found.visitors, found.outcomes["chat"], found.instead) == (30, outcome(5), {"order": 3})
    assert (found.first_exposure, found.last_exposure) == (5, 9)


def test_what_suggestions_cost_is_what_was_counted_unless_said() -> None:
    treated = arm("treated", 900, 90, suggestions=SuggestionCounts(made=800, shown=700, micros=35_000_000))
    control = arm("control", 100, 20)
    assert said(control, treated).savings.nudge_cost == 35.0
    assert said(control, treated, options=Options(nudge_cost=0.0)).savings.nudge_cost == 0.0


def test_variants_are_compared_only_where_every_visitor_has_one() -> None:
    arms = [arm("control", 100, 20), arm("treated", 50, 5, variant="a"), arm("treated", 50, 9, variant="b")]
    assert len(assess(totals(arms)).rules[0].arms) == 3
    assert len(assess(totals([*arms, arm("treated", 9, 1)])).rules[0].arms) == 1


def test_the_programme_comes_first_and_aimless_rules_are_noted() -> None:
    made = totals([arm("control", 9, 1)], [arm("control", 9, 1)], [arm("control", 9, 1)])
    made.rules[1].rule, made.rules[2].target = PROGRAMME, ""
    report = assess(made)
    assert [rule.rule for rule in report.rules] == [PROGRAMME, "r0"]
    assert [note.text for note in report.notes] == ["rule `r2` neither prevents nor promotes anything"]


def test_all_costs_have_a_name_without_being_declared() -> None:
    arms = [arm("control", 50, 5), arm("treated", 50, 5)]
    for one in arms:
        one.outcomes[ALL_COSTS] = outcome(7)
    beside = assess(totals(arms)).rules[0].arms[0].beside
    assert [one.comparison.label for one in beside] == ["Order", "All anti-conversions together"]
