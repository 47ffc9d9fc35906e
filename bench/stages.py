"""Where the time of an event goes: the worker's microseconds by stage, from a sampling profiler (py-spy).

``python -m bench.stages [--events 300000] [--rules 50] [--job count] [--tree FOLDER]...``. The production worker goes
through a log on Apache Kafka, once without the profiler for what an event costs, once with it for how that divides; a
sample belongs to the innermost function that the table below knows. `--job`: one of the peers' jobs instead of that
many rules. `--tree`: another state of the program, such as an earlier one (may be given several times, to compare).
Waiting is the time of the log less the main thread's; samples count only while a thread runs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bench import _log as log
from bench._peers import BENCH_JOBS, CACHE, PARTITIONS, PEERS
from bench._processes import ROOT, leased_port, worker
from bench._report import last_line, load_average, machine, say, table
from bench._tree import TreeWatch
from bench._workload import SESSION_TIMEOUT_MS, Record, clickstream, jobs, write_rules
from streams.embedded.stack import EmbeddedCache
from streams.settings import Settings

PY_SPY = "py-spy==0.4.3"
SAMPLES_PER_S = 250

# (what a frame's file contains, which functions: None is all, stage): the first that fits, from the innermost out.
# Sending is told apart by the numbered steps of commit.py (see `_steps`).
STAGES: tuple[tuple[str, frozenset[str] | None, str], ...] = (
    ("streams/telemetry.py", None, "metrics"),
    ("prometheus_client/", None, "metrics"),
    ("streams/worker/commit.py", frozenset({"count"}), "metrics"),
    ("streams/core/event.py", None, "decode"),
    ("streams/core/visitor.py", frozenset({"encode_visitor", "decode_visitor", "row_header"}), "codec"),
    ("streams/worker/apply.py", frozenset({"_encode"}), "codec"),
    ("streams/worker/partition.py", frozenset({"keep"}), "codec"),
    ("streams/core/effects.py", None, "effects"),
    ("streams/worker/apply.py", frozenset({"records"}), "effects"),
    ("streams/core/", None, "engine"),
    ("streams/worker/apply.py", None, "applying: around the engine"),
    ("streams/worker/partition.py", None, "applying: around the engine"),
    ("streams/delivery.py", None, "cache"),
    ("aiokafka/producer/", None, "producer: requests, acknowledgements"),
    ("streams/worker/transport.py", None, "fetch"),
    ("aiokafka/consumer/", None, "fetch"),
    ("faust/", None, "Faust"),
    ("mode/", None, "Faust"),
    ("aiokafka/", None, "connections"),
    ("asyncio/", None, "event loop"),
)
ORDER = (
    "fetch", "decode", "applying: around the engine", "engine", "codec", "effects", "cache", "changelog",
    "producer: requests, acknowledgements", "connections", "metrics", "Faust", "event loop", "other",
)  # fmt: skip
# A thread that waits here does no work, whatever the profiler takes it for.
WAITING = re.compile(r"(selectors\.py|threading\.py|concurrent/futures/thread\.py)(:\d+)?\)$")
_STEP_STAGES = {"2": "effects", "3": "cache", "4": "changelog", "5": "metrics"}
_FRAME = re.compile(r"^(?P<name>.*) \((?P<file>.*?)(?::(?P<line>\d+))?\)$")


class Pass(NamedTuple):
    """One way through the log."""

    seconds: float
    cpu_s: float
    samples: Counter[tuple[str, str]]  # (main or others, stage)


def _steps(tree: Path) -> dict[int, str]:
    """Line of commit.py -> stage, read off the numbers in its body's comments."""
    found, stage, inside = {}, "", False
    for number, line in enumerate((tree / "streams" / "worker" / "commit.py").read_text().splitlines(), 1):
        inside = inside or line.startswith("class ")
        if inside and (mark := re.match(r"\s+# (\d)\. ", line)):
            stage = _STEP_STAGES.get(mark[1], "")
        if line.startswith(("def ", "    def ", "    async def ")):
            stage = ""
        if stage:
            found[number] = stage
    return found


def classify(frames: Iterable[str], steps: dict[int, str]) -> str:
    """The stage of one sample; `frames` from the outermost in, as py-spy writes them."""
    for frame in reversed(list(frames)):
        parts = _FRAME.match(frame)
        if parts is None:
            continue
        if parts["file"].endswith("streams/worker/commit.py") and (stage := steps.get(int(parts["line"] or 0))):
            return stage
        for file, names, stage in STAGES:
            if file in parts["file"] and (names is None or parts["name"].rpartition(".")[2] in names):
                return stage
    return "other"


def read_samples(text: str, steps: dict[int, str]) -> Counter[tuple[str, str]]:
    """py-spy's raw form: a line for each stack, outermost frame (the thread) first, and how often it was seen."""
    found: Counter[tuple[str, str]] = Counter()
    for line in text.splitlines():
        stack, _, number = line.rpartition(" ")
        thread, *frames = stack.split(";")
        if WAITING.search(frames[-1]):
            continue
        name = "main" if "MainThread" in thread else "others"
        found[name, classify(frames, steps)] += int(number)
    return found


