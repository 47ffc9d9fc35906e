"""What every benchmark says: on which machine, with which versions, a table for people, and one JSON line last."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("faust-streaming", "aiokafka", "msgspec")


class PerEvent:
    """What a measured run comes to: for one that has so many events, seconds and CPU seconds of all processes."""

    events: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu_s_per_m(self) -> float:
        """CPU seconds a million events."""
        return self.cpu_s / self.events * 1e6


def machine() -> str:
    """Processor, cores, Python and the libraries whose versions matter."""
    cpuinfo = Path("/proc/cpuinfo")
    models = (
        [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if cpuinfo.exists()
        else []
    )
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    processor = models[0] if models else platform.machine()
    return f"{os.cpu_count()} cores ({processor}), Python {platform.python_version()}, {libraries}"


def say(text: str = "") -> None:
    """A line for people, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for people: numbers to the right."""
    cells = [list(head), *([_written(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for number, row in enumerate(cells):
        say(
            "  ".join(
                cell.ljust(width) if index == 0 else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        )
        if number == 0:
            say("  ".join("-" * width for width in widths))


def _written(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def last_line(result: dict[str, Any]) -> None:
    """The result as one JSON object on the last line."""
    say(json.dumps({key: round(value, 4) if isinstance(value, float) else value for key, value in result.items()}))


def cpu_s() -> float:
    """CPU seconds of this whole process so far, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def load_average() -> float:
    """How many processes wanted a core in the last minute, ours included; more than there are makes figures worse."""
    return round(os.getloadavg()[0], 1)
