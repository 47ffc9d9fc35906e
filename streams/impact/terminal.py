"""A report on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streams.impact.listing import arm_name, listed
from streams.impact.model import MICROS
from streams.impact.page.funnel import difference_words, places, span
from streams.impact.report import ArmReport, Estimate, FunnelReport, Report, RuleReport
from streams.impact.words import (
    NONE,
    change,
    count,
    day,
    days,
    moment,
    money,
    percent,
    points,
    probability,
    round_money,
)

_COLOURS = {
    "helps": "green", "harms": "red", "too_early": "yellow", "no_effect_larger_than": "cyan",
    "broken_split": "bold red",
}  # fmt: skip
_STATES = {"safe": "green", "hurt": "red", "open": "yellow"}


def print_report(report: Report, console: Console) -> None:
    """Everything that the page says, in words and tables."""
    for rule in report.rules:
        _rule(rule, report, console)
    for funnel in report.funnels:
        _funnel(funnel, console)
    _prices(report, console)
    for note in report.notes:
        console.print(f"{'' if note.count is None else f'{note.count:,} '}{escape(note.text)}", style="dim")
    if report.questions > 1:
        console.print(
            f"{report.questions} questions share an error of {percent(report.options.alpha)}: "
            "all intervals hold together.",
            style="dim",
        )


def _rule(rule: RuleReport, report: Report, console: Console) -> None:
    dates = "" if rule.first_exposure is None else f", {day(rule.first_exposure)} to {day(rule.last_exposure)}"
    console.rule(f"[bold]{escape(rule.title or rule.rule)}[/] · {escape(rule.label)}{dates}", align="left")
    for arm in rule.arms:
        name = f"[bold]{escape(arm_name(arm))}[/]: " if len(rule.arms) > 1 else ""
        console.print(f"{name}[{_COLOURS[arm.verdict.kind]}]{escape(arm.verdict.sentence)}[/]")
    if rule.arms:
        console.print(_counted(rule))
    for arm in rule.arms:
        _difference(rule, arm, console)
        _beside(rule, arm, console)
        _plan(rule, arm, report, console)
    if rule.split is not None:
        word = "[bold red]broken[/]" if rule.split.broken else "as declared"
        console.print(f"split: {word} (p = {rule.split.p:.3g})")
    console.print()


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for index, name in enumerate(names):
        table.add_column(name, justify="left" if index == 0 else "right", overflow="fold", no_wrap=index > 0)
    return table


def _counted(rule: RuleReport) -> Table:
    table = _table("outcome", "arm", "exposed", "with it", "rate", "times", rule.unit, "a visitor")
    table.columns[1].justify = "left"
    before = ""
    for one in listed(rule):
        found = one.figures
        paid = found.amount or found.amount_per_outcome is not None
        table.add_row(
            escape(one.label) if one.label != before else "", escape(one.arm), count(found.visitors),
            count(found.with_outcome), percent(found.rate), count(found.count),
            _plain(found.amount, one.unit, rule) if paid else NONE,
            _plain(found.amount_per_visitor, one.unit, rule) if paid else NONE,
        )
        before = one.label
    return table


def _plain(amount: float | None, unit: str, rule: RuleReport) -> str:
    """An amount; with its unit where that is not the column's."""
    text = money(amount, unit)
    return text.removesuffix(f" {unit}") if unit == rule.unit else text


def _difference(rule: RuleReport, arm: ArmReport, console: Console) -> None:
    rate, amount = arm.primary.rate, arm.primary.amount
    worth = arm.savings.net if arm.savings.nudge_cost else arm.savings.gross
    parts = [] if rate is None else [f"{points(rate.value)} ({_ends(rate, '')})"]
    if amount is not None:
        parts.append(f"{change(amount.value, rule.unit)} ({_ends(amount, rule.unit)})")
    if worth is not None:
        parts.append(f"worth {round_money(worth.value, rule.unit)} ({_money_ends(worth, rule.unit)})")
    console.print(f"{escape(arm_name(arm))} against {escape(rule.control)}: {escape('; '.join(parts) or NONE)}")


def _ends(found: Estimate | None, unit: str) -> str:
    if found is None or found.low is None or found.high is None:
        return NONE
    tail = f" {unit} a visitor" if unit else " points"
    return f"{change(found.low, unit).removesuffix(tail)} and {change(found.high, unit).removesuffix(tail)}"


def _money_ends(found: Estimate | None, unit: str) -> str:
    if found is None or found.low is None or found.high is None:
        return NONE
    return f"{_rounded(found.low, unit)} and {_rounded(found.high, unit)}"


def _rounded(amount: float, unit: str) -> str:
    return round_money(amount, unit).removesuffix(f" {unit}")


def _beside(rule: RuleReport, arm: ArmReport, console: Console) -> None:
    for one in arm.beside:
        found = one.comparison.rate
        if found is not None:
            name = f" ({arm_name(arm)})" if len(rule.arms) > 1 else ""
            console.print(f"[{_STATES[one.state]}]{one.state:>4}[/]  {escape(one.comparison.label + name)}: "
                          f"{points(found.value)} ({_ends(found, '')})")  # fmt: skip
    if arm.dismissals is not None:
        one_state = arm.dismissals.state
        console.print(f"[{_STATES[one_state]}]{one_state:>4}[/]  suggestions dismissed: "
                      f"{percent(arm.dismissals.share)} of {count(arm.dismissals.shown)}")  # fmt: skip


def _plan(rule: RuleReport, arm: ArmReport, report: Report, console: Console) -> None:
    plan = arm.plan
    if plan is None:
        return
    unit = "" if rule.measure == "rate" else rule.unit
    name = f"{arm_name(arm)}: " if len(rule.arms) > 1 else ""
    seen = "none yet" if plan.detectable is None else change(plan.detectable, unit, signed=False)
    wait = "" if plan.needed is None else f"; {percent(report.options.effect)} takes {count(plan.needed)} visitors"
    if plan.more and plan.days is not None:
        wait += f", {days(plan.days)} more"
    chance = "" if plan.chance is None else f", chance so far {probability(plan.chance)}"
    console.print(f"[dim]{escape(name)}smallest effect that could be seen by now: {seen}{wait}{chance}[/]")


def _funnel(funnel: FunnelReport, console: Console) -> None:
    console.rule(f"[bold]{escape(funnel.title)}[/] · funnel {escape(funnel.funnel)}", align="left")
    console.print(escape(difference_words(funnel)))
    table = _table("step", "arm", "reached", "share", "from before", "time", "clicks", "skipped", "reverse", "instead")
    for number, label in enumerate(funnel.labels):
        for arm in funnel.arms:
            if number < len(arm.steps):
                step = arm.steps[number]
                then = places(arm, number)[:1]
                table.add_row(
                    escape(label), escape(arm.arm), count(step.reached), percent(step.share), percent(step.from_before),
                    span(step.seconds.mean), NONE if step.clicks.mean is None else f"{step.clicks.mean:.3g}",
                    percent(step.skipped), percent(step.reverse), escape(then[0][0]) if then else NONE,
                )
    console.print(table)
    console.print()


def _prices(report: Report, console: Console) -> None:
    table = _table("outcome", "price", "version", "from", "times", "amount")
    rows = 0
    for outcome in report.outcomes:
        for version in outcome.versions:
            rows += 1
            amount = money(version.micros / MICROS, outcome.unit)
            price, since = version.text or NONE, moment(version.since)
            table.add_row(escape(outcome.label), escape(price), version.version, since, count(version.count), amount)
    if rows:
        console.print(table)
