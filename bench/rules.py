"""What more rules cost an event: the engine with 10, 100, 1,000 and 10,000 rules, 5 % of which hear of an event's type.

``python -m bench.rules [--rules 10,100,1000,10000] [--events 30000] [--visitors 2000] [--batch 500] [--repeats 3]``.

Each rule set has a process of its own, which loads it and then plays its log whenever it is its turn: 10, 100, 1,000,
10,000, and again; the figures are medians. So no rule set pays for another's memory or for a busy minute. Matches
stand beside the plain reference's. Budget: an event costs with 1,000 rules at most twice what it costs with 10.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

from bench._reference import expected_matches
from bench._report import last_line, load_average, machine, say, table
from bench._workload import (
    CLOSING_GAP_MS,
    Job,
    Pattern,
    Record,
    sparse_clickstream,
    sparse_jobs,
    write_rules,
)
from bench.engine import Measured, run
from streams.core.ruleset import EngineOptions, Ruleset, compile_ruleset
from streams.rulefiles.load import load_program

BUDGET_1000_TO_10 = 2.0  # times the CPU of an event, with 1,000 rules instead of 10
KIB = 1024


class Loaded(NamedTuple):
    """What it took to get from files to a rule set: seconds, and bytes of resident memory that it added."""

    read_s: float
    compile_s: float
    kept_bytes: int
    peak_bytes: int


class Runner:
    """A process with one rule set and its log."""

    def __init__(self, rules: int, options: argparse.Namespace) -> None:
        context = multiprocessing.get_context("spawn")
        self.rules = rules
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, rules, options.events, options.visitors, options.batch), daemon=True
        )
        self._process.start()
        theirs.close()
        self.loaded: Loaded = self._pipe.recv()
        self.right: Counter[str] = self._pipe.recv()

    def play(self) -> Measured:
        """The whole log, once, from nothing."""
        self._pipe.send(True)
        measured: Measured = self._pipe.recv()
        return measured

    def close(self) -> None:
        """End the process."""
        self._pipe.send(False)
        self._process.join()


def _serve(pipe: Connection, rules: int, events: int, visitors: int, batch: int) -> None:
    wanted = sparse_jobs(rules)
    ruleset, loaded = _load(wanted)
    pipe.send(loaded)
    records = closed(sparse_clickstream(events, visitors, rules))
    pipe.send(matches(records, wanted))
    gc.collect()
    gc.freeze()  # as the worker does: rules live as long as the process, no collection need walk over them
    while pipe.recv():
        pipe.send(run(records, ruleset, batch))


def _load(wanted: tuple[Job, ...]) -> tuple[Ruleset, Loaded]:
    with tempfile.TemporaryDirectory() as folder:
        directory = write_rules(Path(folder), wanted)
        before, began = _resident_bytes("VmRSS"), time.perf_counter()
        program, _ = load_program(directory)
        read = time.perf_counter()
    ruleset = compile_ruleset(program, EngineOptions())
    done = time.perf_counter()
    gc.collect()
    kept, peak = _resident_bytes("VmRSS") - before, _resident_bytes("VmHWM") - before
    return ruleset, Loaded(read - began, done - read, kept, peak)


def _resident_bytes(field: str) -> int:
    """Resident memory now (VmRSS) or at most so far (VmHWM); 0 where the system does not tell it."""
    status = Path("/proc/self/status")
    found = re.search(rf"^{field}:\s+(\d+) kB$", status.read_text(), re.MULTILINE) if status.exists() else None
    return int(found[1]) * KIB if found else 0


def closed(records: Iterable[Record]) -> list[Record]:
    """The log and one event of somebody else, so much later that every absence before it has come to its end."""
    log = list(records)
    at = log[-1].timestamp + CLOSING_GAP_MS
    value = msgspec.json.encode(
        {"id": "closing", "visitor": "closing", "type": "closing", "ts": at, "received": at, "props": {}}
    )
    return [*log, Record(at, "closing", value)]


def matches(records: list[Record], wanted: tuple[Job, ...]) -> Counter[str]:
    """The plain reference's matches; it looks only for what a visitor has begun.

    Every kind of job in `sparse_jobs` needs an event of its first pattern; without it there are no matches to find.
    """
    begun_by: defaultdict[Pattern, list[Job]] = defaultdict(list)
    for job in wanted:
        begun_by[job.patterns[0]].append(job)
    histories: defaultdict[str, list[Record]] = defaultdict(list)
    begun: defaultdict[str, dict[str, Job]] = defaultdict(dict)
    for record in records:
        event = msgspec.json.decode(record.value)
        histories[record.visitor].append(record)
        for job in begun_by.get(Pattern(event["type"], "item", event["props"].get("item")), ()):
            begun[record.visitor][job.name] = job
    found: Counter[str] = Counter()
    for visitor, history in histories.items():
        found += expected_matches(history, tuple(begun[visitor].values()))
    return found


def main() -> int:
    """Measure and tell; 1 when the engine's matches are not the reference's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rules", default="10,100,1000,10000")
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--visitors", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    say(machine())
    runners = [Runner(number, options) for number in map(int, options.rules.split(","))]
    runs: dict[int, list[Measured]] = {runner.rules: [] for runner in runners}
    for _ in range(options.repeats):
        for runner in runners:
            runs[runner.rules].append(runner.play())
    for runner in runners:
        runner.close()
    return _tell(runners, runs, options.events + 1)


def _tell(runners: list[Runner], runs: dict[int, list[Measured]], events: int) -> int:
    rows: list[list[Any]] = []
    result: dict[str, Any] = {"events": events, "load_average": load_average(), "rules": {}}
    for runner in runners:
        played = runs[runner.rules]
        loaded = runner.loaded
        figures = {
            "cpu_us": round(median(measured.cpu for measured in played) / events * 1e6, 2),
            "matches": sum(played[0].matches.values()),
            "reference": sum(runner.right.values()),
            "row_bytes": round(played[0].row_bytes / played[0].rows, 1),
            "largest_row_bytes": played[0].largest_row,
            "read_s": round(loaded.read_s, 3),
            "compile_s": round(loaded.compile_s, 3),
            "kept_mib": round(loaded.kept_bytes / KIB**2, 1),
            "peak_mib": round(loaded.peak_bytes / KIB**2, 1),
        }
        result["rules"][str(runner.rules)] = figures
        rows.append([f"{runner.rules:,}", *figures.values()])
    head = ("rules", "CPU us/event", "matches", "reference", "bytes/row", "largest row")
    table((*head, "read s", "compile s", "kept MiB", "peak MiB"), rows)
    wrong = [r.rules for r in runners if any(played.matches != r.right for played in runs[r.rules])]  # rule by rule
    cost = {rules: figures["cpu_us"] for rules, figures in result["rules"].items()}
    if "10" in cost and "1000" in cost:
        result["ratio_1000_to_10"] = cost["1000"] / cost["10"]
        result["budget_1000_to_10"] = BUDGET_1000_TO_10
        result["within_budget"] = result["ratio_1000_to_10"] <= BUDGET_1000_TO_10
    result["wrong"] = wrong
    last_line(result)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
