"""Who does the three jobs: how each is set up (once, under .cache/bench), started, and with which settings.

A peer reads the log from its beginning, writes each match to a topic as JSON with `visitor` and `at`, says
``first SECONDS_SINCE_EPOCH`` when it has its first event in hand, and runs until SIGTERM.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bench._processes import ROOT, Program, worker
from bench._workload import JOBS, SESSION_TIMEOUT_MS, Job
from streams.settings import Settings

CACHE = ROOT / ".cache" / "bench"
PEERS = ROOT / "bench" / "peers"
COMPILED = CACHE / "compiled"
PARTITIONS = 4
# How often each peer makes durable what it has done. A run takes seconds: with Flink's or Bytewax's usual 10 s and more
# it would be over before the first time, and durability would have cost nothing.
COMMIT_S = 1.0
JVM = ("-Xmx1g", "-XX:+UseG1GC")
_FLINK_OPENS = tuple(
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.util", "java.util.concurrent", "java.net", "java.nio", "java.time", "java.text")
)

BENCH_JOBS: dict[str, Job] = {"count": JOBS[0], "sequence": JOBS[8], "absence": JOBS[13]}


class Entry(NamedTuple):
    """One run of one peer."""

    bootstrap: str
    redis_url: str
    log: str  # prefix of the log's topics: LOG-clickstream, and LOG-decisions for Avert
    job: str
    app: str  # of this run only: the consumer group
    state_dir: Path
    http_port: int
    tree: Path = ROOT  # of Avert's source

    @property
    def topic(self) -> str:
        """The events."""
        return f"{self.log}-clickstream"

    @property
    def out(self) -> str:
        """The matches of a peer (Avert's are in its decisions)."""
        return f"{self.app}-matches"


@dataclass(frozen=True)
class Peer:
    """One way to do the jobs."""

    title: str
    program: Callable[[Entry], Program]
    settings: str
    set_up: Callable[[], None] = lambda: None
    remarks: Mapping[str, str] = field(default_factory=dict)  # by job: what it does not do exactly
    events_max: int | None = None
    first_events: bool = True  # whether it says when it has its first event; Avert says when it is ready


NEXT_EVENT = "looks at the visitor's next event only"


# --- programs -------------------------------------------------------------------------------------------------------


def _avert(entry: Entry) -> Program:
    settings = Settings(
        kafka_bootstrap=entry.bootstrap,
        redis_url=entry.redis_url,
        rules_dir=PEERS / "avert" / entry.job,
        app_id=entry.app,
        topic_prefix=f"{entry.log}-",
        partitions=PARTITIONS,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        clickstream_retention_ms=-1,
        worker_http_port=entry.http_port,
    )
    return worker(settings, entry.tree)


def _avert_compiled(entry: Entry) -> Program:
    return _avert(entry._replace(tree=COMPILED))


def _faust(entry: Entry) -> Program:
    argv = (entry.bootstrap, entry.topic, entry.app, entry.out, entry.job, str(PARTITIONS), str(COMMIT_S))
    return Program("faust", ["-m", "bench.peers.faust_jobs", *argv], {})


def _quix(entry: Entry) -> Program:
    argv = (entry.bootstrap, entry.topic, entry.app, entry.out, entry.job, str(entry.state_dir), str(COMMIT_S))
    return Program("quix", ["-m", "bench.peers.quix_jobs", *argv], {}, executable=str(_venv("quix") / "bin/python"))


def _bytewax(entry: Entry) -> Program:
    python = str(_venv("bytewax") / "bin/python")
    subprocess.run([python, "-m", "bytewax.recovery", str(entry.state_dir), "1"], check=True)
    arguments = ", ".join(map(repr, (entry.bootstrap, entry.topic, entry.out, entry.job)))
    flow = f"bench.peers.bytewax_jobs:flow({arguments})"
    kept = ["-r", str(entry.state_dir), "-s", str(int(COMMIT_S)), "-b", "0"]
    return Program("bytewax", ["-m", "bytewax.run", flow, *kept], {}, executable=python)


def _kafka_streams(entry: Entry, guarantee: str) -> Program:
    argv = (
        entry.bootstrap, entry.topic, entry.app, entry.out, entry.job,
        str(entry.state_dir), str(int(COMMIT_S * 1000)), guarantee,
    )  # fmt: skip
    return _java("kafka-streams", (), "KafkaStreamsJobs", argv)


def _flink(entry: Entry) -> Program:
    argv = (
        entry.bootstrap, entry.topic, entry.app, entry.out, entry.job,
        str(entry.state_dir), str(int(COMMIT_S * 1000)),
    )  # fmt: skip
    return _java("flink", _FLINK_OPENS, "FlinkJobs", argv)


def _java(name: str, options: tuple[str, ...], main: str, argv: tuple[str, ...]) -> Program:
    classes = CACHE / name
    path = f"{classes / 'classes'}:{classes / 'libs'}/*"
    return Program(name, [*JVM, *options, "-cp", path, main, *argv], {}, executable=shutil.which("java") or "java")


# --- set-up ---------------------------------------------------------------------------------------------------------


def _venv(name: str) -> Path:
    return CACHE / f"venv-{name}"


def set_up_venv(name: str) -> None:
    """An environment of its own: a peer's dependencies do not belong to the program's lock."""
    wanted = PEERS / f"requirements-{name}.txt"
    stamp = _venv(name) / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(_venv(name))], check=True)
    pip = [str(_venv(name) / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(wanted)], check=True)
    stamp.write_text(wanted.read_text())


