"""One visitor of the recording: his events through the real engine, and what he did beside what happened."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from streams.backtest.interest import Interest
from streams.backtest.play import in_time, play
from streams.core.consent import EVERYTHING, permitted
from streams.core.definition import Program
from streams.core.effects import OutcomeRecord
from streams.core.event import Event
from streams.core.outcome import micros_of
from streams.core.ruleset import EngineOptions
from streams.impact.case.count import Happened
from streams.impact.case.lanes import SIGNAL, Lane, lanes_of, watching
from streams.impact.case.steps import Antecedent, Trail

_at_of = attrgetter("at")


class Visit(NamedTuple):
    """One visitor: when each event was, and its antecedents; by lane its beginning and what happened."""

    times: list[int]
    steps: list[list[Antecedent]]
    begins: list[int]
    happened: list[Happened]
    outcomes: list[OutcomeRecord]  # the declared ones, in the order of their time


class Everything(Interest):
    """Reads every field of every event: what concerns no rule may concern the case."""

    def __init__(self) -> None:
        super().__init__(())
        self.pages = self.contexts = self.always = True

    def hears(self, event_type: str) -> bool:
        """All of them."""
        return True


class Watcher:
    """What turns a visitor's events into a `Visit`. Raises DefinitionErrors for a bad program."""

    def __init__(self, program: Program, options: EngineOptions) -> None:
        self.ruleset = watching(program, options)
        self.lanes: tuple[Lane, ...] = lanes_of(program, options)
        self._numbers = {lane.outcome: number for number, lane in enumerate(self.lanes)}
        self._consent = options.consent_default
        self._trail = Trail(options.session_timeout_ms)

    def outcomes(self, events: list[Event]) -> list[OutcomeRecord]:
        """What happened, signals too, in the order of its time; the engine's word. `events` in any order."""
        events.sort(key=in_time)
        return sorted(play(events, self.ruleset).outcomes, key=_at_of)

    def visit(self, events: list[Event], outcomes: Sequence[OutcomeRecord]) -> Visit:
        """The visitor's history, with what `outcomes` gave for it.

        Only what he did with consent to being counted and being known is looked at, and each event once.
        """
        events.sort(key=in_time)
        events = self._usable(events)
        trail = self._trail
        trail.begin()
        steps = [trail.of(event) for event in events]
        times = [event.ts for event in events]
        types = [event.type for event in events]
        happened: list[list[tuple[int, int]]] = [[] for _ in self.lanes]
        for one in outcomes:
            number = self._numbers.get(one.outcome)
            if number is not None:
                happened[number].append((one.at, micros_of(one.amount)))
            elif one.outcome.startswith(SIGNAL):
                at = bisect_right(times, one.at) - 1
                if at >= 0:
                    steps[at].append(Antecedent("signal", one.outcome.removeprefix(SIGNAL), 1, "signal"))
        declared = [one for one in outcomes if not one.outcome.startswith(SIGNAL)]
        return Visit(times, steps, [_begin(lane, types) for lane in self.lanes], list(happened), declared)

    def _usable(self, events: Sequence[Event]) -> list[Event]:
        seen: set[str] = set()
        usable = []
        for event in events:
            if event.id not in seen and event.ts >= 0 and permitted(None, event, self._consent) == EVERYTHING:
                seen.add(event.id)
                usable.append(event)
        return usable


def _begin(lane: Lane, types: Sequence[str]) -> int:
    if lane.whole:
        return 0
    return next((index for index, kind in enumerate(types) if kind in lane.after), -1)
