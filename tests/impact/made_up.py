"""A programme of rules, made up and seeded: ``python -m tests.impact.made_up FOLDER`` writes totals and the page.

It shows every kind of verdict; the pictures in docs/images are of this page.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np

from streams.impact.assess import assess
from streams.impact.model import (
    ALL_COSTS,
    PROGRAMME,
    ArmTotals,
    CostVersion,
    OutcomeInfo,
    OutcomeTotals,
    RuleTotals,
    SuggestionCounts,
    Totals,
)
from streams.impact.page.build import write_page
from streams.impact.report import Options

DAY_MS = 86_400_000
START = 1_772_400_000_000  # in March 2026
DAYS = 34
PRICE = {"support_chat": 6.5, "phone_call": 11.2, "checkout_abandoned": 9.87, "purchase": 64.0, ALL_COSTS: 8.3}
UNEVEN = ("purchase", "checkout_abandoned", ALL_COSTS)
# Rule, title, target, visitors, control share, rates, times the target's rate, dismissed, variants.
Row = tuple[str, str, str, int, float, dict[str, float], float, float, tuple[str, ...]]
RULES: tuple[Row, ...] = (
    (PROGRAMME, "All rules together, against the global holdout", ALL_COSTS, 120_000, 0.05,
     {ALL_COSTS: 0.16, "purchase": 0.21}, 0.74, 0.08, ("",)),
    ("search-dead-end", "Two searches without a result", "support_chat", 38_000, 0.1,
     {"support_chat": 0.24, "phone_call": 0.05, "purchase": 0.18}, 0.8, 0.08, ("",)),
    ("form-errors", "A form that will not be filled in", "phone_call", 9_400, 0.1,
     {"phone_call": 0.11, "support_chat": 0.08, "purchase": 0.3}, 0.9, 0.08, ("",)),
    ("delivery-anxiety", "Worried about a delivery", "phone_call", 42_000, 0.2,
     {"phone_call": 0.14, "purchase": 0.12}, 0.72, 0.08, ("map", "date")),
    ("checkout-stall", "Stands still in the checkout", "checkout_abandoned", 30_000, 0.1,
     {"checkout_abandoned": 0.41, "purchase": 0.45}, 1.14, 0.34, ("",)),
    ("price-doubt", "Looks at one price three times", "checkout_abandoned", 260_000, 0.5,
     {"checkout_abandoned": 0.5, "purchase": 0.33}, 1.0, 0.08, ("",)),
    ("size-guide", "Turns between two sizes", "support_chat", 8_000, 0.1,
     {"support_chat": 0.1, "purchase": 0.2}, 0.9, 0.08, ("",)),
)  # fmt: skip


def totals() -> Totals:
    rng = np.random.default_rng(5)
    rules = [_rule(rng, row) for row in RULES]
    rules[-1].arms[0].visitors += 260  # the split of the last one is broken
    return Totals(
        source="a programme that was made up", at=START + DAYS * DAY_MS, currency="EUR",
        attribution_window_ms=DAY_MS, outcomes=_outcomes(), rules=rules,
    )


def _outcomes() -> list[OutcomeInfo]:
    def price(version: str, text: str, day: int, number: int, each: float) -> CostVersion:
        since = START + day * DAY_MS
        return CostVersion(version=version, text=text, since=since, count=number, micros=round(number * each * 1e6))

    return [
        OutcomeInfo(name=ALL_COSTS, kind="anti_conversion", label="All anti-conversions"),
        OutcomeInfo(name="support_chat", kind="anti_conversion", label="Support chat", versions=[
            price("4be1c0", "6.50", -90, 9_421, 6.5), price("91aa07", "7.10", 20, 4_120, 7.1)]),
        OutcomeInfo(name="phone_call", kind="anti_conversion", label="Call to the help desk", versions=[
            price("0c77d2", "11.20", -90, 3_011, 11.2)]),
        OutcomeInfo(name="checkout_abandoned", kind="anti_conversion", label="Checkout abandoned", versions=[
            price("77ad31", "0.12 of cart_total", -90, 8_800, 9.87)]),
        OutcomeInfo(name="purchase", kind="conversion", label="Purchase"),
    ]  # fmt: skip


def _rule(rng: np.random.Generator, row: Row) -> RuleTotals:
    name, title, target, visitors, share, rates, lift, dismissed, variants = row
    held_back = int(rng.binomial(visitors, share))
    arms = [_arm(rng, "control", "", held_back, rates, target)]
    for variant in variants:
        lifted = rates | {target: rates[target] * lift}
        arm = _arm(rng, "treated", variant, (visitors - held_back) // len(variants), lifted, target)
        shown = int(arm.visitors * 0.93)
        arm.suggestions = SuggestionCounts(
            made=arm.visitors, shown=shown, clicked=int(shown * 0.21), dismissed=int(shown * dismissed)
        )
        arms.append(arm)
    return RuleTotals(
        rule=name, title=title, target=target, measure="amount" if name == PROGRAMME else "rate",
        shares={"control": share, "treated": 1 - share}, arms=arms,
    )


def _arm(
    rng: np.random.Generator, name: str, variant: str, visitors: int, rates: dict[str, float], target: str
) -> ArmTotals:
    arm = ArmTotals(arm=name, variant=variant, visitors=visitors, first_exposure=START,
                    last_exposure=START + DAYS * DAY_MS)  # fmt: skip
    for outcome, rate in rates.items():
        arm.outcomes[outcome] = _outcome(rng, outcome, int(rng.binomial(visitors, rate)))
        if outcome != target:
            arm.instead[outcome] = round(arm.outcomes[outcome].visitors * 0.8)
    return arm


def _outcome(rng: np.random.Generator, name: str, visitors: int) -> OutcomeTotals:
    twice = int(visitors * 0.12)
    amounts = np.full(visitors, PRICE[name])
    amounts[:twice] *= 2
    if name in UNEVEN:
        amounts *= rng.lognormal(-0.18, 0.6, visitors)
    micros = [round(amount * 1e6) for amount in amounts.tolist()]
    return OutcomeTotals(visitors=visitors, count=visitors + twice, micros=sum(micros),
                         micros_squared=sum(one * one for one in micros))  # fmt: skip


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    made = totals()
    (folder / "totals.json").write_bytes(msgspec.json.encode(made))
    write_page(assess(made, Options(nudge_cost=0.002)), folder / "impact.html")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
