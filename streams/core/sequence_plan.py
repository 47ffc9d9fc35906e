"""A sequence's definition -> its plan, and the matchers through which it hears of events.

A mark's mask has a bit for each step (a step of `times: n` is n steps), then one for each matcher that forbids
something, then one for what breaks the silence at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from streams.core import definition as d
from streams.core.conditions import ALIKE_MAX
from streams.core.matcher import split_path, step_test, step_value
from streams.core.quiet import QuietLeaf
from streams.core.sequence import Capture, Guard, SequenceLeaf, SequencePlan, StepTest

STEPS_MAX = 8  # in one sequence; the search for a match is exponential in it at worst
EVENTS_MAX = 16  # of all steps with their `times`; marks of one kind are kept twice as many
EVERY = d.Matcher(("*",))

Refuse = Callable[[d.Mark, str], None]
Heard = tuple[tuple[d.Matcher, int], ...]


def sequence_leaf(
    key: int, condition: d.Sequence, names: frozenset[str], lateness: int, refuse: Refuse
) -> tuple[SequenceLeaf, Heard]:
    """The leaf, and (matcher, mask) of each event that concerns it."""
    return _Planner(condition, refuse).leaf(key, names, lateness)


class _Planner:
    """Plans one sequence."""

    def __init__(self, condition: d.Sequence, refuse: Refuse) -> None:
        self.condition = condition
        self.refuse = refuse
        self.steps = condition.steps
        self.ends = [end - 1 for end in accumulate(step.times for step in self.steps)]  # each step's last event
        self.length = self.ends[-1] + 1 if self.ends else 0
        self.matchers: list[tuple[d.Matcher, int]] = []
        self.captures = _Captures()
        self._check()

    def _check(self) -> None:
        steps, mark = self.steps, self.condition.mark
        least = 1 if self.condition.quiet is not None or self.length > 1 else 2
        if not least <= len(steps) <= STEPS_MAX:
            self.refuse(mark, f"a sequence has 2 to {STEPS_MAX} steps, not {len(steps)}")
        if self.length > EVENTS_MAX:
            self.refuse(mark, f"a sequence waits for {EVENTS_MAX} events at most, `times` included, not {self.length}")

    def _first(self, number: int) -> int:
        """The first event of step `number`."""
        return self.ends[number] - self.steps[number].times + 1

    def leaf(self, key: int, names: frozenset[str], lateness: int) -> tuple[SequenceLeaf, Heard]:
        """The leaf and what it hears."""
        gaps: list[tuple[int, int] | None] = [None] * self.length
        forbids = [0] * self.length
        guards: list[Guard] = []
        tests: list[StepTest] = []
        for number, step in enumerate(self.steps):
            first, end = self._first(number), self.ends[number]
            for event in range(first, end + 1):
                self.matchers.append((step.matcher, 1 << event))
                tests += self._tests(step.matcher, number, event, event)
            if step.within_ms is not None:
                gaps[first] = (step.within_ms, end)
        self._bit = self.length
        for number, step in enumerate(self.steps):
            first, end = self._first(number), self.ends[number]
            for forbidden in step.forbid:
                guard = self._guard(forbidden, number, end, None)
                if guard.tests:
                    guards.append(guard)
                else:  # the search itself stops there
                    for event in range(first, end + 1):
                        forbids[event] |= guard.bit
            if step.after is not None:
                guards.append(self._guard(step.after.of or EVERY, number, first, step.after.for_ms))
        if self.condition.contiguity == "strict":
            self._hear(EVERY)  # every event is a mark: any in between ends a match
        quiet = self.condition.quiet
        last = self._hear(quiet.of or EVERY) if quiet is not None else 0
        quiet_tests = () if quiet is None else tuple(self._tests(quiet.of or EVERY, len(self.steps), -1, self._bit - 1))
        shown = tuple(self._names(names))
        plan = SequencePlan(
            length=self.length,
            within=self.condition.within_ms,
            gaps=tuple(gaps),
            strict=self.condition.contiguity == "strict",
            lateness=lateness,
            forbids=tuple(forbids),
            alike=max(ALIKE_MAX, 2 * max((step.times for step in self.steps), default=1)),
            tests=tuple(tests),
            guards=tuple(guards),
            captures=self.captures.made(),
            names=shown,
        )
        if quiet is None:
            return SequenceLeaf(key, plan), tuple(self.matchers)
        return QuietLeaf(key, plan, quiet.for_ms, last, quiet_tests), tuple(self.matchers)

    def _hear(self, matcher: d.Matcher) -> int:
        """A bit of its own for events that are no step."""
        bit = 1 << self._bit
        self.matchers.append((matcher, bit))
        self._bit += 1
        return bit

    def _guard(self, matcher: d.Matcher, number: int, upto: int, span: int | None) -> Guard:
        bit = self._hear(matcher)
        tests = tuple(self._tests(matcher, number, -1, self._bit - 1))
        before = self._first(number) - 1
        return Guard(bit, before, upto, span, tests, min([before, *(test.other for test in tests)]))

    def _tests(self, matcher: d.Matcher, number: int, event: int, bit: int) -> Iterator[StepTest]:
        """The matcher's comparisons with steps before step `number`."""
        named = {step.name: index for index, step in enumerate(self.steps[:number]) if step.name}
        for test in matcher.where:
            value = step_value(test)
            if value is None:
                continue
            other = named.get(value.step)
            if other is None:
                written = test.value if test.operator is d.Operator.SAME_AS else f"{{step: {value.step}.{value.field}}}"
                self.refuse(
                    test.mark,
                    f"`{test.operator}: {written}`: there is no earlier step named `{value.step}` in this sequence",
                )
                continue
            equality = test.operator in (d.Operator.SAME_AS, d.Operator.EQ, d.Operator.NE)
            own = self.captures.number(test.field, bit, shown=not equality)
            theirs = self.captures.number(value.field, self.ends[other], shown=not equality)
            yield StepTest(event, own, self.ends[other], theirs, step_test(test.operator))

    def _names(self, names: frozenset[str]) -> Iterator[tuple[str, int, int]]:
        for step, end in zip(self.steps, self.ends, strict=True):
            for name in sorted(names):
                head, _, path = name.partition(".")
                if head == step.name:
                    yield name, end, self.captures.number(path, end, shown=True)


class _Captures:
    """The fields that a sequence's marks have to remember, each with the bits of the mask for which it is asked."""

    def __init__(self) -> None:
        self._masks: dict[tuple[str, bool], int] = {}

    def number(self, path: str, bit: int, *, shown: bool) -> int:
        """The number of the capture of `path`, also for `bit` from now on."""
        self._masks[path, shown] = self._masks.get((path, shown), 0) | 1 << bit
        return list(self._masks).index((path, shown))

    def made(self) -> tuple[Capture, ...]:
        """All of them, in the order of their numbers."""
        return tuple(Capture(split_path(path), mask, shown) for (path, shown), mask in self._masks.items())
