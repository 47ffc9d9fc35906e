"""The end of a sequence that waits for silence: ``{quiet: D}`` as its last step.

When the steps are complete, a clock starts at the last of them, one for each match. A violating event (any, or one of
`of`) stops the clocks that started at or before it; a clock that has run for D is a match, by timer. It holds until the
next violating event.

State: ``[last step of the match that holds, or None; matches; [values, compared values, waiting, violations]; marks]``.
Waiting is ``[[last step, values, compared values], ...]``; violations are remembered while a match from before them may
still be completed late.
"""

from __future__ import annotations

from typing import Any, ClassVar

from streams.core.conditions import ANCHORS_MAX, CHANGED, FRESH, SAME
from streams.core.event import Event
from streams.core.sequence import SequenceLeaf, SequencePlan, StepTest, captured
from streams.core.session import NEVER, Session


class QuietLeaf(SequenceLeaf):
    """The steps of `plan`, and then silence for `span`. `bit`: the mask of violating events; `tests` are theirs."""

    __slots__ = ("_compared", "bit", "span", "tests")
    windowed: ClassVar[bool] = False

    def __init__(self, key: int, plan: SequencePlan, span: int, bit: int, tests: tuple[StepTest, ...]) -> None:
        super().__init__(key, plan, clocked=True)
        self.span = span
        self.bit = bit
        self.tests = tests
        self._compared = tuple((test.other, test.theirs) for test in tests)

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        state = session.states.get(self.key)
        if state is None:
            state = session.states[self.key] = [None, 0, [None, None, [], []]]
        change = SAME
        if mask & self.bit:
            own = [captured(event, self.plan.captures[test.own], mask) for test in self.tests]
            change = self._violate(state, [ts, own], session.last)
        if mask != self.bit:
            super().feed(session, mask & ~self.bit, ts, event)
        return change

    def _violate(self, state: list[Any], violation: list[Any], last: int) -> int:
        details = state[2]
        recent = [known for known in details[3] if last - known[0] <= self.plan.lateness]
        details[3] = sorted([*recent, violation], key=lambda known: known[0])[-ANCHORS_MAX:]
        ts = violation[0]
        details[2] = [
            one for one in details[2] if not (one[0] <= ts < one[0] + self.span and self._breaks(violation, one[2]))
        ]
        if state[0] is None or ts < state[0] or not self._breaks(violation, details[1]):
            return SAME
        state[0] = None
        return CHANGED

    def _breaks(self, violation: list[Any], compared: list[Any]) -> bool:
        """Whether the violating event passes the tests against the steps of one match."""
        return all(
            test.passes(own, theirs) for test, own, theirs in zip(self.tests, violation[1], compared, strict=True)
        )

    def _note(self, state: list[Any], chosen: list[int]) -> None:
        last = state[chosen[-1]][0]
        compared = [state[chosen[step]][2][capture] for step, capture in self._compared]
        details = state[2]
        if any(last < known[0] < last + self.span and self._breaks(known, compared) for known in details[3]):
            return  # it came late, and the silence after it was broken already
        waiting = [*details[2], [last, self._shown(state, chosen), compared]]
        details[2] = sorted(waiting, key=lambda one: one[0])[-ANCHORS_MAX:]

    def holds(self, session: Session, at: int) -> bool:
        state = session.states.get(self.key)
        return state is not None and state[0] is not None

    def next_change(self, session: Session) -> int:
        state = session.states.get(self.key)
        return NEVER if state is None or not state[2][2] else int(state[2][2][0][0]) + self.span

    def wake(self, session: Session, at: int, ending: bool) -> int:
        if self.next_change(session) > at:
            return SAME
        state = session.states[self.key]
        details = state[2]
        while details[2] and details[2][0][0] + self.span <= at:
            state[0], details[0], details[1] = details[2].pop(0)
            state[1] += 1
        return CHANGED | FRESH

    def bound(self) -> int:
        each = len(self.plan.names) + len(self.tests)
        return super().bound() + each + ANCHORS_MAX * (2 + each + len(self.tests))

    def match_values(self, session: Session) -> Any:
        state = session.states.get(self.key)
        return None if state is None else state[2][0]
