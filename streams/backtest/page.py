"""A backtest as one HTML page that can be sent to anybody: words first, then pictures, then every number explained.

The page fetches nothing and runs nothing: styles and pictures stand in it. Every text that comes from rules or events
is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import sqrt
from pathlib import Path

from streams.backtest.pagetexts import GLOSSARY, STYLE
from streams.backtest.report import OutcomeReport, Report, RuleReport
from streams.backtest.svg import BarRow, bars, leads, matrix
from streams.backtest.terminal import choice
from streams.backtest.words import day, duration, money, reasons, share, span, times
from streams.replay import ReplayError

FEW_ALARMS = 30  # below, a share swings by a third and more from week to week
GOOD_LIFT = 1.5
_Z_95 = 1.96


def write_page(report: Report, path: Path) -> None:
    """Write the page. Raises ReplayError when it cannot be written."""
    try:
        path.write_text(page(report), encoding="utf-8")
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror or error}") from error


def page(report: Report) -> str:
    """The whole page."""
    labels = {outcome.outcome: outcome.label for outcome in report.result.outcomes}
    fired = [rule for rule in report.result.rules if rule.alarms]
    silent = [rule for rule in report.result.rules if not rule.alarms]
    sections = [
        _head(report, fired),
        *(_in_words(rule, labels, report) for rule in sorted(fired, key=_best_first)),
        _silent(silent, labels),
        *_pictures(report, fired),
        _outcomes(report.result.outcomes, report.currency),
        _changed(report),
        _numbers(report),
        _bad_lines(report),
        GLOSSARY.format(window=span(report.attribution_window_s), timeout=span(report.session_timeout_s)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>What the rules would have seen</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(filter(None, sections))
        + "\n</main></body></html>\n"
    )


def _best_first(rule: RuleReport) -> tuple[int, bool, float, str]:
    return ("good", "weak", "open").index(verdict(rule)[0]), rule.promotes, -rule.seen_in_time, rule.rule


# --- words ------------------------------------------------------------------------------------------------------


def _head(report: Report, fired: Sequence[RuleReport]) -> str:
    result = report.result
    events = sum(result.events.values())
    total = len(result.rules)
    return (
        "<h1>What the rules would have seen</h1>"
        f"<p class=lead>We played <b>{events:,} recorded events</b> of <b>{result.visitors:,} visitors</b> in "
        f"<b>{result.sessions:,} visits</b> ({day(report.first_ts)} to {day(report.last_ts)}) through the rules in "
        f"<code>{escape(result.directory)}</code>, one event after the other, as if it were happening now. "
        f"<b>{len(fired)} of {total} rules</b> fired. Nobody was shown anything: this tells how well the rules "
        "<em>see things coming</em>, not what a suggestion changes. "
        "That is what the control group in the live system is for.</p>"
    )


def _in_words(rule: RuleReport, labels: dict[str, str], report: Report) -> str:
    target = escape(labels.get(rule.target, rule.target))
    window = span(report.attribution_window_s)
    cases = f"<b>{rule.followed:,} of {rule.alarms:,} cases ({share(rule.precision)})</b>"
    lines = [f"Fired in <b>{rule.sessions:,} visits</b> of {rule.visitors:,} visitors."]
    lines.append(f"In {cases} “{target}” followed within {window}.")
    if rule.outcomes:
        lines.append(
            f"It came up {rule.outcomes:,} times in the recording; "
            f"the rule had fired before <b>{share(rule.recall)}</b> of them."
        )
    if rule.lead is not None:
        lines.append(
            f"Time left to help: typically <b>{duration(rule.lead.median_s)}</b> (half of the cases between "
            f"{duration(rule.lead.lower_s)} and {duration(rule.lead.upper_s)})."
        )
    if rule.at_stake:
        worth = "were worth" if rule.promotes else "cost"
        lines.append(
            f"The ones it saw in time {worth} <b>{money(rule.seen_in_time, report.currency)}</b>, of "
            f"{money(rule.at_stake, report.currency)} in all."
        )
    if rule.unpriced:
        lines.append(f"The amount of {rule.unpriced:,} of them is not known; they count as 0.")
    if rule.suppressed:
        lines.append(f"Held back besides: {escape(reasons(rule.suppressed))}.")
    kind, words = verdict(rule)
    mode = "" if rule.mode == "live" else f" <span class=mode>{escape(rule.mode)}</span>"
    title = f"<h2>{escape(rule.title or rule.rule)}{mode}</h2><p class=id><code>{escape(rule.rule)}</code></p>"
    return f"<section class=card>{title}<p class={kind}>{words}</p><p>{' '.join(lines)}</p></section>"


def verdict(rule: RuleReport) -> tuple[str, str]:
    """A class (``good``, ``weak``, ``open``) and a sentence on what may be concluded."""
    if rule.alarms < FEW_ALARMS:
        return "open", f"Only {rule.alarms:,} cases: too few to judge. Try a longer recording."
    if rule.lift is None:
        return "open", "What it looks for did not happen in this recording, so nothing can be said of it."
    low, _ = interval(rule.sessions_followed, rule.sessions)
    beside = f"({share(rule.session_precision)} of the visits it fired in, {share(rule.base_rate)} of all visits)"
    if rule.base_rate is not None and low > rule.base_rate and rule.lift >= GOOD_LIFT:
        return "good", f"It knows something: {rule.lift:.1f} times as likely as in any visit {beside}."
    if rule.lift < 1:
        return "weak", f"It points the wrong way: less likely than in any visit {beside}."
    return "weak", f"Hardly better than picking visits blindly: {rule.lift:.1f} times as likely {beside}."


def interval(part: int, whole: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (E. B. Wilson, JASA 22, 1927)."""
    if not whole:
        return 0.0, 1.0
    p, z2 = part / whole, _Z_95 * _Z_95
    middle = (p + z2 / (2 * whole)) / (1 + z2 / whole)
    half = _Z_95 * sqrt(p * (1 - p) / whole + z2 / (4 * whole * whole)) / (1 + z2 / whole)
    return max(0.0, middle - half), min(1.0, middle + half)


