"""What an event costs in the engine alone: parse, step, timers, and the row encoded; one process, no broker.

``python -m bench.engine [--events N] [--rules 1,20,50] [--batch 500] [--profile]``. Rows are encoded once a batch
and visitor, as the worker does. `sparse` rows are rule sets of which 5 % listen to an event's type.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections import Counter
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, NamedTuple

from bench._reference import expected_matches
from bench._report import cpu_s, last_line, machine, say, table
from bench._workload import Record, clickstream, jobs, sparse_clickstream, sparse_jobs, write_rules
from streams.core.effects import Decision, Effect, EventResult
from streams.core.engine import Position, step, tick
from streams.core.event import Refused, parse_event
from streams.core.ruleset import EngineOptions, Ruleset
from streams.core.visitor import NEVER, Visitor, encode_visitor
from streams.rulefiles.load import load_rules


class Measured(NamedTuple):
    """One run."""

    seconds: float
    cpu: float
    matches: Counter[str]
    rows: int
    row_bytes: int
    largest_row: int


class Partition:
    """One partition's visitors and timers, applied as the worker does, without the worker."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self.visitors: dict[str, Visitor] = {}
        self.matches: Counter[str] = Counter()
        self.clock = 0
        self._offset = 0
        self._scheduled: dict[str, int] = {}
        self._timers: list[tuple[int, str]] = []

    def apply(self, records: list[Record]) -> set[str]:
        """Apply a batch; returns whom it touched."""
        dirty: set[str] = set()
        visitors, ruleset = self.visitors, self.ruleset
        for record in records:
            if record.timestamp > self.clock:
                self.clock = record.timestamp
            event = parse_event(record.value)
            assert not isinstance(event, Refused), event
            name = event.visitor
            position = Position(self._offset, record.timestamp)
            state, result, effects = step(visitors.get(name), event, position, ruleset, self.clock)
            assert result is EventResult.APPLIED
            assert state is not None
            self._offset += 1
            visitors[name] = state
            dirty.add(name)
            self._schedule(name, state)
            if effects:
                self._note(effects)
        self._wake(dirty)
        return dirty

    def _wake(self, dirty: set[str]) -> None:
        timers, visitors = self._timers, self.visitors
        while timers and timers[0][0] <= self.clock:
            due, name = heappop(timers)
            if self._scheduled.get(name) != due:
                continue
            del self._scheduled[name]
            state: Visitor | None = visitors.pop(name)
            assert state is not None
            if state.due <= self.clock:
                state, effects = tick(state, self.ruleset, self.clock)
                self._note(effects)
                dirty.add(name)
            if state is not None:
                visitors[name] = state
                self._schedule(name, state)

    def _schedule(self, name: str, state: Visitor) -> None:
        if state.due < self._scheduled.get(name, NEVER):
            self._scheduled[name] = state.due
            heappush(self._timers, (state.due, name))

    def _note(self, effects: list[Effect]) -> None:
        for effect in effects:
            if type(effect) is Decision:
                self.matches[effect.rule] += 1


def run(records: list[Record], ruleset: Ruleset, batch: int) -> Measured:
    """Apply the records batch by batch, as one partition; encode whom a batch touched."""
    partition = Partition(ruleset)
    rows = row_bytes = largest = 0
    began, cpu = time.perf_counter(), cpu_s()
    for first in range(0, len(records), batch):
        for name in partition.apply(records[first : first + batch]):
            state = partition.visitors.get(name)
            size = 0 if state is None else len(encode_visitor(state))
            rows += 1
            row_bytes += size
            largest = max(largest, size)
    return Measured(time.perf_counter() - began, cpu_s() - cpu, partition.matches, rows, row_bytes, largest)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--visitors", type=int, default=5_000)
    parser.add_argument("--rules", default="1,20,50")
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    say(machine())
    dense = list(clickstream(options.events, options.visitors))
    rows: list[list[Any]] = []
    result: dict[str, Any] = {"events": options.events}
    for number in map(int, options.rules.split(",")):
        wanted = jobs(number)
        rows.append(_measured(f"{number} rules", dense, wanted, options, result))
    for number in (10, 1000):
        records = list(sparse_clickstream(options.events, options.visitors, number))
        rows.append(_measured(f"{number} rules, sparse", records, sparse_jobs(number), options, result))
    table(("", "events/s", "CPU us/event", "matches", "reference", "bytes/row", "largest row", "rows/event"), rows)
    result["sparse_1000_to_10"] = result["1000 rules, sparse"]["cpu_us"] / result["10 rules, sparse"]["cpu_us"]
    last_line(result)


def _measured(
    name: str, records: list[Record], wanted: Any, options: argparse.Namespace, result: dict[str, Any]
) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        ruleset = load_rules(write_rules(Path(folder), wanted), EngineOptions())
    profile = cProfile.Profile() if options.profile else None
    if profile:
        profile.enable()
    measured = run(records, ruleset, options.batch)
    if profile:
        profile.disable()
        say(f"--- {name}")
        pstats.Stats(profile).sort_stats("tottime").print_stats(28)
    # The sparse log breaks off amid open absences; `bench.rules` closes it, and holds its matches to the reference.
    right = "-" if "sparse" in name else sum(expected_matches(records, wanted).values())
    events = len(records)
    result[name] = {"events_per_s": round(events / measured.seconds), "cpu_us": round(measured.cpu / events * 1e6, 2)}
    return [
        name,
        events / measured.seconds,
        measured.cpu / events * 1e6,
        sum(measured.matches.values()),
        right,
        measured.row_bytes / measured.rows,
        measured.largest_row,
        measured.rows / events,
    ]


if __name__ == "__main__":
    main()
