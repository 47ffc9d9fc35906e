"""A condition tree compiled: leaves with state, and one function that says whether the tree holds.

1. Two conditions with the same definition are one leaf, whatever rules they stand in.
2. A leaf's key is a hash of its definition, so a rule's edit keeps the state of every condition it left alone.
3. What would need unbounded state is refused here, with the line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from streams.core import definition as d
from streams.core.conditions import (
    COUNT_MAX,
    CountLeaf,
    EventLeaf,
    IdleLeaf,
    Leaf,
    MemoryLeaf,
    MissingLeaf,
    SessionLeaf,
)
from streams.core.event import Event
from streams.core.matcher import (
    Predicate,
    compile_predicate,
    listens_to,
    split_path,
    value_problem,
)
from streams.core.sequence import Capture, SameAs, SequenceLeaf, SequencePlan
from streams.core.session_fields import session_problem, session_test
from streams.core.visitor import Session

STEPS_MAX = 8  # in one sequence; the search for a match is exponential in it at worst
EVERY_TYPE = ("*",)

Keys = set[int] | frozenset[int]
NONE: frozenset[int] = frozenset()

# (session, as of when, leaves with a new match in this step, leaves to be taken as not holding) -> whether it holds
Holds = Callable[[Session, int, Keys, Keys], bool]


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

    holds: Holds
    leaves: tuple[Leaf, ...]
    timed: tuple[Leaf, ...]
    pulses: frozenset[int]  # keys of the leaves whose new match is a new edge
    momentary: bool  # some part holds only while the event is at hand
    anchors: tuple[d.Matcher, ...]  # the events that can have led here


def definition_text(value: object) -> str:
    """A canonical text of a definition: equal for definitions that mean the same. Marks are not part of it."""
    return repr(value)


# Conditions that complete matches: each new one is a new edge.
_MATCHING = (SequenceLeaf, MissingLeaf, IdleLeaf)


class TreeCompiler:
    """Compiles conditions into shared leaves; collects findings instead of stopping at the first."""

    def __init__(self, lateness_ms: int) -> None:
        """`lateness_ms`: how late an event may come and still count for conditions."""
        self._lateness = lateness_ms
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

    def compile(self, condition: d.Condition, names: frozenset[str] = frozenset()) -> Tree:
        """The tree of `condition`; `names` are the ``steps.NAME.path`` placeholders that will be asked for."""
        leaves: dict[int, Leaf] = {}
        self._negated = {node for node, positive in _walk(condition, True) if not positive}
        holds = self._node(condition, leaves, names)
        every = tuple(leaves.values())
        rises = any(_rises(node, positive) for node, positive in _walk(condition, True))
        for node, _ in _walk(condition, True):
            for test in node.tests if isinstance(node, d.SessionTests) else ():
                problem = session_problem(test.field) or value_problem(test)
                if problem is not None:
                    self.refuse(test.mark, problem)
        always_timed = (MissingLeaf, IdleLeaf)
        windowed = (CountLeaf, SequenceLeaf)
        return Tree(
            holds=holds,
            leaves=every,
            timed=tuple(
                leaf for leaf in every if isinstance(leaf, always_timed) or (rises and isinstance(leaf, windowed))
            ),
            pulses=frozenset(leaf.key for leaf in every if leaf.pulse or isinstance(leaf, _MATCHING)),
            momentary=any(leaf.pulse for leaf in every),
            anchors=tuple(
                dict.fromkeys(m for node, positive in _walk(condition, True) if positive for m in _anchors(node))
            ),
        )

    def memory(self, matcher: d.Matcher, path: str) -> MemoryLeaf:
        """The leaf that remembers the last value of `path` in the events of `matcher`."""
        alone = tuple(test for test in matcher.where if test.operator is not d.Operator.SAME_AS)
        matcher = d.Matcher(matcher.types, alone)
        text = f"memory {definition_text(matcher)} {path}"
        leaf = self._memories.get(text)
        if leaf is None:
            leaf = self._memories[text] = MemoryLeaf(self.key(text), split_path(path))
            self._register(text, leaf, ((matcher, 1),))
        return leaf

    def _changed_memory_key(self, matcher: d.Matcher, test: d.FieldTest) -> int:
        # Compared with the event of the same types before, whatever else that one had.
        return self.memory(d.Matcher(matcher.types), test.field).key

    def predicate(self, matcher: d.Matcher, of_step: bool = False) -> Predicate | None:
        """The compiled `where` of a matcher. `of_step`: it is a step of a sequence, which alone can use `same_as`."""
        for test in matcher.where:
            if test.operator is d.Operator.SAME_AS:
                problem = None if of_step else "`same_as` compares with an earlier step: it stands in a sequence's step"
            else:
                problem = value_problem(test)
            if problem is not None:
                self.refuse(test.mark, problem)
                return None
        return compile_predicate(matcher, self._changed_memory_key)

    def _register(self, text: str, leaf: Leaf, matchers: tuple[tuple[d.Matcher, int], ...], steps: int = 0) -> None:
        """`steps`: how many of the matchers, the first ones, are steps of a sequence."""
        self.leaves[text] = leaf
        compiled = tuple((m, self.predicate(m, index < steps), mask) for index, (m, mask) in enumerate(matchers))
        self.listeners[leaf.key] = Listener(leaf, compiled)

    def _node(self, condition: d.Condition, leaves: dict[int, Leaf], names: frozenset[str]) -> Holds:
        match condition:
            case d.All(parts):
                every = tuple(self._node(part, leaves, names) for part in parts)
                if len(every) == 2:  # most trees; spares the generator
                    one, two = every
                    return lambda session, at, hits, muted: (
                        one(session, at, hits, muted) and two(session, at, hits, muted)
                    )
                return lambda session, at, hits, muted: all(part(session, at, hits, muted) for part in every)
            case d.AnyOf(parts):
                some = tuple(self._node(part, leaves, names) for part in parts)
                return lambda session, at, hits, muted: any(part(session, at, hits, muted) for part in some)
            case d.Not(part):
                inner = self._node(part, leaves, names)
                return lambda session, at, hits, muted: not inner(session, at, hits, muted)
        leaf = self._leaf(condition, names)
        leaves[leaf.key] = leaf
        key, leaf_holds = leaf.key, leaf.holds
        if leaf.pulse:
            return lambda session, at, hits, muted: key in hits and key not in muted
        if isinstance(leaf, _MATCHING):
            return lambda session, at, hits, muted: key not in muted and leaf_holds(session, at)
        return lambda session, at, hits, muted: leaf_holds(session, at)

    def _leaf(self, condition: d.Condition, names: frozenset[str]) -> Leaf:
        text = definition_text(condition)
        if isinstance(condition, d.Sequence):
            text += "".join(sorted(name for name in names if name.split(".")[0] in {s.name for s in condition.steps}))
        elif isinstance(condition, d.Idle) and condition in self._negated:
            text = f"negated {text}"
        known = self.leaves.get(text)
        if known is not None:
            return known
        key = self.key(text)
        match condition:
            case d.EventAtHand(matcher):
                leaf: Leaf = EventLeaf(key)
                matchers: tuple[tuple[d.Matcher, int], ...] = ((matcher, 1),)
            case d.Count(matcher, at_least, at_most, within):
                if max(at_least or 0, at_most or 0) > COUNT_MAX:
                    self.refuse(
                        condition.mark, f"counts beyond {COUNT_MAX} would need a state beyond its bound; count less"
                    )
                leaf, matchers = CountLeaf(key, at_least, at_most, within), ((matcher, 1),)
            case d.Sequence():
                leaf, matchers = self._sequence(key, condition, names)
            case d.Missing(matcher, after, span):
                leaf = MissingLeaf(key, span, self._lateness)
                matchers = ((matcher, MissingLeaf.VIOLATION), (after, MissingLeaf.ANCHOR))
            case d.Idle(span, after):
                leaf, matchers = IdleLeaf(key, span, after is not None), (((after, IdleLeaf.AFTER),) if after else ())
                if condition in self._negated:
                    matchers = (*matchers, (d.Matcher(EVERY_TYPE), IdleLeaf.ANY))
            case d.SessionTests(tests):
                leaf, matchers = SessionLeaf(key, tuple(map(session_test, tests))), ((d.Matcher(EVERY_TYPE), 1),)
            case _:
                raise TypeError(f"not a leaf: {condition!r}")
        self._register(text, leaf, matchers, len(condition.steps) if isinstance(condition, d.Sequence) else 0)
        return leaf

    def _sequence(
        self, key: int, condition: d.Sequence, names: frozenset[str]
    ) -> tuple[SequenceLeaf, tuple[tuple[d.Matcher, int], ...]]:
        steps = condition.steps
        if not 2 <= len(steps) <= STEPS_MAX:
            self.refuse(condition.mark, f"a sequence has 2 to {STEPS_MAX} steps, not {len(steps)}")
        matchers = [(step.matcher, 1 << index) for index, step in enumerate(steps)]
        forbids: list[int] = []
        bit = len(steps)
        for step in steps:
            mask = 0
            for forbidden in step.forbid:
                matchers.append((forbidden, 1 << bit))
                mask |= 1 << bit
                bit += 1
            forbids.append(mask)
        strict = condition.contiguity == "strict"
        if strict:
            matchers.append((d.Matcher(EVERY_TYPE), 1 << bit))  # every event is a mark: any in between ends a match
        captures = _Captures()
        plan = SequencePlan(
            length=len(steps),
            within=condition.within_ms,
            step_within=tuple(step.within_ms for step in steps),
            strict=strict,
            lateness=self._lateness,
            forbids=tuple(forbids),
            same_as=tuple(self._same_as(steps, captures)),
            names=tuple(_names(steps, names, captures)),
            captures=captures.made(),
        )
        return SequenceLeaf(key, plan), tuple(matchers)

    def _same_as(self, steps: tuple[d.Step, ...], captures: _Captures) -> Iterator[SameAs]:
        named = {step.name: index for index, step in enumerate(steps) if step.name}
        for index, step in enumerate(steps):
            for test in step.matcher.where:
                if test.operator is not d.Operator.SAME_AS:
                    continue
                name, _, path = str(test.value).partition(".")
                other = named.get(name)
                if other is None or other >= index:
                    self.refuse(
                        test.mark, f"`same_as: {test.value}`: there is no earlier step named `{name}` in this sequence"
                    )
                    continue
                own = captures.number(test.field, index, shown=False)
                yield SameAs(index, own, other, captures.number(path, other, shown=False))


class _Captures:
    """The fields that a sequence's marks have to remember, each with the steps for which it is asked."""

    def __init__(self) -> None:
        self._masks: dict[tuple[str, bool], int] = {}

    def number(self, path: str, step: int, *, shown: bool) -> int:
        """The number of the capture of `path`, also for `step` from now on."""
        self._masks[path, shown] = self._masks.get((path, shown), 0) | 1 << step
        return list(self._masks).index((path, shown))

    def made(self) -> tuple[Capture, ...]:
        """All of them, in the order of their numbers."""
        return tuple(Capture(split_path(path), mask, shown) for (path, shown), mask in self._masks.items())