def _silent(rules: Sequence[RuleReport], labels: dict[str, str]) -> str:
    if not rules:
        return ""
    items = "".join(
        f"<li><b>{escape(rule.title or rule.rule)}</b> (<code>{escape(rule.rule)}</code>): "
        + (
            f"“{escape(labels.get(rule.target, rule.target))}” happened {rule.outcomes:,} times without it."
            if rule.outcomes
            else f"“{escape(labels.get(rule.target, rule.target))}” did not happen either."
        )
        + (f" Every firing was held back: {escape(reasons(rule.suppressed))}." if rule.suppressed else "")
        + "</li>"
        for rule in rules
    )
    return f"<section class=card><h2>Rules that did not fire</h2><ul>{items}</ul></section>"


# --- pictures ---------------------------------------------------------------------------------------------------


def _pictures(report: Report, fired: Sequence[RuleReport]) -> Iterable[str]:
    if not fired:
        return
    right = [
        BarRow(rule.rule, rule.session_precision, f"{rule.sessions_followed:,} of {rule.sessions:,}",
               *interval(rule.sessions_followed, rule.sessions), mark=rule.base_rate)
        for rule in fired
    ]  # fmt: skip
    yield _figure(
        "How often was it right?",
        bars("Share of the visits fired in that ended as the rule said, beside the share of all visits", right),
        "Bar: of the visits in which the rule fired, the share in which the outcome followed <em>later in the same "
        "visit</em>. Thin line: where the share may truly lie, given so many visits (95 %). Tick: the share in "
        "<em>all</em> visits, which is what blind guessing would reach. "
        "A bar well to the right of its tick is a rule that knows something.",
    )
    some = [rule for rule in fired if rule.outcomes]
    seen = [BarRow(rule.rule, rule.recall, f"{rule.followed:,} of {rule.outcomes:,}") for rule in some]
    if seen:
        yield _figure(
            "How much of it was seen in time?",
            bars("Share of all outcomes of its kind that a rule had fired before", seen),
            "Of all outcomes of its kind in the recording, those that the rule had fired strictly before. "
            "What it notices at the same moment or later is not counted.",
        )
    early = [
        (rule.rule, rule.leads_s, (lead.lower_s, lead.median_s, lead.upper_s), duration(lead.median_s))
        for rule in fired
        if (lead := rule.lead) is not None
    ]
    if early:
        yield _figure(
            "How early?",
            leads("Time from firing to outcome, for each rule", early),
            "Each dot is one outcome that was seen in time: how long before it the rule fired. Band: the middle half; "
            "tick: the median. The scale is not even: it goes from seconds to days.",
        )
    names = [rule.rule for rule in fired]
    if len(names) > 1:
        index = [report.result.overlap.rules.index(name) for name in names]
        counts = [[report.result.overlap.sessions[row][column] for column in index] for row in index]
        yield _figure(
            "Do rules say the same?",
            matrix("Visits in which two rules both fired", names, counts),
            "Each row: in how many of the visits in which this rule fired, the rule of the column fired too. "
            "A dark cell beside the diagonal means that the row's rule adds little to the column's.",
        )


