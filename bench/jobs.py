"""Three jobs beside the peers on Apache Kafka: a count within a window, a sequence of three, an absence by timer.

``python -m bench.jobs [--events 300000,1500000] [--visitors 5000] [--runs 3] [--peers avert,faust,...]
[--jobs count,sequence,absence] [--keep FILE] [--tree FOLDER]``. All peers read the same topic, one worker or thread
each, in turn; and again, `--runs` times. The clock goes from a peer's first event (Avert: from before it was ready)
until the matches of the log's last events can be read from its output topic; CPU is that of the process and its
children in this time, memory the most that they held. Matches are compared one by one with the plain reference's
(`_reference.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import _log as log
from bench._matches import MatchReader
from bench._peers import BENCH_JOBS, PARTITIONS, PEERS_BY_NAME, Entry, Peer
from bench._processes import ROOT, Program, leased_port
from bench._report import PerEvent, last_line, load_average, machine, say, table
from bench._shop import Log, shop_log
from bench._tree import TreeWatch
from streams.embedded.local import answers
from streams.embedded.stack import EmbeddedCache

GIVE_UP_S = 300.0
EVENTS_MIN = 300_000  # of which on all visitors are there
QUIET_S = 0.5
_POLL_S = 0.005


@dataclass(frozen=True)
class Run(PerEvent):
    """One run of one peer."""

    peer: str
    job: str
    events: int
    seconds: float
    cpu_s: float
    start_cpu_s: float  # from the process's start to its first event
    peak_mib: float
    matches: int  # records in the output topic
    right: bool  # they are the reference's, each once
    load_average: float


async def make_log(bootstrap: str, prefix: str, made: Log | None) -> None:
    """The topics of a log, with its events in them (None: they come later). The second is for what Avert decides."""
    for name in ("clickstream", "decisions"):
        await log.create_topic(bootstrap, f"{prefix}-{name}", PARTITIONS)
    if made is not None:
        await log.preload(bootstrap, f"{prefix}-clickstream", PARTITIONS, made.records)


async def out_topic(peer: str, entry: Entry) -> str:
    """Where a peer's matches come out; made if it is not there."""
    if peer.startswith("avert"):
        return f"{entry.log}-decisions"
    await log.create_topic(entry.bootstrap, entry.out, PARTITIONS)
    return entry.out


async def until_first(program: Program, peer: Peer) -> float:
    """When the program had its first event; of Avert: the last moment at which it was not ready."""
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        program.child.check()
        asked = time.time()
        if peer.first_events:
            _, found, rest = program.log_text().partition("first ")
            if found and "\n" in rest:
                return float(rest.split()[0])
        elif await asyncio.to_thread(answers, f"{program.url}/readyz"):
            return asked - _POLL_S
        await asyncio.sleep(_POLL_S)
    raise TimeoutError(f"no event in {GIVE_UP_S:g} s; {program.child.last_words()}")


async def run_job(name: str, entry: Entry, made: Log) -> Run:
    """One run over a log that is there."""
    peer = PEERS_BY_NAME[name]
    async with MatchReader(entry.bootstrap, await out_topic(name, entry), PARTITIONS) as reader:
        with peer.program(entry) as program, TreeWatch(program.pid) as watch:
            began = await until_first(program, peer)
            ended = await reader.until_read(made.last, program.child.check, GIVE_UP_S)
            load = load_average()
            await reader.until_quiet(QUIET_S)
        found = [(read.visitor, read.at) for read in reader.found]
    right = made.right[entry.job]
    return Run(
        peer=name, job=entry.job, events=len(made.records), seconds=ended - began,
        cpu_s=watch.cpu_s_at(ended) - watch.cpu_s_at(began), start_cpu_s=watch.cpu_s_at(began),
        peak_mib=watch.peak_mib, matches=len(found),
        right=len(found) == len(right) and set(found) == right, load_average=load,
    )  # fmt: skip


@contextlib.contextmanager
def entry_of(bootstrap: str, redis_url: str, prefix: str, job: str, app: str, tree: Path = ROOT) -> Any:
    """What a run needs of its own: a group, a state folder, a port."""
    state = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with leased_port() as port:
            yield Entry(bootstrap, redis_url, prefix, job, app, state, port, tree)
    finally:
        shutil.rmtree(state, ignore_errors=True)


