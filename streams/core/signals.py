"""The condition `signal`: frustration signals, computed from plain events.

| signal | events |
| --- | --- |
| rage_click | clicks on one element (`click` with `props.element`) in quick succession |
| dead_click | a `click` with `props.dead: true`, or one that nothing but clicks follows; `props.dead: false` is none |
| error_click | a `click`, and a `js_error` right after it |
| u_turn | `page_view` of A, then of B, then of A again |
| form_abandon | `form_focus` or `form_input`, and no `form_submit` before another page or the session's end |
| search_refine | `search` with one `props.query` after another, and no `product_view` or click on a result |
| thrash | a `thrash` event (the client saw the pointer or the page jerk to and fro), or `page_view`s in a rush |

A detector keeps marks in the order of event time, a bounded number of them; what a signal has used is spent.
Durations are half open, like every window: exactly so long apart is outside.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import insort
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, ClassVar, Final

from streams.core.aggregates import value_hash
from streams.core.conditions import CHANGED, FRESH, SAME, Leaf
from streams.core.definition import FieldTest, Matcher, Operator, SignalName
from streams.core.event import MISSING, Event, field_value
from streams.core.session import NEVER, Session

_MARKS_MAX: Final = 16  # of one detector: a burst is a handful of events
_FORMS_MAX: Final = 4  # that one visitor has begun at a time
BURST_MAX = _MARKS_MAX // 2


@dataclass(frozen=True, slots=True)
class SignalOptions:
    """The thresholds. Durations in ms."""

    rage_clicks: int = 4  # a double click is 2, a triple click (a paragraph) 3: 4 mean nothing else
    rage_click_ms: int = 750  # 4 clicks in it: as fast as a hand clicks, three gaps of 250 ms
    dead_click_ms: int = 2500  # so long posthog-js waits for a change of the page (its `mutation_threshold_ms`)
    error_click_ms: int = 1000  # the limit within which people take what they see for the answer (Nielsen, 1993)
    u_turn_ms: int = 10_000  # people decide to leave a page in about 10 s (Liu, White, Dumais, SIGIR 2010)
    search_refines: int = 2
    search_refine_ms: int = 60_000  # time for reading one page of results
    thrash_page_views: int = 3
    thrash_ms: int = 5_000  # three pages in it: none of them was read

    def __reduce__(self) -> tuple[Any, ...]:
        # For another process. Compiled, a frozen dataclass refuses what pickle does without this.
        return SignalOptions, tuple([getattr(self, one.name) for one in fields(self)])


Marks = list[Any]


class Detector(ABC):
    """Finds one signal. `marks` is its state: a list that it may change."""

    def __init__(
        self, matchers: tuple[tuple[Matcher, int], ...], *, clocked: bool = False, at_end: bool = False
    ) -> None:
        self.matchers = matchers
        self.clocked = clocked
        self.at_end = at_end

    @abstractmethod
    def feed(self, marks: Marks, mask: int, ts: int, event: Event, last: int) -> bool:
        """Take in an event; whether it completes the signal. `last`: the session's latest time, this one's included."""

    def due(self, marks: Marks) -> int:
        """The next moment at which the signal may come with no event."""
        return NEVER

    def wake(self, marks: Marks, at: int, ending: bool) -> bool:
        """Whether the signal comes at `at` with no event."""
        return False

    def bound(self) -> int:
        """The most items of the marks."""
        return 2 * _MARKS_MAX


def _insert(marks: Marks, mark: list[Any], most: int = _MARKS_MAX) -> None:
    insort(marks, mark, key=lambda known: known[0])
    if len(marks) > most:
        del marks[0]


def _types(*names: str) -> Matcher:
    return Matcher(names)


def _page(event: Event) -> int | None:
    found = event.page.get("path") or event.page.get("url") if event.page else None
    return value_hash(found) if isinstance(found, str) else None


def _prop(event: Event, name: str) -> int | None:
    found = field_value(event, ("props", name))
    return None if found is MISSING or found is None else value_hash(found)


class _Burst(Detector):
    """So many events of one key (`what`) in less than `span`. An event of bit 2 is the signal itself."""

    def __init__(self, matchers: tuple[tuple[Matcher, int], ...], what: str | None, least: int, span: int) -> None:
        super().__init__(matchers)
        self.what, self.least, self.span = what, least, span

    def feed(self, marks: Marks, mask: int, ts: int, event: Event, last: int) -> bool:
        if mask & 2:
            return True
        key = 0 if self.what is None else _prop(event, self.what)
        if key is None:
            return False
        _insert(marks, [ts, key])
        alike = [mark for mark in marks if mark[1] == key]
        for start in range(len(alike) - self.least, -1, -1):
            window = alike[start : start + self.least]
            if window[0][0] <= ts <= window[-1][0] < window[0][0] + self.span:
                marks[:] = [mark for mark in marks if mark[1] != key or mark[0] > window[-1][0]]
                return True
        return False


class _DeadClick(Detector):
    """Marks: ``[the latest other event, pending click, ...]``."""

    def __init__(self, span: int) -> None:
        super().__init__(((_types("click"), 1), (_types("*"), 2)), clocked=True)
        self.span = span

    def feed(self, marks: Marks, mask: int, ts: int, event: Event, last: int) -> bool:
        if not marks:
            marks.append(-1)
        if not mask & 1:
            marks[:] = [max(marks[0], ts), *(click for click in marks[1:] if not click <= ts < click + self.span)]
            return False
        dead = event.props.get("dead")
        if type(dead) is bool:
            return dead
        if last < ts + self.span and not marks[0] > ts:
            marks[1:] = sorted([*marks[1:], ts])[-_MARKS_MAX:]
        return False

    def due(self, marks: Marks) -> int:
        return marks[1] + self.span if len(marks) > 1 else NEVER

    def wake(self, marks: Marks, at: int, ending: bool) -> bool:
        waiting = [click for click in marks[1:] if click + self.span > at]
        found = len(waiting) < len(marks) - 1
        marks[1:] = waiting
        return found

    def bound(self) -> int:
        return 1 + _MARKS_MAX


class _ErrorClick(Detector):
    """Marks: ``[ts, 1 for a click, 2 for an error]``."""

    def __init__(self, span: int) -> None:
        super().__init__(((_types("click"), 1), (_types("js_error"), 2)))
        self.span = span

    def feed(self, marks: Marks, mask: int, ts: int, event: Event, last: int) -> bool:
        _insert(marks, [ts, mask])
        click: int | None = None
        for index, (when, kind) in enumerate(marks):
            if kind == 1:
                click = when
            elif click is not None and when - click < self.span:
                del marks[: index + 1]
                return True
        return False


class _UTurn(Detector):
    """Marks: ``[ts, page]``."""

    def __init__(self, span: int) -> None:
        super().__init__(((_types("page_view"), 1),))
        self.span = span

    def feed(self, marks: Marks, mask: int, ts: int, event: Event, last: int) -> bool:
        page = _page(event)
        if page is None:
            return False
        _insert(marks, [ts, page])
        # The pages in their order, each with when it was first and last seen; a page seen again at once is one.
        visits: list[list[Any]] = []
        for index, (when, seen) in enumerate(marks):
            if visits and visits[-1][0] == seen:
                visits[-1][2] = when
            else:
                visits.append([seen, when, when, index])
        for first, _, third in zip(visits, visits[1:], visits[2:], strict=False):
            if first[0] == third[0] and third[1] - first[2] < self.span:
                del marks[: third[3]]  # the page come back to may be left again
                return True
        return False


class _FormAbandon(Detector):
    """Marks: ``[the latest submit, [since when, form or 0, page or 0], ...]``."""

    INPUT: Final = 1
    SUBMIT: Final = 2
    PAGE: Final = 4

    def __init__(self) -> None:
        heard = (
            (_types("form_focus", "form_input"), self.INPUT),
            (_types("form_submit"), self.SUBMIT),
            (_types("page_view"), self.PAGE),
        )
        super().__init__(heard, at_end=True)

    def feed(self, marks: Marks, mask: int, ts: int, event: Event, last: int) -> bool:
        if not marks:
            marks.append(-1)
        form, page = _prop(event, "form") or 0, _page(event) or 0
        opened = marks[1:]
        if mask & self.INPUT:
            if ts > marks[0] and not any(known[1] == form for known in opened):
                marks[1:] = sorted([*opened, [ts, form, page]])[-_FORMS_MAX:]
            return False
        if mask & self.SUBMIT:
            marks[0] = max(marks[0], ts)
            left = [known for known in opened if known[0] > ts or (form and known[1] and form != known[1])]
        else:
            left = [known for known in opened if known[0] > ts or (page and known[2] == page)]
        marks[1:] = left
        return bool(mask & self.PAGE) and len(left) < len(opened)

    def wake(self, marks: Marks, at: int, ending: bool) -> bool:
        found = ending and len(marks) > 1
        if found:
            del marks[1:]
        return found

    def bound(self) -> int:
        return 1 + 3 * _FORMS_MAX


class _SearchRefine(Detector):
    """Marks: ``[ts, query, or 0 for a result that was looked at]``."""

    def __init__(self, least: int, span: int) -> None:
        looked = Matcher(("click",), (FieldTest("props.result", Operator.EXISTS, True),))
        super().__init__(((_types("search"), 1), (_types("product_view", "result_click"), 2), (looked, 2)))
        self.least, self.span = least, span

    def feed(self, marks: Marks, mask: int, ts: int, event: Event, last: int) -> bool:
        query = event.props.get("query")
        if mask & 1 and not isinstance(query, str):
            return False
        _insert(marks, [ts, value_hash(" ".join(str(query).casefold().split())) if mask & 1 else 0])
        for start in range(len(marks) - self.least, -1, -1):
            window = marks[start : start + self.least]
            queries = [query for _, query in window]
            different = all(one != other for one, other in pairwise(queries))
            if 0 not in queries and different and window[-1][0] - window[0][0] < self.span:
                del marks[: start + self.least - 1]  # the last search may be refined again
                return True
        return False


def detector(name: SignalName, options: SignalOptions) -> Detector:
    """The detector of a signal."""
    match name:
        case SignalName.RAGE_CLICK:
            return _Burst(((_types("click"), 1),), "element", options.rage_clicks, options.rage_click_ms)
        case SignalName.DEAD_CLICK:
            return _DeadClick(options.dead_click_ms)
        case SignalName.ERROR_CLICK:
            return _ErrorClick(options.error_click_ms)
        case SignalName.U_TURN:
            return _UTurn(options.u_turn_ms)
        case SignalName.FORM_ABANDON:
            return _FormAbandon()
        case SignalName.SEARCH_REFINE:
            return _SearchRefine(options.search_refines, options.search_refine_ms)
    matchers = ((_types("page_view"), 1), (_types("thrash"), 2))
    return _Burst(matchers, None, options.thrash_page_views, options.thrash_ms)


class SignalLeaf(Leaf):
    """Holds for `within` (None: the rest of the session) since the signal came. State: ``[when or -1, marks]``."""

    __slots__ = ("detector", "within")
    matching: ClassVar[bool] = True
    windowed: ClassVar[bool] = True

    def __init__(self, key: int, detector: Detector, within: int | None) -> None:
        super().__init__(key, clocked=detector.clocked, at_end=detector.at_end)
        self.detector = detector
        self.within = within

    def feed(self, session: Session, mask: int, ts: int, event: Event) -> int:
        state = session.states.get(self.key)
        if state is None:
            state = session.states[self.key] = [-1, []]
        if not self.detector.feed(state[1], mask, ts, event, session.last):
            return SAME
        state[0] = max(state[0], ts)
        return CHANGED | FRESH

    def holds(self, session: Session, at: int) -> bool:
        state = session.states.get(self.key)
        if state is None or state[0] < 0:
            return False
        return self.within is None or at - state[0] < self.within

    def next_change(self, session: Session) -> int:
        state = session.states.get(self.key)
        if state is None:
            return NEVER
        due = self.detector.due(state[1])
        return due if self.within is None or state[0] < 0 else min(due, state[0] + self.within)

    def wake(self, session: Session, at: int, ending: bool) -> int:
        state = session.states.get(self.key)
        if state is None:
            return SAME
        if self.detector.wake(state[1], at, ending):
            state[0] = at
            return CHANGED | FRESH
        if self.within is None or state[0] < 0 or at < state[0] + self.within:
            return SAME
        state[0] = -1
        return CHANGED

    def bound(self) -> int:
        return 1 + self.detector.bound()
