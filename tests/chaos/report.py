"""The report of a chaos run, written by the run itself: machine and versions, then a line for each fault.

A run is several test sessions beside each other (see `__main__.py`). Each fault's line is a file in the run's folder;
whoever adds one writes the page anew, from all of them.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from streams.embedded.kafka import LIBS

ROOT = Path(__file__).resolve().parents[2]
LINES = ROOT / ".cache" / "chaos" / "lines"
PACKAGES = ("faust-streaming", "aiokafka", "msgspec", "uvloop")
COLUMNS = (
    "fault", "broker", "seed", "accepted", "applied", "duplicates", "late", "no consent", "shed", "dead letters",
    "repeated effects", "pause p50 / p99, s", "recovery, s", "stop, s", "restarts", "memory, MiB", "load", "verdict",
    "test, s",
)  # fmt: skip
RESULTS = ("applied", "duplicate", "late", "no_consent", "shed", "dead_letter")


@dataclass
class Line:
    """One fault. `test`: by which the lines are sorted."""

    test: str
    title: str
    figures: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    skipped: str = ""
    seconds: float = 0.0

    def cells(self) -> list[str]:
        """In the order of COLUMNS."""
        told, results = self.figures, self.figures.get("results", {})
        verdict = f"**FAIL** {self.failure}" if self.failure else f"not run: {self.skipped}" if self.skipped else "pass"
        if verdict == "pass" and not told.get("timely", True):
            verdict = "exact; times beyond their limits, on a machine too busy to judge them"
        if not results:
            numbers = ["-"] * 13
        else:
            numbers = [
                *(f"{results.get(name, 0):,}" for name in RESULTS), f"{told['repeats']:,}",
                f"{told['pause_p50_s']:.1f} / {told['pause_p99_s']:.1f}", f"{told['recovery_s']:.1f}",
                f"{told['stop_s']:.1f}" if told["stop_s"] else "-", str(told["restarts"]), f"{told['memory_mib']:.0f}",
                f"{told['load']:.1f}",
            ]  # fmt: skip
        note = f" ({told['note']})" if told.get("note") else ""
        return [
            self.title, told.get("broker", "-"), str(told.get("seed", "-")),
            f"{told['in_log']:,}" if results else "-", *numbers, verdict + note, f"{self.seconds:.0f}",
        ]  # fmt: skip


class Report:
    """The lines of one test session, and the folder of its run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: dict[str, Line] = {}

    def note(self, test: str, title: str, outcome: Any) -> None:
        """A phase (set-up, call, tear-down) of a fault's test is over."""
        line = self._lines.setdefault(test, Line(test, title))
        line.seconds += outcome.duration
        for name, value in outcome.user_properties:
            if name == "figures":
                line.figures = value
        if outcome.failed:
            words = outcome.longreprtext.strip().splitlines()
            line.failure = f"in its {outcome.when}: " + (words[-1] if words else "")[:200].replace("|", "/")
        elif outcome.skipped:
            line.skipped = outcome.longreprtext[:200].replace("|", "/")

    def write(self, test: str, path: Path) -> None:
        """The test is over: its line into the run's folder, and the page from all lines there."""
        line = self._lines.get(test)
        if line is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        name = "".join(letter if letter.isalnum() else "-" for letter in test)
        replace(self._folder / f"{name}.json", json.dumps(asdict(line)))
        replace(path, page([Line(**json.loads(file.read_text())) for file in sorted(self._folder.glob("*.json"))]))


def replace(path: Path, text: str) -> None:
    """Write a file so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(text)
    beside.replace(path)


def page(lines: list[Line]) -> str:
    """The whole report."""
    failed = sum(bool(line.failure) for line in lines)
    table = [COLUMNS, ["---"] * len(COLUMNS), *(line.cells() for line in lines)]
    rows = "\n".join("| " + " | ".join(cells) + " |" for cells in table)
    verdict = "all passed" if not failed else f"{failed} failed"
    return (
        f"# Chaos: what was done to Avert, and what came of it\n\n"
        f"Written by `make chaos`; how to read it: [docs/exactness.md](../../docs/exactness.md).\n\n"
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC. {len(lines)} faults: {verdict}.\n\n"
        f"{machine()}\n\n{rows}\n"
    )


def machine() -> str:
    """What it ran on, as a list."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    kafka = next((jar.stem.rpartition("-")[2] for jar in LIBS.glob("kafka_2.13-*.jar")), "not here")
    return "\n".join((
        f"- machine: {_processor()}, {os.cpu_count()} virtual cores, {_memory_gib():.0f} GiB",
        f"- load average of the last 5 minutes {os.getloadavg()[1]:.1f}, this run's own work and others' together",
        f"- {platform.system()} {platform.release()}, Python {platform.python_version()}, {_java()}",
        f"- Apache Kafka {kafka}, {versions}",
        f"- commit {_commit()}",
    ))  # fmt: skip


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        return "no Java"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    return said.stderr.partition("\n")[0]


def _commit() -> str:
    said = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"
