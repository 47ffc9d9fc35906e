"""Our own programs as child processes of a test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.embedded.child import Child
from streams.embedded.local import answers
from streams.settings import Settings, settings_environment

START_TIMEOUT_S = 60.0


@contextmanager
def running_worker(settings: Settings, folder: Path) -> Iterator[Child]:
    """A worker process that is ready; `settings.worker_http_port` must be a free port."""
    environment = settings_environment(settings) | {"PATH": os.defpath, "HOME": str(Path.home())}
    child = Child(
        "the worker", [sys.executable, "-m", "streams.cli", "worker"], folder / "worker.log", environment=environment
    )
    child.start()
    try:
        url = f"http://127.0.0.1:{settings.worker_http_port}/readyz"
        child.wait_until(lambda: answers(url), START_TIMEOUT_S)
        yield child
    finally:
        child.stop(15.0)
