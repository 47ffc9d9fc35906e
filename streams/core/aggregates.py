"""The conditions on values of several events: distinct counts, aggregates, ratios.

1. A value that is not there is no value: without one, no comparison holds (a sum of nothing is not 0).
2. Numbers are numbers: a text or a bool takes no part in `sum`, `average`, `min`, `max`; `last`, `first` take anything.
3. Over a session the state is a number or two, whatever the number of events. In a window it is the newest
   WINDOW_EVENTS_MAX events: of more in one window, the older ones do not count.
4. As of a late event, windows are judged at the session's latest time.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right, insort
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Any, ClassVar, Final

from streams.core.conditions import CHANGED, SAME, Leaf
from streams.core.event import MISSING, Event, field_value
from streams.core.matcher import memorable
from streams.core.session import NEVER, Session, State
from streams.core.value_tests import ValueTest

DISTINCT_MAX: Final = 64  # different values that one condition tells apart: 64 hashes with their times are 1.2 KiB
WINDOW_EVENTS_MAX: Final = 64  # values of one window: 1.2 KiB
NUMBER_MAX: Final = 1e15  # beyond it a float cannot tell cents apart
_DIGITS: Final = 6  # of a sum: what lies beyond comes from adding floats in another order


def value_hash(value: Any) -> int:
    """64 bits of a value: equal for equal values (1 is 1.0), different for others (1, "1", True)."""
    kept = memorable(value)
    if type(kept) is float and kept.is_integer():
        kept = int(kept)
    return int.from_bytes(blake2b(repr(kept).encode(), digest_size=8).digest(), "big")


def number(value: Any) -> Any:
    """The number as it may be kept and added; MISSING for everything else."""
    if type(value) not in (int, float) or not abs(value) < NUMBER_MAX:  # nan is less than nothing
        return MISSING
    return value


def _time(entry: Any) -> int:
    return int(entry[0])


class DistinctLeaf(Leaf):
    """How many different values a field has. State: ``[hash, ...]``; in a window ``[[latest ts, hash], ...]`` by time.

    One more than the upper bound asked about is enough, or the lower bound: the newest that many.
    """

    __slots__ = ("at_least", "at_most", "keep", "path", "within")
    windowed: ClassVar[bool] = True

    def __init__(
        self, key: int, path: tuple[str, ...], at_least: int | None, at_most: int | None, within: int | None
    ) -> None:
        super().__init__(key)
        self.path = path
        self.at_least = at_least or 0
        self.at_most = at_most
        self.within = within
        self.keep = max(self.at_least, 0 if at_most is None else at_most + 1, 1)

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        found = field_value(event, self.path)
        if found is MISSING:
            return SAME
        hashed = value_hash(found)
        state = session.states.setdefault(self.key, [])
        if self.within is None:
            if hashed in state or len(state) >= self.keep:
                return SAME
            state.append(hashed)
            return CHANGED
        known = next((entry for entry in state if entry[1] == hashed), None)
        if known is not None:
            if known[0] >= ts:
                return SAME
            state.remove(known)
        insort(state, [ts, hashed], key=_time)
        if len(state) > self.keep:
            del state[0]
        return CHANGED

    def count(self, session: Session, at: int) -> int:
        """Different values as of `at`; counts no further than `keep`."""
        state = session.states.get(self.key, ())
        return len(state) if self.within is None else sum(ts > at - self.within for ts, _ in state)

    def holds(self, session: Session, at: int) -> bool:
        count = self.count(session, at)
        return count >= self.at_least and (self.at_most is None or count <= self.at_most)

    def next_change(self, session: Session) -> int:
        return _first_to_go(session.states.get(self.key), self.within)

    def wake(self, session: Session, at: int, ending: bool) -> int:
        return _forget(session, self.key, self.within, at)

    def bound(self) -> int:
        return self.keep if self.within is None else 2 * self.keep

    def value(self, session: Session, at: int) -> Any:
        return self.count(session, at)


def _first_to_go(state: State | None, within: int | None) -> int:
    """When the oldest of the entries ``[ts, ...]`` leaves the window."""
    return NEVER if within is None or not state else int(state[0][0]) + within


def _forget(session: Session, key: int, within: int | None, at: int) -> int:
    """Drop the entries ``[ts, ...]`` that have left the window by `at`."""
    state = session.states.get(key)
    if state is None or within is None:
        return SAME
    del state[: bisect_right(state, at - within, key=_time)]
    if not state:
        del session.states[key]
    return CHANGED


class FigureLeaf(Leaf):
    """A figure worked out of the events of a window (None: of the session), and tests on it."""

    __slots__ = ("tests", "within")

    def __init__(self, key: int, tests: tuple[ValueTest, ...], within: int | None) -> None:
        super().__init__(key)
        self.tests = tests
        self.within = within

    @abstractmethod
    def result(self, session: Session, at: int) -> Any:
        """The figure as of `at`; MISSING when there is none."""

    def holds(self, session: Session, at: int) -> bool:
        found = self.result(session, at)
        return found is not MISSING and all(test(found) for test in self.tests)

    def value(self, session: Session, at: int) -> Any:
        found = self.result(session, at)
        return None if found is MISSING else found

    def next_change(self, session: Session) -> int:
        return _first_to_go(session.states.get(self.key), self.within)

    def wake(self, session: Session, at: int, ending: bool) -> int:
        return _forget(session, self.key, self.within, at)


# What each function makes of the values of a window, in the order of time.
_OF_WINDOW: dict[str, Callable[[list[Any]], Any]] = {
    "sum": lambda values: round(sum(values), _DIGITS),
    "average": lambda values: round(sum(values) / len(values), _DIGITS),
    "min": min,
    "max": max,
    "last": lambda values: values[-1],
    "first": lambda values: values[0],
}
_NUMERIC = ("sum", "average", "min", "max")


class AggregateLeaf(FigureLeaf):
    """A function over a field's values. State in a window: ``[[ts, value], ...]`` by time.

    Over the session: ``[sum, how many]`` for sum and average, ``[value]`` for min and max, ``[ts, value]`` for last and
    first.
    """

    __slots__ = ("_fold", "function", "path")
    windowed: ClassVar[bool] = True

    def __init__(
        self, key: int, function: str, path: tuple[str, ...], tests: tuple[ValueTest, ...], within: int | None
    ) -> None:
        super().__init__(key, tests, within)
        self.function = function
        self.path = path
        self._fold = _FOLDS[function]

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        found = field_value(event, self.path)
        if self.function in _NUMERIC:
            found = number(found)
        if found is MISSING:
            return SAME
        state = session.states.get(self.key)
        if self.within is None:
            session.states[self.key] = self._fold(state, ts, memorable(found))
            return CHANGED
        if state is None:
            state = session.states[self.key] = []
        insort(state, [ts, memorable(found)], key=_time)
        if len(state) > WINDOW_EVENTS_MAX or (self.function == "last" and len(state) > 1):
            del state[0]
        return CHANGED

    def result(self, session: Session, at: int) -> Any:
        """The function's value as of `at`; MISSING when there is none."""
        state = session.states.get(self.key)
        if not state:
            return MISSING
        if self.within is not None:
            values = [value for ts, value in state if ts > at - self.within]
            return _OF_WINDOW[self.function](values) if values else MISSING
        if self.function == "average":
            return round(state[0] / state[1], _DIGITS)
        return round(state[0], _DIGITS) if self.function == "sum" else state[-1]

    def bound(self) -> int:
        return 2 if self.within is None or self.function == "last" else 2 * WINDOW_EVENTS_MAX