def _set_up_compiled() -> None:
    """A copy of the program whose core is compiled: this tree stays as it is."""
    sources = sorted((ROOT / "streams").rglob("*.py"))
    text = "".join(path.read_text() for path in sources)
    stamp = COMPILED / "built.txt"
    if stamp.exists() and stamp.read_text() == text:
        return
    shutil.rmtree(COMPILED, ignore_errors=True)
    shutil.copytree(ROOT / "streams", COMPILED / "streams", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, COMPILED / name)
    build = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    subprocess.run(build, check=True, cwd=COMPILED, env={"PATH": os.environ["PATH"], "AVERT_COMPILE": "1"})
    stamp.write_text(text)


def _set_up_java(name: str) -> None:
    source, target = PEERS / "java" / name, CACHE / name
    text = "".join(path.read_text() for path in [source / "pom.xml", *sorted((source / "src").glob("*.java"))])
    stamp = target / "built.txt"
    if stamp.exists() and stamp.read_text() == text:
        return
    goals = ["compile", "dependency:copy-dependencies", f"-DoutputDirectory={target / 'libs'}"]
    subprocess.run(["mvn", "-B", "-q", "-f", str(source / "pom.xml"), f"-Dbuild.folder={target}", *goals], check=True)
    stamp.write_text(text)


PEERS_BY_NAME: dict[str, Peer] = {
    "avert": Peer(
        "Avert",
        _avert,
        "the production worker, one rule file; all settings as they come (commit every 1 s, each batch acknowledged)",
        first_events=False,
    ),
    "avert-compiled": Peer(
        "Avert, core compiled",
        _avert_compiled,
        "the same with `make compiled`: the core as a C extension made by mypyc",
        _set_up_compiled,
        first_events=False,
    ),
    "faust": Peer(
        "Faust (idiomatic)",
        _faust,
        "memory table with changelog, a write only where state changes; commit every 1 s",
        remarks={"absence": NEXT_EVENT},
        events_max=60_000,
    ),
    "quix": Peer(
        "Quix Streams",
        _quix,
        "RocksDB with changelog, at least once; commit every 1 s (default: 5 s)",
        lambda: set_up_venv("quix"),
        remarks={"absence": NEXT_EVENT},
    ),
    "bytewax": Peer(
        "Bytewax",
        _bytewax,
        "recovery on (SQLite), snapshot every 1 s (default: 10 s), batches of 1,000; events decoded by msgspec",
        lambda: set_up_venv("bytewax"),
        remarks={"absence": "state by partition, as its timers go by the wall clock"},
    ),
    "kstreams": Peer(
        "Kafka Streams, at least once",
        lambda entry: _kafka_streams(entry, "at_least_once"),
        "RocksDB with changelog and write-back cache, one thread, commit every 1 s (default: 30 s), producer's linger "
        "5 ms (default: 100 ms); -Xmx1g",
        lambda: _set_up_java("kafka-streams"),
    ),
    "kstreams-eos": Peer(
        "Kafka Streams, exactly once",
        lambda entry: _kafka_streams(entry, "exactly_once_v2"),
        "the same with exactly_once_v2: a transaction every 100 ms (default)",
        lambda: _set_up_java("kafka-streams"),
    ),
    "flink": Peer(
        "Flink",
        _flink,
        "local mini cluster, parallelism 1, hashmap state, checkpoint every 1 s, sink at least once, object reuse, "
        "buffers flushed after 10 ms (default: 100 ms); count: a keyed process function, the others: CEP; -Xmx1g",
        lambda: _set_up_java("flink"),
    ),
}
