"""Several processes behind one port: what they share, what each has, and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from streams.errors import SettingsError
from streams.http.processes import supervise
from streams.settings import Settings
from tests.http.process import Process, api_process
from tests.http.sse import event_source
from tests.http.support import delivering, eventually, suggestion
from tests.support.pids import children_of, gone

KEYS = {
    "write_keys": [{"key": "wk_shop"}], "server_keys": ["sk_secret"],
    "token_secrets": [{"id": "k", "secret": "0123456789abcdef"}],
}


@asynccontextmanager
async def processes(settings: Settings, folder: Path, **changes: str) -> AsyncIterator[Process]:
    """Two, with the keys KEYS."""
    keys = folder / "keys.json"
    keys.write_text(json.dumps(KEYS))
    async with api_process(settings, "--processes", "2", AVERT_KEYS_FILE=str(keys), **changes) as api:
        yield api


async def listening(api: Process) -> tuple[str, list[int]]:
    """Where all of them listen, and their metrics ports."""
    await eventually(lambda: bool(api.says("api_processes_listening")))
    said = api.says("api_processes_listening")
    return f"http://127.0.0.1:{said['port']}", said["metrics_ports"]


async def requests_by_process(ports: list[int]) -> list[float]:
    """How many requests each has answered on /healthz."""
    async with httpx.AsyncClient() as client:
        pages = [(await client.get(f"http://127.0.0.1:{port}/metrics")).text for port in ports]
    name = 'avert_http_requests_total{route="/healthz",status="200"}'
    return [sum(float(line.split()[1]) for line in page.splitlines() if line.startswith(name)) for page in pages]


async def test_all_serve_on_one_port_and_each_has_its_own_metrics(settings: Settings, tmp_path: Path) -> None:
    async with processes(settings, tmp_path) as api:
        url, ports = await listening(api)
        assert len(set(ports)) == 2
        sent = 0

        async def both_answered() -> bool:
            nonlocal sent
            async with httpx.AsyncClient() as client:  # a connection of its own each time
                assert (await client.get(f"{url}/healthz")).status_code == 200
            sent += 1
            return all(await requests_by_process(ports))

        await eventually(both_answered)
        assert sum(await requests_by_process(ports)) == sent
        assert await api.end() == 0
        assert len([line for line in api.said if line["event"] == "api_stopped"]) == 2


async def test_limits_hold_for_all_of_them_together(settings: Settings, tmp_path: Path) -> None:
    async with processes(settings, tmp_path, AVERT_RATE_PER_VISITOR_PER_S="5") as api:
        url, _ = await listening(api)
        headers = {"authorization": "Bearer sk_secret"}

        async def ask() -> int:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{url}/v1/suggestions?visitor=v", headers=headers)).status_code

        async def refused() -> bool:
            statuses = await asyncio.gather(*(ask() for _ in range(40)))
            assert set(statuses) <= {200, 429}
            # 40 at once may fall into two seconds, never into three.
            assert statuses.count(200) <= 10
            return statuses.count(429) >= 30

        await eventually(refused)


async def test_a_stream_hears_of_what_another_process_was_sent(settings: Settings, tmp_path: Path) -> None:
    async with processes(settings, tmp_path) as api, delivering(settings.redis_url) as delivery:
        url, _ = await listening(api)
        async with event_source(url, "visitor=v", authorization="Bearer sk_secret") as source:
            assert await source.list() == []
            await delivery.deliver([suggestion("v", "s1")], {})
            assert await source.list() == ["s1"]


async def test_one_that_is_killed_is_started_again(settings: Settings, tmp_path: Path) -> None:
    async with processes(settings, tmp_path) as api:
        url, _ = await listening(api)
        os.kill(children_of(api.process.pid)[0], signal.SIGKILL)
        await eventually(lambda: bool(api.says("api_process_ended")))
        await eventually(lambda: len([line for line in api.said if line["event"] == "api_listening"]) == 3)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/healthz")).status_code == 200


async def test_they_do_not_outlive_a_supervisor_that_is_killed(settings: Settings, tmp_path: Path) -> None:
    async with processes(settings, tmp_path) as api:
        await listening(api)
        children = children_of(api.process.pid)
        api.process.kill()
        await eventually(lambda: all(map(gone, children)))


async def test_what_no_process_can_get_over_ends_all_of_them(settings: Settings, tmp_path: Path) -> None:
    async with processes(settings, tmp_path, AVERT_METRICS_HOST="192.0.2.1", AVERT_METRICS_PORT="1") as api:
        async with asyncio.timeout(30):
            assert await api.process.wait() == SettingsError.exit_code
        assert "192.0.2.1" in api.says("api_ends")["error"]


@pytest.mark.parametrize("count", [0, 65])
def test_how_many_there_may_be(settings: Settings, count: int) -> None:
    with pytest.raises(SettingsError, match="1 to 64"):
        supervise(settings, count)
