"""Random patterns: what the translated rules find, against what the patterns mean by the readings written down."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from tests.semantics.neutral import Inexpressible, read_pattern
from tests.semantics.oracle import matches
from tests.semantics.play import play
from tests.semantics.translate import translate

TYPES = "abc"
AFTER_MS = 30  # the clock runs on, longer than any absence


def matcher(draw: random.Random) -> dict[str, Any]:
    where = {"n": {draw.choice(("gt", "lt")): draw.choice((1, 2))}}
    return {"type": draw.choice(TYPES)} | ({"where": where} if draw.random() < 0.3 else {})


def once(draw: random.Random) -> dict[str, Any]:
    """One to three steps, in which absences stand, with or without a time over the whole."""
    steps: list[dict[str, Any]] = []
    for number in range(draw.choice((1, 2, 2, 3, 3))):
        if number and draw.random() < 0.25:
            steps.append({"absent": matcher(draw)})
        steps.append({"tag": f"t{number}"} | matcher(draw))
    return {"restart": "once", "steps": steps} | (
        {"within_ms": draw.choice((5, 10, 20))} if draw.random() < 0.3 else {}
    )


def every(draw: random.Random) -> dict[str, Any]:
    """Steps of different types, so that one event does not play two parts."""
    types = draw.sample(TYPES, 3)
    steps: list[dict[str, Any]] = []
    for number in range(draw.choice((2, 2, 3))):
        if number == 1 and draw.random() < 0.25:
            steps.append({"absent": {"type": "d"}})
        steps.append({"tag": f"t{number}"} | matcher(draw) | {"type": types[number]})
    return {"restart": "every", "steps": steps}


def history(draw: random.Random) -> list[dict[str, Any]]:
    at, events = 0, []
    for number in range(draw.randint(2, 8)):
        at += draw.choice((1, 2, 3, 5, 7))
        type_ = draw.choice(TYPES + "d")
        events.append({"t": at, "type": type_, "id": f"e{number}", "n": draw.randint(0, 3)})
    return events


@pytest.mark.parametrize("kind", [once, every])
def test_rules_find_what_the_pattern_means(kind):
    said = Counter()
    for seed in range(400):
        draw = random.Random(seed)
        given, events = kind(draw), history(draw)
        until = events[-1]["t"] + AFTER_MS
        pattern = read_pattern(given)
        try:
            firings = play(translate(pattern), events, until)
        except Inexpressible as reason:
            said[str(reason)] += 1
            continue
        meant = matches(pattern, events, until)
        said["matches"] += len(meant)
        assert sorted(one.at_ms for one in firings) == [at for at, _ in meant], (seed, given, events)
    assert said["matches"] > 50
    assert sum(said.values()) - said["matches"] < 40, said
