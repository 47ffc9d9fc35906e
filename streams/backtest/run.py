"""A whole backtest: read every part, give each visitor to one shard, play the shards, add up.

1. Parts are read, each by any process; their events are put in shards by a hash of the visitor.
2. A recording of up to IN_MEMORY_BYTES in one process stays in memory. Otherwise the shards lie in a temporary folder,
   and each is small enough for a process to hold: the recording may be larger than the memory.
3. Each shard is played by any process: a visitor's events in the order of their time.
4. Sums are added in the order of the shards. None of them depends on that order.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from streams.backtest.diff import DiffTally, compare
from streams.backtest.interest import Interest
from streams.backtest.measure import Tally, empty_tally, tally_visitor
from streams.backtest.play import in_time, play, play_quietly, trial_ruleset
from streams.backtest.recordings import PART_BYTES, FileReading, Part, Reading, by_file, parts_of, read_part, span_of
from streams.backtest.shards import SHARDS_MAX, ShardFiles, group
from streams.core.definition import Program
from streams.core.event import Event
from streams.core.ruleset import EngineOptions, Ruleset
from streams.replay import ReplayOptions

IN_MEMORY_BYTES = 256 * 1024 * 1024  # of files: about a million events, about 1 GB as objects
SHARD_BYTES = 64 * 1024 * 1024  # of files, for each shard: some 300,000 events at a time in a process
_TOLD_EVERY_EVENTS = 5_000  # a progress bar moves some ten times a second

Progress = Callable[[str, int, int], None]  # what is being done, how much is done, of how much


class Resources(NamedTuple):
    """What a backtest may use."""

    processes: int = 1
    in_memory_bytes: int = IN_MEMORY_BYTES
    part_bytes: int = PART_BYTES


class Job(msgspec.Struct, frozen=True):
    """What every process has to know. Programs and not rule sets: these cannot travel."""

    programs: tuple[Program, ...]
    options: EngineOptions
    mapping: ReplayOptions
    shards: int
    folder: str


class Result(msgspec.Struct):
    """What came of a whole backtest: a tally for each rule set, and their differences when there are two."""

    files: list[FileReading]
    first_ts: int | None
    last_ts: int | None
    tallies: list[Tally]
    difference: DiffTally | None


class Tallies(NamedTuple):
    """What came of one shard."""

    events: int
    tallies: list[Tally]
    difference: DiffTally


class _Process:
    """One process's own copy of what it needs; made once."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.rulesets = [trial_ruleset(program, job.options) for program in job.programs]
        self.interest = Interest(self.rulesets)
        self.files = ShardFiles(Path(job.folder), job.shards)

    def read(self, part: Part) -> tuple[Reading, Iterator[Event]]:
        reading = Reading()
        return reading, read_part(part, self.job.mapping, self.interest, reading)

    def spill(self, numbered: tuple[int, Part]) -> Reading:
        """Read one part into the folder's files: one for each shard."""
        number, part = numbered
        reading, events = self.read(part)
        self.files.write(number, events)
        return reading

    def play_shard(self, shard: int) -> Tallies:
        """Play what the folder has for one shard."""
        visitors = self.files.read(shard)
        self.files.forget(shard)
        return play_all(visitors, self.rulesets, self.interest)


_process: list[_Process] = []  # of a worker process: set by its initialiser


def _begin(job: Job) -> None:
    _process[:] = [_Process(job)]


def _spill(numbered: tuple[int, Part]) -> Reading:
    return _process[0].spill(numbered)


def _play_shard(shard: int) -> Tallies:
    return _process[0].play_shard(shard)


