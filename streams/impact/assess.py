"""Totals to a report.

1. A *question* is one arm of one rule, or one of its variants, against the control arm, on the rule's own outcome, once
   both have visitors. All questions share the allowed error evenly (Bonferroni over anytime-valid intervals): their
   intervals hold *together* at 95 %, whatever is looked at, when, and how often, and a claim is an interval that
   excludes 0. Holm's procedure or e-BH would claim a little more, with intervals that no longer show why.
2. Guardrails have the whole error each: a false alarm there is cheap, a missed one is not.
3. A broken split comes before all else: then no other number means what it says.
4. Savings are the difference of rates times the exposed of the arm times the cost of one outcome (over both arms and
   all versions of its price; taken as known). Beside it stands what the amounts per visitor say; where amounts are
   what is judged, that is all there is.
"""

from __future__ import annotations

from typing import NamedTuple

from streams.impact.bounds import rate_interval, rates_interval
from streams.impact.compare import Error, compare, variance_of
from streams.impact.funnels import assess_funnels
from streams.impact.model import (
    ALL_COSTS,
    MICROS,
    PROGRAMME,
    ArmTotals,
    Note,
    OutcomeInfo,
    RuleTotals,
    SuggestionCounts,
    Totals,
    pooled,
)
from streams.impact.plan import Plan, chance_by, detectable_by, per_day, spread_of_means, spread_of_rates, visitors_for
from streams.impact.report import (
    ArmReport,
    Beside,
    Comparison,
    Dismissals,
    Estimate,
    Instead,
    LookFigures,
    Measure,
    Options,
    OutcomeReport,
    Report,
    RuleReport,
    Savings,
    State,
    Suggestions,
)
from streams.impact.split import Split, check_split
from streams.impact.verdict import Case, verdict_of

LOOKS_MAX = 200  # of one arm: more than a plot can show
_ALL_COSTS_LABEL = "All anti-conversions together"


def assess(totals: Totals, options: Options | None = None) -> Report:
    """Everything that may be said of these totals."""
    options = options or Options()
    known = {outcome.name: outcome for outcome in totals.outcomes}
    aimless = [rule.rule for rule in totals.rules if not rule.target]
    rules = sorted((rule for rule in totals.rules if rule.target), key=lambda rule: rule.rule != PROGRAMME)
    questions = sum(len(_asked(rule)) for rule in rules)
    around = Around(known, totals.currency, options, Error(options.alpha / max(questions, 1), options.best_at))
    return Report(
        source=totals.source, at=totals.at, currency=totals.currency,
        attribution_window_ms=totals.attribution_window_ms, options=options, questions=questions,
        rules=[_rule(rule, around) for rule in rules],
        outcomes=[
            OutcomeReport(
                name=one.name, label=one.label or one.name, kind=one.kind, unit=one.unit or totals.currency,
                versions=one.versions,
            )
            for one in totals.outcomes
        ],
        notes=totals.notes + [Note(f"rule `{rule}` neither prevents nor promotes anything") for rule in aimless],
        funnels=assess_funnels(totals.funnels, options),
    )


class Around(NamedTuple):
    """What is the same for all rules of a report."""

    outcomes: dict[str, OutcomeInfo]
    currency: str
    options: Options
    error: Error  # of one question

    def outcome(self, name: str) -> OutcomeInfo:
        """The declared outcome; one that was declared no longer is an anti-conversion, as most are."""
        label = _ALL_COSTS_LABEL if name == ALL_COSTS else name
        return self.outcomes.get(name) or OutcomeInfo(name=name, kind="anti_conversion", label=label)


class _Arm(NamedTuple):
    """One arm, or one variant of it."""

    name: str
    variant: str
    totals: ArmTotals


def _arms(rule: RuleTotals) -> list[_Arm]:
    """The arms beside the control arm, in the order in which they are declared or met, each with its variants."""
    found = []
    for name in dict.fromkeys([*rule.shares, *(arm.arm for arm in rule.arms)]):
        if name == rule.control:
            continue
        found.append(_Arm(name, "", pooled(rule.arms, name)))
        parts = [arm for arm in rule.arms if arm.arm == name and arm.visitors]
        # Who was exposed without a variant was shown nothing: the others are no longer like the control arm.
        if len(parts) > 1 and all(arm.variant for arm in parts):
            found += [_Arm(name, arm.variant, arm) for arm in parts]
    return found