def _read(path: Path, tree: Path) -> Counter[tuple[str, str]]:
    return read_samples(path.read_text(), _steps(tree))


def _py_spy() -> str:
    """The profiler, in an environment of its own."""
    place = CACHE / "venv-py-spy"
    if not (place / "bin/py-spy").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, PY_SPY], check=True)
    return str(place / "bin/py-spy")


async def _go(settings: Settings, goal: Any, tree: Path, profiled: Path | None) -> Pass:
    with worker(settings, tree) as program, TreeWatch(program.pid) as watch:
        await asyncio.to_thread(program.until_ready)
        began, spy = time.time(), None
        if profiled is not None:
            spy = await asyncio.create_subprocess_exec(
                _py_spy(), "record", "--pid", str(program.pid), "--rate", str(SAMPLES_PER_S), "--threads",
                "--format", "raw", "--output", str(profiled), "--duration", "3600", stderr=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
        await log.until_committed(settings.kafka_bootstrap, settings.app_id, goal, program.child.check)
        ended = time.time()
        if spy is not None:
            spy.send_signal(signal.SIGINT)
            await spy.wait()
        await asyncio.sleep(0.1)  # one more sample after the end
    return Pass(ended - began, watch.cpu_s_at(ended) - watch.cpu_s_at(began), Counter())


async def measure(
    bootstrap: str, redis_url: str, rules: Path, records: list[Record], tree: Path, name: str
) -> tuple[Pass, Pass]:
    """Plain, then profiled; each with a log and a group of its own."""
    passes = []
    with tempfile.TemporaryDirectory() as folder, leased_port() as port:
        for profiled in (None, Path(folder) / "samples.txt"):
            app = f"{name}-{'plain' if profiled is None else 'spied'}"
            settings = Settings(
                kafka_bootstrap=bootstrap, redis_url=redis_url, rules_dir=rules, app_id=app, topic_prefix=f"{app}-",
                partitions=PARTITIONS, session_timeout_ms=SESSION_TIMEOUT_MS, worker_http_port=port,
            )  # fmt: skip
            topic = settings.topic("clickstream")
            await log.create_topic(bootstrap, topic, PARTITIONS)
            await log.preload(bootstrap, topic, PARTITIONS, records)
            goal = await log.ends(bootstrap, topic, PARTITIONS)
            passes.append(await _go(settings, goal, tree, profiled))
            if profiled is not None:
                samples = await asyncio.to_thread(_read, profiled, tree)
                passes[-1] = passes[-1]._replace(samples=samples)
    return passes[0], passes[1]


def stages(plain: Pass, spied: Pass, events: int) -> dict[str, float]:
    """CPU µs an event by stage: what the plain pass cost, divided as the samples of the other one say; and waiting."""
    total = sum(spied.samples.values())
    cost_us = plain.cpu_s / events * 1e6
    by_stage: Counter[str] = Counter()
    for (_, stage), number in spied.samples.items():
        by_stage[stage] += number
    main = sum(number for (thread, _), number in spied.samples.items() if thread == "main")
    made = {stage: by_stage[stage] / total * cost_us for stage in ORDER}
    wall_us = plain.seconds / events * 1e6
    return made | {
        "CPU": cost_us, "of which the main thread": main / total * cost_us, "an event's share of the time": wall_us,
        "the main thread waiting": max(0.0, wall_us - main / total * cost_us),
    }  # fmt: skip


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--visitors", type=int, default=5_000)
    parser.add_argument("--rules", type=int, default=50)
    parser.add_argument("--job", choices=tuple(BENCH_JOBS))
    parser.add_argument("--tree", type=Path, action="append")
    options = parser.parse_args()
    trees = [tree.resolve() for tree in options.tree or [ROOT]]
    say(machine())
    records = list(clickstream(options.events, options.visitors))
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, log.broker_of("kafka") as bootstrap, EmbeddedCache() as cache:
        rules = PEERS / "avert" / options.job if options.job else write_rules(Path(folder), jobs(options.rules))
        for number, tree in enumerate(trees):
            plain, spied = asyncio.run(
                measure(bootstrap, cache.url, rules, records, tree, f"s{os.getpid()}-{number}")
            )
            found.append(stages(plain, spied, len(records)))
    table(("µs an event", *(str(tree) for tree in trees)), [
        [name, *(round(one[name], 2) for one in found)] for name in found[0]
    ])  # fmt: skip
    last_line({
        "work": options.job or f"{options.rules} rules", "events": options.events, "load_average": load_average(),
        "trees": {str(tree): {name: round(us, 3) for name, us in one.items()}
                  for tree, one in zip(trees, found, strict=True)},
    })  # fmt: skip


if __name__ == "__main__":
    main()
