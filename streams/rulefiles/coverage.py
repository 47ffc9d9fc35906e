"""What the tests beside a rule exercise: which of its conditions were seen to hold, and which not to.

1. The engine is watched, not imitated: whenever it asks a rule's tree, every condition of it is asked too, with the
   same session, moment and matches; and once more after every step, as the engine asks only when something changed.
2. A condition is covered when it was seen both ways. What was never seen to hold may be a typing mistake; what was
   never seen not to hold may be a condition that changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from streams.core.definition import Mark, RuleDefinition
from streams.core.event import MISSING
from streams.core.explain import answers, branches, in_words
from streams.core.nodes import NONE, Keys, WatchedNode
from streams.core.ruleset import Ruleset
from streams.core.visitor import Session, Visitor


@dataclass(frozen=True, slots=True)
class ConditionSeen:
    """One condition that stands alone, at one moment: its letter in the timeline, its value, whether it holds."""

    letter: str
    value: Any
    holds: bool


class Observer:
    """Watches the first rule of a ruleset, which must be nobody else's."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._rule = rule = ruleset.rules[0]
        self.branches = branches(rule.definition.when, rule.tree)
        self.sides: list[set[bool]] = [set() for _ in self.branches]
        self._hits: set[int] = set()
        # The ruleset knows the rule by its identity, so the tree is changed in place.
        object.__setattr__(rule, "tree", replace(rule.tree, root=WatchedNode(rule.tree.root, self._asked)))

    def _asked(self, session: Session, at: int, hits: Keys, muted: Keys) -> None:
        # With NONE the engine asks for what would hold without the event at hand: nothing that anybody sees.
        if hits is not NONE and muted is NONE:
            self._hits.update(hits)
            self._note(answers(self.branches, session, at, hits))

    def _note(self, truth: Iterable[bool]) -> None:
        for sides, holds in zip(self.sides, truth, strict=True):
            sides.add(holds)

    def after_step(self, state: Visitor | None, at: int) -> tuple[ConditionSeen, ...]:
        """Look at everything after a step; returns the conditions that stand alone. `at` in ms."""
        sessions = state.sessions if state is not None else []
        session = max(sessions, key=lambda session: session.last, default=None) or Session(id="", start=at, last=at)
        truth = answers(self.branches, session, at, self._hits)
        self._hits = set()
        self._note(truth)
        seen = []
        for letter, (branch, holds) in zip(self._letters(), zip(self.branches, truth, strict=True), strict=True):
            if branch.leaf is not None:
                value = branch.leaf.value(session, at)
                seen.append(ConditionSeen(letter, None if value is MISSING else value, holds))
        return tuple(seen)

    def legend(self) -> list[tuple[str, str]]:
        """The letters of the conditions that stand alone, with their words."""
        named = zip(self._letters(), self.branches, strict=True)
        return [(letter, in_words(branch.condition)) for letter, branch in named if branch.leaf is not None]

    def _letters(self) -> list[str]:
        """A letter a branch: a, b, ... for those that stand alone; empty for the others."""
        letters, count = [], 0
        for branch in self.branches:
            letters.append("" if branch.leaf is None else _letter(count))
            count += branch.leaf is not None
        return letters


def _letter(number: int) -> str:
    """A ... z, a1 ... z1, ..."""
    turn, place = divmod(number, 26)
    return "abcdefghijklmnopqrstuvwxyz"[place] + (str(turn) if turn else "")


@dataclass(frozen=True, slots=True)
class BranchCovered:
    """One condition of one rule. `holds` and `fails`: whether some test showed it holding, and not holding."""

    rule: str
    text: str
    mark: Mark
    holds: bool
    fails: bool

    def report(self) -> str:
        """One line that names what no test shows."""
        lacks = {
            (False, False): "looks at it at all", (False, True): "makes it hold", (True, False): "makes it not hold",
        }[self.holds, self.fails]  # fmt: skip
        return f"{self.mark}: {self.rule}: no test {lacks}: {self.text}"


class Coverage:
    """The coverage of all rules, over all their tests."""

    def __init__(self) -> None:
        self._sides: dict[str, list[set[bool]]] = {}
        self._branches: dict[str, tuple[Any, ...]] = {}

    def know(self, observer: Observer, rule: RuleDefinition) -> None:
        """Add what `observer` has seen of `rule`; with nothing seen yet, the rule is known to be there."""
        total = self._sides.setdefault(rule.id, [set() for _ in observer.sides])
        for whole, part in zip(total, observer.sides, strict=True):
            whole.update(part)
        self._branches[rule.id] = observer.branches

    def branches(self) -> list[BranchCovered]:
        """Every condition of every rule."""
        return [
            BranchCovered(rule, in_words(branch.condition), branch.condition.mark, True in sides, False in sides)
            for rule, total in self._sides.items()
            for branch, sides in zip(self._branches[rule], total, strict=True)
        ]

    def lacking(self) -> list[BranchCovered]:
        """The conditions that no test shows both ways."""
        return [branch for branch in self.branches() if not (branch.holds and branch.fails)]

    def summary(self) -> str:
        """How much of everything is shown."""
        every = self.branches()
        shown = sum(branch.holds + branch.fails for branch in every)
        return f"{shown} of {2 * len(every)} sides of {len(every)} conditions are shown by a test"
