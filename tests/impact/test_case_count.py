"""Counting by stratum, beside a count that goes through every visitor for every question."""

from __future__ import annotations

import random

import numpy as np
import pytest

from streams.impact.case import count as module
from streams.impact.case.count import STARTS, STRATA, Counts
from streams.impact.case.steps import Antecedent

HOUR_MS = 3_600_000
LETTERS = [Antecedent("page", f"/{letter}", 1, "*") for letter in "abcdef"]


class Person:
    """A made-up visitor: times, steps, where each lane begins, what happened."""

    def __init__(self, chance: random.Random) -> None:
        number = chance.choice((1, 2, 5, 9, 30, 120))
        self.times = sorted(chance.randrange(3 * HOUR_MS) for _ in range(number))
        self.steps = [chance.sample(LETTERS, chance.choice((0, 1, 1, 2))) for _ in self.times]
        self.begins = [0, 0, chance.choice((-1, 0, min(3, number - 1)))]
        self.happened: list[list[tuple[int, int]]] = [[], [], []]
        for lane in range(3):
            if chance.random() < 0.4 and self.begins[lane] >= 0:
                self.happened[lane] = sorted(
                    (chance.randrange(4 * HOUR_MS), chance.choice((6_500_000, 1_990_000)))
                    for _ in range(chance.choice((1, 1, 3)))
                )


def people(number: int, seed: int) -> list[Person]:
    chance = random.Random(seed)
    return [Person(chance) for _ in range(number)]


def counts_of(everybody: list[Person]) -> Counts:
    counts = Counts([HOUR_MS, 2 * HOUR_MS, HOUR_MS], [True, True, False])
    for one in everybody:
        counts.add(one.times, one.steps, one.begins, one.happened)
    counts.tidy()
    return counts


def stratum_of(index: int) -> int:
    return max(stratum for stratum in range(STRATA) if STARTS[stratum] <= index)


def by_hand(everybody: list[Person], antecedent: Antecedent, lane: int, window: int) -> np.ndarray:
    """[exposed, followed, others, others followed] by stratum."""
    sums = np.zeros((4, STRATA), int)
    for one in everybody:
        begin, found = one.begins[lane], one.happened[lane]
        if begin < 0:
            continue
        history = [at for at in range(begin, len(one.times)) if not found or one.times[at] < found[0][0]]
        done = next((number for number, at in enumerate(history) if antecedent in one.steps[at]), None)

        def followed(number: int, history: list[int] = history, one: Person = one, lane: int = lane) -> bool:
            found = one.happened[lane]
            return bool(found) and found[0][0] - one.times[history[number]] < window

        if done is not None:
            sums[0, stratum_of(done)] += 1
            sums[1, stratum_of(done)] += followed(done)
        for stratum, start in enumerate(STARTS):
            if start < len(history) and (done is None or done > start):
                sums[2, stratum] += 1
                sums[3, stratum] += followed(start)
    return sums


@pytest.mark.parametrize("lane", [0, 1, 2])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_sums_are_those_of_a_count_by_hand(seed: int, lane: int) -> None:
    everybody = people(300, seed)
    counts = counts_of(everybody)
    strata = counts.strata(lane)
    for antecedent in LETTERS:
        row = counts.rows[antecedent]
        made = np.array([strata.exposed[row], strata.followed[row], strata.others[row], strata.others_followed[row]])
        assert (made == by_hand(everybody, antecedent, lane, counts.windows[lane])).all()


def test_money_is_of_all_that_followed_within_the_window() -> None:
    counts = Counts([HOUR_MS], [True])
    counts.add([0, 10], [[LETTERS[0]], []], [0], [[(20, 5_000_000), (HOUR_MS - 1, 2_000_000), (HOUR_MS, 1_000_000)]])
    assert counts.paid(LETTERS[0], 0) == (1, 7_000_000, 700**2)


@pytest.mark.parametrize(("at", "followed"), [(HOUR_MS - 1, 1), (HOUR_MS, 0), (HOUR_MS + 1, 0)])
def test_the_window_is_half_open(at: int, followed: int) -> None:
    counts = Counts([HOUR_MS], [True])
    counts.add([0], [[LETTERS[0]]], [0], [[(at, 1)]])
    counts.tidy()
    assert counts.strata(0).followed.sum() == followed


def test_what_comes_with_the_outcome_is_not_before_it() -> None:
    counts = Counts([HOUR_MS], [True])
    counts.add([0, 20], [[], [LETTERS[0]]], [0], [[(20, 1)]])
    counts.tidy()
    assert counts.strata(0).exposed.sum() == 0


def test_the_rarest_are_dropped_and_the_frequent_keep_their_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANTECEDENTS_MAX", 10)
    monkeypatch.setattr(module, "_FLUSH_CODES", 50)
    counts = Counts([HOUR_MS], [True])
    for number in range(500):
        rare = Antecedent("page", f"/rare/{number}", 1, "*")
        counts.add([0, 1], [[LETTERS[0]], [rare]], [0], [[]])
    counts.tidy()
    assert len(counts.rows) <= 20
    assert counts.strata(0).exposed[counts.rows[LETTERS[0]]].sum() == 500
    assert counts.dropped + len(counts.rows) == 501