def _names(steps: tuple[d.Step, ...], names: frozenset[str], captures: _Captures) -> Iterator[tuple[str, int, int]]:
    for index, step in enumerate(steps):
        for name in sorted(names):
            head, _, path = name.partition(".")
            if head == step.name:
                yield name, index, captures.number(path, index, shown=True)


def _walk(condition: d.Condition, positive: bool) -> Iterator[tuple[d.Condition, bool]]:
    match condition:
        case d.All(parts) | d.AnyOf(parts):
            for part in parts:
                yield from _walk(part, positive)
        case d.Not(part):
            yield from _walk(part, not positive)
        case _:
            yield condition, positive


def _rises(condition: d.Condition, positive: bool) -> bool:
    """Whether this leaf can begin to count in its tree's favour by time alone, other than by a match of its own."""
    match condition:
        case d.Count(_, at_least, at_most, within):
            return within is not None and (bool(at_least) if not positive else at_most is not None)
        case d.Sequence():
            return condition.within_ms is not None and not positive
    return False


def _anchors(condition: d.Condition) -> tuple[d.Matcher, ...]:
    match condition:
        case d.EventAtHand(matcher):
            return (matcher,)
        case d.Count(matcher, at_least):
            return (matcher,) if at_least else ()
        case d.Sequence(steps):
            return tuple(step.matcher for step in steps)
        case d.Missing(_, after):
            return (after,)
        case d.Idle(_, after):
            return (after,) if after else ()
    return ()


def mask_of(
    heard: tuple[tuple[d.Matcher, Predicate | None, int], ...],
) -> tuple[int, Callable[[Event, Session], int] | None]:
    """(constant mask, None) when nothing has to be tested, else (0, the function that tests)."""
    constant = 0
    tested: list[tuple[Predicate, int]] = []
    for _, predicate, mask in heard:
        if predicate is None:
            constant |= mask
        else:
            tested.append((predicate, mask))
    if not tested:
        return constant, None
    if len(tested) == 1 and not constant:
        only, bit = tested[0]
        return 0, lambda event, session: bit if only(event, session) else 0

    def test(event: Event, session: Session) -> int:
        found = constant
        for predicate, mask in tested:
            if predicate(event, session):
                found |= mask
        return found

    return 0, test
