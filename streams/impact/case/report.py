"""What the study comes to: every number of the terminal, the JSON and the page, which compute nothing themselves.

Shares are from 0 to 1, money is in units of the currency, times are ms since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from streams.backtest.recordings import FileReading
from streams.core.definition import Program
from streams.impact.case.draft import drafts_of
from streams.impact.case.judge import RATE_FALSE, VISITORS_MIN, Finding
from streams.impact.case.run import Studied
from streams.impact.case.steps import Antecedent, kinds_of, label_of

TOP: Final = 10  # findings on a page that somebody reads to its end
FEWER_MAX: Final = 5
PARTS_MAX: Final = 6  # names of what is part of a finding
_MICROS: Final = 1_000_000
_DAY_MS: Final = 86_400_000


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """One declared outcome in the whole recording."""

    outcome: str
    label: str
    kind: str
    count: int
    visitors: int
    amount: float
    unpriced: int


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What anti-conversions cost on one day (UTC); `at` is its beginning, `amounts` by outcome."""

    at: int
    amounts: dict[str, float]


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate and where it truly lies."""

    value: float
    low: float
    high: float


class NextStep(msgspec.Struct, frozen=True, kw_only=True):
    """A next step of those without the outcome more than of those with it; shares of those who went on."""

    label: str
    without: float
    with_outcome: float
    low: float  # of the difference
    high: float


class Converted(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion within the window, as a share of those without the outcome and of those with it."""

    outcome: str
    label: str
    without: float
    with_outcome: float


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an anti-conversion follows more often than it would anyway."""

    group: str
    antecedent: str
    label: str
    outcome: str
    outcome_label: str
    visitors: int
    followed: int
    expected: float
    extra: Range
    each: float
    cost: Range
    p: float
    parts: list[str]  # findings that say nothing beyond this one
    instead: list[NextStep]
    converted: list[Converted]
    rule: str  # of the draft
    draft: str


class Fewer(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an anti-conversion follows more seldom than it would anyway."""

    label: str
    outcome_label: str
    visitors: int
    followed: int
    expected: float


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """The whole case."""

    files: list[FileReading]
    first_ts: int | None
    last_ts: int | None
    events: int
    visitors: int
    currency: str
    costs: list[Cost]  # anti-conversions first, the dearest first
    days: list[Day]
    findings: list[Before]
    found: int  # answers with more than the base, before they are put together
    left_out: int  # findings of their own beyond the top
    fewer: list[Fewer]
    questions: int
    looked_at: dict[str, int]  # antecedents that enough visitors did, by group
    dropped: int  # too rare to be kept
    rate_false: float
    visitors_min: int
    windows_ms: dict[str, int]  # by anti-conversion
    seconds: float

    @property
    def cost(self) -> float:
        """Of all anti-conversions."""
        return sum(one.amount for one in self.costs if one.kind == "anti_conversion")


def make_case(studied: Studied, program: Program, top: int = TOP, seconds: float = 0.0) -> Case:
    """The report of a study."""
    labels = {one.name: one.label or one.name for one in program.outcomes}
    judged, found = studied.judged, studied.candidates
    groups = studied.instead.grouped(found, judged.error)
    own = sorted(groups, key=lambda number: (-found[number].cost, -found[number].extra, number))
    shown = own[:top]
    counted = sorted({row for _, row in _asked(studied)})
    return Case(
        files=studied.files, first_ts=studied.first_ts, last_ts=studied.last_ts, events=studied.costs.events,
        visitors=studied.counts.visitors, currency=program.currency, costs=_costs(studied, program),
        days=_days(studied), findings=_findings(studied, groups, shown, labels),
        found=len(judged.findings), left_out=len(own) - len(shown),
        fewer=[
            Fewer(label=label_of(studied.names[one.row]), outcome_label=studied.lanes[one.lane].label,
                  visitors=one.visitors, followed=one.followed, expected=one.expected)
            for one in judged.fewer[:FEWER_MAX]
        ],
        questions=judged.questions, looked_at=kinds_of(studied.names[row] for row in counted),
        dropped=studied.counts.dropped, rate_false=RATE_FALSE, visitors_min=VISITORS_MIN,
        windows_ms={lane.outcome: lane.window_ms for lane in studied.lanes}, seconds=round(seconds, 1),
    )  # fmt: skip


