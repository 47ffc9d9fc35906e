"""Random patterns: what the translated rules find, against what the patterns mean by the readings written down.

Where the language has no word for a pattern, the translation has to say so; that is not counted against it here, but
most patterns have to be expressible.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from tests.semantics.neutral import Inexpressible, read_pattern
from tests.semantics.oracle import matches
from tests.semantics.play import play
from tests.semantics.translate import translate

TYPES = "abc"
AFTER_MS = 30  # the clock runs on, longer than any absence
PATTERNS = 400
AT_ONCE_MAX = 3  # partial matches that one event completes: the rules of every pattern here have room for these


def matcher(draw: random.Random, tags: list[str]) -> dict[str, Any]:
    """A type, and now and then a test of a number or a comparison with an earlier step."""
    where: dict[str, Any] = {}
    if draw.random() < 0.25:
        where = {"n": {draw.choice(("gt", "lt")): draw.choice((1, 2))}}
    elif tags and draw.random() < 0.3:
        where = {"n": {draw.choice(("eq", "gt", "lt")): {"ref": f"{draw.choice(tags)}.n"}}}
    return {"type": draw.choice(TYPES)} | ({"where": where} if where else {})


def once(draw: random.Random) -> dict[str, Any]:
    """One to three steps, with absences at the beginning, between them and at the end."""
    steps: list[dict[str, Any]] = []
    tags: list[str] = []
    if draw.random() < 0.15:
        steps.append({"absent": matcher(draw, []), "for_ms": 5})
    for number in range(draw.choice((1, 2, 2, 3, 3))):
        if number and draw.random() < 0.3:
            steps.append({"absent": matcher(draw, tags)} | draw.choice(({}, {"for_ms": 5})))
        steps.append({"tag": f"t{number}"} | matcher(draw, tags))
        tags.append(f"t{number}")
    if draw.random() < 0.25:
        steps.append({"absent": matcher(draw, tags), "for_ms": 10})
    return {"restart": "once", "steps": steps} | ({"within_ms": draw.choice((5, 20))} if draw.random() < 0.2 else {})


def every(draw: random.Random) -> dict[str, Any]:
    """Steps of different types, so that one event does not play two parts."""
    types = draw.sample(TYPES, 3)
    steps: list[dict[str, Any]] = []
    for number in range(draw.choice((1, 2, 2, 3))):
        if number == 1 and draw.random() < 0.25:
            steps.append({"absent": {"type": "d"}})
        steps.append({"tag": f"t{number}"} | matcher(draw, []) | {"type": types[number]})
    if len(steps) == 1 or draw.random() < 0.2:
        steps.append({"absent": {"type": "d"}, "for_ms": 10})
    return {"restart": "every", "steps": steps} | ({"within_ms": 20} if draw.random() < 0.2 else {})


def strict(draw: random.Random) -> dict[str, Any]:
    """Steps with nothing in between."""
    tags: list[str] = []
    steps: list[dict[str, Any]] = []
    for number in range(draw.choice((2, 3))):
        steps.append({"tag": f"t{number}"} | matcher(draw, tags) | {"type": TYPES[number]})
        tags.append(f"t{number}")
    return {"restart": draw.choice(("once", "every")), "contiguity": "strict", "steps": steps}


def history(draw: random.Random) -> list[dict[str, Any]]:
    at, events = 0, []
    for number in range(draw.randint(2, 8)):
        at += draw.choice((1, 2, 3, 5, 7))
        events.append({"t": at, "type": draw.choice(TYPES + "d"), "id": f"e{number}", "n": draw.randint(0, 3)})
    return events


def bounded(times: Iterable[int]) -> dict[int, int]:
    """How many matches at each moment; of more at once than the rules have room for, only that they are there."""
    return {at: min(number, AT_ONCE_MAX) for at, number in Counter(times).items()}


@pytest.mark.parametrize("kind", [once, every, strict])
def test_rules_find_what_the_pattern_means(kind):
    said: Counter[str] = Counter()
    for seed in range(PATTERNS):
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
        found = bounded(one.at_ms for one in firings)
        assert found == bounded(at for at, _ in meant), (seed, given, events)
    assert said["matches"] > 30
    assert sum(said.values()) - said["matches"] < PATTERNS / 5, said


@pytest.mark.parametrize("kind", [once, every, strict])
def test_rules_read_again_between_any_two_events_find_the_same(kind):
    """Each event meets rules that were just read, with another rule among them, and a state that was just written."""
    for seed in range(PATTERNS // 4):
        draw = random.Random(seed)
        given, events = kind(draw), history(draw)
        until = events[-1]["t"] + AFTER_MS
        try:
            rules = translate(read_pattern(given))
            plain = play(rules, events, until)
        except Inexpressible:
            continue
        assert play(rules, events, until, reloading=True) == plain, (seed, given, events)
