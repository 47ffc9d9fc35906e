"""The lines of funnels: what each journey adds and takes back, sums over partitions, buckets, the bounded list."""

from __future__ import annotations

import random

import pytest

from streams.core.effects import Journey
from streams.core.funnel_totals import (
    LEFT,
    MORE,
    OTHER,
    PARTS_MAX,
    PLACES_MAX,
    Between,
    FunnelLine,
    bucket_of,
    bucket_range,
    funnel_room,
)
from streams.core.totals import Totals, decode_line, encode_line, line_key


def journey(steps=(), before=(), *, at=5, size=4, arm="treated", ended=False, instead="") -> Journey:
    return Journey("j", "v", "s", "buy", "1", arm, at, size, tuple(steps), tuple(before), ended, instead)


def line_of(*journeys: Journey) -> FunnelLine:
    totals = Totals()
    for one in journeys:
        totals.add(one)
    (line,) = totals.lines.values()
    return line


ABC = (0, 0, 0, 1, 1000, 2, 2, 3000, 5)


def test_a_journey_counts_each_step_and_the_way_to_it():
    line = line_of(journey(ABC))
    assert (line.entered, line.ended, line.completed, line.first_at) == (1, 0, 0, 5)
    assert [(step.reached, step.skipped, step.reverse) for step in line.steps] == [(1, 0, 0)] * 3 + [(0, 0, 0)]
    way = line.steps[2].between
    assert (way.count, way.ms, way.ms_squares, way.clicks, way.clicks_squares) == (1, 2000, 4_000_000, 3, 9)
    assert (way.ms_buckets, way.clicks_buckets) == ({bucket_of(2000): 1}, {3: 1})
    assert line.whole == Between()


def test_what_was_told_before_is_taken_back():
    whole = (*ABC, 3, 9000, 7)
    once = line_of(journey(whole, at=5))
    told = line_of(journey(ABC[:3]), journey(ABC, ABC[:3]), journey(whole, ABC))
    assert (once.number, told.number) == (1, 3)
    told.number = 1
    assert told == once
    assert (once.completed, once.whole.ms, once.whole.clicks) == (1, 9000, 7)


def test_a_journey_that_was_none_leaves_nothing():
    line = line_of(journey(ABC), journey((), ABC))
    assert (line.entered, [step.reached for step in line.steps]) == (0, [0, 0, 0, 0])
    assert line.steps[1].between == Between()


def test_a_step_that_was_passed_over_is_skipped_and_starts_no_way():
    line = line_of(journey((0, 0, 0, 2, 3000, 5)))
    assert [(step.reached, step.skipped) for step in line.steps] == [(1, 0), (0, 1), (1, 0), (0, 0)]
    assert line.steps[2].between == Between()


def test_a_step_after_a_later_one_is_in_reverse():
    line = line_of(journey((0, 0, 0, 2, 3000, 5, 1, 4000, 6)))
    assert [(step.reached, step.skipped, step.reverse) for step in line.steps[:3]] == [(1, 0, 0), (1, 0, 1), (1, 0, 0)]
    assert line.steps[2].between.count == 0
    assert line.steps[1].between.ms == 4000


def test_where_journeys_went_counts_at_the_step_reached_last():
    line = line_of(
        journey(ABC, ended=True, instead="/help"), journey(ABC[:3], ended=True), journey((*ABC, 3, 9, 9), ended=True)
    )
    assert [step.instead for step in line.steps] == [{LEFT: 1}, {}, {"/help": 1}, {}]
    assert line.ended == 3


def ended_at(*places: str) -> dict[str, int]:
    """Where a line's journeys went that ended after the third step."""
    return line_of(*(journey(ABC, ended=True, instead=place) for place in places)).steps[2].instead


def test_as_many_places_as_there_is_room_for_are_exact():
    places = [f"/p{number}" for number in range(PLACES_MAX)]
    assert ended_at(*places, *places) == dict.fromkeys(places, 2)


def test_pages_beyond_are_counted_by_their_first_part_and_the_sum_is_exact():
    found = ended_at(*(f"/help/{number}" for number in range(200)), *["/help/a"] * 3)
    assert len(found) == PLACES_MAX + 1
    assert found[f"/help{MORE}"] >= 200 - PLACES_MAX
    assert sum(found.values()) == 203