def _asked(studied: Studied) -> list[tuple[int, int]]:
    """(lane, row) of every antecedent that enough visitors did."""
    return [
        (lane, int(row))
        for lane in range(len(studied.lanes))
        for row in (studied.counts.strata(lane).exposed.sum(axis=1) >= VISITORS_MIN).nonzero()[0]
    ]


def _costs(studied: Studied, program: Program) -> list[Cost]:
    found = [
        Cost(outcome=one.name, label=one.label or one.name, kind=one.kind, count=paid.count,
             visitors=studied.costs.visitors[one.name], amount=paid.micros / _MICROS, unpriced=paid.unpriced)
        for one in program.outcomes
        if (paid := studied.costs.outcomes.get(one.name)) is not None
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.kind, -one.amount, one.outcome))


def _days(studied: Studied) -> list[Day]:
    return [
        Day(at=day * _DAY_MS, amounts={name: paid.micros / _MICROS for name, paid in sorted(paid_by.items())})
        for day, paid_by in sorted(studied.costs.days.items())
    ]


def _findings(
    studied: Studied, groups: dict[int, list[int]], shown: Sequence[int], labels: dict[str, str]
) -> list[Before]:
    found, names, lanes, instead = studied.candidates, studied.names, studied.lanes, studied.instead
    steps = {number: instead.next_steps(number) for number in shown}
    drafts = drafts_of(
        (
            names[found[number].row], lanes[found[number].lane], _seen(found[number]),
            next((one.antecedent.text for one in steps[number] if _is_page(one.antecedent)), None),
        )
        for number in shown
    )  # fmt: skip
    made = []
    for number, draft in zip(shown, drafts, strict=True):
        one, lane, antecedent = found[number], lanes[found[number].lane], names[found[number].row]
        parts = sorted(groups[number], key=lambda part: -found[part].cost)
        made.append(Before(
            group=antecedent.kind, antecedent=antecedent.text, label=label_of(antecedent), outcome=lane.outcome,
            outcome_label=lane.label, visitors=one.visitors, followed=one.followed, expected=one.expected,
            extra=Range(value=one.extra, low=one.extra_low, high=one.extra_high), each=one.each,
            cost=Range(value=one.cost, low=one.cost_low, high=one.cost_high), p=one.p,
            parts=[label_of(names[found[part].row]) for part in parts[:PARTS_MAX]],
            instead=[
                NextStep(label=label_of(step.antecedent), without=step.without, with_outcome=step.with_outcome,
                         low=step.difference_low, high=step.difference_high)
                for step in steps[number]
            ],
            converted=_converted(studied, number, labels), rule=draft.rule, draft=draft.text,
        ))  # fmt: skip
    return made


def _converted(studied: Studied, number: int, labels: dict[str, str]) -> list[Converted]:
    without, with_it = studied.instead.converted[number]
    n0, n1 = studied.instead.visitors[number]
    return [
        Converted(outcome=name, label=labels[name], without=without[name] / n0 if n0 else 0.0,
                  with_outcome=with_it[name] / n1 if n1 else 0.0)
        for name in sorted(without | with_it)
    ]  # fmt: skip


def _seen(one: Finding) -> str:
    return f"of {one.visitors:,} visitors {one.followed:,} came to it, {one.expected:,.0f} were to be expected"


def _is_page(one: Antecedent) -> bool:
    return one.kind in ("page", "help") and one.text.startswith("/") and "*" not in one.text
