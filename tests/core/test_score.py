"""Scores: points that come with edges and fade with time."""

from __future__ import annotations

import pytest

from streams.core import definition as d
from streams.core.score import ScoreLeaf
from streams.core.visitor import NEVER, Session
from tests.core.build import T0, Log, both, compiled, count, event, fires, matcher, missing, never, rule, seen

HALF = 1000


def score(at_least, *entries: tuple) -> d.Score:
    return d.Score(tuple(d.Points(when, points, half) for when, points, half in entries), at_least)


def test_points_add_up():
    assert fires(score(30, (event("a"), 10, None), (event("b"), 20, None)), (0, "a"), (10, "b"), (20, "a")) == [10]


@pytest.mark.parametrize(("gap", "fired"), [(HALF - 1, True), (HALF, True), (HALF + 1, False)])
def test_half_the_points_are_left_after_the_half_life(gap, fired):
    assert fires(score(15, (event("a"), 10, HALF)), (0, "a"), (gap, "a")) == ([gap] if fired else [])


def test_a_score_that_has_faded_can_be_reached_again():
    condition = score(15, (event("a"), 10, HALF))
    assert fires(condition, (0, "a"), (10, "a"), (5000, "a"), (5010, "a")) == [10, 5010]


def test_any_condition_gives_points_each_time_it_begins_to_hold():
    condition = score(10, (count("a", at_least=2), 5, None), (missing("c", "b", 100), 5, None))
    assert fires(condition, (0, "a"), (10, "a"), (20, "a"), (30, "b"), until=5000) == [130]


def test_what_holds_from_the_start_gives_its_points_at_the_first_event():
    assert fires(score(5, (never("x"), 5, None)), (0, "a"), (10, "b")) == [0]


def test_a_negated_score_rises_when_the_points_have_faded():
    condition = both(seen("b"), d.Not(score(5, (event("a"), 10, HALF))))
    (at,) = fires(condition, (0, "a"), (10, "b"), until=60_000)
    assert at == HALF + 1  # at the half life 5 points are left, which is enough


def test_a_late_event_gives_what_would_be_left_of_it():
    log = Log(compiled(score(15, (event("a"), 10, HALF))))
    assert log.add(HALF, "a").add(HALF + 1, "a", ts=0).at == [0]
    faded = Log(compiled(score(15.01, (event("a"), 10, HALF))))
    assert faded.add(HALF, "a").add(HALF + 1, "a", ts=0).at == []


def test_the_state_is_a_number_and_its_time_for_each_entry():
    log = Log(compiled(score(1000, (event("a"), 10, HALF), (event("b"), 1, None))))
    for at in range(50):
        log.add(at * 10, "a")
    ((_, state),) = log.state.sessions[0].states.items()
    assert state[0][1] == T0 + 490
    assert state[1] is None
    assert ScoreLeaf(1, 5, (None, HALF)).bound() == 4


def test_what_never_fades_never_changes_by_time():
    leaf = ScoreLeaf(1, 5, (None,))
    session = Session(id="s", start=0, last=0)
    assert (leaf.next_change(session), leaf.value(session, 0), leaf.feed(session, 1, 0, None)) == (NEVER, 0.0, 0)
    leaf.add(session, 0, 10, 0)
    assert leaf.next_change(session) == NEVER
    assert leaf.wake(session, 10, False) == 0


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (score(5), "1 to 20 entries"),
        (score(5, *[(event("a"), 1, None)] * 21), "1 to 20 entries"),
        (score(5, (event("a"), 0, None)), "points lie above 0"),
        (score(5, (score(1, (event("a"), 1, None)), 1, None)), "cannot have a score in it"),
    ],
)
def test_what_is_refused(condition, words):
    with pytest.raises(ValueError, match=words):
        compiled(condition)


def test_two_rules_share_a_score_and_its_points_come_once():
    condition = score(20, (event("a"), 10, None))
    log = Log(compiled(condition, both(condition, seen("a")))).all((0, "a"), (10, "a"))
    assert log.fired == [("r0", 10), ("r1", 10)]


def test_a_text_shows_a_field_of_the_event_that_gave_points():
    suggest = d.Content("p", (("en", "{{ event.props.x }}"),))
    condition = score(1, (d.Sequence((d.Step(matcher("a")),), None, "relaxed", d.Quiet(100)), 1, None))
    log = Log(compiled(rule(condition, suggest=suggest))).add(0, "a", props={"x": 7}).tick(200)
    assert log.suggestions[0].title == {"en": "7"}


def test_an_entry_that_never_held_has_nothing_to_fade():
    condition = both(seen("b"), d.Not(score(5, (event("a"), 10, HALF), (event("x"), 1, HALF))))
    assert fires(condition, (0, "a"), (10, "b"), until=60_000) == [HALF + 1]
