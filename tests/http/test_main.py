"""The process as it is started: its ports, its keys, its end."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from streams.errors import SettingsError
from streams.http.main import run_api
from streams.settings import Settings
from tests.http.process import api_process
from tests.http.support import eventually, read_topic


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
