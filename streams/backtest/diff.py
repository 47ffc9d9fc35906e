"""Which visitors two rule sets decide differently, with examples. Both saw the same events."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import msgspec

from streams.backtest.play import Played
from streams.core.effects import Suggestion
from streams.core.event import Event

EXAMPLES_PER_RULE_MAX = 5
EXAMPLE_EVENTS_MAX = 12  # up to the decision: enough to see why


class Choice(msgspec.Struct, frozen=True):
    """A decision as far as it concerns the visitor."""

    kind: str
    reason: str | None = None
    text: str | None = None  # what he would read, and where


class Example(msgspec.Struct, frozen=True):
    """One decision that came out differently. None: that rule set decided nothing here."""

    rank: int  # the visitor's place in an order that depends on nothing but his id
    visitor: str
    session: str
    rule: str
    at: int
    before: Choice | None
    after: Choice | None
    events: list[tuple[int, str]]  # (ms, type) of what led there, the last one the latest


class RuleDiff(msgspec.Struct):
    """Of one rule: decisions that are gone, new, or changed, and of how many visitors."""

    visitors: int = 0
    gone: int = 0
    new: int = 0
    changed: int = 0
    examples: list[Example] = []


class DiffTally(msgspec.Struct):
    """Of any number of visitors; two of them can be added."""

    visitors: int = 0
    different: int = 0
    rules: dict[str, RuleDiff] = {}

    def add(self, other: DiffTally) -> None:
        """Take `other` in."""
        self.visitors += other.visitors
        self.different += other.different
        for name, theirs in other.rules.items():
            mine = self.rules.setdefault(name, RuleDiff())
            mine.visitors += theirs.visitors
            mine.gone += theirs.gone
            mine.new += theirs.new
            mine.changed += theirs.changed
            mine.examples = _first(mine.examples + theirs.examples)


Key = tuple[int, str, str, str]


def compare(tally: DiffTally, visitor: str, events: Sequence[Event], *, before: Played, after: Played) -> None:
    """Add what was decided differently for one visitor."""
    tally.visitors += 1
    if not before.decisions and not after.decisions:
        return
    old, new = _choices(before), _choices(after)
    if old == new:
        return
    tally.different += 1
    seen: set[str] = set()
    for key in sorted(old.keys() | new.keys()):
        was, is_ = old.get(key), new.get(key)
        if was == is_:
            continue
        at, rule, session, _ = key
        kept = tally.rules.setdefault(rule, RuleDiff())
        kept.visitors += rule not in seen
        kept.gone += is_ is None
        kept.new += was is None
        kept.changed += was is not None and is_ is not None
        if rule not in seen:  # one example a visitor and rule
            rank = crc32(visitor.encode())
            if len(kept.examples) < EXAMPLES_PER_RULE_MAX or rank <= kept.examples[-1].rank:
                led = [(event.ts, event.type) for event in events if event.ts <= at][-EXAMPLE_EVENTS_MAX:]
                kept.examples = _first([*kept.examples, Example(rank, visitor, session, rule, at, was, is_, led)])
        seen.add(rule)


def _first(examples: list[Example]) -> list[Example]:
    return sorted(examples, key=lambda example: (example.rank, example.visitor))[:EXAMPLES_PER_RULE_MAX]


def _choices(played: Played) -> dict[Key, Choice]:
    texts = {suggestion.id: _text(suggestion) for suggestion in played.suggestions}
    return {
        (decision.at, decision.rule, decision.session, decision.trigger): Choice(
            decision.kind,
            None if decision.reason is None else str(decision.reason),
            texts.get(decision.suggestion) if decision.suggestion else None,
        )
        for decision in played.decisions
    }


def _text(suggestion: Suggestion) -> str:
    texts = (suggestion.title, suggestion.body, suggestion.action_label)
    shown = [f"{language}: {text}" for by_language in texts for language, text in by_language.items()]
    return " | ".join([suggestion.placement, *shown, suggestion.action_href or ""])
