"""The API as a process of its own, and what it says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from streams.settings import Settings
from tests.http.support import eventually

PROGRAM = """
import sys
from streams.cli import main
sys.exit(main(["api", *sys.argv[1:]]))
"""


class Process:
    """One process; `said` are its log lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[dict[str, Any]] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            with contextlib.suppress(json.JSONDecodeError):
                self.said.append(json.loads(line))

    def says(self, event: str) -> dict[str, Any]:
        """The line of that event, or nothing."""
        return next((line for line in self.said if line.get("event") == event), {})

    async def url(self) -> str:
        """Where it listens, once it does."""
        await eventually(lambda: bool(self.says("api_listening")))
        return f"http://127.0.0.1:{self.says('api_listening')['port']}"

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(20):
            code = await self.process.wait()
            await self.reading
        return code


@asynccontextmanager
async def api_process(settings: Settings, *arguments: str, **changes: str) -> AsyncIterator[Process]:
    """``avert api`` with these arguments; ended with the context, if it has not ended by itself."""
    environment = {
        "AVERT_KAFKA_BOOTSTRAP": settings.kafka_bootstrap, "AVERT_REDIS_URL": settings.redis_url,
        "AVERT_TOPIC_PREFIX": settings.topic_prefix, "AVERT_APP_ID": settings.app_id,
        "AVERT_PARTITIONS": str(settings.partitions),
        "AVERT_API_PORT": "0", "AVERT_METRICS_PORT": "0", "AVERT_LOG_FORMAT": "json", **changes,
    }
    process = Process(await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, *arguments, env=environment, stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ))
    try:
        yield process
    finally:
        if process.process.returncode is None:
            process.process.kill()  # of several the one that supervises: the others see it
        await process.process.wait()
        await process.reading
