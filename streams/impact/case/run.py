"""Reading a recording twice: once for what is beyond the base rate, once more for the top findings.

1. Parts are read; each visitor's events go to one shard. A recording of up to IN_MEMORY_BYTES stays in memory, a larger
   one goes through files in a temporary folder, so that a shard and the counts are all that is held.
2. One shard after the other is counted (`count`), and the questions are answered (`judge`).
3. The same shards are gone through again for the findings that will be shown (`instead`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from streams.backtest.recordings import FileReading, Part, Reading, by_file, parts_of, read_part, span_of
from streams.backtest.shards import SHARDS_MAX, ShardFiles, group
from streams.core.definition import Program
from streams.core.effects import OutcomeRecord
from streams.core.event import Event
from streams.core.outcome import micros_of
from streams.core.ruleset import EngineOptions
from streams.impact.case.count import Counts, Table
from streams.impact.case.instead import Instead
from streams.impact.case.judge import Finding, Judged, judge
from streams.impact.case.lanes import Lane
from streams.impact.case.steps import Antecedent
from streams.impact.case.visitor import Everything, Visit, Watcher
from streams.replay import ReplayOptions

IN_MEMORY_BYTES = 64 * 1024 * 1024  # of files: about 500,000 events, about 450 MB as objects with all their fields
SHARD_BYTES = 32 * 1024 * 1024  # of files, for each shard: half of that
CANDIDATES_MAX = 60  # findings that are gone through again: those shown, and what turns out to be the same visitors
_DAY_MS = 86_400_000

Progress = Callable[[str, int, int], None]
Shards = Callable[[], Iterator[dict[str, list[Event]]]]


class Paid(msgspec.Struct):
    """How often an outcome happened, and its money in micro-units."""

    count: int = 0
    micros: int = 0
    unpriced: int = 0

    def add(self, one: OutcomeRecord) -> None:
        """One more."""
        self.count += 1
        self.micros += micros_of(one.amount)
        self.unpriced += one.amount is None


class Costs(msgspec.Struct):
    """All outcomes of the recording, by name and by day (UTC, days since the epoch)."""

    events: int = 0
    outcomes: dict[str, Paid] = {}
    days: dict[int, dict[str, Paid]] = {}
    visitors: dict[str, int] = {}  # visitors with the outcome

    def add(self, visit: Visit) -> None:
        """One visitor's."""
        self.events += len(visit.times)
        for one in visit.outcomes:
            self.outcomes.setdefault(one.outcome, Paid()).add(one)
            if one.kind == "anti_conversion":
                self.days.setdefault(one.at // _DAY_MS, {}).setdefault(one.outcome, Paid()).add(one)
        for name in {one.outcome for one in visit.outcomes}:
            self.visitors[name] = self.visitors.get(name, 0) + 1


class Studied(NamedTuple):
    """Everything that was found out; `names` are the antecedents by row."""

    files: list[FileReading]
    first_ts: int | None
    last_ts: int | None
    lanes: tuple[Lane, ...]
    counts: Counts
    costs: Costs
    names: list[Antecedent]
    judged: Judged
    candidates: list[Finding]
    instead: Instead


def study(
    paths: Sequence[Path],
    program: Program,
    options: EngineOptions,
    mapping: ReplayOptions,
    *,
    in_memory_bytes: int = IN_MEMORY_BYTES,
    progress: Progress = lambda what, done, total: None,
) -> Studied:
    """Read the recordings and find out what came before their anti-conversions. Raises ReplayError."""
    watcher = Watcher(program, options)
    parts = parts_of(paths)
    size = sum(part.bytes_to_read for part in parts)
    with tempfile.TemporaryDirectory(prefix="avert-case-") as folder:
        if size <= in_memory_bytes:
            readings, shards = _held(parts, mapping, progress)
        else:
            number = min(SHARDS_MAX, -(-size // SHARD_BYTES) + 1)
            readings, shards = _spilled(parts, mapping, Path(folder), number, progress)
        told, total = _Told(Path(folder)), sum(one.lines for one in readings)
        counts, costs = count(watcher, told.first(watcher, shards, lambda done: progress("counting", done, total)))
        names = list(counts.rows)
        judged = judge(counts, allowed(names, watcher.lanes))
        candidates = judged.findings[:CANDIDATES_MAX]
        again = Instead([(names[one.row], one.lane) for one in candidates], watcher.lanes)
        for visit in told.again(watcher, shards, lambda done: progress("looking again", done, total)):
            again.add(visit)
    return Studied(
        by_file(paths, parts, readings), *span_of(readings),
        watcher.lanes, counts, costs, names, judged, candidates, again,
    )  # fmt: skip


def count(watcher: Watcher, visits: Iterable[Visit]) -> tuple[Counts, Costs]:
    """The first pass."""
    counts = Counts([lane.window_ms for lane in watcher.lanes], [lane.whole for lane in watcher.lanes])
    costs = Costs()
    for visit in visits:
        costs.add(visit)
        if visit.times:
            counts.add(visit.times, visit.steps, visit.begins, visit.happened)
    counts.tidy()
    return counts, costs


def allowed(names: Sequence[Antecedent], lanes: Sequence[Lane]) -> Table:
    """Which questions make sense: what an outcome is made of comes before it by definition."""
    return np.array([[one.type not in lane.defining for lane in lanes] for one in names], bool).reshape(-1, len(lanes))


class _Told:
    """The engine's outcomes of every visitor, kept in files: it runs once and not twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _file(self, shard: int) -> Path:
        return self._folder / f"outcomes-{shard:04}"

    def first(self, watcher: Watcher, shards: Shards, progress: Callable[[int], None]) -> Iterator[Visit]:
        """Every visitor, with the engine."""
        encode = msgspec.msgpack.Encoder().encode
        done = 0
        for number, shard in enumerate(shards()):
            told = []
            for visitor in sorted(shard):  # an order of its own: the same rows, however the files were read
                events = shard[visitor]
                outcomes = watcher.outcomes(events)
                told.append(outcomes)
                yield watcher.visit(events, outcomes)
                done += len(events)
            self._file(number).write_bytes(encode(told))
            progress(done)

    def again(self, watcher: Watcher, shards: Shards, progress: Callable[[int], None]) -> Iterator[Visit]:
        """Every visitor, with what the engine said."""
        decode = msgspec.msgpack.Decoder(list[list[OutcomeRecord]]).decode
        done = 0
        for number, shard in enumerate(shards()):
            told = decode(self._file(number).read_bytes())
            for visitor, outcomes in zip(sorted(shard), told, strict=True):
                yield watcher.visit(shard[visitor], outcomes)
                done += len(shard[visitor])
            progress(done)


# --- shards ------------------------------------------------------------------------------------------------------


def _held(parts: Sequence[Part], mapping: ReplayOptions, progress: Progress) -> tuple[list[Reading], Shards]:
    visitors: dict[str, list[Event]] = {}
    readings = []
    for number, part in enumerate(parts):
        progress("reading", number, len(parts))
        reading = Reading()
        group(read_part(part, mapping, Everything(), reading), visitors)
        readings.append(reading)
    return readings, lambda: iter([visitors])


def _spilled(
    parts: Sequence[Part], mapping: ReplayOptions, folder: Path, number: int, progress: Progress
) -> tuple[list[Reading], Shards]:
    files = ShardFiles(folder, number)
    readings = []
    for done, part in enumerate(parts):
        progress("reading", done, len(parts))
        reading = Reading()
        files.write(0, read_part(part, mapping, Everything(), reading))
        readings.append(reading)
    return readings, lambda: filter(None, map(files.read, range(number)))
