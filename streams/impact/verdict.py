"""What may be said of one arm: one of five kinds, by the first line of the table that applies.

1. `broken_split`: visitors were not split as declared.
2. `helps`, `harms`: the interval excludes "no difference".
3. `no_effect_larger_than`: it holds "no difference", and nothing as large as the planned effect.
4. `too_early`: everything else, also before there is anything to count.
"""

from __future__ import annotations

from typing import NamedTuple

from streams.impact.plan import Plan
from streams.impact.report import Comparison, Estimate, Savings, Verdict, VerdictKind
from streams.impact.split import Split
from streams.impact.words import about, between, change, compared, count, days, noun, percent, probability, round_money

_ODDS_TOLD_FROM = 1e-6  # below it the number of noughts says nothing


class Case(NamedTuple):
    """What the verdict is based on."""

    comparison: Comparison
    measure: str
    better: int  # 1: more of it is good, -1: less
    split: Split | None
    plan: Plan | None
    savings: Savings
    effect: float  # planned, as a share


def kind_of(case: Case) -> VerdictKind:
    """The verdict without its sentence."""
    if case.split is not None and case.split.broken:
        return "broken_split"
    found = judged(case.comparison, case.measure)
    if found is None or found.low is None or found.high is None:
        return "too_early"
    if found.low > 0 or found.high < 0:
        return "helps" if (found.low > 0) == (case.better > 0) else "harms"
    if case.plan is not None and max(-found.low, found.high) < case.plan.effect:
        return "no_effect_larger_than"
    return "too_early"


def judged(comparison: Comparison, measure: str) -> Estimate | None:
    """The difference that the verdict is about."""
    return comparison.rate if measure == "rate" else comparison.amount


def verdict_of(case: Case) -> Verdict:
    """The verdict and its sentence."""
    kind = kind_of(case)
    return Verdict(kind=kind, sentence=_SENTENCES[kind](case))


# --- sentences -----------------------------------------------------------------------------------------------------


def _difference(case: Case) -> tuple[Estimate, str]:
    found = judged(case.comparison, case.measure) or Estimate(value=0.0)
    return found, "" if case.measure == "rate" else case.comparison.unit


def _broken(case: Case) -> str:
    assert case.split is not None  # noqa: S101 - the kind says so
    parts = ", ".join(
        f"{arm} {percent(case.split.observed[arm] / max(sum(case.split.observed.values()), 1), 2)} instead of "
        f"{percent(share, 2)}"
        for arm, share in case.split.expected.items()
    )
    odds = "a million" if case.split.p < _ODDS_TOLD_FROM else f"{1 / case.split.p:,.0f}"
    return (
        f"The split is broken: {parts}; chance would do that less than once in {odds} times. "
        "Find out why before you read on: the other numbers do not mean what they say."
    )


def _what(case: Case) -> str:
    return f"the {'rate' if case.measure == 'rate' else 'amount'} of {noun(case.comparison.label)}"


def _helps(case: Case) -> str:
    said = "Helps: " + _claim(case)
    worth, unit = case.savings.net if case.savings.nudge_cost else case.savings.gross, case.comparison.unit
    if worth is None or worth.low is None:
        return said + "."
    verb = "avoided" if case.better < 0 else "brought"
    ends = f"{round_money(worth.low, unit)} to {round_money(worth.high, unit)}"
    paid = ", what the suggestions cost taken off" if case.savings.nudge_cost else ""
    return f"{said}. That {verb} {round_money(worth.value, unit)} so far ({ends}{paid})."


def _claim(case: Case) -> str:
    found, unit = _difference(case)
    return f"{_what(case)} is {compared(found.value, unit)} than in the control arm ({between(found, unit)})"


def _harms(case: Case) -> str:
    return f"Harms: {_claim(case)}. Stop it."


def _none(case: Case) -> str:
    found, unit = _difference(case)
    largest = max(-(found.low or 0.0), found.high or 0.0)
    size = change(largest, unit, signed=False)
    return (
        f"No effect larger than {size}, in either direction, on {_what(case)}; "
        f"a change of {percent(case.effect)} would have been seen."
    )


def _early(case: Case) -> str:
    found, unit = _difference(case)
    seen = case.comparison.control.visitors + case.comparison.treated.visitors
    if not case.comparison.control.visitors or not case.comparison.treated.visitors:
        arm = "control" if not case.comparison.control.visitors else "treated"
        return f"Too early to say: nobody in the {arm} arm yet."
    said = f"Too early to say, after {count(seen)} visitors"
    if found.low is not None:
        said += f": {_what(case)} may be anything {between(found, unit)} than in the control arm"
    plan = case.plan
    if plan is None or plan.needed is None:
        return said + "."
    if not plan.more:
        chance = "" if plan.chance is None else f" {probability(plan.chance)} of all experiments would have seen"
        return f"{said}.{chance} a change of {percent(case.effect)} by now." if chance else said + "."
    wait = f", about {days(plan.days)}" if plan.days is not None else ""
    return f"{said}. To see a change of {percent(case.effect)} takes about {about(plan.more)} more{wait}."


_SENTENCES = {
    "broken_split": _broken,
    "helps": _helps,
    "harms": _harms,
    "no_effect_larger_than": _none,
    "too_early": _early,
}