Fold = Callable[[State | None, int, Any], State]


def _added(state: State | None, ts: int, value: Any) -> State:  # noqa: ARG001 - folds are called alike
    return [value, 1] if state is None else [state[0] + value, state[1] + 1]


def _extreme(choose: Callable[..., Any], state: State | None, ts: int, value: Any) -> State:  # noqa: ARG001
    return [value] if state is None else [choose(state[0], value)]


def _latest(state: State | None, ts: int, value: Any) -> State:
    return [ts, value] if state is None or ts >= state[0] else state


def _earliest(state: State | None, ts: int, value: Any) -> State:
    return [ts, value] if state is None or ts < state[0] else state


_FOLDS: dict[str, Fold] = {
    "sum": _added,
    "average": _added,
    "min": partial(_extreme, min),
    "max": partial(_extreme, max),
    "last": _latest,
    "first": _earliest,
}


class RatioLeaf(FigureLeaf):
    """Events of one kind for each of another. State: ``[of, to]``, with a window ``[[ts, mask], ...]`` by time.

    Bit 1 of the mask is an event of `of`, bit 2 one of `to`; one event may be both.
    """

    __slots__ = ("at_least_events",)
    windowed: ClassVar[bool] = True
    OF: Final = 1
    TO: Final = 2

    def __init__(self, key: int, tests: tuple[ValueTest, ...], at_least_events: int, within: int | None) -> None:
        super().__init__(key, tests, within)
        self.at_least_events = at_least_events

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        state = session.states.get(self.key)
        if self.within is None:
            of, to = (0, 0) if state is None else state
            session.states[self.key] = [of + (mask & self.OF), to + (mask & self.TO) // self.TO]
            return CHANGED
        if state is None:
            state = session.states[self.key] = []
        insort(state, [ts, mask], key=_time)
        if len(state) > WINDOW_EVENTS_MAX:
            del state[0]
        return CHANGED

    def result(self, session: Session, at: int) -> Any:
        """The ratio as of `at`; MISSING when there are too few events."""
        state = session.states.get(self.key)
        if state is None:
            return MISSING
        if self.within is None:
            of, to = state
        else:
            masks = [mask for ts, mask in state if ts > at - self.within]
            of, to = sum(mask & self.OF for mask in masks), sum(mask & self.TO for mask in masks) // self.TO
        return of / to if to and to >= self.at_least_events else MISSING

    def bound(self) -> int:
        return 2 if self.within is None else 2 * WINDOW_EVENTS_MAX
