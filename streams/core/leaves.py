"""One condition's definition -> its leaf, and the matchers through which it hears of events.

What would need a state beyond its bound, and what can never hold, is refused here with its line.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.core import definition as d
from streams.core.aggregates import DISTINCT_MAX, WINDOW_EVENTS_MAX, AggregateLeaf, DistinctLeaf, RatioLeaf
from streams.core.conditions import COUNT_MAX, CountLeaf, EventLeaf, IdleLeaf, Leaf, MissingLeaf, SessionLeaf
from streams.core.matcher import split_path, value_problem
from streams.core.sequence_plan import EVERY, Heard, Refuse, sequence_leaf
from streams.core.session_fields import session_problem, session_test
from streams.core.signals import SignalLeaf, SignalOptions, detector
from streams.core.value_tests import ValueTest, value_test


@dataclass(frozen=True, slots=True)
class Bench:
    """What the making of leaves has to know besides the definition. Durations in ms."""

    lateness: int  # how late an event may come and still count for conditions
    session_timeout: int
    signals: SignalOptions
    refuse: Refuse

    def result_tests(self, tests: tuple[d.FieldTest, ...]) -> tuple[ValueTest, ...]:
        """The tests on a condition's own value."""
        made: list[ValueTest] = []
        for test in tests:
            problem = value_problem(test) or _no_result(test)
            if problem is not None:
                self.refuse(test.mark, problem)
            else:
                made.append(value_test(test))
        return tuple(made)

    def check_silence(self, mark: d.Mark, span: int) -> None:
        """Refuse a silence that no session outlives."""
        if span > self.session_timeout:
            ends, wanted = self.session_timeout / 1000, span / 1000
            self.refuse(mark, f"a session ends after {ends:g} s without an event: {wanted:g} s of silence never come")


def _no_result(test: d.FieldTest) -> str | None:
    relative = (d.Operator.CHANGED, d.Operator.SAME_AS, d.Operator.EXISTS)
    if test.operator in relative or isinstance(test.value, d.StepValue):
        return f"`{test.operator}` cannot test the result of a condition"
    return None


Made = tuple[Leaf, Heard]


def make_leaf(  # noqa: PLR0911 - one a condition
    key: int, condition: d.Condition, bench: Bench, names: frozenset[str], negated: bool
) -> Made:
    """The leaf of a condition that is neither `all`, `any`, `not` nor `score`.

    `names`: the ``steps.NAME.path`` placeholders that will be asked for; `negated`: it stands under a `not`.
    """
    match condition:
        case d.EventAtHand(matcher):
            return EventLeaf(key), ((matcher, 1),)
        case d.Count():
            return _count(key, condition, bench)
        case d.Sequence(quiet=quiet):
            if quiet is not None and quiet.of is None:
                bench.check_silence(quiet.mark, quiet.for_ms)
            return sequence_leaf(key, condition, names, bench.lateness, bench.refuse)
        case d.Missing(matcher, after, span):
            leaf = MissingLeaf(key, span, bench.lateness)
            return leaf, ((matcher, MissingLeaf.VIOLATION), (after, MissingLeaf.ANCHOR))
        case d.Idle(span, after):
            bench.check_silence(condition.mark, span)
            heard: Heard = ((after, IdleLeaf.AFTER),) if after else ()
            return IdleLeaf(key, span, after is not None), (*heard, *(((EVERY, IdleLeaf.ANY),) if negated else ()))
        case d.SessionTests(tests):
            _check_session(tests, bench)
            return SessionLeaf(key, tuple(map(session_test, tests))), ((EVERY, 1),)
        case d.Aggregate(function, path, matcher, tests, within):
            return AggregateLeaf(key, function, split_path(path), bench.result_tests(tests), within), ((matcher, 1),)
        case d.Ratio():
            return _ratio(key, condition, bench)
        case d.Signal(name, within):
            found = detector(name, bench.signals)
            return SignalLeaf(key, found, within), found.matchers
    raise TypeError(f"not a leaf: {condition!r}")


def _count(key: int, condition: d.Count, bench: Bench) -> Made:
    most = COUNT_MAX if condition.distinct is None else DISTINCT_MAX
    if max(condition.at_least or 0, condition.at_most or 0) > most:
        what = "counts" if condition.distinct is None else "distinct counts"
        bench.refuse(condition.mark, f"{what} beyond {most} would need a state beyond its bound; count less")
    bounds = (condition.at_least, condition.at_most, condition.within_ms)
    if condition.distinct is None:
        return CountLeaf(key, *bounds), ((condition.matcher, 1),)
    return DistinctLeaf(key, split_path(condition.distinct), *bounds), ((condition.matcher, 1),)


def _ratio(key: int, condition: d.Ratio, bench: Bench) -> Made:
    if condition.within_ms is not None and condition.at_least_events > WINDOW_EVENTS_MAX:
        bench.refuse(
            condition.mark, f"more than {WINDOW_EVENTS_MAX} events in a window would need a state beyond its bound"
        )
    leaf = RatioLeaf(key, bench.result_tests(condition.tests), condition.at_least_events, condition.within_ms)
    return leaf, ((condition.matcher, RatioLeaf.OF), (condition.to, RatioLeaf.TO))


def _check_session(tests: tuple[d.FieldTest, ...], bench: Bench) -> None:
    for test in tests:
        problem = session_problem(test.field) or value_problem(test)
        if problem is not None:
            bench.refuse(test.mark, problem)


def rises(condition: d.Condition, positive: bool) -> bool:
    """Whether this leaf can begin to count in its tree's favour by time alone, other than by a match of its own."""
    match condition:
        case d.Count(_, at_least, at_most, within):
            return within is not None and (bool(at_least) if not positive else at_most is not None)
        case d.Sequence(quiet=quiet):
            return condition.within_ms is not None and quiet is None and not positive
        case d.Signal(_, within):
            return within is not None and not positive
        case d.Aggregate() | d.Ratio():  # what leaves the window may change the result to either side
            return condition.within_ms is not None
        case d.Score(entries):
            return not positive and any(entry.half_life_ms is not None for entry in entries)
    return False


def anchors(condition: d.Condition, signals: SignalOptions) -> tuple[d.Matcher, ...]:
    """The events that can have led to this leaf's holding."""
    match condition:
        case d.EventAtHand(matcher) | d.Aggregate(matcher=matcher) | d.Ratio(matcher):
            return (matcher,)
        case d.Count(matcher, at_least):
            return (matcher,) if at_least else ()
        case d.Sequence(steps):
            return tuple(step.matcher for step in steps)
        case d.Missing(_, after):
            return (after,)
        case d.Idle(_, after):
            return (after,) if after else ()
        case d.Signal(name):
            return (detector(name, signals).matchers[0][0],)
    return ()
