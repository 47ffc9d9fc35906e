"""A condition tree compiled: leaves with state, and one function that says whether the tree holds.

1. Two conditions with the same definition are one leaf, whatever rules they stand in.
2. A leaf's key is a hash of its definition, so a rule's edit keeps the state of every condition it left alone.
3. What would need unbounded state is refused here, with the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from streams.core import definition as d
from streams.core.conditions import CountLeaf, Key, Leaf, MemoryLeaf
from streams.core.leaves import Bench, anchors, make_leaf, rises
from streams.core.matcher import (
    Predicate,
    compile_predicate,
    listens_to,
    split_path,
    step_value,
    value_problem,
)
from streams.core.nodes import AllNode, AnyNode, Keys, LateNode, LeafNode, MatchNode, Node, NotNode, PulseNode
from streams.core.score import ENTRIES_MAX, POINTS_MAX, ScoreLeaf
from streams.core.session import Session
from streams.core.signals import SignalOptions


class Finding(NamedTuple):
    """Something wrong with a definition: where it stands, and a sentence for its author."""

    mark: d.Mark
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """A leaf and the matchers through which it hears of events: (matcher, its predicate, its mask)."""

    leaf: Leaf
    matchers: tuple[tuple[d.Matcher, Predicate | None, int], ...]

    def heard(self, event_type: str) -> tuple[tuple[d.Matcher, Predicate | None, int], ...]:
        """What of it an event of this type can match."""
        return tuple(heard for heard in self.matchers if listens_to(heard[0], event_type))


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A compiled condition. `timed` are the leaves whose moments the engine has to wait for."""

    root: Node
    leaves: tuple[Leaf, ...]
    timed: tuple[Leaf, ...]
    pulses: frozenset[int]  # keys of the leaves whose new match is a new edge
    momentary: bool  # some part holds only while the event is at hand
    anchors: tuple[d.Matcher, ...]  # the events that can have led here

    def holds(self, session: Session, at: int, hits: Keys, muted: Keys) -> bool:
        """Whether it holds: see `Node.holds`."""
        return self.root.holds(session, at, hits, muted)


def definition_text(value: object) -> str:
    """A canonical text of a definition: equal for definitions that mean the same. Marks are not part of it."""
    return repr(value)


@dataclass(frozen=True, slots=True, eq=False)
class Award:
    """Entry number `entry` of a score: when `tree` begins to hold, its leaf gets the points."""

    key: int
    leaf: ScoreLeaf
    entry: int
    points: float
    tree: Tree


