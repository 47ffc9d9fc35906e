"""The case as a page that a manager reads, and as sections of the impact page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from streams.impact.case.report import Before, Case, Day
from streams.impact.case.words import DAY_MS, cautions, instead, sentence, span, worth, worth_range
from streams.impact.page.document import Section, document, figure, table, tiles
from streams.impact.page.draw import BarRow, Column, bars, columns
from streams.impact.words import NONE, count, day, money, percent, round_money, short_money

TITLE = "The case for better self-service"
_COLOURS = ("accent", "early", "harms", "helps", "none")  # of the dearest outcomes; the rest share the last
_COLUMNS_MAX = 62  # two months of days; beyond, weeks
_WEEK = 7
_CODE = "white-space:pre-wrap;overflow-wrap:anywhere;font-size:13px;line-height:1.45"
_NOTHING = '<p class="said">The recording has no anti-conversion.</p>'


def page_of(case: Case) -> str:
    """The whole page."""
    lead = (
        f"{count(case.events)} events of {count(case.visitors)} visitors, {day(case.first_ts)} to {day(case.last_ts)}: "
        "what their anti-conversions cost, what came before them, and what others did instead."
    )
    foot = f"Made by avert case from {', '.join(Path(file.path).name for file in case.files)}"
    return document(TITLE, escape(lead), case_sections(case), foot)


def write_page(case: Case, path: Path) -> None:
    """The page into a file."""
    path.write_text(page_of(case), encoding="utf-8")


def case_sections(case: Case) -> list[Section]:
    """The cards, also for the impact page."""
    return [
        _costs(case),
        _ranking(case),
        *(_finding(case, one, number) for number, one in enumerate(case.findings, 1)),
        _closing(case),
    ]


def _costs(case: Case) -> Section:
    against = [one for one in case.costs if one.kind == "anti_conversion"]
    happened = sum(one.count for one in against)
    shown = tiles([
        (round_money(case.cost, case.currency), "cost of anti-conversions"),
        (round_money(case.cost / span(case), case.currency), "a day"),
        (count(happened), "anti-conversions"),
        (f"{happened / max(case.visitors, 1) * 100:.1f}", "for every 100 visitors"),
    ])  # fmt: skip
    rows = [
        (one.label, count(one.count), count(one.visitors), money(one.amount, case.currency),
         money(one.amount / (one.count - one.unpriced), case.currency) if one.count > one.unpriced else NONE,
         percent(one.amount / case.cost if case.cost else None))
        for one in against
    ]  # fmt: skip
    listed = table(("", "times", "visitors", "cost", "each", "share"), rows) if rows else _NOTHING
    unpriced = sum(one.unpriced for one in against)
    note = f'<p class="soft small">{count(unpriced)} had no amount: their cost is not in it.</p>' if unpriced else ""
    return Section("case-costs", f"<h2>What anti-conversions cost</h2>{shown}{listed}{note}{_over_time(case)}")


def _over_time(case: Case) -> str:
    names = [one.outcome for one in case.costs if one.kind == "anti_conversion" and one.amount > 0]
    if not names or len(case.days) < 2:
        return ""
    labels = {one.outcome: one.label for one in case.costs}
    top = names[: len(_COLOURS) if len(names) <= len(_COLOURS) else len(_COLOURS) - 1]
    size = 1 if case.days[-1].at - case.days[0].at < _COLUMNS_MAX * DAY_MS else _WEEK
    stack = [
        Column(day(at)[5:], [_sum(days, [name]) for name in top] + [_sum(days, names[len(top) :])])
        for at, days in _periods(case.days, size)
    ]
    rest = ["others"] if len(names) > len(top) else []
    legend = " ".join(
        f'<span style="white-space:nowrap;margin-right:14px"><span style="display:inline-block;width:11px;height:11px;'
        f'border-radius:3px;background:var(--{colour})"></span> {escape(name)}</span>'
        for name, colour in zip([*(labels[name] for name in top), *rest], _COLOURS, strict=False)
    )
    what = "day" if size == 1 else "week"
    return f"<h3>By {what}</h3>" + figure(
        columns(f"Cost by {what}, {case.currency}", stack, _COLOURS, short_money),
        f"{legend}<br>Cost by {what} (UTC), {escape(case.currency)}.",
    )


def _sum(days: Sequence[Day], names: Sequence[str]) -> float:
    return sum(one.amounts.get(name, 0.0) for one in days for name in names)


def _periods(days: Sequence[Day], size: int) -> list[tuple[int, list[Day]]]:
    """Days put together; also those on which nothing happened, up to a sane number of them."""
    first, last = days[0].at, days[-1].at
    step = size * DAY_MS
    if (last - first) // step > 10 * _COLUMNS_MAX:  # a date gone wrong: only what there is
        return [(one.at, [one]) for one in days[-_COLUMNS_MAX:]]
    made: dict[int, list[Day]] = {at: [] for at in range(first, last + 1, step)}
    for one in days:
        made[first + (one.at - first) // step * step].append(one)
    return list(made.items())


def _ranking(case: Case) -> Section:
    head = "<h2>What came before</h2>"
    if not case.findings:
        return Section("case-before", head + (
            f'<p class="said">Nothing that visitors did is followed by more anti-conversions than chance explains, '
            f"after {count(case.questions)} questions.</p>"
        ))  # fmt: skip
    rows = [
        BarRow(one.label, f"then {one.outcome_label}", max(one.cost.value, 0.0),
               f"{worth(case, one)}\n{worth_range(case, one)}", one.cost.low, one.cost.high)
        for one in case.findings
    ]  # fmt: skip
    picture = figure(
        bars(f"Cost beyond the base rate, {case.currency}", rows, short_money),
        f"What followed beyond the base rate, in {escape(case.currency)}, over the whole recording; the line is its "
        "interval. Visitors may be in several of these: they do not add up.",
    )
    return Section("case-before", head + _summary(case) + picture + _fewer(case))


def _summary(case: Case) -> str:
    first, own = case.findings[0], len(case.findings) + case.left_out
    shown = f", of which the dearest {len(case.findings)} are shown" if case.left_out else ""
    return (
        f'<p class="said">Of {count(case.questions)} questions whether something is followed by more anti-conversions '
        f"than it would be anyway, {count(case.found)} were answered with yes. Put together they are {count(own)} "
        f"{'finding' if own == 1 else 'findings'}{shown}. The dearest: {escape(first.label)}, "
        f"{escape(worth(case, first))} for “{escape(first.outcome_label)}”.</p>"
    )


def _fewer(case: Case) -> str:
    if not case.fewer:
        return ""
    rows = [
        (f"{one.label}: {one.outcome_label}", count(one.visitors), count(one.followed), count(one.expected))
        for one in case.fewer
    ]
    return "<h3>And what went with less</h3>" + table(("", "visitors", "with it", "expected"), rows)


def _finding(case: Case, one: Before, number: int) -> Section:
    said = f"{escape(sentence(case, one))} Together <b>{escape(worth(case, one))}</b>"
    parts = [
        f"<h2>{number}. {escape(one.label)}</h2>",
        f'<p class="said">{said} ({escape(worth_range(case, one))}).</p>',
    ]
    lines = instead(one)
    if lines:
        parts.append("<h3>What those did who did not come to it</h3><ul>")
        parts += [f"<li>{escape(line)}</li>" for line in lines]
        parts.append("</ul>")
    if one.parts:
        parts.append(f'<p class="soft small">Also seen as: {escape("; ".join(one.parts))}.</p>')
    parts.append(
        f"<details><summary>A draft rule, to be tried with <code>avert rules backtest</code></summary>"
        f'<pre style="{_CODE}">{escape(one.draft)}</pre></details>'
    )
    return Section(f"case-{number}", "".join(parts))


def _closing(case: Case) -> Section:
    listed = "".join(f"<dt>{escape(head)}</dt><dd>{escape(text)}</dd>" for head, text in cautions(case))
    bad = sum(file.bad for file in case.files)
    note = f'<p class="soft small">Lines that could not be read: {count(bad)}.</p>' if bad else ""
    return Section("case-how", f"<h2>How this was counted</h2><dl>{listed}</dl>{note}")
