"""The condition `score`: points of several entries that decay and add up.

Each entry is a trigger of its own: each time that its condition begins to hold, its points are added, whatever the
condition is. So a score rises at firings only, and falls by time.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from streams.core.conditions import CHANGED, SAME, Leaf
from streams.core.event import Event
from streams.core.session import NEVER, Session

ENTRIES_MAX = 20  # of one score: more is a model, not a rule
POINTS_MAX = 1_000_000
_FAR_MS: Final = 400 * 86_400_000  # further than any session lives


class ScoreLeaf(Leaf):
    """Holds while the points add up to `at_least`. State, an entry: ``[points, as of when]``, or None before any."""

    __slots__ = ("at_least", "half_lives")
    windowed: ClassVar[bool] = True

    def __init__(self, key: int, at_least: float, half_lives: tuple[int | None, ...]) -> None:
        super().__init__(key)
        self.at_least = at_least
        self.half_lives = half_lives

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        return SAME  # no event concerns it; its entries' triggers do

    def add(self, session: Session, entry: int, points: float, at: int) -> None:
        """Entry number `entry` began to hold at `at`."""
        state = session.states.get(self.key)
        if state is None:
            state = session.states[self.key] = [None] * len(self.half_lives)
        known = state[entry]
        if known is None:
            state[entry] = [points, at]
        elif known[1] <= at:
            state[entry] = [_decayed(known[0], at - known[1], self.half_lives[entry]) + points, at]
        else:
            known[0] += _decayed(points, known[1] - at, self.half_lives[entry])

    def value(self, session: Session, at: int) -> Any:
        state = session.states.get(self.key)
        if state is None:
            return 0.0
        entries = zip(state, self.half_lives, strict=True)
        return round(sum(_decayed(entry[0], max(at - entry[1], 0), half) for entry, half in entries if entry), 6)

    def holds(self, session: Session, at: int) -> bool:
        return bool(self.value(session, at) >= self.at_least)

    def next_change(self, session: Session) -> int:
        """When the points have fallen below the bound, to the millisecond; found by halving, as they only fall."""
        state = session.states.get(self.key)
        low = max((entry[1] for entry in state or () if entry), default=NEVER)
        if not self.holds(session, low) or self.holds(session, low + _FAR_MS):
            return NEVER
        high = low + _FAR_MS
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.holds(session, middle) else (low, middle)
        return high

    def wake(self, session: Session, at: int, ending: bool) -> int:
        state = session.states.get(self.key)
        if state is None or self.holds(session, at):
            return SAME
        # From now on the points are what is left of them: the moment of their fall is not waited for again.
        for entry, half in zip(state, self.half_lives, strict=True):
            if entry is not None:
                entry[:] = _decayed(entry[0], max(at - entry[1], 0), half), max(at, entry[1])
        return CHANGED

    def bound(self) -> int:
        return 2 * len(self.half_lives)


def _decayed(points: float, age: int, half_life: int | None) -> float:
    return points if half_life is None else float(points * 2.0 ** (-age / half_life))
