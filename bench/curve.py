"""The worker over partitions and processes: 1, 4, 16 and 64 partitions, one process and two.

``python -m bench.curve [--events 300000] [--rules 50] [--visitors 5000] [--partitions 1,4,16,64] [--processes 1,2]
[--runs 3] [--work partitions|processes|both]``. On Apache Kafka, with the backlog in the topic. Two processes are
``avert worker --processes 2``, on 4 partitions. All are in the group, with their partitions, before the clock begins;
what was committed before is subtracted.

On a machine that cannot do what is asked of it a worker may lose its lease (exit code 5) and is started again, as in
production; nothing is lost, the run takes longer, and what happened is told beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from bench import _log as log
from bench._processes import Program, leased_port, worker
from bench._report import last_line, load_average, machine, say, table
from bench._tree import sample
from bench._workload import SESSION_TIMEOUT_MS, Record, clickstream, jobs, write_rules
from streams.embedded.stack import EmbeddedCache
from streams.settings import Settings

_POLL_S = 0.05
JOIN_TIMEOUT_S = 60.0
RUN_TIMEOUT_S = 600.0  # a million events at a twentieth of the rate of one worker
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Joined:
    """The workers' side of a run: all in the group, each with partitions."""

    def __init__(self, settings: Settings, processes: int, stack: contextlib.ExitStack) -> None:
        self._processes = processes
        port = stack.enter_context(leased_port())
        given = msgspec.structs.replace(settings, worker_http_port=port)
        arguments = ("--processes", str(processes)) if processes > 1 else ()
        self.program: Program = stack.enter_context(worker(given, arguments=arguments))
        self._deadline = time.monotonic() + RUN_TIMEOUT_S

    def check(self) -> None:
        """Raises when it has ended (of several: when none can get over what happened), or takes too long."""
        self.program.child.check()
        if time.monotonic() > self._deadline:
            raise TimeoutError(
                f"not done after {RUN_TIMEOUT_S:g} s, load average {load_average()}; ended meanwhile: {self.ends()}"
            )

    def ends(self) -> list[str]:
        """Why processes have ended by themselves so far, in the words of their log."""
        return ends_in(self.program.log_text())

    def cpu_s(self) -> float:
        """CPU seconds of all so far."""
        return sample(self.program.pid).cpu_s

    async def until_shared(self, admin: Any, group: str) -> None:
        """Return when the group is stable with all of them in it, and all are ready."""
        deadline = time.monotonic() + JOIN_TIMEOUT_S
        while time.monotonic() < deadline:
            self.check()
            state, members = "", []
            with contextlib.suppress(KafkaError):  # there is no coordinator before the first has joined
                answer = (await admin.describe_consumer_groups([group]))[0]
                _error, _name, state, _kind, _protocol, members, *_ = answer.groups[0]
            if state == "Stable" and len(members) == self._processes:
                await asyncio.to_thread(self.program.until_ready)
                return
            await asyncio.sleep(_POLL_S)
        raise TimeoutError(
            f"{self._processes} workers did not share {group} within {JOIN_TIMEOUT_S:g} s, load average"
            f" {load_average()}; ended meanwhile: {self.ends()}"
        )


def ends_in(text: str) -> list[str]:
    """Of a supervisor's log: each process that ended by itself, by the reason that it gave, or else its exit code."""
    found, reason = [], ""
    for line in _STYLE.sub("", text).splitlines():
        if "worker_ends" in line:
            reason = next(iter(re.findall(r"reason=(\S+)", line)), "")
        elif "worker_process_ended" in line:
            code = next(iter(re.findall(r"exit_code=(\S+)", line)), "?")
            found.append(f"exit code {code}" + (f" ({reason})" if reason else ""))
            reason = ""
    return found


