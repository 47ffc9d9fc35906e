"""The same jobs live: from an event's production to its match being readable, at a fixed rate, beside the peers.

``python -m bench.jobs_latency [--per-s 2000] [--seconds 20] [--visitors 1000] [--runs 1] [--peers avert,...]
[--jobs count,sequence]``. An open loop on Apache Kafka: each event is sent when it is due, whatever has come of those
before, with that moment as its time; a match names the time of the event that completed it. The first WARM_UP_S do not
count. (The absence is left out: its match is due two minutes after an event, not at one.)
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaProducer

from bench import _log as log
from bench._matches import MatchReader
from bench._peers import BENCH_JOBS, PARTITIONS, PEERS_BY_NAME, Entry
from bench._processes import ROOT
from bench._reference import expected_moments
from bench._report import last_line, load_average, machine, say, table
from bench._shop import last_visitors
from bench._tree import TreeWatch
from bench._workload import Record, clickstream
from bench.jobs import QUIET_S, entry_of, make_log, out_topic, until_first
from streams.embedded.stack import EmbeddedCache
from streams.http.broker import partition_of

WARM_UP_S = 8.0  # a JVM compiles what is hot
SETTLE_S = 10.0  # for matches that are still on their way at the end


@dataclass(frozen=True)
class Live:
    """One run of one peer."""

    peer: str
    job: str
    per_s: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    measured: int
    right: bool
    cpu_cores: float
    load_average: float


class Load:
    """Sends the shop's events as they are due, with the moment of sending as their time."""

    def __init__(self, bootstrap: str, topic: str, per_s: int, visitors: int) -> None:
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=0)
        self._topic, self._per_s, self._visitors = topic, per_s, visitors
        self.sent: list[Record] = []
        self.sent_at: dict[tuple[str, int], float] = {}

    async def first(self) -> None:
        """An event a partition that concerns nobody: a peer says when it has the first one."""
        await self._producer.start()
        for name in last_visitors():
            await self._send(name, "page_view", {}, time.time())

    async def run(self, seconds: float) -> None:
        """`seconds` of events."""
        events = list(clickstream(int(seconds * self._per_s), self._visitors, seed=self._per_s))
        decoded = [msgspec.json.decode(record.value) for record in events]
        began, waiting = time.time() + 0.05, []
        for number, event in enumerate(decoded):
            due = began + number / self._per_s
            if (left := due - time.time()) > 0:
                await asyncio.sleep(left)
            waiting.append(await self._send(event["visitor"], event["type"], event["props"], time.time()))
        await asyncio.gather(*waiting)

    async def _send(self, visitor: str, kind: str, props: dict[str, Any], now: float) -> Any:
        at = int(now * 1000)
        while (visitor, at) in self.sent_at:
            at += 1  # no visitor has two events at one time
        number = len(self.sent)
        value = msgspec.json.encode(
            {"id": f"live-{number}", "visitor": visitor, "type": kind, "ts": at, "received": at,
             "page": {"url": "https://shop.example/p/1", "path": "/p/1"}, "props": props,
             "context": {"device": "mobile"}}
        )  # fmt: skip
        self.sent.append(Record(at, visitor, value))
        self.sent_at[visitor, at] = now
        key = visitor.encode()
        return await self._producer.send(
            self._topic, value, key=key, partition=partition_of(key, PARTITIONS), timestamp_ms=at
        )

    async def close(self) -> None:
        """Close the connection."""
        await self._producer.stop()