def summary(runs: list[Run]) -> list[dict[str, Any]]:
    """A row for each job, number of events and peer: medians, and the least and the most."""
    groups: dict[tuple[str, int, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.job, run.events, run.peer].append(run)
    rows = []
    for (job, events, peer), some in sorted(groups.items(), key=lambda item: _order(*item[0])):
        rates, cpu = sorted(run.rate for run in some), sorted(run.cpu_s_per_m for run in some)
        rows.append({
            "job": job, "events": events, "peer": peer, "runs": len(some),
            "events_per_s": round(median(rates)), "events_per_s_min": round(rates[0]),
            "events_per_s_max": round(rates[-1]),
            "cpu_s_per_m": round(median(cpu), 2), "cpu_s_per_m_min": round(cpu[0], 2),
            "cpu_s_per_m_max": round(cpu[-1], 2),
            "start_cpu_s": round(median(run.start_cpu_s for run in some), 2),
            "peak_mib": round(median(run.peak_mib for run in some)),
            "matches": some[-1].matches, "right": all(run.right for run in some),
            "load_average": round(median(run.load_average for run in some), 1),
        })  # fmt: skip
    return rows


def _order(job: str, events: int, peer: str) -> tuple[int, int, int]:
    return list(BENCH_JOBS).index(job), events, list(PEERS_BY_NAME).index(peer)


def main() -> int:
    """Measure and tell; 1 when a peer's matches are not the reference's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", default="300000,1500000")
    parser.add_argument("--visitors", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tree", type=Path, default=ROOT, help="another state of Avert's source")
    parser.add_argument("--keep", type=Path, help="append each run to this file, one JSON object a line")
    parser.add_argument("--peers", default=",".join(PEERS_BY_NAME))
    parser.add_argument("--jobs", default=",".join(BENCH_JOBS))
    parser.add_argument("--told", type=Path, help="measure nothing: tell of the runs that --keep has put there")
    options = parser.parse_args()
    if options.told:
        return tell([Run(**json.loads(line)) for line in options.told.read_text().splitlines()])
    peers, jobs = options.peers.split(","), options.jobs.split(",")
    sizes = sorted(map(int, options.events.split(",")))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a topic just made has no leader yet, it says
    say(machine())
    for name in peers:
        PEERS_BY_NAME[name].set_up()
    runs: list[Run] = []
    with log.broker_of("kafka") as bootstrap, EmbeddedCache() as cache:
        for size in sizes:
            for events, who in _turns(size, peers, first=size == sizes[0]):
                runs += _one_log(bootstrap, cache.url, events, options, who, jobs)
    return tell(runs)


def tell(runs: list[Run]) -> int:
    """The table and the last line; 1 when a peer's matches are not the reference's."""
    rows = summary(runs)
    table(("job", "peer", "events", "events/s", "CPU s / M", "MiB", "matches", "= reference", "load"), [
        [row["job"], row["peer"], row["events"], row["events_per_s"], row["cpu_s_per_m"], row["peak_mib"],
         row["matches"], "yes" if row["right"] else "NO", row["load_average"]] for row in rows
    ])  # fmt: skip
    last_line({"machine": machine(), "rows": rows, "runs": [asdict(run) for run in runs]})
    return 0 if all(row["right"] for row in rows) else 1


def _turns(size: int, peers: list[str], *, first: bool) -> list[tuple[int, list[str]]]:
    """(events, peers): who does so many, and, once, a shorter log for those who would take too long."""
    able = [name for name in peers if size <= (PEERS_BY_NAME[name].events_max or size)]
    turns = [(size, able)] if able else []
    if first:
        turns += [(PEERS_BY_NAME[name].events_max or size, [name]) for name in peers if name not in able]
    return turns


def _one_log(
    bootstrap: str, redis_url: str, events: int, options: argparse.Namespace, peers: list[str], jobs: list[str]
) -> list[Run]:
    keep, times = options.keep, options.runs
    # In a shorter log fewer visitors, each as busy.
    visitors = max(1, min(options.visitors, options.visitors * events // EVENTS_MIN))
    made = shop_log(events, visitors)
    # A log for each job: Avert's rules in force are in a topic beside it.
    prefixes = {job: f"p{os.getpid()}-{events}-{job}" for job in jobs}
    for prefix in prefixes.values():
        asyncio.run(make_log(bootstrap, prefix, made))
    say(f"{len(made.records):,} events; right: {({job: len(made.right[job]) for job in jobs})}")
    runs = []
    for turn in range(times):
        for job in jobs:
            for name in peers:
                app = f"{prefixes[job]}-{name}-{turn}"
                with entry_of(bootstrap, redis_url, prefixes[job], job, app, options.tree) as entry:
                    run = asyncio.run(run_job(name, entry, made))
                runs.append(run)
                if keep is not None:
                    with keep.open("a") as file:
                        file.write(json.dumps(asdict(run)) + "\n")
                say(
                    f"  {job} {name}: {run.rate:,.0f} events/s, {run.cpu_s_per_m:.1f} CPU s / M, {run.peak_mib:.0f} "
                    f"MiB, {run.matches:,} matches{'' if run.right else ' (NOT right)'}; load {run.load_average}"
                )
    return runs


if __name__ == "__main__":
    raise SystemExit(main())
