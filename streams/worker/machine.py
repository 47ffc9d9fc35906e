"""What the worker needs of the core, gathered in one value, so that tests can put a small engine in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from streams.core.effects import Effect, EventResult, WithdrawalReason
from streams.core.event import Event


class VisitorState(Protocol):
    """What the worker may know of a visitor's state."""

    visitor: str
    offset: int  # of the last event applied
    due: int  # ms: the next moment at which `tick` has something to do
    sessions: Any  # sized


class RowFacts(Protocol):
    """What can be read of a row without decoding it."""

    @property
    def offset(self) -> int:
        """Offset of the last event applied."""

    @property
    def due(self) -> int:
        """The next moment at which `tick` has something to do, ms."""


StepResult = tuple[Any, EventResult, list[Effect]]
TickResult = tuple[Any, list[Effect]]


@dataclass(frozen=True, slots=True)
class Machine:
    """The pure engine with its rules and its codec. `never`: a due time that never comes, ms.

    `forget(state, now, reason, effects)` adds what has to be said before a state is dropped.
    """

    step: Callable[[Any, Event, Any, Any, int], StepResult]
    tick: Callable[[Any, Any, int], TickResult]
    encode: Callable[[Any], bytes]
    decode: Callable[[str, bytes], Any]
    header: Callable[[bytes], RowFacts]
    position: Callable[[int, int], Any]  # (offset, timestamp ms)
    rules: Any
    never: int
    forget: Callable[[Any, int, WithdrawalReason, list[Effect]], None] = lambda _state, _at, _why, _effects: None


def core_machine(rules: Any) -> Machine:
    """The real one, with `rules` (a compiled Ruleset)."""
    from streams.core import consent, engine, visitor  # noqa: PLC0415  # tests of the worker run on an engine of their own

    return Machine(
        step=engine.step, tick=engine.tick,
        encode=visitor.encode_visitor, decode=visitor.decode_visitor, header=visitor.row_header,
        position=engine.Position, rules=rules, never=visitor.NEVER,
        forget=consent.forget,
    )
