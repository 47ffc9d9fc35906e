"""The incremental conditions: one class each. Immutable definitions here, bounded state in the session.

1. A condition is fed the events that its matchers accept (`mask`: a bit a matcher), and keeps its state in
   ``session.states[key]``. Without state it has seen nothing.
2. `holds(session, at)` is asked as of a moment of event time; windows are half open: exactly D apart is outside.
3. `next_change` is the next moment at which `holds` may change with no event; `wake` is called at that moment.
4. The state is a function of the set of events seen, not of their order, up to the stated bounds.
5. `feed` and `wake` return CHANGED only when `holds` may have become another answer, so that a rule is looked at
   only then; FRESH besides when a new match was completed: a new edge even if the match before still holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

from streams.core.event import MISSING, Event, field_value
from streams.core.matcher import memorable
from streams.core.session import NEVER, Session, State
from streams.core.value_tests import ValueTest

SAME: Final = 0
CHANGED: Final = 1
FRESH: Final = 2

MARKS_MAX: Final = 48  # events that one sequence remembers
ALIKE_MAX: Final = 8  # of those, events that can play the same parts: the partial matches of one kind
ANCHORS_MAX: Final = 8  # open absences of one `missing`
COUNT_MAX: Final = 256  # the largest n of `at_least: n`: a times list of 256 is 2.3 KiB


# The key of a condition or of a trigger: 32 bits. Compiled code would make an object of an `int` for each look-up of it
# in a dict, which costs as much as the look-up: so for it a key is an object from the beginning.
Key = Any


class Leaf(ABC):
    """One condition that looks at events or time itself; shared by all rules that say the same."""

    __slots__ = ("at_end", "clocked", "key")
    pulse: ClassVar[bool] = False  # holds only in the step at which it was fed
    matching: ClassVar[bool] = False  # completes matches: each new one is a new edge
    windowed: ClassVar[bool] = False  # time alone may end what holds
    moving: ClassVar[bool] = False  # its moment moves with every event

    def __init__(self, key: int, *, clocked: bool = False, at_end: bool = False) -> None:
        self.key: Key = key
        self.clocked = clocked  # waits for moments of its own
        self.at_end = at_end  # looks at the session's end

    @abstractmethod
    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        """Take in one event of time `ts` that the matchers in `mask` accept."""

    @abstractmethod
    def holds(self, session: Session, at: int) -> bool:
        """Whether the condition holds as of `at`."""

    def next_change(self, session: Session) -> int:
        """The next moment, ms, at which `holds` may change with no event; NEVER if there is none."""
        return NEVER

    def wake(self, session: Session, at: int, ending: bool) -> int:
        """It is `at`, a moment that `next_change` named, or the session's end (`ending`)."""
        return SAME

    def bound(self) -> int:
        """The most items that the state can have."""
        return 0

    def value(self, session: Session, at: int) -> Any:
        """The condition's value now, for people who ask why."""
        return self.holds(session, at)


def place_time(times: list[Any], ts: int, first: int) -> None:
    """Put a time where it belongs among those from `first` on, behind its equals: nearly always that is the end."""
    place = len(times)
    while place > first:
        before: int = times[place - 1]  # typed, so that compiled code compares numbers and no objects
        if before <= ts:
            break
        place -= 1
    times.insert(place, ts)


class EventLeaf(Leaf):
    """The event at hand matches. Stateless: the engine knows which leaves were fed in this step."""

    __slots__ = ()
    pulse: ClassVar[bool] = True

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        return FRESH

    def holds(self, session: Session, at: int) -> bool:
        return False  # outside the step that fed it