class TreeCompiler:
    """Compiles conditions into shared leaves; collects findings instead of stopping at the first."""

    def __init__(
        self, lateness_ms: int, session_timeout_ms: int = 30 * 60_000, signals: SignalOptions | None = None
    ) -> None:
        """`lateness_ms`: how late an event may come and still count for conditions."""
        self._bench = Bench(lateness_ms, session_timeout_ms, signals or SignalOptions(), self.refuse)
        self.awards: list[Award] = []
        self._scope = ""
        self.leaves: dict[str, Leaf] = {}
        self.listeners: dict[int, Listener] = {}
        self.findings: list[Finding] = []
        self._keys: dict[int, str] = {}
        self._negated: set[d.Condition] = set()  # of the tree at hand
        self._memories: dict[str, MemoryLeaf] = {}

    def key(self, text: str) -> int:
        """A 32-bit key for a definition; the rare collision moves on deterministically."""
        salt = 0
        while True:
            key = int.from_bytes(blake2b(f"{text}#{salt}".encode(), digest_size=4).digest(), "big")
            if self._keys.setdefault(key, text) == text:
                return key
            salt += 1

    def refuse(self, mark: d.Mark, message: str) -> None:
        """Note something wrong."""
        self.findings.append(Finding(mark, message))

    def compile(self, condition: d.Condition, names: frozenset[str] = frozenset(), scope: str = "") -> Tree:
        """The tree of `condition`; `names` are the ``steps.NAME.path`` placeholders that will be asked for.

        `scope`: part of the keys of its leaves, so that it shares them, and their state, with no other scope.
        """
        before = self._scope, self._negated
        leaves: dict[int, Leaf] = {}
        self._scope, self._negated = scope, {node for node, positive in _walk(condition, True) if not positive}
        root = self._node(condition, leaves, names)
        self._scope, self._negated = before
        every = tuple(leaves.values())
        rising = any(rises(node, positive) for node, positive in _walk(condition, True))
        return Tree(
            root=root,
            leaves=every,
            timed=tuple(leaf for leaf in every if leaf.clocked or leaf.at_end or (rising and leaf.windowed)),
            pulses=frozenset(leaf.key for leaf in every if leaf.pulse or leaf.matching or _completes_late(leaf)),
            momentary=any(leaf.pulse for leaf in every),
            anchors=tuple(dict.fromkeys(self._anchors(condition))),
        )

    def _anchors(self, condition: d.Condition) -> Iterator[d.Matcher]:
        for node, positive in _walk(condition, True):
            if positive:
                yield from anchors(node, self._bench.signals)
            if isinstance(node, d.Score):
                for entry in node.entries:
                    yield from self._anchors(entry.when)

    def memory(self, matcher: d.Matcher, path: str) -> MemoryLeaf:
        """The leaf that remembers the last value of `path` in the events of `matcher`."""
        alone = tuple(test for test in matcher.where if step_value(test) is None)
        matcher = d.Matcher(matcher.types, alone)
        text = f"memory {definition_text(matcher)} {path}"
        leaf = self._memories.get(text)
        if leaf is None:
            leaf = self._memories[text] = MemoryLeaf(self.key(text), split_path(path))
            self._register(text, leaf, ((matcher, 1),))
        return leaf

    def _changed_memory_key(self, matcher: d.Matcher, test: d.FieldTest) -> Key:
        # Compared with the event of the same types before, whatever else that one had.
        return self.memory(d.Matcher(matcher.types), test.field).key

    def predicate(self, matcher: d.Matcher, of_step: bool = False) -> Predicate | None:
        """The compiled `where` of a matcher. `of_step`: of a sequence, which alone can compare with its steps."""
        for test in matcher.where:
            problem = None if test.operator is d.Operator.SAME_AS else value_problem(test)
            if step_value(test) is not None and not of_step:
                problem = f"`{test.operator}` compares with an earlier step: it stands in a sequence's step"
            if problem is not None:
                self.refuse(test.mark, problem)
                return None
        return compile_predicate(matcher, self._changed_memory_key)

    def _register(
        self, text: str, leaf: Leaf, matchers: tuple[tuple[d.Matcher, int], ...], of_steps: bool = False
    ) -> None:
        self.leaves[text] = leaf
        compiled = tuple((matcher, self.predicate(matcher, of_steps), mask) for matcher, mask in matchers)
        self.listeners[leaf.key] = Listener(leaf, compiled)

    def _node(self, condition: d.Condition, leaves: dict[int, Leaf], names: frozenset[str]) -> Node:
        match condition:
            case d.All(parts):
                return AllNode(tuple(self._node(part, leaves, names) for part in parts))
            case d.AnyOf(parts):
                return AnyNode(tuple(self._node(part, leaves, names) for part in parts))
            case d.Not(part):
                return NotNode(self._node(part, leaves, names))
        leaf = self._leaf(condition, names)
        leaves[leaf.key] = leaf
        if leaf.pulse:
            return PulseNode(leaf)
        if leaf.matching:
            return MatchNode(leaf)
        return LateNode(leaf) if _completes_late(leaf) else LeafNode(leaf)

    def _leaf(self, condition: d.Condition, names: frozenset[str]) -> Leaf:
        text, negated = definition_text(condition), False
        if isinstance(condition, d.Sequence):
            text += "".join(sorted(name for name in names if name.split(".")[0] in {s.name for s in condition.steps}))
        elif isinstance(condition, d.Idle) and condition in self._negated:
            text, negated = f"negated {text}", True
        text = self._scope + text
        known = self.leaves.get(text)
        if known is not None:
            return known
        key = self.key(text)
        if isinstance(condition, d.Score):
            return self._score(key, text, condition)
        leaf, matchers = make_leaf(key, condition, self._bench, names, negated)
        self._register(text, leaf, matchers, of_steps=isinstance(condition, d.Sequence))
        return leaf

    def _score(self, key: int, text: str, condition: d.Score) -> Leaf:
        leaf = ScoreLeaf(key, condition.at_least, tuple(entry.half_life_ms for entry in condition.entries))
        self.leaves[text] = leaf
        if not 1 <= len(condition.entries) <= ENTRIES_MAX:
            self.refuse(condition.mark, f"a score has 1 to {ENTRIES_MAX} entries, not {len(condition.entries)}")
        for number, entry in enumerate(condition.entries):
            if not 0 < entry.points <= POINTS_MAX:
                self.refuse(entry.mark, f"an entry's points lie above 0 and up to {POINTS_MAX}, not {entry.points}")
            if any(isinstance(node, d.Score) for node, _ in _walk(entry.when, True)):
                self.refuse(entry.mark, "a score's entry cannot have a score in it")
                continue
            tree = self.compile(entry.when, scope=self._scope)
            self.awards.append(Award(self.key(f"award {number} of {text}"), leaf, number, entry.points, tree))
        return leaf


def _completes_late(leaf: Leaf) -> bool:
    """Whether a late event can complete a window of it that is over by now."""
    return isinstance(leaf, CountLeaf) and leaf.within is not None and leaf.at_most is None and leaf.at_least > 1


def _walk(condition: d.Condition, positive: bool) -> Iterator[tuple[d.Condition, bool]]:
    match condition:
        case d.All(parts) | d.AnyOf(parts):
            for part in parts:
                yield from _walk(part, positive)
        case d.Not(part):
            yield from _walk(part, not positive)
        case _:
            yield condition, positive
