"""The card of one rule or experiment."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from streams.impact.listing import arm_name, better_of, listed
from streams.impact.page.document import Section, badge, figure, table, tiles
from streams.impact.page.draw import BarRow, Moment, RangeRow, Write, bars, over_time, ranges
from streams.impact.report import ArmReport, Comparison, Estimate, Options, RuleReport
from streams.impact.verdict import judged
from streams.impact.words import (
    NONE,
    change,
    count,
    day,
    days,
    money,
    noun,
    percent,
    points,
    probability,
    round_money,
    short_money,
)

BADGES = {
    "too_early": "too early to say", "helps": "helps", "harms": "harms", "no_effect_larger_than": "no large effect",
    "broken_split": "broken split",
}  # fmt: skip
STATES = {"safe": "safe", "hurt": "worse", "open": "open"}
_BAND_REACH = 4.0  # half-widths of the last interval that a plot over time shows to either side
_PRICED = (
    "First line: the difference of rates, times the exposed, times {price} (what one cost on average). “As measured”: "
    "from what each visitor cost, repeated and uneven amounts included; it needs longer to become sure."
)
_MEASURED = "The difference of the amounts per visitor, times the exposed."


def rule_section(rule: RuleReport, options: Options) -> Section:
    """Everything about one rule."""
    many = len(rule.arms) > 1
    parts = [_head(rule)]
    for arm in rule.arms:
        name = f"<b>{escape(arm_name(arm))}</b> " if many else ""
        parts.append(f'<p class="said">{badge(arm.verdict.kind, BADGES[arm.verdict.kind])} {name}'
                     f"{escape(arm.verdict.sentence)}</p>")  # fmt: skip
    parts += [_tiles(rule), *_pictures(rule), _arms_table(rule), *_money(rule), _beside(rule), _instead(rule)]
    parts += [_plan(rule, options), _split(rule)]
    return Section(f"rule-{rule.rule}", "".join(parts))


def _head(rule: RuleReport) -> str:
    verb = "should bring more" if rule.kind == "conversion" else "should prevent"
    from_to = f", {day(rule.first_exposure)} to {day(rule.last_exposure)}" if rule.first_exposure is not None else ""
    exposed = sum(rule.exposed.values())
    return (
        f"<h2>{escape(rule.title or rule.rule)}</h2>"
        f'<p class="soft small"><code>{escape(rule.rule)}</code> {verb} {escape(noun(rule.label))} · '
        f"{count(exposed)} visitors{from_to}</p>"
    )


def _tiles(rule: RuleReport) -> str:
    first = rule.arms[0] if rule.arms else None
    if first is None or len(rule.arms) > 1 or first.verdict.kind == "broken_split":
        return ""
    found, unit = judged(first.primary, rule.measure), "" if rule.measure == "rate" else rule.unit
    said = [(change(found.value, unit), f"of {noun(rule.label)}, {_ends(found, unit)}")] if found else []
    gross = first.savings.net if first.savings.nudge_cost else first.savings.gross
    if gross is not None:
        word = "avoided" if rule.kind == "anti_conversion" else "brought"
        said.append((round_money(gross.value, rule.unit), f"{word} so far, {_money_ends(gross, rule.unit)}"))
    if first.primary.control.rate is not None:
        rates = f"{percent(first.primary.control.rate)} → {percent(first.primary.treated.rate)}"
        said.append((rates, "control → treated, share with it"))
    if first.verdict.kind == "too_early" and first.plan and first.plan.days is not None and first.plan.more:
        said.append((days(first.plan.days), "until the planned effect could be seen"))
    return tiles(said)


def _ends(found: Estimate, unit: str) -> str:
    if found.low is None or found.high is None:
        return "no interval yet"
    tail = " points" if not unit else f" {unit} a visitor"
    return f"{change(found.low, unit).removesuffix(tail)} to {change(found.high, unit).removesuffix(tail)}"


def _money_ends(found: Estimate, unit: str) -> str:
    if found.low is None or found.high is None:
        return "no interval yet"
    return f"{round_money(found.low, unit).removesuffix(' ' + unit)} to {round_money(found.high, unit)}"


# --- pictures ----------------------------------------------------------------------------------------------------


def _pictures(rule: RuleReport) -> Iterator[str]:
    if not any(rule.exposed.values()):
        return
    yield figure(_arms_picture(rule), _arms_caption(rule))
    rows = [difference_row(rule, arm, arm_name(arm)) for arm in rule.arms]
    unit = "" if rule.measure == "rate" else rule.unit
    picture = ranges(f"Difference from the control arm of {rule.label}", rows, axis_of(unit), better_of(rule))
    yield figure(picture, "Dot: the difference that was measured. Bar: where the true difference lies; it may be "
                          "looked at every day. Green ground: the good side. A bar that touches the line at 0 proves "
                          "nothing yet.")  # fmt: skip
    for arm in rule.arms:
        yield from _running(rule, arm)


def _arms_picture(rule: RuleReport) -> str:
    first = rule.arms[0] if rule.arms else None
    figures = [] if first is None else [(rule.control, first.primary.control)]
    figures += [(arm_name(arm), arm.primary.treated) for arm in rule.arms]
    if rule.measure == "rate":
        rows = [
            BarRow(name, f"{count(one.with_outcome)} of {count(one.visitors)}", one.rate or 0.0, percent(one.rate))
            for name, one in figures
        ]
        return bars(f"Share of visitors with {rule.label}, by arm", rows, percent)
    rows = [
        BarRow(name, f"{count(one.visitors)} visitors", one.amount_per_visitor or 0.0,
               money(one.amount_per_visitor, rule.unit))
        for name, one in figures
    ]  # fmt: skip
    return bars(f"{rule.label} per visitor, by arm", rows, lambda value: f"{value:,.4g}")


def _arms_caption(rule: RuleReport) -> str:
    what = "Share of the exposed visitors with" if rule.measure == "rate" else "Amount per exposed visitor of"
    return f"{what} {escape(noun(rule.label))}."


def difference_row(rule: RuleReport, arm: ArmReport, name: str) -> RangeRow:
    """The row of one arm in a plot of intervals."""
    found, unit = judged(arm.primary, rule.measure), "" if rule.measure == "rate" else rule.unit
    seen = count(arm.primary.control.visitors + arm.primary.treated.visitors)
    written = NONE if found is None else f"{change(found.value, unit)}\n{_ends(found, unit)}"
    shown = None if found is None or found.low is None else found
    return RangeRow(name, f"{seen} visitors", shown, arm.verdict.kind, written)


def axis_of(unit: str) -> Write:
    """Writes the axis of a difference."""
    factor = 1 if unit else 100
    return lambda value: f"{value * factor:+,.3g}" if value else "0"


def _running(rule: RuleReport, arm: ArmReport) -> Iterator[str]:
    looks = [look for look in arm.looks if look.rate.low is not None]
    last = looks[-1].rate if looks else None
    if rule.measure != "rate" or last is None or last.low is None or last.high is None or len(looks) < 3:
        return
    reach = max((last.high - last.low) / 2 * _BAND_REACH, abs(last.low), abs(last.high))
    moments = [Moment(look.at, day(look.at)[5:], look.rate) for look in looks]
    picture = over_time(f"How the interval of {arm_name(arm)} narrowed", moments, axis_of(""), reach)
    yield figure(picture, f"How the difference of <b>{escape(arm_name(arm))}</b> and its interval looked at the time. "
                          "The band holds the truth at <em>all</em> these moments together, so it was allowed to stop "
                          "at any of them.")  # fmt: skip


# --- tables ------------------------------------------------------------------------------------------------------


def _arms_table(rule: RuleReport) -> str:
    rows = []
    before = ""
    for one in listed(rule):
        found = one.figures
        paid = found.amount or found.amount_per_outcome is not None
        rows.append((
            one.label if one.label != before else "", one.arm, count(found.visitors), count(found.with_outcome),
            percent(found.rate), count(found.count), money(found.amount, one.unit) if paid else NONE,
            money(found.amount_per_visitor, one.unit) if paid else NONE,
        ))  # fmt: skip
        before = one.label
    if not rows:
        return ""
    head = ("outcome", "arm", "exposed", "with it", "rate", "times", "amount", "a visitor")
    made = "<h3>Counted</h3>" + table(head, rows, left=(0, 1))
    shown = [(arm_name(arm), arm.suggestions) for arm in rule.arms if arm.suggestions.made]
    if shown:
        counts = [(name, *map(count, (one.made, one.shown, one.clicked, one.dismissed))) for name, one in shown]
        made += "<h3>Suggestions</h3>" + table(("arm", "made", "shown", "clicked", "dismissed"), counts)
    return made


def _money(rule: RuleReport) -> Iterator[str]:
    rows = []
    for arm in rule.arms:
        savings = arm.savings
        if savings.gross is None or arm.verdict.kind == "broken_split" or arm.variant:
            continue
        name = arm_name(arm)
        word = "avoided" if rule.kind == "anti_conversion" else "brought"
        sub = "outcomes times price" if rule.measure == "rate" else "from amounts per visitor"
        rows.append(_money_row(f"{name}: {word}", sub, savings.gross, rule, arm))
        if savings.nudge_cost and savings.net is not None:
            sub = f"less {short_money(savings.nudge_cost)} for {count(savings.suggestions)} suggestions"
            rows.append(_money_row(f"{name}: net", sub, savings.net, rule, arm))
        if savings.measured is not None and rule.measure == "rate":
            rows.append(_money_row(f"{name}: as measured", "from amounts per visitor", savings.measured, rule, arm))
    if rows:
        picture = ranges(f"Money, {rule.unit}", rows, short_money, 1)
        unit = rule.arms[0].savings.unit_cost
        yield "<h3>What it was worth</h3>" + figure(
            picture,
            f"In {escape(rule.unit)}, for the visitors of the arm so far. "
            + (_PRICED.format(price=escape(money(unit, rule.unit))) if rule.measure == "rate" else _MEASURED),
        )


def _money_row(name: str, sub: str, found: Estimate, rule: RuleReport, arm: ArmReport) -> RangeRow:
    written = f"{round_money(found.value, rule.unit)}\n{_money_ends(found, rule.unit)}"
    return RangeRow(name, sub, found if found.low is not None else None, arm.verdict.kind, written)


def _beside(rule: RuleReport) -> str:
    rows = [
        (f"{one.comparison.label}" + (f" ({arm_name(arm)})" if len(rule.arms) > 1 else ""),
         percent(one.comparison.control.rate), percent(one.comparison.treated.rate), _rate_words(one.comparison),
         badge(one.state, STATES[one.state]))
        for arm in rule.arms for one in arm.beside
    ]  # fmt: skip
    rows += [
        ("Suggestions dismissed", NONE, percent(one.share), f"{percent(one.low)} to {percent(one.high)}",
         badge(one.state, STATES[one.state]))
        for one in (arm.dismissals for arm in rule.arms) if one is not None
    ]  # fmt: skip
    if not rows:
        return ""
    head = ("", "control", "treated", "difference", "")
    return "<h3>What must not get worse</h3>" + table(head, rows)


def _rate_words(comparison: Comparison) -> str:
    found = comparison.rate
    if found is None:
        return NONE
    return f"{points(found.value)} ({_ends(found, '')})"


def _instead(rule: RuleReport) -> str:
    if not rule.instead:
        return ""
    arms = list(rule.exposed)
    rows = [(one.label, *(f"{count(one.visitors.get(arm, 0))} ({percent(one.share.get(arm))})" for arm in arms))
            for one in rule.instead]  # fmt: skip
    return f"<h3>What those did who had no {escape(noun(rule.label))}</h3>" + table(("", *arms), rows)


def _plan(rule: RuleReport, options: Options) -> str:
    lines = []
    for arm in rule.arms:
        plan = arm.plan
        if plan is None:
            continue
        unit = "" if rule.measure == "rate" else rule.unit
        name = f"<b>{escape(arm_name(arm))}</b>: " if len(rule.arms) > 1 else ""
        seen = "not even a complete effect" if plan.detectable is None else (
            f"an effect of {change(plan.detectable, unit, signed=False)} or more"
        )
        text = f"by now, {seen} would have been seen with a chance of {percent(options.power)}"
        if plan.needed is not None:
            text += (f"; the planned one ({percent(options.effect)} of the control arm's, "
                     f"{change(plan.effect, unit, signed=False)}) takes {count(plan.needed)} visitors")  # fmt: skip
            if plan.more and plan.days is not None:
                text += f", {days(plan.days)} more at {count(plan.per_day)} a day"
        if plan.chance is not None:
            text += f". Its chance so far: {probability(plan.chance)}"
        lines.append(f'<p class="small">{name}{escape(text[:1].upper() + text[1:])}.</p>')
    return "<h3>What could be seen</h3>" + "".join(lines) if lines else ""


def _split(rule: RuleReport) -> str:
    if rule.split is None:
        return '<p class="small soft">How visitors should have been split was not declared, so it was not checked.</p>'
    whole = sum(rule.split.observed.values())
    shares = ", ".join(
        f"{arm} {percent(rule.split.observed[arm] / whole if whole else None, 1)} (declared {percent(share, 1)})"
        for arm, share in rule.split.expected.items()
    )
    word = "This is broken." if rule.split.broken else "As declared, as far as chance goes."
    return f'<p class="small soft">Split: {escape(shares)}. {word} p = {rule.split.p:.3g}</p>'