class CountLeaf(Leaf):
    """How many matching events lie in the window. State with a window: the last `keep` times; without: ``[n]``.

    `keep` is one more than the upper bound asked about, or the lower bound: more times than that cannot change
    the answer.
    """

    __slots__ = ("at_least", "at_most", "keep", "within")
    windowed: ClassVar[bool] = True

    def __init__(self, key: int, at_least: int | None, at_most: int | None, within: int | None) -> None:
        super().__init__(key)
        self.at_least = at_least or 0
        self.at_most = at_most
        self.within = within
        self.keep = max(self.at_least, 0 if at_most is None else at_most + 1, 1)

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        state = session.states.get(self.key)
        if self.within is None:
            count: int = 1 if state is None else state[0] + 1
            if count > self.keep:
                return SAME
            session.states[self.key] = [count]
            return CHANGED if count == self.at_least or count == self.keep else SAME  # noqa: PLR1714 - makes a tuple
        if state is None:
            state = session.states[self.key] = [ts]
        else:
            place_time(state, ts, 0)
        older = ts < session.last and self._completes_older(state, ts, session.last)
        if len(state) > self.keep:
            del state[0]
        if older:
            return CHANGED | FRESH
        # With a lower bound alone, nothing can begin or end to hold below it.
        return CHANGED if self.at_most is not None or len(state) >= self.at_least else SAME

    def _completes_older(self, times: State, late: int, last: int) -> bool:
        """Whether the late time just inserted makes a window complete that is over by now: it held, and none did.

        Windows are computed on event time in whatever order events come, so this is a match, although nothing holds
        any more. `times` has one time more than is kept: enough to see whether a window without the late one held.
        """
        least = self.at_least
        if self.within is None or self.at_most is not None or least < 2:
            return False
        spans = [(times[i + least - 1], times[i] + self.within) for i in range(len(times) - least + 1)]
        full = [(since, until) for since, until in spans if since < until]
        new = [(since, until) for since, until in full if until - self.within <= late <= since and until <= last]
        rest = times.copy()
        rest.remove(late)
        old = [(rest[i + least - 1], rest[i] + self.within) for i in range(len(rest) - least + 1)]
        return any(all(b <= since or until <= a for a, b in old if a < b) for since, until in new)

    def count(self, session: Session, at: int) -> int:
        """Matching events as of `at`; counts no further than `keep`."""
        state = session.states.get(self.key)
        if state is None:
            return 0
        if self.within is None:
            return int(state[0])
        after = at - self.within
        inside = len(state)
        for item in state:  # in order: the first ones are outside, if any is
            ts: int = item
            if ts > after:
                break
            inside -= 1
        return inside

    def holds(self, session: Session, at: int) -> bool:
        count = self.count(session, at)
        return count >= self.at_least and (self.at_most is None or count <= self.at_most)

    def next_change(self, session: Session) -> int:
        state = session.states.get(self.key)
        if state is None or self.within is None:
            return NEVER
        return int(state[0]) + self.within

    def wake(self, session: Session, at: int, ending: bool) -> int:
        state = session.states.get(self.key)
        if state is None or self.within is None:
            return SAME
        after = at - self.within
        while state and state[0] <= after:
            del state[0]
        if not state:
            del session.states[self.key]
        return CHANGED

    def bound(self) -> int:
        return 1 if self.within is None else self.keep

    def value(self, session: Session, at: int) -> Any:
        return self.count(session, at)


_ANCHORS: Final = 2  # items of a `missing`'s state before its anchors


class MissingLeaf(Leaf):
    """`after` happened and for `span` (None: until the session's end) no violation followed.

    Bit 1 of the mask is a violation, bit 2 an anchor. State: ``[anchor that holds or -1, violations, anchor, ...]``.
    Each anchor has a clock of its own; a violation ends those that started at or before it, and their hold.
    Violations are remembered for as long as an anchor from before them may still come late.
    """

    __slots__ = ("lateness", "span")
    matching: ClassVar[bool] = True
    VIOLATION: Final = 1
    ANCHOR: Final = 2

    def __init__(self, key: int, span: int | None, lateness: int) -> None:
        super().__init__(key, clocked=True, at_end=span is None)
        self.span = span
        self.lateness = lateness

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        state = session.states.get(self.key)
        if state is None:
            state = session.states[self.key] = [-1, []]
        change = SAME
        if mask & self.VIOLATION:
            change = self._violate(state, ts, session.last)
        if mask & self.ANCHOR and not self._is_ended(state[1], ts):
            place_time(state, ts, _ANCHORS)
            if len(state) > _ANCHORS + ANCHORS_MAX:
                del state[_ANCHORS]
        return change

    def _violate(self, state: State, ts: int, last: int) -> int:
        violations: list[Any] = state[1]
        if violations:
            place_time(violations, ts, 0)
            oldest: int = violations[0]
            while len(violations) > ANCHORS_MAX or last - oldest > self.lateness:
                del violations[0]
                oldest = violations[0]
        else:
            violations.append(ts)
        if len(state) > _ANCHORS:
            state[_ANCHORS:] = [
                anchor for anchor in state[_ANCHORS:] if not (anchor <= ts and self._ends(ts, anchor))
            ]
        held: int = state[0]
        if held < 0 or held > ts:
            return SAME
        state[0] = -1
        return CHANGED

    def _is_ended(self, violations: list[Any], anchor: int) -> bool:
        """Whether one of the violations has ended it before it came."""
        for item in violations:
            violation: int = item
            if violation > anchor and self._ends(violation, anchor):
                return True
        return False

    def _ends(self, violation: int, anchor: int) -> bool:
        """Whether a violation that does not come before the anchor comes in time to end it."""
        return self.span is None or violation < anchor + self.span

    def holds(self, session: Session, at: int) -> bool:
        state = session.states.get(self.key)
        return state is not None and state[0] >= 0

    def next_change(self, session: Session) -> int:
        state = session.states.get(self.key)
        if state is None or self.span is None or len(state) <= _ANCHORS:
            return NEVER
        return int(state[_ANCHORS]) + self.span

    def wake(self, session: Session, at: int, ending: bool) -> int:
        state = session.states.get(self.key)
        if state is None:
            return SAME
        span = self.span
        due = [anchor for anchor in state[_ANCHORS:] if (ending if span is None else anchor + span <= at)]
        if not due:
            return SAME
        state[0], state[_ANCHORS:] = due[-1], state[_ANCHORS + len(due) :]
        return CHANGED | FRESH

    def bound(self) -> int:
        return 1 + 2 * ANCHORS_MAX