def _asked(rule: RuleTotals) -> list[_Arm]:
    if not pooled(rule.arms, rule.control).visitors:
        return []
    return [arm for arm in _arms(rule) if arm.totals.visitors]


def _rule(rule: RuleTotals, around: Around) -> RuleReport:
    target = around.outcome(rule.target)
    exposed = {rule.control: pooled(rule.arms, rule.control)}
    exposed |= {arm.name: arm.totals for arm in _arms(rule) if not arm.variant}
    split = check_split({name: arm.visitors for name, arm in exposed.items()}, rule.shares)
    firsts = [arm.first_exposure for arm in exposed.values() if arm.first_exposure is not None]
    lasts = [arm.last_exposure for arm in exposed.values() if arm.last_exposure is not None]
    return RuleReport(
        rule=rule.rule, title=rule.title, versions=rule.versions, target=rule.target,
        label=target.label or target.name, kind=target.kind, measure=rule.measure, unit=target.unit or around.currency,
        control=rule.control, exposed={name: arm.visitors for name, arm in exposed.items()},
        first_exposure=min(firsts, default=None), last_exposure=max(lasts, default=None), split=split,
        arms=[_arm(arm, exposed[rule.control], rule, around, split) for arm in _arms(rule)],
        instead=_instead(exposed, around),
    )


def _arm(arm: _Arm, control: ArmTotals, rule: RuleTotals, around: Around, split: Split | None) -> ArmReport:
    target = around.outcome(rule.target)
    better = better_of(target)
    primary = compare(control, arm.totals, target, around.error, around.currency, rule.measure)
    savings = _savings(primary, arm.totals, rule.measure, around.options)
    plan = _plan(primary, control, arm.totals, rule, around)
    case = Case(primary, rule.measure, better, split, plan, savings, around.options.effect)
    counts = arm.totals.suggestions
    return ArmReport(
        arm=arm.name, variant=arm.variant, verdict=verdict_of(case), primary=primary, savings=savings, plan=plan,
        beside=_beside(arm.totals, control, rule, around, split), dismissals=_dismissals(counts, around.options),
        looks=[] if arm.variant else _looks(rule, arm.name, around.error),
        suggestions=Suggestions(
            made=counts.made, shown=counts.shown, clicked=counts.clicked, dismissed=counts.dismissed
        ),
    )


def better_of(outcome: OutcomeInfo) -> int:
    """1 where more of it is better, -1 where less is."""
    return 1 if outcome.kind == "conversion" else -1


# --- money -----------------------------------------------------------------------------------------------------


def _savings(primary: Comparison, treated: ArmTotals, measure: Measure, options: Options) -> Savings:
    one, other, better = primary.control, primary.treated, 1 if primary.kind == "conversion" else -1
    priced = one.count - one.unpriced + other.count - other.unpriced
    unit = (one.amount + other.amount) / priced if priced else None
    outcomes = None if primary.rate is None else primary.rate.times(better * other.visitors)
    measured = None if primary.amount is None else primary.amount.times(better * other.visitors)
    priced_outcomes = None if outcomes is None or unit is None else outcomes.times(unit)
    gross = measured if measure == "amount" else priced_outcomes
    counted = treated.suggestions
    nudges = counted.micros / MICROS if options.nudge_cost is None else counted.made * options.nudge_cost
    return Savings(
        exposed=other.visitors, unit_cost=unit, outcomes=outcomes, gross=gross,
        measured=measured,
        suggestions=counted.made, nudge_cost=nudges, net=None if gross is None else _less(gross, nudges),
    )


def _less(amount: Estimate, cost: float) -> Estimate:
    return Estimate(
        value=amount.value - cost, low=None if amount.low is None else amount.low - cost,
        high=None if amount.high is None else amount.high - cost,
    )


# --- planning --------------------------------------------------------------------------------------------------


