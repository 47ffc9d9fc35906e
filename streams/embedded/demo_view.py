"""The demo on a terminal: what goes on, what is suggested and why, what it costs. Elsewhere: a line now and then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.core.definition import Program
from streams.embedded.simulation import Observed
from streams.embedded.tally import Tally

ROWS_AROUND_FEED = 22  # lines that the other parts take
FEED_ROWS_MIN = 4
FEED_COLUMNS = {"at": 3, "visitor": 3, "rule": 7, "to prevent": 6, "because": 11, "suggested": 9}  # shares of the width


class View:
    """Draws the state of a demo; keeps none of its own."""

    def __init__(self, program: Program, console: Console, rows_above: int = 0) -> None:
        self._currency = program.currency
        self._titles = {rule.id: rule.title for rule in program.rules}
        self._aims: Mapping[str, str] = {
            rule.id: rule.prevents or f"(for) {rule.promotes}"
            for rule in program.rules
        }
        self._console = console
        self._rows_above = rows_above  # what was printed before and should stay in sight

    def draw(self, tally: Tally, observed: Observed, lag: int, passed_s: float) -> RenderableType:
        """The whole screen."""
        feed_rows = max(FEED_ROWS_MIN, self._console.height - ROWS_AROUND_FEED - self._rows_above)
        counts = Table.grid(expand=True)
        counts.add_column(ratio=1)
        counts.add_column(ratio=1)
        counts.add_row(self._decisions(tally), self._outcomes(tally))
        return Group(
            self._head(tally, observed, lag, passed_s),
            Panel(self._feed(tally, feed_rows), title="suggestions as they are made", title_align="left"),
            counts,
        )

    def line(self, tally: Tally, observed: Observed, lag: int, passed_s: float) -> str:
        """The same in one line, for logs."""
        latency = observed.latency_ms()
        return (
            f"{passed_s:5.1f} s  {tally.events:,} events ({tally.events_per_s():,.0f}/s)  {observed.live} in the shop  "
            f"{tally.suggestions:,} suggestions  {sum(tally.outcomes[name] for name in tally.anti_conversions):,} "
            f"anti-conversions ({tally.anti_conversion_cost:,.2f} {self._currency})  "
            f"p50 {_ms(latency['p50'])} p99 {_ms(latency['p99'])}  lag {lag}"
        )

    def _head(self, tally: Tally, observed: Observed, lag: int, passed_s: float) -> RenderableType:
        latency = observed.latency_ms()
        table = Table.grid(expand=True)
        figures = {
            "events/s": f"{tally.events_per_s():,.0f}",
            "events": f"{tally.events:,}",
            "in the shop": f"{observed.live:,}",
            "visitors": f"{len(tally.visitors):,}",
            "suggestion p50": _ms(latency["p50"]),
            "p99": _ms(latency["p99"]),
            "lag": f"{lag:,}",
            "cost so far": f"{tally.anti_conversion_cost:,.2f} {self._currency}",
        }
        for _ in figures:
            table.add_column(justify="center", ratio=1)
        table.add_row(*(Text(value, style="bold cyan") for value in figures.values()))
        table.add_row(*(Text(name, style="dim") for name in figures))
        return Panel(table, title=f"Avert · a self-service shop · {passed_s:.0f} s", title_align="left")

    def _feed(self, tally: Tally, rows: int) -> RenderableType:
        table = Table(box=None, expand=True, pad_edge=False)
        for name, ratio in FEED_COLUMNS.items():
            table.add_column(name, ratio=ratio, no_wrap=True, overflow="ellipsis", header_style="dim")
        for suggestion in list(tally.feed)[:rows]:
            at = datetime.fromtimestamp(suggestion.created / 1000, UTC)
            rule, title = suggestion.rule, next(iter(suggestion.title.values()), "")
            because = self._titles.get(rule, "")
            table.add_row(f"{at:%H:%M:%S}", suggestion.visitor[:8], rule, self._aims.get(rule, ""), because, title)
        return table

    def _decisions(self, tally: Tally) -> RenderableType:
        table = Table(box=None, expand=True, pad_edge=False)
        table.add_column("decisions", header_style="dim")
        table.add_column("", justify="right")
        for kind, number in tally.decisions.most_common():
            table.add_row(kind, f"{number:,}")
        for reason, number in tally.suppressed.most_common(3):
            table.add_row(Text(f"  {reason}", style="dim"), Text(f"{number:,}", style="dim"))
        table.add_row("withdrawn", f"{tally.withdrawn:,}")
        table.add_row("dead letters", f"{tally.dead_letters:,}")
        return Panel(table)

    def _outcomes(self, tally: Tally) -> RenderableType:
        table = Table(box=None, expand=True, pad_edge=False)
        table.add_column("outcome", header_style="dim")
        table.add_column("", justify="right")
        table.add_column(self._currency, justify="right", header_style="dim")
        for name, number in tally.outcomes.most_common(8):
            bad = name in tally.anti_conversions
            money = f"{-tally.money[name] if bad else tally.money[name]:,.2f}"
            table.add_row(Text(name, style="red" if bad else "green"), f"{number:,}", money)
        return Panel(table)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
