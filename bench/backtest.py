"""How fast recorded events are played: reading, the engine, the sums; events a second of one core.

``python -m bench.backtest [--events N] [--visitors N] [--rules 1,20] [--processes 2] [--profile]``. Three logs:

shop      the log that `bench.worker` and `bench.engine` use: with 20 rules nine events of ten concern a rule
browsing  the same shop with the traffic that most sites have: a page view, an impression or a scroll for nine events of
          ten, and visitors who only look
sparse    1,000 rules, of which one in twenty hears of an event's type

Polars is held to one thread, so that a core is a core. CPU seconds count, also those of garbage collection.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"  # read when polars is first imported

import msgspec

from bench._report import cpu_s, last_line, machine, say, table
from bench._workload import START_MS, Job, Record, clickstream, jobs, sparse_clickstream, sparse_jobs, write_rules
from streams.backtest.run import Resources, Result, backtest
from streams.core.ruleset import EngineOptions
from streams.replay import ReplayOptions
from streams.rulefiles.program import load_program

PASSIVE = ("impression", "scroll", "banner_seen", "recommendation_seen")


def browsing(events: int, visitors: int, seed: int = 1) -> Iterator[Record]:
    """Six visitors of ten only look; the others do something every fifth time."""
    chance = random.Random(seed)
    active = iter(list(clickstream(events // 10, max(visitors * 4 // 10, 1), seed)))
    encode = msgspec.json.Encoder().encode
    for number in range(events):
        if number % 10 == 0:
            record = next(active, None)
            if record is not None:
                yield record
                continue
        at = START_MS + number * 20 + chance.randrange(1000)
        who = chance.randrange(visitors)
        name = f"v{who:06d}"
        yield Record(at, name, encode({
            "id": f"{chance.getrandbits(64):016x}", "visitor": name, "type": chance.choice(PASSIVE), "ts": at,
            "page": {"url": f"https://shop.example/p/{number}", "path": f"/p/{number}"},
            "props": {"slot": chance.randrange(20), "sku": f"s{chance.randrange(500)}"},
            "context": {"device": "mobile"},
        }))


def write(path: Path, records: Iterable[Record]) -> Path:
    """The records as JSON lines."""
    with path.open("wb") as file:
        for record in records:
            file.write(record.value + b"\n")
    return path


def as_tables(path: Path) -> dict[str, Path]:
    """The same log as CSV and Parquet, its objects as JSON text."""
    import polars as pl  # noqa: PLC0415 - after the limit on its threads

    rows = []
    for line in path.read_bytes().splitlines():
        row = msgspec.json.decode(line)
        objects = {name: msgspec.json.encode(row.get(name) or {}).decode() for name in ("page", "props", "context")}
        rows.append({**{name: row[name] for name in ("id", "visitor", "type", "ts")}, **objects})
    frame = pl.DataFrame(rows)
    csv, parquet = path.with_suffix(".csv"), path.with_suffix(".parquet")
    frame.write_csv(csv)
    frame.write_parquet(parquet)
    return {"csv": csv, "parquet": parquet}


def measured(path: Path, rules: Path, events: int, processes: int, profile: bool) -> tuple[Result, dict[str, float]]:
    """One backtest: the wall's seconds, and this process's CPU."""
    options = EngineOptions()
    program, _ = load_program(rules, options)
    profiler = cProfile.Profile() if profile else None
    began, cpu = time.perf_counter(), cpu_s()
    if profiler:
        profiler.enable()
    result = backtest([path], [program], options, ReplayOptions(), resources=Resources(processes))
    if profiler:
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    seconds, used = time.perf_counter() - began, cpu_s() - cpu
    assert sum(sum(tally.events.values()) for tally in result.tallies) == events
    found = {"events_per_s": events / seconds, "cpu_us": used / events * 1e6, "events_per_core_s": events / used}
    return result, found if processes == 1 else {"events_per_s": events / seconds}


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--visitors", type=int, default=10_000)
    parser.add_argument("--rules", default="1,20")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    say(machine())
    result: dict[str, Any] = {"events": given.events}
    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        logs = {
            "shop": write(folder / "shop.jsonl", clickstream(given.events, given.visitors)),
            "browsing": write(folder / "browsing.jsonl", browsing(given.events, given.visitors)),
            "sparse": write(folder / "sparse.jsonl", sparse_clickstream(given.events, given.visitors, 1000)),
        }

        def run(title: str, path: Path, wanted: tuple[Job, ...], processes: int = 1) -> None:
            rules = write_rules(folder / title.replace(" ", "-"), wanted)
            done, found = measured(path, rules, given.events, processes, given.profile)
            alarms = sum(rule.alarms for rule in done.tallies[0].rules.values())
            of_core = found.get("cpu_us", ""), found.get("events_per_core_s", "")
            rows.append([title, found["events_per_s"], *of_core, alarms])
            result[title] = {key: round(value, 2) for key, value in found.items()}

        for number in map(int, given.rules.split(",")):
            run(f"shop {number} rules", logs["shop"], jobs(number))
            run(f"browsing {number} rules", logs["browsing"], jobs(number))
        run("sparse 1000 rules", logs["sparse"], sparse_jobs(1000))
        for kind, path in as_tables(logs["shop"]).items():
            run(f"shop 20 rules {kind}", path, jobs(20))
        if given.processes > 1:
            run(f"shop 20 rules {given.processes} processes", logs["shop"], jobs(20), given.processes)
    table(("", "events/s", "CPU us/event", "events/s of a core", "alarms"), rows)
    last_line(result)


if __name__ == "__main__":
    main()
