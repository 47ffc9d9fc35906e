"""A backtest on the terminal: tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from streams.backtest.diff import Choice, DiffTally
from streams.backtest.report import Report, SetReport
from streams.backtest.words import NONE, day, duration, money, reasons, share, times

_SHOWN_BAD_LINES_MAX = 5


class Bar:
    """A progress bar on stderr, where that is a terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("reading", total=None)

    def __enter__(self) -> Bar:
        self._progress.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell how far it is."""
        self._progress.update(self._task, description=what, completed=done, total=total)


def print_report(report: Report, console: Console) -> None:
    """The whole report as tables."""
    _print_recording(report, console)
    _print_rules(report.result, report.currency, console)
    _print_outcomes(report.result, report.currency, console)
    _print_overlap(report.result, console)
    if report.against is not None:
        _print_changes(report, report.against, console)
    if report.decided_differently is not None:
        print_difference(report.decided_differently, console, examples=False)


def _print_recording(report: Report, console: Console) -> None:
    result = report.result
    events = sum(result.events.values())
    console.print(
        f"{events:,} events of {result.visitors:,} visitors in {result.sessions:,} sessions, "
        f"{day(report.first_ts)} to {day(report.last_ts)}; {report.seconds:g} s"
    )
    for file in report.files:
        if file.bad:
            console.print(f"{file.path}: {file.bad:,} of {file.lines:,} lines cannot be events", markup=False)
            for number, why in file.bad_lines[:_SHOWN_BAD_LINES_MAX]:
                console.print(f"  line {number}: {why}", markup=False)
    other = {name: number for name, number in result.events.items() if name != "applied"}
    if other:
        console.print(f"not applied: {reasons(other)}")
    console.print()


def _print_rules(result: SetReport, currency: str, console: Console) -> None:
    fired = [rule for rule in result.rules if rule.alarms]
    _table(
        console,
        ("rule", "visitors", "sessions", "right", "seen in time", "lead", "lift", "money seen"),
        (
            (
                rule.rule + ("" if rule.mode == "live" else f" ({rule.mode})"),
                f"{rule.visitors:,}", f"{rule.sessions:,}",
                f"{share(rule.precision)} ({rule.followed:,}/{rule.alarms:,})",
                f"{share(rule.recall)} ({rule.followed:,}/{rule.outcomes:,})",
                duration(rule.lead.median_s) if rule.lead is not None else NONE,
                times(rule.lift),
                f"{money(rule.seen_in_time, currency)} of {money(rule.at_stake, currency)}",
            )
            for rule in fired
        ),
    )  # fmt: skip
    _table(
        console,
        ("rule", "outcome", "in session", "all sessions", "lead quartiles", "suppressed"),
        (
            (
                rule.rule, rule.target, share(rule.session_precision), share(rule.base_rate),
                NONE if rule.lead is None else f"{duration(rule.lead.lower_s)} to {duration(rule.lead.upper_s)}",
                reasons(rule.suppressed),
            )
            for rule in result.rules
            if rule.alarms or rule.suppressed
        ),
    )  # fmt: skip
    silent = [rule.rule for rule in result.rules if not rule.alarms]
    if silent:
        console.print(f"never fired: {', '.join(silent)}\n", markup=False)


def _print_outcomes(result: SetReport, currency: str, console: Console) -> None:
    _table(
        console,
        ("outcome", "kind", "happened", "visitors", "sessions", "of all sessions", "money"),
        (
            (
                outcome.outcome, outcome.kind.replace("_", "-"), f"{outcome.count:,}", f"{outcome.visitors:,}",
                f"{outcome.sessions:,}", share(outcome.base_rate), money(outcome.amount, currency),
            )
            for outcome in result.outcomes
            if outcome.count
        ),
    )  # fmt: skip


def _print_overlap(result: SetReport, console: Console) -> None:
    pairs = [
        (first, second, result.overlap.sessions[row][row + 1 + column])
        for row, first in enumerate(result.overlap.rules)
        for column, second in enumerate(result.overlap.rules[row + 1 :])
        if result.overlap.sessions[row][row + 1 + column]
    ]
    if pairs:
        _table(
            console,
            ("fired in the same session", "", "sessions"),
            ((first, second, f"{number:,}") for first, second, number in sorted(pairs, key=lambda pair: -pair[2])),
        )


def _print_changes(report: Report, against: SetReport, console: Console) -> None:
    console.print(f"before: {against.directory}   now: {report.result.directory}", markup=False)
    _table(
        console,
        ("rule", "sessions", "right", "seen", "median lead", "seen in time"),
        (
            (
                change.rule,
                " → ".join(NONE if number is None else f"{number:,}" for number in change.sessions),
                " → ".join(map(share, change.precision)),
                " → ".join(map(share, change.recall)),
                " → ".join(map(duration, change.median_lead_s)),
                " → ".join(money(amount, report.currency) for amount in change.seen_in_time),
            )
            for change in report.changes
            if change.differs
        ),
    )


def print_difference(difference: DiffTally, console: Console, *, examples: bool = True) -> None:
    """Which visitors are decided differently, rule by rule."""
    console.print(f"{difference.different:,} of {difference.visitors:,} visitors are decided differently")
    if not difference.rules:
        return
    _table(
        console,
        ("rule", "visitors", "no longer", "new", "changed"),
        (
            (name, f"{found.visitors:,}", f"{found.gone:,}", f"{found.new:,}", f"{found.changed:,}")
            for name, found in sorted(difference.rules.items())
        ),
    )
    for name, found in sorted(difference.rules.items()) if examples else ():
        for example in found.examples:
            console.print(f"{name}: visitor {example.visitor}, {day(example.at)}", markup=False, style="bold")
            console.print(f"  before  {choice(example.before)}\n  now     {choice(example.after)}", markup=False)
            led = [f"{kind} {duration((example.at - at) / 1000)} before" for at, kind in example.events]
            console.print("  events  " + ", ".join(led), markup=False)


def choice(made: Choice | None) -> str:
    """A decision in words."""
    if made is None:
        return "nothing"
    return f"{made.kind}: {made.reason.replace('_', ' ')}" if made.reason else f"{made.kind} {made.text or ''}".strip()


def _table(console: Console, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # as it is: brackets in a name are no markup
    if table.row_count:
        console.print(table)
    console.print()