def _figure(title: str, picture: str, words: str) -> str:
    return f"<section class=card><h2>{title}</h2><figure>{picture}<figcaption>{words}</figcaption></figure></section>"


# --- tables -----------------------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>"


def _outcomes(outcomes: Sequence[OutcomeReport], currency: str) -> str:
    rows = [
        (one.label, one.kind.replace("_", "-"), f"{one.count:,}", f"{one.visitors:,}", share(one.base_rate),
         money(one.amount, currency))
        for one in outcomes
        if one.count
    ]  # fmt: skip
    head = ("what", "kind", "times", "visitors", "of all visits", "cost or value")
    return "<section class=card><h2>What happened in the recording</h2>" + _table(head, rows) + "</section>"


def _changed(report: Report) -> str:
    difference = report.decided_differently
    if report.against is None or difference is None:
        return ""
    rows = [
        (
            change.rule,
            _arrow(None if number is None else f"{number:,}" for number in change.sessions),
            _arrow(map(share, change.precision)), _arrow(map(share, change.recall)),
            _arrow(map(duration, change.median_lead_s)),
            _arrow(money(amount, report.currency) for amount in change.seen_in_time),
        )
        for change in report.changes
        if change.differs
    ]  # fmt: skip
    head = ("rule", "visits fired in", "right", "seen in time", "median lead", "money seen in time")
    examples = [
        (name, example.visitor, day(example.at), choice(example.before), choice(example.after))
        for name, found in sorted(difference.rules.items())
        for example in found.examples
    ]
    return (
        "<section class=card><h2>What changes</h2>"
        f"<p>From <code>{escape(report.against.directory)}</code> to <code>{escape(report.result.directory)}</code>: "
        f"<b>{difference.different:,} of {difference.visitors:,} visitors</b> are decided differently.</p>"
        + (_table(head, rows) if rows else "<p>No rule's numbers are different.</p>")
        + ("<h3>Examples</h3>" + _table(("rule", "visitor", "when", "before", "now"), examples) if examples else "")
        + "</section>"
    )


def _arrow(pair: Iterable[str | None]) -> str:
    return " → ".join(text if text is not None else "-" for text in pair)


def _numbers(report: Report) -> str:
    rows = [
        (
            rule.rule, rule.mode, rule.target, f"{rule.visitors:,}", f"{rule.sessions:,}",
            f"{rule.followed:,} / {rule.alarms:,}", share(rule.precision), share(rule.session_precision),
            share(rule.base_rate), times(rule.lift), share(rule.recall), money(rule.seen_in_time, report.currency),
            reasons(rule.decisions), reasons(rule.suppressed),
        )
        for rule in report.result.rules
    ]  # fmt: skip
    head = (
        "rule", "mode", "outcome", "visitors", "visits", "followed / alarms", "precision", "in the visit", "base rate",
        "lift", "recall", "seen in time", "decisions", "suppressed",
    )  # fmt: skip
    return "<section class=card><h2>All numbers</h2>" + _table(head, rows) + "</section>"


def _bad_lines(report: Report) -> str:
    rows = [
        (file.path, f"{file.lines:,}", f"{file.bad:,}", f"{file.left_out:,}",
         "; ".join(f"line {number}: {why}" for number, why in file.bad_lines[:3]))
        for file in report.files
    ]  # fmt: skip
    events = report.result.events
    other = {name: number for name, number in events.items() if name != "applied"}
    said = f"<p>Events that were not applied: {escape(reasons(other))}.</p>" if other else ""
    head = ("file", "lines", "not events", "left out", "for example")
    return "<section class=card><h2>The recording</h2>" + said + _table(head, rows) + "</section>"