def play_all(
    visitors: dict[str, list[Event]],
    rulesets: Sequence[Ruleset],
    interest: Interest,
    progress: Callable[[int], None] = lambda _: None,
) -> Tallies:
    """Play every visitor with every rule set. `progress` is told how many events are done; `visitors` is emptied."""
    tallies = [empty_tally(ruleset) for ruleset in rulesets]
    difference = DiffTally()
    done = told = 0
    while visitors:
        visitor, events = visitors.popitem()
        events.sort(key=in_time)  # stable: what comes at one moment keeps its order
        played = [play_quietly(events, interest, ruleset) or play(events, ruleset) for ruleset in rulesets]
        for tally, made, ruleset in zip(tallies, played, rulesets, strict=True):
            tally_visitor(tally, made, ruleset)
        if len(played) == 2:
            compare(difference, visitor, events, before=played[1], after=played[0])
        done += len(events)
        if done >= told + _TOLD_EVERY_EVENTS:
            told = done
            progress(done)
    return Tallies(done, tallies, difference)


def backtest(
    paths: Sequence[Path],
    programs: Sequence[Program],
    options: EngineOptions,
    mapping: ReplayOptions,
    *,
    resources: Resources | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Result:
    """Play the recordings with a program, and with a second one that it is compared with, the older.

    Raises ReplayError, and DefinitionErrors for a bad program.
    """
    resources = resources or Resources()
    parts = parts_of(paths, resources.part_bytes)
    size = sum(part.bytes_to_read for part in parts)
    job = Job(tuple(programs), options, mapping, 1, "")
    if resources.processes <= 1 and size <= resources.in_memory_bytes:
        readings, shards = _in_memory(_Process(job), parts, progress)
    else:
        readings, shards = _through_files(parts, size, job, resources.processes, progress)
    return _added(paths, parts, readings, shards)


def _in_memory(process: _Process, parts: Sequence[Part], progress: Progress) -> tuple[list[Reading], list[Tallies]]:
    visitors: dict[str, list[Event]] = {}
    readings = []
    for number, part in enumerate(parts):
        progress("reading", number, len(parts))
        reading, events = process.read(part)
        group(events, visitors)
        readings.append(reading)
    total = sum(map(len, visitors.values()))
    made = play_all(visitors, process.rulesets, process.interest, lambda done: progress("playing", done, total))
    return readings, [made]


def _through_files(
    parts: Sequence[Part], size: int, job: Job, processes: int, progress: Progress
) -> tuple[list[Reading], list[Tallies]]:
    shards = min(SHARDS_MAX, max(2 * processes, -(-size // SHARD_BYTES)))
    with tempfile.TemporaryDirectory(prefix="avert-backtest-") as folder:
        job = msgspec.structs.replace(job, shards=shards, folder=folder)
        with _mapper(job, processes) as mapped:
            readings = []
            for reading in mapped(_spill, list(enumerate(parts))):
                readings.append(reading)
                progress("reading", len(readings), len(parts))
            made = []
            for tallies in mapped(_play_shard, list(range(shards))):
                made.append(tallies)
                progress("playing", len(made), shards)
    return readings, made


@contextmanager
def _mapper(job: Job, processes: int) -> Iterator[Callable[[Any, list[Any]], Iterable[Any]]]:
    """Something that maps in order: over processes, or over this one alone."""
    if processes <= 1:
        _begin(job)
        try:
            yield map
        finally:
            _process.clear()
        return
    # Spawned and not forked: the same on every system, and no thread of polars or rich is cut off in the middle.
    with multiprocessing.get_context("spawn").Pool(processes, _begin, (job,)) as pool:
        yield pool.imap


def _added(paths: Sequence[Path], parts: Sequence[Part], readings: list[Reading], shards: list[Tallies]) -> Result:
    tallies, difference = shards[0].tallies, shards[0].difference
    for other in shards[1:]:
        for mine, theirs in zip(tallies, other.tallies, strict=True):
            mine.add(theirs)
        difference.add(other.difference)
    for tally in tallies:
        for rule in tally.rules.values():
            rule.leads_ms.sort()
    first_ts, last_ts = span_of(readings)
    return Result(
        files=by_file(paths, parts, readings),
        first_ts=first_ts,
        last_ts=last_ts,
        tallies=tallies,
        difference=difference if len(tallies) == 2 else None,
    )
