"""Which session an event belongs to, and when sessions end."""

from __future__ import annotations

import pytest

from streams.core.ruleset import EngineOptions
from tests.core.build import T0, Log, compiled, count, event, fires, missing, rule

TIMEOUT = EngineOptions(session_timeout_ms=1000)


def session_ids(*events, options=TIMEOUT) -> list[int]:
    """By number, the session of each event's decision."""
    log = Log(compiled(rule(event("a")), options=options))
    for at, fields in events:
        log.add(at, "a", **fields)
    names = [decision.session for decision in log.decisions]
    return [sorted(set(names), key=names.index).index(name) for name in names]


@pytest.mark.parametrize(("gap", "expected"), [(999, [0, 0]), (1000, [0, 1]), (1001, [0, 1])])
def test_a_session_is_cut_by_a_gap(gap, expected):
    assert session_ids((0, {}), (gap, {})) == expected


def test_the_gap_is_between_neighbours():
    assert session_ids((0, {}), (900, {}), (1800, {}), (2700, {})) == [0, 0, 0, 0]


def test_an_explicit_session_is_its_own():
    assert session_ids((0, {"session": "x"}), (1, {}), (2, {"session": "y"}), (3, {"session": "x"})) == [0, 1, 2, 0]


def test_an_explicit_session_keeps_its_name():
    log = Log(compiled(rule(event("a")))).add(0, "a", session="tab-7")
    assert log.decisions[0].session == "tab-7"


def test_an_implicit_session_has_a_name_that_can_be_made_again():
    names = {Log(compiled(rule(event("a"))), visitor).add(0, "a").decisions[0].session for visitor in ("v", "v", "w")}
    assert len(names) == 2


def test_a_visitor_named_like_a_session_is_not_that_session():
    assert session_ids((0, {}), (1, {"session": "s"}), (2, {})) == [0, 1, 0]


def test_conditions_are_of_one_session():
    assert fires(count("a", at_least=2), (0, "a"), (2000, "a"), options=TIMEOUT) == []
    log = Log(compiled(count("a", at_least=2))).add(0, "a", session="x").add(1, "a", session="y")
    assert log.at == []


def test_a_late_event_before_the_session_belongs_to_it():
    log = Log(compiled(rule(event("a")), options=TIMEOUT)).add(2000, "a").add(2000, "a", ts=1001)
    assert len(log.state.sessions) == 1
    assert (log.state.sessions[0].start, log.state.sessions[0].last) == (T0 + 1001, T0 + 2000)


def test_a_late_event_a_timeout_before_the_session_is_another():
    log = Log(compiled(rule(event("a")), options=TIMEOUT)).add(2000, "a").add(2000, "a", ts=1000)
    assert len(log.state.sessions) == 2


def test_sessions_end_by_time_alone():
    log = Log(compiled(options=TIMEOUT)).add(0, "a")
    assert len(log.tick(999).state.sessions) == 1
    assert log.tick(1000).state.sessions == []


def test_an_ended_session_leaves_its_neighbours():
    log = Log(compiled(options=TIMEOUT)).add(0, "a", session="x").add(500, "a", session="y").tick(1000)
    assert [session.id for session in log.state.sessions] == ["y"]


@pytest.mark.parametrize("events", [3, 4, 5])
def test_the_fifth_session_ends_the_one_silent_longest(events):
    log = Log(compiled())
    for index in range(events):
        log.add(index, "a", session=f"s{index}")
    assert [session.id for session in log.state.sessions] == [f"s{index}" for index in range(events)][-4:]


def test_the_end_of_a_session_that_has_to_go_is_the_same_after_a_crash():
    """Its moment must not come from a clock that wall time moves."""
    ids = []
    for clock in (10, 5000):
        log = Log(compiled(missing("b", "a", None)))
        for index in range(5):
            log.add(index, "a", session=f"s{index}", now=clock)
        ids.append([decision.id for decision in log.decisions])
    assert len(ids[0]) == 1
    assert ids[0] == ids[1]
