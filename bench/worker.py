"""Avert's worker beside idiomatic Faust: the same rules, the same events, the same broker, in one run.

``python -m bench.worker [--broker embedded|kafka] [--events N] [--faust-events N] [--rules N] [--partitions 4]
[--visitors 5000] [--turns 1] [--every-kind]``. Each run gets topics of its own with the whole backlog in them; the
clock goes from the first fetch (Avert: ready; Faust: its first event) to the commit of the last event. Avert runs
before and after Faust, `--turns` times; figures are medians. Both are one process; Avert sends decisions, suggestions,
outcomes and states and awaits each, and writes suggestions to the cache.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench import _log as log
from bench._fifty import write_fifty
from bench._processes import Program, leased_port, seconds_of, worker
from bench._reference import expected_matches
from bench._report import PerEvent, last_line, load_average, machine, say, table
from bench._workload import SESSION_TIMEOUT_MS, Job, Record, clickstream, jobs, write_rules
from streams.embedded.stack import EmbeddedCache
from streams.settings import Settings

BUDGET_RATIO = 15


@dataclass(frozen=True)
class Work:
    """What one run has to do."""

    broker: str
    bootstrap: str
    redis_url: str
    rules_dir: Path
    wanted: tuple[Job, ...]
    partitions: int
    records: list[Record]


@dataclass(frozen=True)
class Measured(PerEvent):
    """One run."""

    name: str
    events: int
    seconds: float
    cpu_s: float
    matches: int


async def _run_avert(work: Work, name: str) -> Measured:
    with leased_port() as port:
        settings = Settings(
            kafka_bootstrap=work.bootstrap,
            redis_url=work.redis_url,
            rules_dir=work.rules_dir,
            app_id=name,
            topic_prefix=f"{name}-",
            partitions=work.partitions,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            fetch_wait_ms=log.fetch_wait_ms(work.broker),
            broker_rebalance_timeout_s=6.0,
            worker_http_port=port,
        )
        topic = settings.topic("clickstream")
        goal = await _backlog(work, topic)
        with worker(settings) as program:
            await asyncio.to_thread(program.until_ready)
            began, cpu_s = time.monotonic(), program.cpu_s()
            await log.until_committed(work.bootstrap, settings.app_id, goal, program.child.check)
            seconds, cpu_s = time.monotonic() - began, program.cpu_s() - cpu_s
            hops = await asyncio.to_thread(lambda: seconds_of(program.metrics(), "avert_hop_seconds", "hop"))
    say(
        "  all batches together: "
        + ", ".join(f"{hop} {total:.1f} s" for hop, (total, _) in hops.items() if hop != "fetched")
        + f"; {hops['applied'][1]:,} batches"
    )
    decisions = await log.read_all(work.bootstrap, settings.topic("decisions"), work.partitions)
    ids = {msgspec.json.decode(record.value)["id"] for record in decisions}
    return Measured("Avert", len(work.records), seconds, cpu_s, len(ids))


async def _run_faust(work: Work, name: str) -> Measured:
    topic = f"{name}-clickstream"
    goal = await _backlog(work, topic)
    await log.create_topic(
        work.bootstrap, f"{name}-matches", work.partitions
    )  # Faust does not make what it only sends to
    argv = [
        "-m",
        "bench.peers.faust_idiomatic",
        work.bootstrap,
        topic,
        name,
        str(work.partitions),
        str(len(work.wanted)),
    ]
    with Program("faust", argv, {}) as program:
        began, cpu_s = await asyncio.to_thread(_first_event, program)
        await log.until_committed(work.bootstrap, name, goal, program.child.check)
        seconds, cpu_s = time.monotonic() - began, program.cpu_s() - cpu_s
        # Faust commits events whose matches are still on their way; they are let through, and the clock has stopped.
        await log.until_quiet(work.bootstrap, f"{name}-matches", work.partitions)
    matches = await log.read_all(work.bootstrap, f"{name}-matches", work.partitions)
    return Measured("idiomatic Faust", len(work.records), seconds, cpu_s, len(matches))


def _first_event(program: Program) -> tuple[float, float]:
    """When it came (CLOCK_MONOTONIC is the machine's: the program's word for it counts here), and the CPU till then."""
    program.child.wait_until(lambda: "first " in program.log_text(), 60.0)
    return float(program.log_text().partition("first ")[2].split()[0]), program.cpu_s()


async def _backlog(work: Work, topic: str) -> Any:
    await log.create_topic(work.bootstrap, topic, work.partitions)
    await log.preload(work.bootstrap, topic, work.partitions, work.records)
    return await log.ends(work.bootstrap, topic, work.partitions)


def _runs(options: argparse.Namespace, faust_work: Work, avert_work: Work) -> Iterator[Measured]:
    run = f"b{os.getpid()}"
    plan = [("avert", avert_work)]
    for _ in range(options.turns):
        plan += [*([("faust", faust_work)] if options.faust_events else []), ("avert", avert_work)]
    for number, (what, work) in enumerate(plan):
        measured = asyncio.run((_run_avert if what == "avert" else _run_faust)(work, f"{run}-{what}{number}"))
        took = f"{measured.events:,} events in {measured.seconds:.1f} s"
        say(f"  {measured.name}: {took}; load average {load_average()}")
        yield measured


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--broker", choices=("embedded", "kafka"), default="kafka" if log.kafka_is_here() else "embedded"
    )
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--faust-events", type=int, help="fewer for Faust (0: without it); default: the same")
    parser.add_argument("--rules", type=int, default=20)
    parser.add_argument("--every-kind", action="store_true", help="fifty rules of all kinds; no Faust, no reference")
    parser.add_argument("--turns", type=int, default=1, help="how often Faust and Avert take turns after Avert's first")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--visitors", type=int, default=5_000)
    options = parser.parse_args()
    if options.every_kind:
        options.rules, options.faust_events = 50, 0
    if options.faust_events is None:
        options.faust_events = options.events
    say(f"{machine()}; broker: {'Apache Kafka' if options.broker == 'kafka' else 'embedded'}")
    wanted = jobs(options.rules)
    records = list(clickstream(options.events, options.visitors))
    for_faust = records
    if options.faust_events not in (0, options.events):
        say(f"Faust gets {options.faust_events:,} events of the same kind to save time; rates are compared")
        for_faust = list(clickstream(options.faust_events, options.visitors * options.faust_events // options.events))
    with tempfile.TemporaryDirectory() as folder, log.broker_of(options.broker) as bootstrap, EmbeddedCache() as cache:
        rules_dir = write_fifty(Path(folder)) if options.every_kind else write_rules(Path(folder), wanted)

        def work(some: list[Record]) -> Work:
            return Work(options.broker, bootstrap, cache.url, rules_dir, wanted, options.partitions, some)

        measured = list(_runs(options, work(for_faust), work(records)))
    _tell(
        options,
        measured,
        0 if options.every_kind else sum(expected_matches(records, wanted).values()),
        sum(expected_matches(for_faust, wanted).values()),
    )


def _tell(options: argparse.Namespace, measured: list[Measured], right: int, right_for_faust: int) -> None:
    avert = [run for run in measured if run.name == "Avert"]
    faust = [run for run in measured if run.name != "Avert"]
    rate = median(run.rate for run in avert)
    table(("", "events", "seconds", "events/s", "CPU s / M", "matches", "reference"), [
        [run.name, run.events, run.seconds, run.rate, run.cpu_s_per_m, run.matches,
         right if run in avert else right_for_faust] for run in measured
    ])  # fmt: skip
    result: dict[str, Any] = {
        "broker": options.broker,
        "events": options.events,
        "rules": options.rules,
        "every_kind": options.every_kind,
        "partitions": options.partitions,
        "avert_events_per_s": round(rate),
        "avert_matches": avert[0].matches,
        "reference_matches": right,
        "avert_cpu_s_per_m": round(median(run.cpu_s_per_m for run in avert), 2),
        "avert_runs": [round(run.rate) for run in avert],
        "load_average": load_average(),
    }
    if faust:
        faust_rate = median(run.rate for run in faust)
        result |= {
            "faust_events_per_s": round(faust_rate),
            "ratio": round(rate / faust_rate, 2),
            "budget_ratio": BUDGET_RATIO,
            "faust_events": faust[0].events,
            "faust_matches": faust[0].matches,
            "faust_reference_matches": right_for_faust,
            "faust_cpu_s_per_m": round(median(run.cpu_s_per_m for run in faust), 2),
            "faust_runs": [round(run.rate) for run in faust],
        }
        result["matches_equal"] = all(run.matches == right for run in avert) and all(
            run.matches == right_for_faust for run in faust
        )
        say(f"{result['ratio']:.1f} x idiomatic Faust (budget: {BUDGET_RATIO} x)")
    last_line(result)


if __name__ == "__main__":
    main()
