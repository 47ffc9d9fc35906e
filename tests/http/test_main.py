"""The process as it is started: its ports, its keys, its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from streams.errors import SettingsError
from streams.http.main import run_api
from streams.settings import Settings
from tests.http.support import eventually, read_topic

PROGRAM = """
import sys
from streams.http.main import main
from streams.settings import load_settings
sys.exit(main(load_settings()))
"""


class Process:
    """The API as a process of its own; `said` are its log lines."""

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
async def api_process(settings: Settings, **changes: str) -> AsyncIterator[Process]:
    environment = {
        "AVERT_KAFKA_BOOTSTRAP": settings.kafka_bootstrap, "AVERT_REDIS_URL": settings.redis_url,
        "AVERT_TOPIC_PREFIX": settings.topic_prefix, "AVERT_APP_ID": settings.app_id,
        "AVERT_PARTITIONS": str(settings.partitions),
        "AVERT_API_PORT": "0", "AVERT_METRICS_PORT": "0", "AVERT_LOG_FORMAT": "json", **changes,
    }
    process = Process(await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env=environment, stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ))
    try:
        yield process
    finally:
        if process.process.returncode is None:
            process.process.kill()
        await process.process.wait()
        await process.reading


async def test_it_serves_meters_and_ends_when_told_to(settings: Settings) -> None:
    async with api_process(settings) as api, httpx.AsyncClient() as client:
        url = await api.url()
        key = api.says("ephemeral_keys")["write_key"]

        async def ready() -> bool:
            return (await client.get(f"{url}/readyz")).status_code == 200

        await eventually(ready)
        response = await client.post(f"{url}/v1/events", json={"id": "e1", "type": "t"}, headers={"x-write-key": key})
        assert response.status_code == 202
        metrics = await client.get(f"http://127.0.0.1:{api.says('api_listening')['metrics_port']}/metrics")
        assert 'avert_collector_events_total{result="accepted"} 1.0' in metrics.text
        assert (await client.get(f"{url}/metrics")).status_code == 404
        assert await api.end() == 0
        assert api.says("api_stopped")
    assert [msgspec.json.decode(record.value)["id"] for record in await read_topic(settings, "clickstream")] == ["e1"]


async def test_ctrl_c_ends_it_too(settings: Settings) -> None:
    async with api_process(settings) as api:
        await api.url()
        assert await api.end(signal.SIGINT) == 0


async def test_it_starts_without_broker_and_cache_and_says_so_once(settings: Settings) -> None:
    nowhere = {"AVERT_KAFKA_BOOTSTRAP": "127.0.0.1:1", "AVERT_REDIS_URL": "redis://127.0.0.1:1/0"}
    async with api_process(settings, **nowhere) as api, httpx.AsyncClient() as client:
        url = await api.url()
        await eventually(lambda: bool(api.says("kafka_unavailable")))
        for _ in range(3):
            assert (await client.get(f"{url}/readyz")).json() == {"ready": False, "kafka": False, "redis": False}
        assert (await client.get(f"{url}/healthz")).status_code == 200
        assert await api.end() == 0
        events = [line["event"] for line in api.said]
        assert events.count("kafka_unavailable") == 1
        assert events.count("redis_unavailable") == 1
        assert not [event for event in events if "Unable connect" in event]
        assert api.says("kafka_unavailable")["bootstrap"] == "127.0.0.1:1"


async def test_a_taken_port_is_named(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}"):
            await run_api(_with(settings, api_port=port, metrics_port=0))


async def test_made_up_keys_are_for_loopback_only(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="AVERT_KEYS_FILE"):
        await run_api(_with(settings, api_host="0.0.0.0"))


async def test_a_key_file_is_used(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"write_keys":[{"key":"wk"}],"token_secrets":[{"id":"k","secret":"0123456789abcdef"}]}')
    async with api_process(settings, AVERT_KEYS_FILE=str(path)) as api, httpx.AsyncClient() as client:
        url = await api.url()
        assert not api.says("ephemeral_keys")
        statuses = [
            (await client.post(f"{url}/v1/events", json=7, headers={"x-write-key": key})).status_code
            for key in ("wk", "other")
        ]
        assert statuses[1] == 401
        assert statuses[0] != 401


def _with(settings: Settings, **changes: Any) -> Settings:
    return Settings(**{**{name: getattr(settings, name) for name in settings.__struct_fields__}, **changes})
