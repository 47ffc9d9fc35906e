"""From what fired and what happened to numbers that can be added up.

1. A firing that was suppressed is counted by its reason and is no alarm. All others are, in either arm and in shadow.
2. The firings of a rule in one session are one *alarm*, from the first of them, until an outcome has been credited to
   it; a later firing is a new alarm.
3. An outcome is credited to the latest open alarm of its visitor that is *strictly before* it, by less than the
   attribution window. Each alarm gets one outcome at most, each outcome goes to one alarm at most.
4. *Sessions followed* are those in which the outcome came strictly after the rule's first firing there.
5. Everything is kept as whole numbers (ms, cents), so that sums do not depend on the order in which they are made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from streams.backtest.play import Played
from streams.core.effects import OutcomeRecord
from streams.core.ruleset import Ruleset

_CENTS = 100


class RuleTally(msgspec.Struct):
    """Of one rule. Times in ms, money in cents."""

    visitors: int = 0
    sessions: int = 0
    sessions_followed: int = 0
    alarms: int = 0
    followed: int = 0
    leads_ms: list[int] = []
    cents: int = 0
    unpriced: int = 0  # credited outcomes whose amount is not known
    decisions: dict[str, int] = {}
    suppressed: dict[str, int] = {}


class OutcomeTally(msgspec.Struct):
    """Of one outcome."""

    count: int = 0
    visitors: int = 0
    sessions: int = 0
    cents: int = 0
    unpriced: int = 0


class Tally(msgspec.Struct):
    """Of one rule set over any number of visitors; two of them can be added."""

    visitors: int = 0
    sessions: int = 0
    events: dict[str, int] = {}  # by what became of them
    rules: dict[str, RuleTally] = {}
    outcomes: dict[str, OutcomeTally] = {}
    together: dict[str, int] = {}  # sessions in which both rules fired, by "first\nsecond" in the rules' order

    def add(self, other: Tally) -> None:
        """Take `other` in."""
        _merge(self, other)


def _merge(mine: msgspec.Struct, theirs: msgspec.Struct) -> None:
    for name in mine.__struct_fields__:
        have, more = getattr(mine, name), getattr(theirs, name)
        if isinstance(have, dict):
            for key, value in more.items():
                if isinstance(value, int):
                    have[key] = have.get(key, 0) + value
                else:
                    _merge(have.setdefault(key, type(value)()), value)
        else:
            setattr(mine, name, have + more)


def empty_tally(ruleset: Ruleset) -> Tally:
    """A tally that names every rule and outcome, also those of which nothing will be seen."""
    return Tally(
        rules={rule.id: RuleTally() for rule in ruleset.rules},
        outcomes={outcome.name: OutcomeTally() for outcome in ruleset.outcomes},
    )


def tally_visitor(tally: Tally, played: Played, ruleset: Ruleset) -> None:
    """Add what came of one visitor."""
    tally.visitors += 1
    tally.sessions += played.sessions
    for result, number in played.results.items():
        if number:
            _count(tally.events, result, number)
    happened: dict[str, list[OutcomeRecord]] = {}
    for outcome in played.outcomes:
        happened.setdefault(outcome.outcome, []).append(outcome)
    for name, records in happened.items():
        _tally_outcome(tally.outcomes[name], records)
    fired: dict[str, list[tuple[int, str]]] = {}
    for decision in played.decisions:
        kept = tally.rules[decision.rule]
        if decision.kind == "suppressed":
            _count(kept.suppressed, str(decision.reason))
        else:
            _count(kept.decisions, decision.kind)
            fired.setdefault(decision.rule, []).append((decision.at, decision.session))
    if not fired:
        return
    windows = {outcome.name: outcome.window_ms for outcome in ruleset.outcomes}
    for rule, firings in fired.items():
        for target in ruleset.by_rule_id[rule].targets:  # one: what it prevents or promotes
            _tally_rule(tally.rules[rule], firings, happened.get(target, ()), windows[target])
    _tally_together(tally, fired, ruleset)


def _tally_outcome(kept: OutcomeTally, records: Sequence[OutcomeRecord]) -> None:
    kept.count += len(records)
    kept.visitors += 1
    kept.sessions += len({record.session for record in records})
    kept.cents += sum(map(_cents, records))
    kept.unpriced += sum(record.amount is None for record in records)


def _tally_rule(
    kept: RuleTally, firings: Sequence[tuple[int, str]], outcomes: Sequence[OutcomeRecord], window: int
) -> None:
    first: dict[str, int] = {}
    for at, session in firings:
        first[session] = min(at, first.get(session, at))
    kept.visitors += 1
    kept.sessions += len(first)
    kept.sessions_followed += len({o.session for o in outcomes if o.session in first and first[o.session] < o.at})
    alarms, credited = credit(firings, outcomes, window)
    kept.alarms += alarms
    kept.followed += len(credited)
    kept.leads_ms += [lead for lead, _ in credited]
    kept.cents += sum(_cents(outcome) for _, outcome in credited)
    kept.unpriced += sum(outcome.amount is None for _, outcome in credited)


def credit(
    firings: Iterable[tuple[int, str]], outcomes: Iterable[OutcomeRecord], window: int
) -> tuple[int, list[tuple[int, OutcomeRecord]]]:
    """How many alarms there were, and the outcomes seen in time: (lead in ms, outcome).

    `firings` are (moment, session) of one rule and one visitor. An outcome comes before a firing of the same moment:
    what happens together was not foreseen.
    """
    moments: list[tuple[int, int, str, OutcomeRecord | None]] = [(at, 1, session, None) for at, session in firings]
    moments += [(outcome.at, 0, outcome.session, outcome) for outcome in outcomes]
    moments.sort(key=lambda moment: moment[:2])  # stable: equal moments keep their order
    alarms = 0
    standing: list[tuple[int, str]] = []  # open alarms: (moment, session), oldest first
    credited: list[tuple[int, OutcomeRecord]] = []
    for at, _, session, outcome in moments:
        standing = [alarm for alarm in standing if at - alarm[0] < window]
        if outcome is not None:
            if standing:
                credited.append((at - standing.pop()[0], outcome))
        elif all(alarm[1] != session for alarm in standing):
            alarms += 1
            standing.append((at, session))
    return alarms, credited


def _tally_together(tally: Tally, fired: dict[str, list[tuple[int, str]]], ruleset: Ruleset) -> None:
    if len(fired) < 2:
        return
    sessions = [(rule.id, {session for _, session in fired[rule.id]}) for rule in ruleset.rules if rule.id in fired]
    for index, (first, some) in enumerate(sessions):
        for second, others in sessions[index + 1 :]:
            both = len(some & others)
            if both:
                _count(tally.together, f"{first}\n{second}", both)


def _cents(outcome: OutcomeRecord) -> int:
    return round((outcome.amount or 0.0) * _CENTS)


def _count(counter: dict[str, int] | Counter[str], key: str, number: int = 1) -> None:
    counter[key] = counter.get(key, 0) + number
