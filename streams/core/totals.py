"""The exact totals: a pure fold over effects. Whoever folds the same effects, each id once, gets the same numbers.

1. A total is made of *lines*: one for each rule, arm and variant (and for the pseudo rule `programme`: all rules
   together, by the global holdout), one for each outcome, one for each funnel,
   version and arm. A line changes only when an effect that it counts is added.
2. `number` of a line is how many effects it has counted. It never falls, so of two writings of one line the one with
   the higher number is the newer.
3. Lines of several partitions are added up (`absorb`): sums, the earliest first time, the latest last time.
4. Money is in whole micro-units; no float is ever summed. A visitor's squared money grows by (b + a)² - b² with an
   outcome of a after b: the effect says b (see `CreditedExposure`).
5. What a visitor had instead of the rule's own outcome is counted when it happens, and taken back when the rule's own
   happens after all: the effects say which.
6. A rule that is gone from the files keeps its lines: what it was worth is still asked for. What bounds them is
   LINES_MAX; beyond it no line is begun, and `refused` says how many effects found none.
7. Another kind of effect to count, or of line, is an entry in `_FOLDS`, and one in `Line` (lines.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from streams.core.effects import Arm, CreditedExposure, Decision, Journey, OutcomeRecord, Receipt
from streams.core.funnel_totals import FunnelLine, absorb_funnel, count_journey, funnel_key, funnel_room
from streams.core.lines import (
    Credit,
    Line,
    OutcomeLine,
    Priced,
    RuleLine,
    decode_line,
    encode_line,
    line_key,
)
from streams.core.outcome import ALL_COSTS, PROGRAMME, micros_of
from streams.core.visitor import CREDITS_MAX

VERSIONS_MAX = 64  # of one rule in one line; exposures of the versions that follow have no version
LINES_MAX = 8_192  # of one partition: 1,000 rules with two arms and three variants
PRICES_MAX = 32  # versions of one outcome's cost; what is older is counted as `earlier`
EARLIER: Final = "earlier"

__all__ = [
    "COUNTED", "EARLIER", "LINES_MAX", "PRICES_MAX", "VERSIONS_MAX", "Credit", "Line", "OutcomeLine", "Priced",
    "RuleLine", "Totals", "decode_line", "encode_line", "line_key",
]  # fmt: skip

# Upper bounds of what JSON needs, in bytes: a line with its counters, and one entry of a map beside its name.
# 40 digits for a sum of squares, 20 for every other number.
_LINE_BYTES: Final = 640
_ENTRY_BYTES: Final = 144


class Totals:
    """The fold. `changed`: keys of the lines that have changed since `settle` was called last."""

    __slots__ = ("_room", "_room_changed", "changed", "lines", "refused")

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self.changed: set[str] = set()
        self.refused = 0
        self._room: dict[str, int] = {}
        self._room_changed = 0  # the sum of the changed lines'

    def add(self, effect: Any) -> None:
        """Count one effect; those of which no total speaks are passed over."""
        fold = _FOLDS.get(type(effect))
        if fold is not None:
            fold(self, effect)

    def restore(self, line: Line) -> None:
        """Take a stored line, unless the one that is here is as new."""
        key = line_key(line)
        known = self.lines.get(key)
        if known is None or line.number > known.number:
            self.lines[key] = line
            room = _room(key, line)
            if key in self.changed:
                self._room_changed += room - self._room[key]
            self._room[key] = room

    def absorb(self, lines: Iterable[Line]) -> None:
        """Add the lines of another partition."""
        for line in lines:
            mine = self.lines.get(line_key(line))
            if mine is None:
                self.lines[line_key(line)] = msgspec.convert(msgspec.to_builtins(line), Line)
            elif isinstance(mine, RuleLine):
                _add_rule(mine, line)
            elif isinstance(mine, FunnelLine):
                absorb_funnel(mine, line)  # type: ignore[arg-type]
            else:
                _add_outcome(mine, line)

    def room(self) -> int:
        """Upper bound of what the changed lines need, bytes, with their keys."""
        return self._room_changed

    def settle(self) -> dict[str, bytes]:
        """The changed lines, encoded, in the order of their keys; from now on they count as unchanged."""
        changed = {key: encode_line(self.lines[key]) for key in sorted(self.changed)}
        self.changed.clear()
        self._room_changed = 0
        return changed

    def rule_line(self, rule: str, arm: Arm, variant: str | None) -> RuleLine | None:
        """The line to count in, begun if need be; None when there are too many."""
        key = f"rule/{rule}/{arm}/{variant or ''}"
        line: Any = self.lines.get(key)
        if line is None and self._has_room():
            line = self._begin(key, RuleLine(rule, arm, variant or ""))
        self._count(key, line)
        return line  # type: ignore[no-any-return]  # the key says of which kind it is

    def outcome_line(self, outcome: str) -> OutcomeLine | None:
        """As `rule_line`."""
        key = f"outcome/{outcome}"
        line: Any = self.lines.get(key)
        if line is None and self._has_room():
            line = self._begin(key, OutcomeLine(outcome))
        self._count(key, line)
        return line  # type: ignore[no-any-return]  # the key says of which kind it is

    def journey(self, journey: Journey) -> None:
        """Count what a journey tells."""
        key = funnel_key(journey)
        line: Any = self.lines.get(key)
        if line is None and self._has_room():
            line = self._begin(key, FunnelLine(journey.funnel, journey.version, journey.arm))
        self._count(key, line)
        if line is not None:
            count_journey(line, journey)
            self._grow(key, _room(key, line) - self._room[key])

    def _has_room(self) -> bool:
        """Whether one more line may be begun; if not, one more effect is refused."""
        if len(self.lines) < LINES_MAX:
            return True
        self.refused += 1
        return False

    def _begin(self, key: str, line: Line) -> Line:
        self.lines[key] = line
        self._room[key] = _room(key, line)
        return line

    def _count(self, key: str, line: Any) -> None:
        """One more effect is counted in the line, if there is one."""
        if line is not None:
            line.number += 1
            if key not in self.changed:
                self.changed.add(key)
                self._room_changed += self._room.get(key, 0)

    def grew(self, line: Line, name: str) -> None:
        """A map of the line, which is a changed one, has a new entry."""
        self._grow(line_key(line), len(name.encode()) + _ENTRY_BYTES)

    def _grow(self, key: str, more: int) -> None:
        self._room[key] += more
        self._room_changed += more


def _room(key: str, line: Line) -> int:
    """Upper bound of a stored line's bytes: its fields' names, its own names twice (key and value), its entries."""
    if isinstance(line, FunnelLine):
        return _LINE_BYTES + 2 * len(key.encode()) + funnel_room(line)
    entries = sum(len(name.encode()) + _ENTRY_BYTES for names in _maps(line) for name in names)
    return _LINE_BYTES + 2 * len(key.encode()) + entries


def _maps(line: RuleLine | OutcomeLine) -> tuple[dict[str, Any], ...]:
    if isinstance(line, RuleLine):
        return line.decisions, line.receipts, line.outcomes, line.instead, line.versions
    return (line.prices,)


def _count(totals: Totals, line: RuleLine, counts: dict[str, int], name: str, more: int = 1) -> None:
    known = counts.get(name)
    if known is None:
        totals.grew(line, name)
        known = 0
    counts[name] = known + more


def _expose(line: RuleLine, at: int) -> None:
    line.exposed += 1
    line.first_at = min(line.first_at or at, at)
    line.last_at = max(line.last_at, at)


def _decision(totals: Totals, decision: Decision) -> None:
    line = totals.rule_line(decision.rule, decision.arm, decision.variant)
    if line is not None:
        _count(totals, line, line.decisions, decision.kind + (f":{decision.reason}" if decision.reason else ""))
        line.target = decision.prevents or decision.promotes or line.target
        if decision.exposure:
            _expose(line, decision.at)
            if decision.version in line.versions or len(line.versions) < VERSIONS_MAX:
                _count(totals, line, line.versions, decision.version)
    if decision.programme is not None:
        whole = totals.rule_line(PROGRAMME, decision.programme, None)
        if whole is not None:
            _expose(whole, decision.at)


def _receipt(totals: Totals, receipt: Receipt) -> None:
    line = totals.rule_line(receipt.rule, "treated", receipt.variant)
    if line is not None:
        _count(totals, line, line.receipts, receipt.kind)
        line.nudge_micros += receipt.cost_micros


def _outcome(totals: Totals, record: OutcomeRecord) -> None:
    micros = micros_of(record.amount)
    line = totals.outcome_line(record.outcome)
    if line is not None:
        line.kind, line.currency = record.kind, record.currency
        line.unattributed += not record.exposures
        line.unpriced += record.amount is None
        line.micros += micros
        line.first_at = min(line.first_at or record.at, record.at)
        line.last_at = max(line.last_at, record.at)
        _price(totals, line, record, micros)
    for exposure in record.exposures:
        _credit(totals, exposure, record, micros)
    if record.programme is not None:
        _credit(totals, record.programme, record, micros)


def _price(totals: Totals, line: OutcomeLine, record: OutcomeRecord, micros: int) -> None:
    prices = line.prices
    if record.price not in prices:
        if len(prices) - (EARLIER in prices) >= PRICES_MAX:
            oldest = prices.pop(next(version for version in prices if version != EARLIER))
            totals.grew(line, EARLIER)
            _add_price(prices.setdefault(EARLIER, Priced()), oldest)
        totals.grew(line, record.price)
        prices[record.price] = Priced()
    _add_price(prices[record.price], Priced(1, micros, record.at))


def _credit(totals: Totals, exposure: CreditedExposure, record: OutcomeRecord, micros: int) -> None:
    line = totals.rule_line(exposure.rule, exposure.arm, exposure.variant)
    if line is None:
        return
    unpriced = record.amount is None
    _add_share(totals, line, record.outcome, exposure.before, exposure.before_micros, micros, unpriced)
    if record.kind == "anti_conversion":
        _add_share(totals, line, ALL_COSTS, exposure.costs_before, exposure.costs_before_micros, micros, unpriced)
    if exposure.instead:
        _count(totals, line, line.instead, record.outcome)
    for other in exposure.also:
        _count(totals, line, line.instead, other, -1)


def _add_share(
    totals: Totals, line: RuleLine, outcome: str, before: int, before_micros: int, micros: int, unpriced: bool
) -> None:
    share = line.outcomes.get(outcome)
    if share is None:
        if len(line.outcomes) >= 2 * CREDITS_MAX:  # names that outcomes.yaml has had over the years
            totals.refused += 1
            return
        totals.grew(line, outcome)
        share = line.outcomes[outcome] = Credit()
    share.visitors += before == 0
    share.outcomes += 1
    share.micros += micros
    share.squares += (before_micros + micros) ** 2 - before_micros**2
    share.unpriced += unpriced


_FOLDS: dict[type, Callable[[Totals, Any], None]] = {
    Decision: _decision, Receipt: _receipt, OutcomeRecord: _outcome,
    Journey: Totals.journey,
}
COUNTED = frozenset(_FOLDS)  # the kinds of effects that are counted


# --- sums over partitions ----------------------------------------------------------------------------------------


def _first(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


def _add_price(mine: Priced, other: Priced) -> None:
    mine.outcomes += other.outcomes
    mine.micros += other.micros
    mine.first_at = _first(mine.first_at, other.first_at)


def _add_rule(mine: RuleLine, other: Any) -> None:
    mine.number += other.number
    mine.exposed += other.exposed
    mine.nudge_micros += other.nudge_micros
    mine.first_at = _first(mine.first_at, other.first_at)
    mine.last_at = max(mine.last_at, other.last_at)
    mine.target = mine.target or other.target
    for counts, more in zip(_counts(mine), _counts(other), strict=True):
        for name, count in more.items():
            counts[name] = counts.get(name, 0) + count
    for name, share in other.outcomes.items():
        own = mine.outcomes.setdefault(name, Credit())
        own.visitors += share.visitors
        own.outcomes += share.outcomes
        own.micros += share.micros
        own.squares += share.squares
        own.unpriced += share.unpriced


def _counts(line: RuleLine) -> tuple[dict[str, int], ...]:
    return line.decisions, line.receipts, line.instead, line.versions


def _add_outcome(mine: OutcomeLine, other: Any) -> None:
    mine.number += other.number
    mine.unattributed += other.unattributed
    mine.unpriced += other.unpriced
    mine.micros += other.micros
    mine.first_at = _first(mine.first_at, other.first_at)
    mine.last_at = max(mine.last_at, other.last_at)
    for version, priced in other.prices.items():
        _add_price(mine.prices.setdefault(version, Priced()), priced)
