"""A report to a page."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from streams.impact.page.closing import closing_sections
from streams.impact.page.document import Section, document
from streams.impact.page.funnel import funnel_section
from streams.impact.page.overview import overview_section, shown_rules
from streams.impact.page.rule import rule_section
from streams.impact.report import Report
from streams.impact.words import count, days, moment

TITLE = "What it was worth"
_DAY_MS = 86_400_000


def page_of(report: Report, more: Iterable[Section] = ()) -> str:
    """The whole page; `more` stands between the rules and the closing sections."""
    overview = overview_section(report)
    sections = [overview] if overview is not None else []
    sections += [rule_section(rule, report.options) for rule in shown_rules(report)]
    sections += [funnel_section(funnel) for funnel in report.funnels]
    sections += [*more, *closing_sections(report)]
    visitors = max((sum(rule.exposed.values()) for rule in report.rules), default=0)
    window = report.attribution_window_ms
    counted = "at any time after it" if window is None else f"within {days(window / _DAY_MS)} of it"
    as_of = "" if report.at is None else f" As of {moment(report.at)} UTC."
    lead = (
        f"Visitors with the suggestion beside a control group without it: {count(visitors)} exposed visitors, and the "
        f"outcomes that followed {counted}.{as_of}"
    )
    return document(TITLE, escape(lead), sections, f"Made by avert impact from {report.source or 'totals'}")


def write_page(report: Report, path: Path, more: Iterable[Section] = ()) -> None:
    """The page into a file."""
    path.write_text(page_of(report, more), encoding="utf-8")
