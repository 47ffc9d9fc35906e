"""The first card: all rules at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from streams.impact.listing import arm_name, better_of
from streams.impact.page.document import Section, figure, tiles
from streams.impact.page.draw import RangeRow, ranges
from streams.impact.page.rule import BADGES
from streams.impact.report import ArmReport, Estimate, Report, RuleReport
from streams.impact.verdict import judged
from streams.impact.words import NONE, count, percent, round_money, short_money

_ROWS_MAX = 60  # of one plot; the others have cards of their own below

Row = tuple[RuleReport, ArmReport]


def overview_section(report: Report) -> Section | None:
    """None where there is a single rule, whose own card says it all."""
    if len(report.rules) < 2:
        return None
    rows = [(rule, arm) for rule in report.rules for arm in rule.arms if not arm.variant]
    said: Counter[str] = Counter(arm.verdict.kind for _, arm in rows)
    parts = ["<h2>At a glance</h2>", tiles((count(said[kind]), word) for kind, word in BADGES.items() if said[kind])]
    relative = [row for row in rows if _relative(row) is not None][:_ROWS_MAX]
    if relative:
        parts.append(figure(
            ranges("Relative change of each rule's outcome", [_relative_row(row) for row in relative],
                   lambda value: f"{value:+.0%}" if value else "0 %", 1),
            "By how much each changed its own outcome, as a share of the control arm's, turned so that the right side "
            "is the good one. Bar: where the truth lies, for all of them together.",
        ))  # fmt: skip
    paid = [row for row in rows if _gross(row) is not None][:_ROWS_MAX]
    if paid:
        parts.append("<h3>Money</h3>" + figure(
            ranges(f"Money of each rule, {report.currency}", [_money_row(row) for row in paid], short_money, 1),
            f"Avoided or brought so far, in {escape(report.currency)}. Rules may have met the same visitors: their "
            "sums do not add up. What everything together is worth, only a global holdout says.",
        ))  # fmt: skip
    return Section("overview", "".join(parts))


def _name(row: Row, many: bool) -> str:
    rule, arm = row
    return f"{rule.title or rule.rule}: {arm_name(arm)}" if many else rule.title or rule.rule


def _label(row: Row) -> str:
    return _name(row, len([arm for arm in row[0].arms if not arm.variant]) > 1)


def _relative(row: Row) -> Estimate | None:
    rule, arm = row
    found = judged(arm.primary, rule.measure)
    control = arm.primary.control
    base = control.rate if rule.measure == "rate" else control.amount_per_visitor
    if found is None or found.low is None or not base or arm.verdict.kind == "broken_split":
        return None
    return found.times(better_of(rule) / abs(base))


def _relative_row(row: Row) -> RangeRow:
    found = _relative(row)
    if found is None or found.low is None or found.high is None:
        return RangeRow(_label(row), row[0].label, None, row[1].verdict.kind, NONE)
    shown = Estimate(value=_cut(found.value), low=_cut(found.low), high=_cut(found.high))
    side = "better" if found.value >= 0 else "worse"
    size = percent(abs(found.value), 0)
    said = "no change" if size == "0 %" else f"{size} {side}"
    written = f"{said}\n{percent(found.low, 0)} to {percent(found.high, 0)}"
    return RangeRow(_label(row), row[0].label, shown, row[1].verdict.kind, written)


def _cut(share: float) -> float:
    return min(max(share, -1.0), 1.0)  # an interval of a young rule is wider than anything that could be seen beside it


def _gross(row: Row) -> Estimate | None:
    found = row[1].savings.net if row[1].savings.nudge_cost else row[1].savings.gross
    return None if row[1].verdict.kind == "broken_split" else found


def _money_row(row: Row) -> RangeRow:
    rule, arm = row
    found = _gross(row)
    if found is None:
        return RangeRow(_label(row), rule.label, None, arm.verdict.kind, NONE)
    ends = NONE if found.low is None or found.high is None else f"{short_money(found.low)} to {short_money(found.high)}"
    return RangeRow(_label(row), rule.label, found, arm.verdict.kind, f"{round_money(found.value, rule.unit)}\n{ends}")


def shown_rules(report: Report) -> Sequence[RuleReport]:
    """Those with visitors first, the others after them."""
    return sorted(report.rules, key=lambda rule: not any(rule.exposed.values()))
