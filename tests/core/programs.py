"""Random small programs and event lists."""

from __future__ import annotations

from hypothesis import strategies as st

from streams.core import definition as d
from tests.core.build import matcher, where
from tests.core.reference import Seen

TIMEOUT = 100
TYPES = ("a", "b", "c")

durations = st.sampled_from([5, 10, 20, 30, 60])
maybe_duration = st.none() | durations
types = st.sampled_from([*TYPES, "a", "b", "*"])
tests = st.lists(
    st.builds(where, st.just("props.n"), st.sampled_from(["eq", "gte"]), st.integers(0, 2)), max_size=1
).map(tuple)
matchers = st.builds(lambda type_, test: matcher(type_, *test), types, tests)
plain_matchers = st.builds(matcher, st.sampled_from(TYPES))

events_at_hand = matchers.map(d.EventAtHand)
positive_counts = st.builds(
    lambda m, least, extra, within: d.Count(m, least, None if extra is None else least + extra, within),
    matchers,
    st.integers(1, 3),
    st.none() | st.integers(0, 2),
    maybe_duration,
)
at_most_counts = st.builds(
    lambda m, most, within: d.Count(m, None, most, within), matchers, st.integers(0, 2), maybe_duration
)
steps = st.builds(
    lambda m, within, forbid, times: d.Step(m, None, within, tuple(forbid), times),
    matchers,
    st.none() | st.none() | durations,
    st.lists(plain_matchers, max_size=1),
    st.sampled_from([1, 1, 1, 2]),
)
sequences = st.builds(
    lambda written, within, strict: d.Sequence(
        (d.Step(written[0].matcher, times=written[0].times), *written[1:]), within, "strict" if strict else "relaxed"
    ),
    st.lists(steps, min_size=2, max_size=3),
    maybe_duration,
    st.sampled_from([False, False, True]),
)
missings = st.builds(d.Missing, matchers, matchers, maybe_duration)
idles = st.builds(d.Idle, durations, st.none() | matchers)
session_tests = st.builds(
    lambda field, value: d.SessionTests((where(field, "gte", value),)),
    st.sampled_from(["events", "duration"]),
    st.integers(1, 20),
)

distincts = st.builds(
    lambda m, least, within: d.Count(m, least, None, within, "props.n"), matchers, st.integers(1, 3), maybe_duration
)
results = st.builds(
    lambda operator, value: (where("", operator, value),), st.sampled_from(["eq", "gte"]), st.integers(0, 4)
)
aggregates = st.builds(
    lambda function, m, tests, within: d.Aggregate(function, "props.n", m, tests, within),
    st.sampled_from(["sum", "average", "min", "max", "last", "first"]),
    matchers,
    results,
    maybe_duration,
)
ratios = st.builds(d.Ratio, matchers, matchers, results, st.integers(1, 3), maybe_duration)
measures = st.one_of(distincts, aggregates, ratios)

positive_leaves = st.one_of(events_at_hand, positive_counts, sequences, missings, idles, session_tests, measures)
# Not negated: an event at hand, as nobody can want that.
negatable_leaves = st.one_of(positive_counts, sequences, missings, idles, session_tests, measures)
side_conditions = st.one_of(positive_leaves, at_most_counts, negatable_leaves.map(d.Not))

conditions = st.recursive(
    st.one_of(positive_leaves, positive_leaves, side_conditions),
    lambda inner: st.one_of(
        st.builds(
            lambda first, others: d.All((first, *others)), inner, st.lists(side_conditions, min_size=1, max_size=2)
        ),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: d.AnyOf(tuple(parts))),
    ),
    max_leaves=3,
)


def _histories(
    gaps: st.SearchStrategy[int], ids: st.SearchStrategy[str | None], longest: int
) -> st.SearchStrategy[list[Seen]]:
    def build(parts: list[tuple[int, str, int | None, str | None]]) -> list[Seen]:
        at, history = 0, []
        for gap, type_, n, session in parts:
            at += gap
            history.append(Seen(at, type_, (() if n is None else (("n", n),)), session))
        return history

    part = st.tuples(gaps, st.sampled_from(TYPES), st.none() | st.integers(0, 2), ids)
    return st.lists(part, min_size=1, max_size=longest).map(build)


# Gaps meet the durations exactly, fall just inside and just outside of them, and now and then end a session.
gaps = st.sampled_from([0, 1, 4, 5, 6, 9, 10, 11, 19, 20, 29, 30, 31, 59, 60, 61, 99, 100, 101])
histories = _histories(gaps, st.none(), 12)
histories_with_sessions = _histories(gaps, st.sampled_from([None, "s1", "s2"]), 12)
