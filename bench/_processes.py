"""Avert's own processes as children, with every setting given; and what can be seen of them from outside."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from streams.embedded.child import Child, PortLease
from streams.embedded.local import answers
from streams.settings import Settings, settings_environment

ROOT = Path(__file__).resolve().parents[1]
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 12.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Program:
    """One program as a child: started, killed, stopped; its log in a folder of its own, which is kept."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        environment: dict[str, str],
        url: str | None = None,
        executable: str = sys.executable,
        tree: Path = ROOT,
    ) -> None:
        """`url`: base address of its /readyz and /metrics, if it has them. `executable`: another than this Python.

        `tree`: the folder that it starts in, and whose packages it imports.
        """
        self.url = url
        self.directory = Path(tempfile.mkdtemp(prefix=f"avert-{name}-"))
        self.child = Child(
            name,
            [executable, *argv],
            self.directory / "log.txt",
            directory=tree,
            environment=environment | {"PATH": os.defpath, "HOME": str(Path.home())},
        )

    @property
    def pid(self) -> int:
        """Its process id. It must be running."""
        pid = self.child.pid
        assert pid is not None, self.child.last_words()
        return pid

    def start(self) -> Self:
        """Start; do not wait."""
        self.child.start()
        return self

    def until_ready(self) -> Self:
        """Wait until /readyz says yes. Raises ChildError with its last words when it ends or takes too long."""
        self.child.wait_until(partial(answers, f"{self.url}/readyz"), READY_TIMEOUT_S)
        return self

    def metrics(self) -> str:
        """Its metrics page."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as page:
            text: str = page.read().decode()
            return text

    def log_text(self) -> str:
        """What it has logged so far."""
        return self.child.log_path.read_text(errors="replace")

    def cpu_s(self) -> float:
        """CPU seconds so far, user and system, all threads (Linux)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.child.stop(STOP_TIMEOUT_S)


@contextlib.contextmanager
def leased_port() -> Iterator[int]:
    """A free loopback port that stays ours, whoever is started on it."""
    lease = PortLease()
    try:
        yield lease.port
    finally:
        lease.release()


def seconds_of(metrics: str, name: str, label: str) -> dict[str, tuple[float, int]]:
    """A histogram on a metrics page: {value of `label`: (sum, number of observations)}."""
    found: dict[str, tuple[float, int]] = {}
    for value in dict.fromkeys(re.findall(rf'^{name}_count{{{label}="([^"]*)"}}', metrics, re.MULTILINE)):
        total, number = (
            float(re.findall(rf'^{name}_{part}{{{label}="{value}"}} (\S+)', metrics, re.MULTILINE)[0])
            for part in ("sum", "count")
        )
        found[value] = (total, int(number))
    return found


def worker(settings: Settings, tree: Path = ROOT, arguments: Sequence[str] = ()) -> Program:
    """The worker with these settings; `worker_http_port` must be given.

    `tree`: another state of the program, which may not know of every setting: it is given what is not the default.
    """
    url = f"http://{settings.worker_http_host}:{settings.worker_http_port}"
    default = settings_environment(Settings())
    given = {name: value for name, value in settings_environment(settings).items() if default.get(name) != value}
    return Program("worker", ["-m", "streams.cli", "worker", *arguments], given, url, tree=tree)


def api(settings: Settings) -> Program:
    """The API with these settings; its ports must be given. `url` is that of its metrics port."""
    url = f"http://{settings.api_host}:{settings.api_port}"
    return Program("api", ["-m", "streams.cli", "api"], settings_environment(settings), url)
