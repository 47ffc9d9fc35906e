"""From tallies to the numbers that people read. Times in seconds, money in the currency's units, shares from 0 to 1.

A share of nothing is None, never 0: a rule that did not fire has no precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import quantiles

import msgspec

from streams.backtest.diff import DiffTally
from streams.backtest.measure import OutcomeTally, RuleTally, Tally
from streams.backtest.recordings import FileReading
from streams.backtest.run import Result
from streams.core.definition import Program, RuleDefinition
from streams.core.ruleset import EngineOptions

_CENTS = 100
_SECOND_MS = 1000


class Quartiles(msgspec.Struct, frozen=True):
    """A quarter of all lead times is below `lower_s`, half below `median_s`, a quarter above `upper_s`."""

    lower_s: float
    median_s: float
    upper_s: float


class RuleReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule would have done."""

    rule: str
    title: str
    mode: str
    target: str  # the outcome that it prevents or promotes
    promotes: bool
    visitors: int
    sessions: int
    alarms: int
    followed: int  # alarms that the outcome followed within the attribution window
    precision: float | None
    sessions_followed: int
    session_precision: float | None
    outcomes: int  # all of this kind in the recording
    recall: float | None
    lead: Quartiles | None
    leads_s: list[float]
    base_rate: float | None  # of all sessions, those with the outcome
    lift: float | None  # session_precision over base_rate
    seen_in_time: float  # money of the outcomes that were credited to it
    at_stake: float  # money of all outcomes of this kind
    unpriced: int
    decisions: dict[str, int]
    suppressed: dict[str, int]


class OutcomeReport(msgspec.Struct, frozen=True, kw_only=True):
    """How often one outcome happened, and what that cost or was worth."""

    outcome: str
    label: str
    kind: str
    count: int
    visitors: int
    sessions: int
    base_rate: float | None
    amount: float
    unpriced: int


class Overlap(msgspec.Struct, frozen=True):
    """Sessions in which both rules fired; on the diagonal, in which the rule fired."""

    rules: list[str]
    sessions: list[list[int]]


class SetReport(msgspec.Struct, frozen=True, kw_only=True):
    """One rule set over the recording."""

    directory: str
    visitors: int
    sessions: int
    events: dict[str, int]  # by what became of them
    rules: list[RuleReport]
    outcomes: list[OutcomeReport]
    overlap: Overlap


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One rule in two rule sets: before (`against`) and now. None: not there."""

    rule: str
    sessions: tuple[int | None, int | None]
    precision: tuple[float | None, float | None]
    recall: tuple[float | None, float | None]
    median_lead_s: tuple[float | None, float | None]
    seen_in_time: tuple[float | None, float | None]

    @property
    def differs(self) -> bool:
        """Whether any of its numbers is another one."""
        pairs = (self.sessions, self.precision, self.recall, self.median_lead_s, self.seen_in_time)
        return any(before != now for before, now in pairs)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole backtest."""

    files: list[FileReading]
    first_ts: int | None
    last_ts: int | None
    currency: str
    attribution_window_s: float
    session_timeout_s: float
    result: SetReport
    against: SetReport | None = None
    changes: list[Change] = []
    decided_differently: DiffTally | None = None
    seconds: float = 0.0


def make_report(
    result: Result, programs: Sequence[Program], directories: Sequence[str], options: EngineOptions, seconds: float
) -> Report:
    """The report on the first program; a second one is what it is compared with."""
    sets = [
        _set_report(tally, program, directory)
        for tally, program, directory in zip(result.tallies, programs, directories, strict=True)
    ]
    return Report(
        files=result.files,
        first_ts=result.first_ts,
        last_ts=result.last_ts,
        currency=programs[0].currency,
        attribution_window_s=options.attribution_window_ms / _SECOND_MS,
        session_timeout_s=options.session_timeout_ms / _SECOND_MS,
        result=sets[0],
        against=sets[1] if len(sets) > 1 else None,
        changes=_changes(sets[1], sets[0]) if len(sets) > 1 else [],
        decided_differently=result.difference,
        seconds=round(seconds, 3),
    )


