"""The last cards: prices, what was left out, how to read the page."""

from __future__ import annotations

from collections.abc import Iterator

from streams.impact.model import MICROS
from streams.impact.page.document import Section, table, with_code
from streams.impact.report import Report
from streams.impact.words import NONE, count, moment, money, percent


def closing_sections(report: Report) -> Iterator[Section]:
    """In this order."""
    rows = [
        (outcome.label, version.text or NONE, version.version, moment(version.since), count(version.count),
         money(version.micros / MICROS, outcome.unit))
        for outcome in report.outcomes for version in outcome.versions
    ]  # fmt: skip
    if rows:
        head = ("outcome", "price", "version", "from", "times", "amount")
        words = '<p class="soft">What one of each costs or is worth, and how many were counted at that price.</p>'
        yield Section("prices", "<h2>Prices</h2>" + words + table(head, rows))
    if report.notes:
        notes = [(with_code(note.text), count(note.count)) for note in report.notes]
        yield Section("left-out", "<h2>Counted, and left out</h2>" + table(("what", "how many"), notes))
    yield Section("reading", "<h2>How to read this</h2>" + _reading(report))


def _reading(report: Report) -> str:
    together = _TOGETHER.format(questions=report.questions) if report.questions > 1 else ""
    options = report.options
    return _READING.format(
        together=together, sure=percent(1 - options.alpha),
effect=percent(options.effect), margin=percent(options.margin)
    )


_TOGETHER = """ This page asks {questions} questions at once, so each interval is drawn wider, until all {questions}
hold together: looking at many rules does not make a chance finding a proof."""

_READING = """<dl>
<dt>Exposed</dt><dd>A visitor for whom the rule fired for the first time. In the control arm he got nothing, and would
have got something otherwise: only so are the arms alike but for the suggestion.</dd>
<dt>Interval</dt><dd>Where the true difference lies, with {sure} certainty. It stays valid however often you look, and
you may stop whenever you like; that is why it is wider than one from a calculator that assumes a single
look.{together}</dd>
<dt>Helps, harms</dt><dd>The whole interval lies on one side of 0.</dd>
<dt>No large effect</dt><dd>The interval holds 0, and is too narrow for the change that would be worth knowing of
({effect} of the control arm's figure).</dd>
<dt>Too early to say</dt><dd>The interval holds 0 and larger effects as well. It says nothing against the rule, nor
for it, whichever way the dot leans.</dd>
<dt>Broken split</dt><dd>Visitors were not split between the arms as declared, beyond what chance does once in a
thousand. Something treats the arms differently before anything is measured; no other number can be trusted until it
is found.</dd>
<dt>What must not get worse</dt><dd>“Worse”: the whole interval lies on the bad side. “Safe”: no more than {margin} of
the control arm's figure can be lost. “Open”: neither is known yet. These intervals stand alone, so that a warning
comes early.</dd>
<dt>Money</dt><dd>Only outcomes within the attribution window after the exposure count. The price of an outcome is
taken as known; the interval is that of the number of outcomes.</dd>
</dl>"""
