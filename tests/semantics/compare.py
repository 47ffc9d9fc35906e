"""What a case expects against what the engine found.

1. As many firings as matches, each at its match's time. A match of which no time is said completes at the last of the
   events that it binds.
2. What a firing's text shows has to be what the match binds. What it does not show is not compared.
"""

from __future__ import annotations

from typing import Any

from tests.semantics.lines import COPY
from tests.semantics.neutral import Pattern
from tests.semantics.play import Firing


def differs(case: dict[str, Any], pattern: Pattern, firings: list[Firing]) -> str | None:
    """What was expected and what came, when they differ; else None."""
    expected = case.get("expected", [])
    count = case.get("expected_count", len(expected))
    times = {event["id"]: event["t"] for event in case["events"]}
    wanted = [(_time(match, times), _bound(match.get("bind", {}), pattern)) for match in expected]
    found = len(firings) == count and (len(expected) != count or _pairs(wanted, firings))
    if found:
        return None
    return f"expected {count}: {_written(wanted)}; got {len(firings)}: {_came(firings)}"


def _time(match: dict[str, Any], times: dict[str, int]) -> int | None:
    if "at_ms" in match:
        return int(match["at_ms"])
    bound = match.get("bind", [])
    flat = [each for one in (bound.values() if isinstance(bound, dict) else bound) for each in _listed(one)]
    return max((times[each] for each in flat if each in times), default=None)


def _listed(bound: Any) -> list[str]:
    return bound if isinstance(bound, list) else [bound]


def _bound(bind: Any, pattern: Pattern) -> dict[str, list[str]]:
    if isinstance(bind, dict):
        return {tag: _listed(ids) for tag, ids in bind.items()}
    if len(bind) == len(pattern.tags):  # in the order of the steps
        return {tag: [each] for tag, each in zip(pattern.tags, bind, strict=True)}
    return {}


def _pairs(wanted: list[tuple[int | None, dict[str, list[str]]]], firings: list[Firing]) -> bool:
    """Whether each match can be given a firing of its own that fits it."""
    if not wanted:
        return True
    (at, bound), *others = wanted
    return any(
        at in (None, firing.at_ms)
        and _fits(firing.shown, bound)
        and _pairs(others, firings[:index] + firings[index + 1 :])
        for index, firing in enumerate(firings)
    )


def _fits(shown: dict[str, str], bound: dict[str, list[str]]) -> bool:
    for name, found in shown.items():
        tag, _, number = name.partition(COPY)
        ids = bound.get(tag, [])
        if bound and found != (ids[int(number or 0)] if int(number or 0) < len(ids) else None):
            return False
    return True


def _written(wanted: list[tuple[int | None, dict[str, list[str]]]]) -> str:
    return ", ".join(f"{at} ms {_names(bound)}" for at, bound in wanted) or "none"


def _came(firings: list[Firing]) -> str:
    return (
        ", ".join(f"{one.at_ms} ms {_names({tag: [i] for tag, i in one.shown.items()})}" for one in firings) or "none"
    )


def _names(bound: dict[str, list[str]]) -> str:
    return "(" + " ".join(f"{tag}={'+'.join(ids)}" for tag, ids in bound.items()) + ")"
