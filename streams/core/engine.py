"""step() and tick(): the one place where the order of things is written."""

from __future__ import annotations

from typing import NamedTuple

from streams.core.effects import Effect, EventResult
from streams.core.event import Event
from streams.core.ruleset import Ruleset
from streams.core.visitor import Visitor


class Position(NamedTuple):
    """Where in its partition a record stands: its offset, and its timestamp in ms."""

    offset: int
    timestamp: int


def step(
    state: Visitor | None, event: Event, position: Position, ruleset: Ruleset, now: int
) -> tuple[Visitor | None, EventResult, list[Effect]]:
    """Apply one event to its visitor."""
    raise NotImplementedError


def tick(state: Visitor, ruleset: Ruleset, now: int) -> tuple[Visitor | None, list[Effect]]:
    """Fire what is due at or before `now`."""
    raise NotImplementedError
