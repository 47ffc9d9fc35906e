"""The case on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streams.impact.case.report import Case
from streams.impact.case.words import cautions, instead, sentence, span, worth, worth_range
from streams.impact.words import count, day, money, round_money

_BAD_LINES_MAX = 3
_DAYS_MAX = 14


def print_case(case: Case, console: Console, *, drafts: bool = True) -> None:
    """Costs, findings, and their draft rules."""
    _recording(case, console)
    console.rule(
        f"[bold]What anti-conversions cost[/]: {round_money(case.cost, case.currency)}, "
        f"{round_money(case.cost / span(case), case.currency)} a day", align="left",
    )  # fmt: skip
    console.print(_costs(case))
    unpriced = sum(one.unpriced for one in case.costs if one.kind == "anti_conversion")
    if unpriced:
        console.print(f"{count(unpriced)} had no amount: their cost is not in it", style="yellow")
    if len(case.days) > 1:
        console.print(_days(case))
    console.rule("[bold]What came before[/]", align="left")
    if not case.findings:
        console.print(f"Nothing beyond what chance explains, after {count(case.questions)} questions.")
    for number, one in enumerate(case.findings, 1):
        console.print(f"[bold]{number}. {escape(one.label)}[/]: {worth(case, one)} ({worth_range(case, one)})")
        console.print(f"   {escape(sentence(case, one))}")
        for line in instead(one):
            console.print(f"   [green]without:[/] {escape(line)}")
        if one.parts:
            console.print(f"   [dim]also seen as: {escape('; '.join(one.parts))}[/]")
    for head, text in cautions(case):
        console.print(f"[dim]{escape(head)}: {escape(text)}[/]")
    if drafts:
        for one in case.findings:
            console.rule(f"draft: {one.rule}.yaml", align="left", style="dim")
            console.out(one.draft, highlight=False, end="")


def _recording(case: Case, console: Console) -> None:
    console.print(
        f"{count(case.events)} events of {count(case.visitors)} visitors, {day(case.first_ts)} to {day(case.last_ts)}; "
        f"{case.seconds:g} s", style="dim",
    )  # fmt: skip
    for file in case.files:
        for number, why in file.bad_lines[:_BAD_LINES_MAX]:
            console.print(f"{escape(file.path)}:{number}: {escape(why)}", style="yellow")
        if file.bad:
            console.print(f"{escape(file.path)}: lines that could not be read: {count(file.bad)}", style="yellow")


def _table(*names: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="dim")
    for index, name in enumerate(names):
        made.add_column(name, justify="right" if index else "left", no_wrap=index > 0)
    return made


def _costs(case: Case) -> Table:
    made = _table("", "times", "visitors", "cost")
    for one in case.costs:
        if one.kind == "anti_conversion":
            amount = money(one.amount, case.currency)
            made.add_row(escape(one.label), count(one.count), count(one.visitors), amount)
    return made


def _days(case: Case) -> Table:
    names = [one.outcome for one in case.costs if one.kind == "anti_conversion"]
    labels = {one.outcome: one.label for one in case.costs}
    made = _table(f"day, {case.currency}", *(escape(labels[name]) for name in names), "all")
    for one in case.days[-_DAYS_MAX:]:
        amounts = [one.amounts.get(name, 0.0) for name in names]
        made.add_row(day(one.at), *(f"{amount:,.2f}" for amount in [*amounts, sum(amounts)]))
    return made
