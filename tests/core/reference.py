"""What the engine should find, worked out the slow way: from the whole history, each condition by its definition.

Nothing here is shared with the engine but the definitions. There is no state: at every moment at which something
can happen, every condition is asked anew, over all events of the session so far.

Input: events in the order of the log with times that never go back, none later than its record.

1. A moment is an event, or a time at which a duration of the rule has passed since some event, or the session's end.
2. A timer due at T comes before an event of time T.
3. A rule fires when its tree holds now and did not hold just before: before an event, as of the same time without the
   event; before a timer, as of one millisecond earlier.
4. A new match (of an event, a sequence, an absence, an idleness) is a new edge although the tree held before, if
   without it the tree would not hold now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from streams.core import definition as d

OPEN_ABSENCES_MAX = 8


@dataclass(frozen=True)
class Seen:
    """One event of the history."""

    ts: int
    type: str
    props: tuple[tuple[str, Any], ...] = ()
    session: str | None = None


@dataclass(frozen=True)
class Moment:
    """A moment of one session: what has been seen by then, and what is special about it."""

    history: tuple[Seen, ...]
    at: int
    at_hand: bool = False  # the last of the history has just come
    timer: bool = False
    ended: bool = False


def firings(rules: dict[str, d.Condition], events: list[Seen], timeout: int, until: int) -> list[tuple[str, int]]:
    """Every (rule, moment) at which a rule fires, sorted."""
    found = []
    for session in sessions(events, timeout):
        for name, condition in rules.items():
            found += [(name, at) for at in _firings(condition, session, timeout, until)]
    return sorted(found)


def sessions(events: list[Seen], timeout: int) -> list[list[Seen]]:
    """The events cut into visits: by explicit id, and wherever a gap is not shorter than the timeout."""
    done: list[list[Seen]] = []
    open_: dict[str | None, list[Seen]] = {}
    for event in events:
        current = open_.get(event.session)
        if current is None or event.ts - current[-1].ts >= timeout:
            current = open_[event.session] = []
            done.append(current)
        current.append(event)
    return done


def _firings(condition: d.Condition, session: list[Seen], timeout: int, until: int) -> Iterator[int]:
    durations = set(_durations(condition))
    end = session[-1].ts + timeout
    for index, event in enumerate(session):
        known = tuple(session[: index + 1])
        before = Moment(known[:-1], event.ts)
        if _edge(condition, before, Moment(known, event.ts, at_hand=True)):
            yield event.ts
        following = session[index + 1].ts if index + 1 < len(session) else end
        for at in sorted({one.ts + duration for one in known for duration in durations} | {end}):
            if not event.ts < at <= min(following, until) or (at == end != following):
                continue
            if _edge(condition, Moment(known, at - 1), Moment(known, at, timer=True, ended=at == end)):
                yield at


def _durations(condition: d.Condition) -> Iterator[int]:
    match condition:
        case d.All(parts) | d.AnyOf(parts):
            for part in parts:
                yield from _durations(part)
        case d.Not(part):
            yield from _durations(part)
        case d.Aggregate(within_ms=span) | d.Ratio(within_ms=span):
            if span is not None:
                yield span
        case d.Count(within_ms=span) | d.Sequence(within_ms=span) | d.Missing(for_ms=span) | d.Idle(for_ms=span):
            if span is not None:
                yield span


def _edge(condition: d.Condition, before: Moment, now: Moment) -> bool:
    if not holds(condition, now):
        return False
    return not before.history or not holds(condition, before) or not holds(condition, now, without_fresh=True)


def holds(condition: d.Condition, now: Moment, without_fresh: bool = False) -> bool:
    """Whether the condition holds at this moment; `without_fresh`: the matches that are new in it taken away."""
    match condition:
        case d.All(parts):
            return all(holds(part, now, without_fresh) for part in parts)
        case d.AnyOf(parts):
            return any(holds(part, now, without_fresh) for part in parts)
        case d.Not(part):
            return not holds(part, now, without_fresh)
    if without_fresh and fresh(condition, now):
        return False
    return _leaf_holds(condition, now)


def _leaf_holds(condition: d.Condition, now: Moment) -> bool:  # noqa: PLR0911 - one a condition
    match condition:
        case d.EventAtHand(matcher):
            return now.at_hand and matches(matcher, now.history[-1])
        case d.Count(matcher, at_least, at_most, within, distinct) if distinct is not None:
            number = len(set(_values(distinct, matcher, within, now)))
            return number >= (at_least or 0) and (at_most is None or number <= at_most)
        case d.Aggregate(function, path, matcher, tests, within):
            values = _values(path, matcher, within, now)
            return bool(values) and all(_test(test, _FUNCTIONS[function](values)) for test in tests)
        case d.Ratio(matcher, to, tests, least, within):
            number, all_ = (sum(_in_window(kind, one, within, now) for one in now.history) for kind in (matcher, to))
            return all_ > 0 and all_ >= least and all(_test(test, number / all_) for test in tests)
        case d.Count(matcher, at_least, at_most, within):
            number = sum(matches(matcher, one) and (within is None or now.at - one.ts < within) for one in now.history)
            return number >= (at_least or 0) and (at_most is None or number <= at_most)
        case d.Sequence():
            found = _sequence_matches(condition, now.history)
            return any(condition.within_ms is None or now.at - start < condition.within_ms for _, start in found)
        case d.Missing():
            return any(done <= now.at for done in _absences(condition, now))
        case d.Idle(span, after):
            known = after is None or any(matches(after, one) for one in now.history)
            return bool(now.history) and known and now.at - now.history[-1].ts >= span
        case d.SessionTests(tests):
            return all(_test(test, _session_field(test.field, now.history)) for test in tests)
    raise TypeError(condition)


_FUNCTIONS: dict[str, Any] = {
    "sum": sum,
    "average": lambda values: sum(values) / len(values),
    "min": min,
    "max": max,
    "last": lambda values: values[-1],
    "first": lambda values: values[0],
}


def _in_window(matcher: d.Matcher, one: Seen, within: int | None, now: Moment) -> bool:
    return matches(matcher, one) and (within is None or now.at - one.ts < within)


def _values(path: str, matcher: d.Matcher, within: int | None, now: Moment) -> list[Any]:
    """The values of a prop in the matching events of the window, in order."""
    found = [
        dict(one.props).get(path.removeprefix("props.")) for one in now.history if _in_window(matcher, one, within, now)
    ]
    return [value for value in found if value is not None]


def fresh(condition: d.Condition, now: Moment) -> bool:
    """Whether a new match of the condition is completed at this very moment."""
    match condition:
        case d.EventAtHand():
            return _leaf_holds(condition, now)
        case d.Sequence():
            last = len(now.history) - 1
            return now.at_hand and any(end == last for end, _ in _sequence_matches(condition, now.history))
        case d.Missing():
            return now.timer and any(done == now.at for done in _absences(condition, now))
        case d.Idle(span, _):
            return now.timer and _leaf_holds(condition, now) and now.history[-1].ts + span == now.at
    return False


def matches(matcher: d.Matcher, event: Seen) -> bool:
    """Types by name or ``*``; tests ``eq`` and ``gte`` on a prop."""
    if "*" not in matcher.types and event.type not in matcher.types:
        return False
    props = dict(event.props)
    return all(_test(test, props.get(test.field.removeprefix("props."))) for test in matcher.where)


def _test(test: d.FieldTest, found: Any) -> bool:
    if found is None:
        return False
    return bool(found == test.value if test.operator is d.Operator.EQ else found >= test.value)


def _session_field(name: str, history: tuple[Seen, ...]) -> int | None:
    if not history:
        return None
    return {"events": len(history), "duration": history[-1].ts - history[0].ts}[name]


def _absences(condition: d.Missing, now: Moment) -> list[int]:
    """When each absence that nothing has ended was or will be complete."""
    complete: list[int] = []
    waiting: list[int] = []
    for event in now.history:
        if condition.for_ms is not None:
            complete += [start + condition.for_ms for start in waiting if start + condition.for_ms <= event.ts]
            waiting = [start for start in waiting if start + condition.for_ms > event.ts]
        if matches(condition.matcher, event):
            complete, waiting = [], []
        if matches(condition.after, event):
            waiting = [*waiting, event.ts][-OPEN_ABSENCES_MAX:]
    if condition.for_ms is None:
        return [now.at] if waiting and now.ended else []
    return complete + [start + condition.for_ms for start in waiting]


def _sequence_matches(condition: d.Sequence, history: tuple[Seen, ...]) -> list[tuple[int, int]]:
    """(index of the last event, time of the first) of every match, in order.

    Of several ways to complete a match at one event, the one with the latest events counts, the last step first.
    An event that it used is used up, and so is, for each step, everything up to what it used for that step.
    """
    found = []
    length = sum(step.times for step in condition.steps)
    spent = [-1] * length  # up to which index events are spent, by step
    used: set[int] = set()
    for end in range(len(history)):
        ways = [
            (*way, end)
            for way in combinations(range(end), length - 1)
            if _is_match(condition, history, (*way, end), spent, used)
        ]
        if ways:
            best = max(ways, key=lambda way: tuple(reversed(way)))
            found.append((end, history[best[0]].ts))
            spent = [max(spent[step], best[step]) for step in range(length)]
            used.update(best)
    return found


def _is_match(
    condition: d.Sequence, history: tuple[Seen, ...], way: tuple[int, ...], spent: list[int], used: set[int]
) -> bool:
    # Each event with its step, and where the step's own events begin and end.
    events = []
    for step in condition.steps:
        events += [(step, len(events), len(events) + step.times - 1)] * step.times
    for number, (index, (step, first, last)) in enumerate(zip(way, events, strict=True)):
        if index in used or index <= spent[number] or not matches(step.matcher, history[index]):
            return False
        if number == 0:
            continue
        previous = way[number - 1]
        too_late = step.within_ms is not None and history[way[last]].ts - history[previous].ts >= step.within_ms
        if number == first and too_late:
            return False
        between = history[previous + 1 : index]
        if condition.contiguity == "strict" and between:
            return False
        if any(matches(forbidden, one) for one in between for forbidden in step.forbid):
            return False
    return condition.within_ms is None or history[way[-1]].ts - history[way[0]].ts < condition.within_ms