class IdleLeaf(Leaf):
    """No event of any kind for `span`. State: ``[last after, last event it fired for]``.

    Bit 1 of the mask is an `after` event. Bit 2 is any event: a negated idleness listens to all of them, as each may
    end it; otherwise nothing needs to be told of its end.
    """

    __slots__ = ("needs_after", "span")
    matching: ClassVar[bool] = True
    moving: ClassVar[bool] = True
    AFTER: Final = 1
    ANY: Final = 2

    def __init__(self, key: int, span: int, needs_after: bool) -> None:
        super().__init__(key, clocked=True)
        self.span = span
        self.needs_after = needs_after

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        state = session.states.get(self.key)
        if mask & self.AFTER:
            if state is None:
                state = session.states[self.key] = [ts, -1]
            state[0] = max(state[0], ts)
        if mask & self.ANY and state is not None and -1 < state[1] < session.last:
            state[1] = -1
            return CHANGED
        return SAME

    def holds(self, session: Session, at: int) -> bool:
        return at - session.last >= self.span and (not self.needs_after or self.key in session.states)

    def next_change(self, session: Session) -> int:
        state = session.states.get(self.key)
        if state is None:
            return NEVER if self.needs_after else session.last + self.span
        return NEVER if state[1] == session.last else session.last + self.span

    def wake(self, session: Session, at: int, ending: bool) -> int:
        if self.next_change(session) > at:
            return SAME
        state = session.states.setdefault(self.key, [-1, -1])
        state[1] = session.last
        return CHANGED | FRESH

    def bound(self) -> int:
        return 2


class MemoryLeaf(Leaf):
    """The last value that a field had: for ``changed``, for templates and for amounts. State: ``[ts, value]``.

    Fed after every predicate of the step has been asked, so that ``changed`` compares with the event before.
    """

    __slots__ = ("path",)

    def __init__(self, key: int, path: tuple[str, ...]) -> None:
        super().__init__(key)
        self.path = path

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        found = field_value(event, self.path)
        if found is MISSING:
            return SAME
        state = session.states.get(self.key)
        if state is None or ts >= state[0]:
            session.states[self.key] = [ts, memorable(found)]
        return SAME

    def holds(self, session: Session, at: int) -> bool:
        return self.key in session.states

    def bound(self) -> int:
        return 2

    def value(self, session: Session, at: int) -> Any:
        state = session.states.get(self.key)
        return MISSING if state is None else state[1]


class SessionLeaf(Leaf):
    """Tests on the session's own fields. State: ``[1]`` while they hold, so that a change of the answer is noticed."""

    __slots__ = ("tests",)

    def __init__(self, key: int, tests: tuple[tuple[Callable[[Session], Any], ValueTest], ...]) -> None:
        super().__init__(key)
        self.tests = tests

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        holds = all(test(read(session)) for read, test in self.tests)
        if holds == (self.key in session.states):
            return SAME
        if holds:
            session.states[self.key] = [1]
        else:
            del session.states[self.key]
        return CHANGED

    def holds(self, session: Session, at: int) -> bool:
        return self.key in session.states

    def bound(self) -> int:
        return 1