def _plan(
    primary: Comparison, control: ArmTotals, treated: ArmTotals, rule: RuleTotals, around: Around
) -> Plan | None:
    """None while the control arm has no figure of which the planned effect could be a share."""
    options, n0, n1 = around.options, control.visitors, treated.visitors
    base = primary.control.rate if rule.measure == "rate" else primary.control.amount_per_visitor
    if not n0 or not n1 or not base:
        return None
    effect, share = abs(base) * options.effect, n0 / (n0 + n1)
    if rule.measure == "rate":
        better = 1 if primary.kind == "conversion" else -1
        spread = spread_of_rates(base, better * effect, share)
        largest = base if better < 0 else 1 - base
    else:
        v0, v1 = variance_of(control, rule.target), variance_of(treated, rule.target)
        if not v0 or not v1:
            return None
        spread, largest = spread_of_means(v0, v1, share), abs(base)
    needed = visitors_for(effect, spread, options.power, *around.error)
    times = [at for arm in (control, treated) for at in (arm.first_exposure, arm.last_exposure) if at is not None]
    daily = per_day(n0 + n1, min(times, default=None), max(times, default=None))
    more = None if needed is None else max(needed - n0 - n1, 0)
    return Plan(
        effect=effect, power=options.power, chance=chance_by(n0 + n1, effect, spread, *around.error),
        detectable=detectable_by(n0 + n1, largest, spread, options.power, *around.error),
        needed=needed, more=more, per_day=daily, days=None if more is None or not daily else more / daily,
    )


# --- what else changed -----------------------------------------------------------------------------------------


def _beside(
    treated: ArmTotals, control: ArmTotals, rule: RuleTotals, around: Around, split: Split | None
) -> list[Beside]:
    broken = split is not None and split.broken  # then nothing is known to be safe, nor worse
    names = dict.fromkeys([*around.outcomes, *control.outcomes, *treated.outcomes])
    found = []
    for name in names:
        if name != rule.target and (name in control.outcomes or name in treated.outcomes):
            outcome = around.outcome(name)
            alone = Error(around.options.alpha, around.options.best_at)
            comparison = compare(control, treated, outcome, alone, around.currency)
            state: State = "open" if broken else _state(comparison, better_of(outcome), around.options)
            found.append(Beside(comparison=comparison, state=state))
    return found


def _state(comparison: Comparison, better: int, options: Options) -> State:
    if comparison.rate is None:
        return "open"
    good = comparison.rate.times(better)
    if good.low is None or good.high is None:
        return "open"
    if good.high < 0:
        return "hurt"
    return "safe" if good.low >= -options.margin * (comparison.control.rate or 0) else "open"


def _dismissals(counts: SuggestionCounts, options: Options) -> Dismissals | None:
    if not counts.shown:
        return None
    dismissed = min(counts.dismissed, counts.shown)  # a receipt may overtake the other
    low, high = (float(end) for end in rate_interval(counts.shown, dismissed, options.alpha))
    state: State = "hurt" if low > options.dismissals_max else "safe" if high <= options.dismissals_max else "open"
    share = dismissed / counts.shown
    return Dismissals(shown=counts.shown, dismissed=dismissed, share=share, low=low, high=high, state=state)


def _instead(exposed: dict[str, ArmTotals], around: Around) -> list[Instead]:
    found = []
    for name in dict.fromkeys(name for arm in exposed.values() for name in arm.instead):
        visitors = {arm: totals.instead.get(name, 0) for arm, totals in exposed.items()}
        share = {arm: visitors[arm] / totals.visitors for arm, totals in exposed.items() if totals.visitors}
        label = around.outcome(name).label or name
        found.append(Instead(outcome=name, label=label, visitors=visitors, share=share))
    return found


# --- earlier looks ---------------------------------------------------------------------------------------------


def _looks(rule: RuleTotals, name: str, error: Error) -> list[LookFigures]:
    found = []
    for look in rule.looks[:: max(1, len(rule.looks) // LOOKS_MAX)]:
        arms = {arm.arm: arm for arm in look.arms}
        control, treated = arms.get(rule.control), arms.get(name)
        if control is None or treated is None or not control.visitors or not treated.visitors:
            continue
        pairs = (control.visitors, control.happened), (treated.visitors, treated.happened)
        ends = rates_interval(*pairs, *error)
        value = treated.happened / treated.visitors - control.happened / control.visitors
        rate = Estimate(value=value) if ends is None else Estimate(value=value, low=ends.low, high=ends.high)
        found.append(LookFigures(at=look.at, visitors=control.visitors + treated.visitors, rate=rate))
    return found