def test_outcomes_are_told_apart_however_many_pages_there_are():
    found = ended_at(*(f"/p{number}" for number in range(99)), "outcome:chat", LEFT, *(f"/q{n}" for n in range(99)))
    assert (found["outcome:chat"], found[LEFT]) == (1, 1)


def test_what_finds_no_room_among_the_first_parts_is_other():
    found = ended_at(*(f"/part{number}/page" for number in range(PLACES_MAX + PARTS_MAX + 5)))
    assert found[OTHER] == 5
    assert sum(place.endswith(MORE) for place in found) == PARTS_MAX


def test_outcomes_without_room_are_other():
    found = ended_at(*(f"outcome:o{number}" for number in range(PLACES_MAX + 3)))
    assert (len(found), found[OTHER]) == (PLACES_MAX + 1, 3)


@pytest.mark.parametrize("seed", range(10))
def test_neither_the_order_nor_the_partition_of_journeys_makes_a_difference(seed):
    draw = random.Random(seed)
    parts = [f"/part{number}" for number in range(draw.choice([3, 60]))]
    places = [f"{draw.choice(parts)}/{draw.randrange(9)}" for _ in range(300)]
    places += draw.choices(["outcome:chat", "outcome:call", LEFT, *parts], k=30)
    want = ended_at(*places)
    draw.shuffle(places)
    totals = [Totals() for _ in range(3)]
    for place in places:
        draw.choice(totals).add(journey(ABC, ended=True, instead=place))
    whole = Totals()
    for one in totals:
        whole.absorb(one.lines.values())
    (line,) = whole.lines.values()
    assert line.steps[2].instead == want
    assert len(want) <= PLACES_MAX + PARTS_MAX + 1


def test_partitions_are_added_up():
    some = [journey(ABC, at=4), journey(ABC[:3], at=9, ended=True, instead="/a"), journey((*ABC, 3, 9000, 7), at=2)]
    halves = [Totals(), Totals()]
    for index, one in enumerate(some):
        halves[index % 2].add(one)
    whole = Totals()
    for half in halves:
        whole.absorb(half.lines.values())
    assert list(whole.lines.values()) == [line_of(*some)]


def test_a_shorter_line_takes_in_a_longer_one():
    whole = Totals()
    whole.absorb([FunnelLine("buy", "1", "treated")])
    whole.absorb([line_of(journey(ABC))])
    assert list(whole.lines.values()) == [line_of(journey(ABC))]


def test_a_line_survives_being_stored():
    line = line_of(journey(ABC), journey(ABC, ended=True, instead="/a"))
    assert decode_line(encode_line(line)) == line
    assert line_key(line) == "funnel/buy/1/treated"


@pytest.mark.parametrize("seed", range(5))
def test_a_line_never_needs_more_room_than_is_kept_for_it(seed):
    draw = random.Random(seed)
    totals = Totals()
    for _ in range(300):
        order = draw.sample(range(1, 8), draw.randrange(8))
        steps = [0, 0, 0]
        for step in order:
            steps += [step, steps[-2] + draw.randrange(10**draw.randrange(1, 10)), steps[-1] + draw.randrange(60)]
        place = "/" + "".join(draw.choices('ü漢a"\\😀', k=draw.randrange(90)))
        totals.add(journey(steps, size=8, ended=True, instead=place))
    room = totals.room()
    ((key, value),) = totals.settle().items()
    assert len(key) + len(value) <= room
    assert funnel_room(decode_line(value)) < 120_000


def test_buckets_follow_each_other_without_a_gap():
    for value in [*range(5000), *(2**power + more for power in range(12, 40) for more in (-1, 0, 1))]:
        low, high = bucket_range(bucket_of(value))
        assert low <= value < high
        assert high - low == 1 or (high - low) * 4 <= low
        assert bucket_of(high) == bucket_of(value) + 1


def test_a_line_that_finds_no_room_is_refused(monkeypatch):
    monkeypatch.setattr("streams.core.totals.LINES_MAX", 1)
    totals = Totals()
    totals.add(journey(ABC))
    totals.add(journey(ABC, arm="control"))
    assert (len(totals.lines), totals.refused) == (1, 1)
