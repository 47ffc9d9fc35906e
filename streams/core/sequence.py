"""The condition `sequence`: the steps in this order.

State: ``[match start, match number, names' values, mark, mark, ...]``. A mark is a remembered event
``[ts, mask, values]``: bit i of the mask means that it can be step i, the bits above the steps that it is forbidden
before step i. Marks are kept in event-time order whatever order they come in, so late events within the lateness
bound find their place. Looking for a match starts only when an event that can be the last step stands behind
others: all other events cost one insertion.

The match that is found takes the latest event possible for each step, going backwards: it has the latest start,
so it is the one that `within` leaves longest. What it used, and what came before that for the same step, is spent:
one visit to the checkout is not a match twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Final

from streams.core.conditions import ALIKE_MAX, CHANGED, FRESH, MARKS_MAX, SAME, Leaf
from streams.core.event import MISSING, Event, field_value
from streams.core.matcher import comparable, memorable
from streams.core.session import NEVER, Session
from streams.core.suggestion import VALUE_CHARS_MAX

Mark = list[Any]  # [ts, mask] or [ts, mask, values]
_HEAD: Final = 3  # items of the state before the marks


@dataclass(frozen=True, slots=True)
class StepTest:
    """A captured value of a mark, number `own`, compared with that of step `other`, number `theirs`."""

    step: int  # the mark that is tested stands for this step (in a guard: -1, for it stands for none)
    own: int
    other: int
    theirs: int
    passes: Callable[[Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Guard:
    """Marks of `bit` that pass the tests must not lie between the steps `before` and `upto`.

    With `span`: only for so long after `before`, and the step after it must not come earlier. `ready`: the first step
    that the guard has to know; a search goes backwards, so then it knows all of them.
    """

    bit: int
    before: int
    upto: int
    span: int | None
    tests: tuple[StepTest, ...]
    ready: int


@dataclass(frozen=True, slots=True)
class Capture:
    """A field that marks remember: those that can be one of the steps in `mask`; to be shown, or only compared."""

    path: tuple[str, ...]
    mask: int
    shown: bool


@dataclass(frozen=True, slots=True)
class SequencePlan:
    """What the compiler found out about a sequence."""

    length: int  # steps; one with `times: n` is n of them
    within: int | None
    gaps: tuple[tuple[int, int] | None, ...]  # per step: (ms, the later step that comes in less since the one before)
    strict: bool
    lateness: int  # how late an event may come, ms
    forbids: tuple[int, ...]  # per step: the mask of marks that must not lie before it, or 0
    alike: int = ALIKE_MAX  # marks of one kind that are kept
    tests: tuple[StepTest, ...] = ()
    guards: tuple[Guard, ...] = ()
    captures: tuple[Capture, ...] = ()
    names: tuple[tuple[str, int, int], ...] = ()  # (``NAME.path`` of a placeholder, step, capture number)


def _alike(state: list[Any], mask: int) -> list[int]:
    """Where the marks with exactly this mask stand."""
    found: list[int] = []
    for position in range(_HEAD, len(state)):
        mark: Mark = state[position]
        own: int = mark[1]  # typed, so that compiled code compares numbers and no objects
        if own == mask:
            found.append(position)
    return found


def captured(event: Event, capture: Capture, mask: int) -> Any:
    """What a mark remembers of the event; None when it is not there, or not asked for."""
    value = field_value(event, capture.path) if mask & capture.mask else MISSING
    if value is MISSING:
        return None
    kept = memorable(value) if capture.shown else comparable(value)
    return kept[:VALUE_CHARS_MAX] if type(kept) is str else kept


class SequenceLeaf(Leaf):
    """The steps of `plan`, in order; holds from completion until the first step is `within` old."""

    __slots__ = ("_last_bit", "_steps_mask", "plan")
    matching: ClassVar[bool] = True
    windowed: ClassVar[bool] = True

    def __init__(self, key: int, plan: SequencePlan, *, clocked: bool = False) -> None:
        super().__init__(key, clocked=clocked)
        self.plan = plan
        self._last_bit = 1 << (plan.length - 1)
        self._steps_mask = (1 << plan.length) - 1

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        state = session.states.get(self.key)
        if state is None:
            state = session.states[self.key] = [None, 0, None]
        plan = self.plan
        mark: Mark = [ts, mask]
        if plan.captures:
            mark.append([captured(event, capture, mask) for capture in plan.captures])
        place = end = len(state)
        while place > _HEAD:
            behind: Mark = state[place - 1]
            time: int = behind[0]  # typed, so that compiled code compares numbers and no objects
            if time <= ts:
                break
            place -= 1
        state.insert(place, mark)
        self._prune(state, mask, session.last)
        if place == end and not mask & self._last_bit:
            return SAME  # nothing that could be the last step stands at or behind it
        return CHANGED | FRESH if self._complete(state, mark) else SAME

    def _prune(self, state: list[Any], mask: int, last: int) -> None:
        """Keep the state within its bounds; what goes can cost a match, never make a false one."""
        # What stands before every start is of use only while a start from before it may still come.
        plan = self.plan
        while len(state) > _HEAD and self._is_idle(state[_HEAD], last):
            del state[_HEAD]
        most = plan.alike
        if len(state) - _HEAD <= most:
            return
        alike = _alike(state, mask)
        if len(alike) > most:
            if mask <= self._steps_mask:
                del state[alike[0] if plan.tests else self._needless(alike)]
            else:
                # One that forbids must not be forgotten while something from before it is remembered.
                del state[_HEAD : alike[0] + 1]
        if len(state) - _HEAD > MARKS_MAX:
            del state[_HEAD]

    def _is_idle(self, mark: Mark, last: int) -> bool:
        """Whether the mark is no start, and none can come before it any more."""
        mask: int = mark[1]
        ts: int = mark[0]
        return not mask & 1 and last - ts > self.plan.lateness

    @staticmethod
    def _needless(alike: list[int]) -> int:
        """Which of the marks at `alike` is needed least: the first that has another one right behind it.

        A match takes the latest mark possible, so whatever comes later can take that other one in its place. The first
        of all may be the only one that stands before a mark of the next step, however many starts came since.
        """
        for position, behind in pairwise(alike):
            if behind == position + 1:
                return position
        return alike[0]

    def _complete(self, state: list[Any], inserted: Mark) -> bool:
        """Look for matches that the mark just inserted makes possible; in order that is itself as the last step."""
        found = False
        end = len(state) - 1
        while end >= _HEAD and state[end] is not inserted:
            end -= 1
        if end < _HEAD:
            return False  # it was forgotten at once
        least = _HEAD + self.plan.length - 1  # each step before the last stands somewhere before it
        while end < len(state):
            mark: Mark = state[end]
            own: int = mark[1]
            if end >= least and own & self._last_bit:
                chosen = self._search(state, self.plan.length - 1, end, [], set())
                if chosen is not None:
                    self._settle(state, chosen)
                    found = True
                    end = _HEAD  # the list has changed; marks that are left may complete another one
                    continue
            end += 1
        return found

    def _search(
        self, state: list[Any], step: int, position: int, later: list[int], failed: set[tuple[int, int, int]]
    ) -> list[int] | None:
        """Positions of a match whose steps after `step` stand at `later`, with `step` at `position`; None if none.

        `failed`: what has been tried for this last event. Without tests between steps it need not be tried again, so
        that the search is no longer than steps times marks squared.
        """
        chosen = [position, *later]
        plan = self.plan
        if plan.within is not None and state[chosen[-1]][0] - state[position][0] >= plan.within:
            return None
        if (plan.tests or plan.guards) and not self._fits(state, step, chosen):
            return None
        if step == 0:
            return chosen
        forbidden, gap = plan.forbids[step], plan.gaps[step]
        # The gap to the step before is measured from the last of the times of this step.
        latest = position if gap is None else chosen[gap[1] - step]
        tried = (step, position, latest)
        if tried in failed:
            return None
        for before in range(position - 1, _HEAD - 1, -1):
            mark = state[before]
            if gap is not None and state[latest][0] - mark[0] >= gap[0]:
                break
            if mark[1] & (1 << (step - 1)):
                match = self._search(state, step - 1, before, chosen, failed)
                if match is not None:
                    return match
            if plan.strict or mark[1] & forbidden:
                break
        if not plan.tests and not plan.guards:
            failed.add(tried)
        return None

    def _fits(self, state: list[Any], step: int, chosen: list[int]) -> bool:
        """The tests and guards whose steps are now all chosen; `chosen[0]` is `step`."""
        for test in self.plan.tests:
            if test.other == step:
                own = state[chosen[test.step - step]][2][test.own]
                if not test.passes(own, state[chosen[0]][2][test.theirs]):
                    return False
        return all(guard.ready != step or self._keeps(state, guard, [-1] * step + chosen) for guard in self.plan.guards)

    @staticmethod
    def _keeps(state: list[Any], guard: Guard, chosen: list[int]) -> bool:
        """Whether nothing that the guard forbids lies between its steps; `chosen` by step."""
        before, upto = chosen[guard.before], chosen[guard.upto]
        until = NEVER if guard.span is None else state[before][0] + guard.span
        if guard.span is not None and state[chosen[guard.before + 1]][0] < until:
            return False
        for mark in state[before + 1 : upto]:
            if mark[0] >= until:
                break
            if mark[1] & guard.bit and all(
                test.passes(mark[2][test.own], state[chosen[test.other]][2][test.theirs]) for test in guard.tests
            ):
                return False
        return True

    def _settle(self, state: list[Any], chosen: list[int]) -> None:
        """Note the match; take what it used, and what came before that for the same step, out of the marks."""
        self._note(state, chosen)
        final, left, begun = chosen[-1], [], False
        for position in range(_HEAD, final + 1):
            mark = state[position]
            if position in chosen:
                mark[1] &= ~self._steps_mask
            for step, used in enumerate(chosen):
                if position <= used:
                    mark[1] &= ~(1 << step)
            begun = begun or bool(mark[1] & self._steps_mask)
            if begun:  # one that only forbids still does so between what is left
                left.append(mark)
        state[_HEAD : final + 1] = left

    def _note(self, state: list[Any], chosen: list[int]) -> None:
        """The steps at `chosen` are a match."""
        start = state[chosen[0]][0]
        # A late event may complete a match that is older than the one that holds.
        state[0], state[1] = start if state[0] is None else max(state[0], start), state[1] + 1
        state[2] = self._shown(state, chosen)

    def _shown(self, state: list[Any], chosen: list[int]) -> list[Any] | None:
        """What the placeholders stand for in this match."""
        names = self.plan.names
        return [state[chosen[step]][2][capture] for _, step, capture in names] if names else None

    def holds(self, session: Session, at: int) -> bool:
        state = session.states.get(self.key)
        if state is None or state[0] is None:
            return False
        return self.plan.within is None or at - state[0] < self.plan.within

    def next_change(self, session: Session) -> int:
        state = session.states.get(self.key)
        if self.plan.within is None or state is None or state[0] is None:
            return NEVER
        return int(state[0]) + self.plan.within

    def wake(self, session: Session, at: int, ending: bool) -> int:
        if self.next_change(session) > at:
            return SAME
        session.states[self.key][0] = None
        return CHANGED

    def bound(self) -> int:
        return _HEAD + MARKS_MAX * (2 + len(self.plan.captures)) + len(self.plan.names)

    def named_value(self, session: Session, name: str) -> Any:
        """The value that ``steps.NAME.path`` had in the last match, or MISSING."""
        values = self.match_values(session)
        for index, (known, _, _) in enumerate(self.plan.names if values else ()):
            if known == name:
                return MISSING if values[index] is None else values[index]
        return MISSING

    def match_values(self, session: Session) -> Any:
        """The values of all names in the last match, or None."""
        state = session.states.get(self.key)
        return None if state is None else state[2]

    def value(self, session: Session, at: int) -> Any:
        """How many of the steps the marks can make, in order."""
        state = session.states.get(self.key)
        if self.holds(session, at):
            return self.plan.length
        reached = 0
        for mark in [] if state is None else state[_HEAD:]:
            if reached < self.plan.length and mark[1] & (1 << reached):
                reached += 1
        return reached