def _set_report(tally: Tally, program: Program, directory: str) -> SetReport:
    tried = [rule for rule in program.rules if rule.id in tally.rules]
    return SetReport(
        directory=directory,
        visitors=tally.visitors,
        sessions=tally.sessions,
        events=dict(sorted(tally.events.items())),
        rules=[_rule_report(rule, tally) for rule in tried],
        outcomes=[
            OutcomeReport(
                outcome=outcome.name,
                label=outcome.label or outcome.name,
                kind=outcome.kind,
                count=kept.count,
                visitors=kept.visitors,
                sessions=kept.sessions,
                base_rate=_share(kept.sessions, tally.sessions),
                amount=kept.cents / _CENTS,
                unpriced=kept.unpriced,
            )
            for outcome in program.outcomes
            if (kept := tally.outcomes[outcome.name])
        ],
        overlap=_overlap([rule.id for rule in tried], tally),
    )


def _rule_report(rule: RuleDefinition, tally: Tally) -> RuleReport:
    kept: RuleTally = tally.rules[rule.id]
    target = rule.prevents or rule.promotes or ""
    outcome: OutcomeTally = tally.outcomes[target]
    session_precision = _share(kept.sessions_followed, kept.sessions)
    base_rate = _share(outcome.sessions, tally.sessions)
    return RuleReport(
        rule=rule.id,
        title=rule.title,
        mode=rule.mode,
        target=target,
        promotes=rule.promotes is not None,
        visitors=kept.visitors,
        sessions=kept.sessions,
        alarms=kept.alarms,
        followed=kept.followed,
        precision=_share(kept.followed, kept.alarms),
        sessions_followed=kept.sessions_followed,
        session_precision=session_precision,
        outcomes=outcome.count,
        recall=_share(kept.followed, outcome.count),
        lead=quartiles(kept.leads_ms),
        leads_s=[lead / _SECOND_MS for lead in sorted(kept.leads_ms)],
        base_rate=base_rate,
        lift=session_precision / base_rate if session_precision is not None and base_rate else None,
        seen_in_time=kept.cents / _CENTS,
        at_stake=outcome.cents / _CENTS,
        unpriced=kept.unpriced,
        decisions=dict(sorted(kept.decisions.items())),
        suppressed=dict(sorted(kept.suppressed.items())),
    )


def quartiles(leads_ms: Sequence[int]) -> Quartiles | None:
    """Linear between the nearest two (the "inclusive" method: smallest is 0 %, greatest 100 %)."""
    if not leads_ms:
        return None
    if len(leads_ms) == 1:
        only = leads_ms[0] / _SECOND_MS
        return Quartiles(only, only, only)
    lower, median, upper = (cut / _SECOND_MS for cut in quantiles(leads_ms, n=4, method="inclusive"))
    return Quartiles(lower, median, upper)


def _overlap(rules: list[str], tally: Tally) -> Overlap:
    def both(first: str, second: str) -> int:
        if first == second:
            return tally.rules[first].sessions
        return tally.together.get(f"{first}\n{second}", 0) + tally.together.get(f"{second}\n{first}", 0)

    return Overlap(rules, [[both(first, second) for second in rules] for first in rules])


def _changes(before: SetReport, now: SetReport) -> list[Change]:
    old, new = ({rule.rule: rule for rule in one.rules} for one in (before, now))
    changes = []
    for name in [*new, *(name for name in old if name not in new)]:
        was, is_ = old.get(name), new.get(name)
        changes.append(
            Change(
                rule=name,
                sessions=(was.sessions if was else None, is_.sessions if is_ else None),
                precision=(was.precision if was else None, is_.precision if is_ else None),
                recall=(was.recall if was else None, is_.recall if is_ else None),
                median_lead_s=(_median(was), _median(is_)),
                seen_in_time=(was.seen_in_time if was else None, is_.seen_in_time if is_ else None),
            )
        )
    return changes


def _median(rule: RuleReport | None) -> float | None:
    return rule.lead.median_s if rule is not None and rule.lead is not None else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
