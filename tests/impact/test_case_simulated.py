"""Simulated recordings with known causes: what is only there is not found. The long version: case_simulate.py."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from streams.core.event import Event
from streams.impact.case.judge import RATE_FALSE, VISITORS_MIN, p_values, shares_of
from tests.impact.case_made_up import CAUSES, START_MS, visitors
from tests.impact.case_simulate import Answer, answered, counted, decoy_p, false_and_found

RUNS = 10
VISITORS = 800


@pytest.fixture(scope="module")
def without_cause() -> list[Answer]:
    return [answered(visitors(VISITORS, seed, {})) for seed in range(RUNS)]


@pytest.fixture(scope="module")
def with_causes() -> list[Answer]:
    return [answered(visitors(VISITORS, 1_000 + seed)) for seed in range(RUNS)]


def test_without_a_cause_nothing_is_found(without_cause: list[Answer]) -> None:
    assert sum(bool(answer.judged.findings) for answer in without_cause) <= 1


def test_a_p_value_is_at_most_five_percent_no_oftener_than_that(without_cause: list[Answer]) -> None:
    p = np.concatenate([decoy_p(answer) for answer in without_cause])
    assert len(p) > 1_000
    assert (p <= RATE_FALSE).mean() <= RATE_FALSE


def test_what_is_only_there_is_not_found(with_causes: list[Answer]) -> None:
    seen = [false_and_found(answer) for answer in with_causes]
    assert np.mean([false / max(found, 1) for false, found, _ in seen]) <= RATE_FALSE


def test_what_was_planted_is_found(with_causes: list[Answer]) -> None:
    assert sum(hit for _, _, hit in map(false_and_found, with_causes)) >= 0.75 * RUNS * len(CAUSES)


def _tiring(chance: random.Random, name: str) -> Iterator[Event]:
    """Ever likelier to ask, the longer it takes; what is looked at says nothing."""
    for index in range(chance.choice((3, 40))):
        if chance.random() < 0.0015 * index:
            yield Event(f"{name}-{index}", name, "chat_opened", START_MS + index * 1000)
            return
        page = {"path": f"/{chance.choice('abcdefghijkl')}"}
        yield Event(f"{name}-{index}", name, "page_view", START_MS + index * 1000, page=page)


def test_against_all_visitors_decoys_would_look_like_causes() -> None:
    """Why the point of the visit counts: who sees rare things has come far, and who comes far comes to a chat."""
    chance = random.Random(1)
    counts = counted(list(_tiring(chance, f"v{number}")) for number in range(1_500))
    strata = counts.strata(0)
    chats = counts.moments[1, 0] / counts.reached[:2].sum()
    shares = shares_of(strata)
    naive = p_values(shares._replace(base=np.full_like(shares.base, chats), base_n=np.full_like(shares.base_n, 1e9)))
    often = shares.visitors >= VISITORS_MIN
    assert (naive[often] <= RATE_FALSE).sum() > 20
    assert (p_values(shares)[often] <= RATE_FALSE).mean() <= RATE_FALSE
