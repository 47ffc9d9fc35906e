"""The card of one funnel: bars by step and arm, the ways between, where journeys went instead."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from streams.impact.page.document import Section, figure, table, with_code
from streams.impact.page.draw import BarRow, bars
from streams.impact.report import FunnelArmReport, FunnelReport, Mean
from streams.impact.words import NONE, count, days, percent, points

_PLACES_MAX = 10  # of a step, on the page; the JSON has them all
_DAY_MS = 86_400_000


def funnel_section(funnel: FunnelReport) -> Section:
    """Everything about one funnel."""
    split = f"the arms of <code>{escape(funnel.rule)}</code>" if funnel.rule else "the arms of the global holdout"
    limit = "within the visit" if funnel.within_ms is None else f"within {days(funnel.within_ms / _DAY_MS)}"
    entered = sum(arm.entered for arm in funnel.arms)
    head = (
        f"<h2>{escape(funnel.title)}</h2>"
        f'<p class="soft small"><code>{escape(funnel.funnel)}</code> · {count(entered)} journeys began, {limit} · '
        f"{split}</p>"
    )
    if not entered:
        return Section(f"funnel-{funnel.funnel}", head + '<p class="soft">Nobody has taken the first step yet.</p>')
    parts = (head, _said(funnel), _bars(funnel), _ways(funnel), _order(funnel), _instead(funnel))
    return Section(f"funnel-{funnel.funnel}", "".join(parts))


def difference_words(funnel: FunnelReport) -> str:
    """The comparison of the arms in a sentence."""
    found = funnel.difference
    if found is None:
        return "There is no arm to compare with yet."
    if found.low is None or found.high is None:
        return f"Arrived: {points(found.value)} in the treated arm; no interval yet."
    ends = f"between {points(found.low).removesuffix(' points')} and {points(found.high)}"
    proof = "" if found.low > 0 or found.high < 0 else " That may be chance."
    return f"Arrived: {points(found.value)} in the treated arm, truly {ends}.{proof}"


def _said(funnel: FunnelReport) -> str:
    return f'<p class="said">{escape(difference_words(funnel))}</p>'


def _bars(funnel: FunnelReport) -> str:
    rows = [
        BarRow(f"{number + 1}. {label}", f"{arm.arm}: {count(arm.steps[number].reached)}",
               arm.steps[number].share or 0.0, percent(arm.steps[number].share))
        for number, label in enumerate(funnel.labels) for arm in funnel.arms if number < len(arm.steps)
    ]  # fmt: skip
    picture = bars(f"Journeys that reached each step of {funnel.title}", rows, lambda value: percent(value, 0))
    return figure(picture, "Share of the journeys that began which reached the step. Young journeys still go on.")


def _ways(funnel: FunnelReport) -> str:
    rows = []
    for number, label in enumerate(funnel.labels):
        for arm in funnel.arms:
            if number and number < len(arm.steps):
                step = arm.steps[number]
                rows.append((f"{funnel.labels[number - 1]} → {label}", arm.arm, percent(step.from_before),
                             *_both(step.seconds, step.clicks)))  # fmt: skip
    whole = f"{funnel.labels[0]} → {funnel.labels[-1]}, whole"
    rows += [(whole, arm.arm, percent(arm.share), *_both(arm.seconds, arm.clicks)) for arm in funnel.arms]
    head = ("way", "arm", "went it", "time, mean", "median", "clicks, mean", "median")
    return "<h3>Between the steps</h3>" + table(head, rows, left=(0, 1))


def _both(seconds: Mean, clicks: Mean) -> tuple[str, str, str, str]:
    return _mean(seconds, span), span(seconds.median), _mean(clicks, _number), _number(clicks.median)


def _mean(found: Mean, write: Callable[[float | None], str]) -> str:
    said = write(found.mean)
    if found.low is None or found.high is None:
        return said
    return f"{said} ({write(found.low)} to {write(found.high)})"


def span(seconds: float | None) -> str:
    """A time as people say it: ``40 s``, ``3.5 min``."""
    if seconds is None:
        return NONE
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < 120 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:.3g} days"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}"


def _order(funnel: FunnelReport) -> str:
    rows = [
        (label, arm.arm, percent(arm.steps[number].skipped), percent(arm.steps[number].reverse))
        for number, label in enumerate(funnel.labels) for arm in funnel.arms
        if number < len(arm.steps) and (arm.steps[number].skipped or arm.steps[number].reverse)
    ]  # fmt: skip
    if not rows:
        return ""
    head = ("step", "arm", "skipped", "after a later one")
    return "<h3>Skipped, or in reverse</h3>" + table(head, rows, left=(0, 1))


def _instead(funnel: FunnelReport) -> str:
    rows = []
    for number, label in enumerate(funnel.labels):
        for arm in funnel.arms:
            rows += [
                (label, arm.arm, with_code(place_words(place)), count(times)) for place, times in places(arm, number)
            ]
    if not rows:
        return ""
    head = ("reached last", "arm", "then", "journeys")
    return "<h3>Where they went instead</h3>" + table(head, rows, left=(0, 1, 2))


def places(arm: FunnelArmReport, number: int) -> list[tuple[str, int]]:
    """The most frequent ones after the step."""
    found = arm.steps[number].instead if number < len(arm.steps) else {}
    return sorted(found.items(), key=lambda one: (-one[1], one[0]))[:_PLACES_MAX]


def place_words(place: str) -> str:
    """A page, an outcome, nothing, or the rest."""
    kind, _, name = place.partition("outcome:")
    return f"`{name}` (outcome)" if name and not kind else f"`{place}`" if place.startswith("/") else place