async def run(
    bootstrap: str, redis_url: str, rules: Path, records: list[Record], partitions: int, processes: int, name: str
) -> dict[str, Any]:
    """One run: what is done a second, by all processes together."""
    settings = Settings(
        kafka_bootstrap=bootstrap, redis_url=redis_url, rules_dir=rules, app_id=name, topic_prefix=f"{name}-",
        partitions=partitions, session_timeout_ms=SESSION_TIMEOUT_MS, broker_rebalance_timeout_s=6.0,
        commit_interval_s=0.25,
    )  # fmt: skip
    topic = settings.topic("clickstream")
    await log.create_topic(bootstrap, topic, partitions)
    await log.preload(bootstrap, topic, partitions, records)
    goal = await log.ends(bootstrap, topic, partitions)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        with contextlib.ExitStack() as stack:
            joined = Joined(settings, processes, stack)
            await joined.until_shared(admin, name)
            done = await admin.list_consumer_group_offsets(name, partitions=list(goal))
            before = sum(max(0, done[at].offset) for at in goal if at in done)
            began, cpu_s = time.monotonic(), joined.cpu_s()
            await log.until_committed(bootstrap, name, goal, joined.check)
            seconds, cpu_s = time.monotonic() - began, joined.cpu_s() - cpu_s
            ended = joined.ends()
    finally:
        await admin.close()
    events = len(records) - before
    return {
        "partitions": partitions, "processes": processes, "events": events, "events_per_s": round(events / seconds),
        "cpu_s_per_m": round(cpu_s / events * 1e6, 2), "load_average": load_average(), "ended": ended,
    }  # fmt: skip


def _plan(options: argparse.Namespace) -> Iterator[tuple[int, int]]:
    if options.work != "processes":
        yield from ((number, 1) for number in map(int, options.partitions.split(",")))
    if options.work != "partitions":
        yield from ((4, number) for number in map(int, options.processes.split(",")) if number > 1)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--visitors", type=int, default=5_000)
    parser.add_argument("--rules", type=int, default=50)
    parser.add_argument("--partitions", default="1,4,16,64")
    parser.add_argument("--processes", default="1,2")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", choices=("partitions", "processes", "both"), default="both")
    options = parser.parse_args()
    say(machine())
    records = list(clickstream(options.events, options.visitors))
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, log.broker_of("kafka") as bootstrap, EmbeddedCache() as cache:
        rules = write_rules(Path(folder), jobs(options.rules))
        for turn in range(options.runs):
            for partitions, processes in _plan(options):
                name = f"c{os.getpid()}-{turn}-{partitions}-{processes}"
                runs.append(asyncio.run(run(bootstrap, cache.url, rules, records, partitions, processes, name)))
                say(f"  {runs[-1]}")
                tell_ends(runs[-1]["ended"])
    rows = summary(runs)
    table(("partitions", "processes", "events/s", "least", "most", "CPU s / M", "load"), [
        [row["partitions"], row["processes"], row["events_per_s"], row["events_per_s_min"], row["events_per_s_max"],
         row["cpu_s_per_m"], row["load_average"]] for row in rows
    ])  # fmt: skip
    last_line({"rules": options.rules, "rows": rows, "runs": runs})


def tell_ends(ended: list[str]) -> None:
    """Say it when workers ended in a run."""
    if ended:
        say(
            f"  {len(ended)} times a worker ended and was started again: {', '.join(ended)}. Nothing is lost, and the"
            " run's figures are of no use: the machine has more to do than it can (docs/operations.md, AvertRestarting)"
        )


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians by partitions and processes, of the runs in which all workers lived, if there are such."""
    rows = []
    for partitions, processes in dict.fromkeys((run["partitions"], run["processes"]) for run in runs):
        some = [run for run in runs if (run["partitions"], run["processes"]) == (partitions, processes)]
        some = [run for run in some if not run["ended"]] or some
        rates = [run["events_per_s"] for run in some]
        rows.append({
            "partitions": partitions, "processes": processes, "runs": len(some), "events_per_s": round(median(rates)),
            "events_per_s_min": min(rates), "events_per_s_max": max(rates),
            "cpu_s_per_m": round(median(run["cpu_s_per_m"] for run in some), 2),
            "load_average": round(median(run["load_average"] for run in some), 1),
            "ended": sum(len(run["ended"]) for run in some),
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
