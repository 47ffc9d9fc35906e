"""Worker processes that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from streams.settings import Settings
from tests.worker.support import WorkerProcess


@pytest.fixture
def start() -> Iterator[Callable[..., WorkerProcess]]:
    """Start a worker process; all of them are ended after the test."""
    processes: list[WorkerProcess] = []

    def begin(settings: Settings, module: str = "tests.worker.process", *arguments: str) -> WorkerProcess:
        processes.append(WorkerProcess(settings, module, *arguments))
        return processes[-1]

    yield begin
    for process in processes:
        process.close()