async def run_live(name: str, entry: Entry, options: argparse.Namespace) -> Live:
    """One run over a log that is being written."""
    peer = PEERS_BY_NAME[name]
    await make_log(entry.bootstrap, entry.log, None)
    load = Load(entry.bootstrap, entry.topic, options.per_s, options.visitors)
    async with MatchReader(entry.bootstrap, await out_topic(name, entry), PARTITIONS) as reader:
        with peer.program(entry) as program, TreeWatch(program.pid) as watch:
            try:
                await load.first()
                await until_first(program, peer)
                began = time.time()
                await load.run(WARM_UP_S + options.seconds)
                ended = time.time()
                right = expected_moments(load.sent, (BENCH_JOBS[entry.job],))[BENCH_JOBS[entry.job].name]
                deadline = time.monotonic() + SETTLE_S
                while len(reader.found) < len(right) and time.monotonic() < deadline:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(QUIET_S)
                await reader.until_quiet(QUIET_S)
                cores = (watch.cpu_s_at(ended) - watch.cpu_s_at(began + WARM_UP_S)) / (ended - began - WARM_UP_S)
            finally:
                await load.close()
    found = [(read.visitor, read.at) for read in reader.found]
    took_ms = [
        (read.read_at - load.sent_at[read.visitor, read.at]) * 1000
        for read in reader.found
        if load.sent_at.get((read.visitor, read.at), 0) >= began + WARM_UP_S
    ]
    cuts = quantiles(took_ms, n=100, method="inclusive") if len(took_ms) > 1 else [float("nan")] * 99
    return Live(
        peer=name, job=entry.job, per_s=options.per_s, p50_ms=round(cuts[49], 1), p99_ms=round(cuts[98], 1),
        max_ms=round(max(took_ms, default=float("nan")), 1), measured=len(took_ms),
        right=len(found) == len(right) and set(found) == right, cpu_cores=round(cores, 2), load_average=load_average(),
    )  # fmt: skip


def main() -> int:
    """Measure and tell; 1 when a peer's matches are not the reference's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-s", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--visitors", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", default=",".join(PEERS_BY_NAME))
    parser.add_argument("--jobs", default="count,sequence")
    parser.add_argument("--tree", type=Path, default=ROOT, help="another state of Avert's source")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a topic just made has no leader yet, it says
    say(machine())
    peers = options.peers.split(",")
    for name in peers:
        PEERS_BY_NAME[name].set_up()
    runs: list[Live] = []
    with log.broker_of("kafka") as bootstrap, EmbeddedCache() as cache:
        for turn in range(options.runs):
            for job in options.jobs.split(","):
                for name in peers:
                    prefix = f"l{os.getpid()}-{name}-{job}-{turn}"
                    with entry_of(bootstrap, cache.url, prefix, job, prefix, options.tree) as entry:
                        runs.append(uvloop.run(run_live(name, entry, options)))
                    one = runs[-1]
                    say(f"  {job} {name}: p50 {one.p50_ms} ms, p99 {one.p99_ms} ms; right: {one.right}")
    rows = summary(runs)
    table(("job", "peer", "events/s", "p50 ms", "p99 ms", "max ms", "matches", "= reference", "cores", "load"), [
        [row["job"], row["peer"], row["per_s"], row["p50_ms"], row["p99_ms"], row["max_ms"], row["measured"],
         "yes" if row["right"] else "NO", row["cpu_cores"], row["load_average"]] for row in rows
    ])  # fmt: skip
    last_line({"machine": machine(), "rows": rows, "runs": [asdict(run) for run in runs]})
    return 0 if all(row["right"] for row in rows) else 1


def summary(runs: list[Live]) -> list[dict[str, Any]]:
    """A row for each job and peer: medians of the runs, and the worst maximum."""
    groups: dict[tuple[str, str], list[Live]] = defaultdict(list)
    for run in runs:
        groups[run.job, run.peer].append(run)
    return [
        {"job": job, "peer": peer, "per_s": some[0].per_s, "runs": len(some),
         "p50_ms": median(run.p50_ms for run in some), "p99_ms": median(run.p99_ms for run in some),
         "p99_ms_min": min(run.p99_ms for run in some), "p99_ms_max": max(run.p99_ms for run in some),
         "max_ms": max(run.max_ms for run in some), "measured": sum(run.measured for run in some),
         "right": all(run.right for run in some), "cpu_cores": median(run.cpu_cores for run in some),
         "load_average": median(run.load_average for run in some)}
        for (job, peer), some in sorted(groups.items(), key=lambda item: list(PEERS_BY_NAME).index(item[0][1]))
    ]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
