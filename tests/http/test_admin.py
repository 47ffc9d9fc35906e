"""The private port: who may ask what, who is told of it, and that the public port knows none of it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from streams.delivery import Delivery, RuleNote, WorkerNote
from streams.http.admin import private_app
from streams.http.app import build_services
from streams.http.broker import partition_of
from streams.keys import AdminKey, Keys
from streams.settings import Settings
from streams.telemetry import REGISTRY
from tests.http.support import KEYS, SERVER, Api, eventually, now_ms
from tests.support.programs import running_worker

ROOT = Path(__file__).parents[2]

ADMIN_KEYS = Keys(
    admin_keys=(
        "ak_secret", AdminKey("ak_rules", id="dashboards", scopes=("rules",)), AdminKey("ak_gone", revoked=True),
    ),
    server_keys=KEYS.server_keys, write_keys=KEYS.write_keys, token_secrets=KEYS.token_secrets,
)
ADMIN = {"authorization": "Bearer ak_secret"}
RULES = [RuleNote("search-dead-end", "Two searches", "live", "0123", prevents="support_chat", placement="help-banner")]


@pytest.fixture
async def private(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    services = build_services(settings, ADMIN_KEYS)
    transport = httpx.ASGITransport(private_app(services), raise_app_exceptions=False, client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://private.example") as client:
        yield client
    await services.reader.close()


def note(address: str, *partitions: int, version: str = "v1", since: int = 0, ago_ms: int = 0) -> WorkerNote:
    """What a worker said `ago_ms` before now."""
    return WorkerNote(address, partitions, 2, version, since or now_ms(), now_ms() - ago_ms + 15_000)


async def say(delivery: Delivery, *notes: WorkerNote) -> None:
    for one in notes:
        assert await delivery.announce(one, RULES, now_ms())


@asynccontextmanager
async def worker(status: int = 200, answer: Any = None) -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Something that answers as a worker does; what it was asked."""
    asked: list[dict[str, str]] = []

    async def explain(request: web.Request) -> web.Response:
        asked.append({**request.query, "authorization": request.headers["authorization"]})
        return web.json_response(answer or {"visitor": request.query["visitor"], "rules": []}, status=status)

    app = web.Application()
    app.router.add_get("/v1/explain", explain)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


# --- who may


@pytest.mark.parametrize("path", ["/v1/explain?visitor=v", "/v1/rules"])
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ak_secre", "Bearer ak_gone", "Bearer sk_secret", "Bearer wk_shop", "ak_secret"],
)
async def test_only_an_admin_key_opens_it(private: httpx.AsyncClient, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await private.get(path, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")


async def test_a_key_may_do_what_its_scopes_say(private: httpx.AsyncClient, delivery: Delivery) -> None:
    await say(delivery, note("http://127.0.0.1:1", 0, 1))
    headers = {"authorization": "Bearer ak_rules"}
    assert (await private.get("/v1/rules", headers=headers)).status_code == 200
    assert (await private.get("/v1/explain?visitor=v", headers=headers)).status_code == 401


async def test_each_call_is_told_with_who_what_and_of_whom(private: httpx.AsyncClient) -> None:
    with capture_logs() as said:
        await private.get("/v1/explain?visitor=customer-4711", headers=ADMIN)
        await private.get("/v1/rules", headers={"authorization": "Bearer ak_rules"})
        await private.get("/v1/explain?visitor=customer-4711", headers={"authorization": "Bearer ak_rules"})
        await private.get("/v1/explain?visitor=customer-4711")
    calls = [line for line in said if line["event"] == "admin_call"]
    assert [(line["call"], line["result"]) for line in calls] == [
        ("explain", "failed"), ("rules", "failed"), ("explain", "refused"), ("explain", "refused"),
    ]
    assert [line["key"] for line in calls][1:] == ["dashboards", "dashboards", None]
    assert len({line["visitor"] for line in calls if line["call"] == "explain"}) == 1
    assert "4711" not in str(said)
    assert "ak_secret" not in str(said)


async def test_a_call_is_counted(private: httpx.AsyncClient) -> None:
    def count() -> float:
        return REGISTRY.get_sample_value("avert_admin_calls_total", {"call": "rules", "result": "refused"}) or 0.0

    before = count()
    await private.get("/v1/rules")
    assert count() == before + 1


@pytest.mark.parametrize("path", ["/v1/explain?visitor=v", "/metrics", "/v1/visitors/v"])
async def test_the_public_port_knows_nothing_of_it(api: Api, path: str) -> None:
    assert (await api.client.get(path, headers=ADMIN)).status_code == 404


# --- rules


async def test_the_rules_in_force_are_those_that_most_workers_have(api: Api, delivery: Delivery) -> None:
    await say(
        delivery, note("http://a:1", 0, since=now_ms() - 60_000), note("http://b:1", 1, since=now_ms() - 50_000),
        note("http://c:1", version="v2"),
    )
    answer = (await api.client.get("/v1/rules", headers=SERVER)).json()
    assert answer["version"] == "v1"
    assert [(each["version"], each["workers"], each["partitions"]) for each in answer["versions"]] == [
        ("v1", 2, 2), ("v2", 1, 0),
    ]
    assert 60 <= answer["versions"][0]["age_s"] < 70
    assert answer["rules"] == [{
        "id": "search-dead-end", "title": "Two searches", "mode": "live", "version": "0123", "prevents": "support_chat",
        "placement": "help-banner",
    }]


async def test_rules_need_a_server_key(api: Api) -> None:
    assert (await api.client.get("/v1/rules")).status_code == 401


async def test_without_workers_nothing_is_known(api: Api, delivery: Delivery) -> None:
    await say(delivery, note("http://a:1", 0, ago_ms=20_000))
    answer = await api.client.get("/v1/rules", headers=SERVER)
    assert (answer.status_code, answer.json()["error"]) == (503, "workers_unknown")


# --- explain


async def test_the_worker_that_has_the_visitor_is_asked(private: httpx.AsyncClient, delivery: Delivery) -> None:
    mine = partition_of(b"v", 2)
    async with worker() as (right, asked), worker() as (wrong, not_asked):
        await say(delivery, note(right, mine), note(wrong, 1 - mine))
        answer = await private.get("/v1/explain?visitor=v&rule=search-dead-end", headers=ADMIN)
        assert (answer.status_code, answer.json()) == (200, {"visitor": "v", "rules": []})
        assert asked == [{"visitor": "v", "rule": "search-dead-end", "authorization": ADMIN["authorization"]}]
        assert not_asked == []


async def test_while_a_partition_moves_the_next_one_is_asked(private: httpx.AsyncClient, delivery: Delivery) -> None:
    async with worker(421) as (before, _), worker() as (after, asked):
        gone = note("http://127.0.0.1:1", 0, 1, ago_ms=-1)
        await say(delivery, note(after, 0, 1, ago_ms=5000), note(before, 0, 1), gone)
        assert (await private.get("/v1/explain?visitor=v", headers=ADMIN)).status_code == 200
        assert len(asked) == 1


async def test_a_workers_refusal_comes_in_our_form(private: httpx.AsyncClient, delivery: Delivery) -> None:
    async with worker(404, {"error": "there is no such rule"}) as (address, _):
        await say(delivery, note(address, 0, 1))
        answer = await private.get("/v1/explain?visitor=v&rule=none", headers=ADMIN)
        assert (answer.status_code, answer.json()) == (404, {"error": "not_found", "message": "there is no such rule"})


@pytest.mark.parametrize("visitor", ["", "x" * 129])
async def test_a_visitor_has_to_be_named(private: httpx.AsyncClient, visitor: str) -> None:
    assert (await private.get(f"/v1/explain?visitor={visitor}", headers=ADMIN)).status_code == 400


async def test_nobody_having_the_visitor_is_said(private: httpx.AsyncClient, delivery: Delivery) -> None:
    await say(delivery, note("http://127.0.0.1:1"))
    answer = await private.get("/v1/explain?visitor=v", headers=ADMIN)
    assert (answer.status_code, answer.json()["error"]) == (503, "workers_unknown")


async def test_who_has_gone_is_not_asked(private: httpx.AsyncClient, delivery: Delivery) -> None:
    async with worker() as (address, asked):
        await say(delivery, note(address, 0, 1))
        await delivery.withdraw(address)
        assert (await private.get("/v1/explain?visitor=v", headers=ADMIN)).status_code == 503
        assert asked == []


async def test_a_real_worker_is_found_and_its_rules_are_told(settings: Settings, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_bytes(msgspec.json.encode(ADMIN_KEYS))
    with socket.socket() as lease:
        lease.bind(("127.0.0.1", 0))
        port = lease.getsockname()[1]
    running = msgspec.structs.replace(
        settings, worker_http_port=port, keys_file=keys, rules_dir=ROOT / "rules", app_id=settings.topic_prefix,
        broker_rebalance_timeout_s=6.0, fetch_wait_ms=20,
    )
    services = build_services(running, ADMIN_KEYS)
    transport = httpx.ASGITransport(private_app(services), raise_app_exceptions=False)
    with running_worker(running, tmp_path):
        async with httpx.AsyncClient(transport=transport, base_url="http://private.example", headers=ADMIN) as client:
            async def found() -> bool:
                return (await client.get("/v1/explain?visitor=v&rule=search-dead-end")).status_code == 200

            await eventually(found)
            explained = (await client.get("/v1/explain?visitor=v&rule=search-dead-end")).json()
            assert [explained["visitor"], explained["partition"]] == ["v", partition_of(b"v", running.partitions)]
            rules = (await client.get("/v1/rules")).json()
            assert rules["version"] == explained["version"]
            assert "search-dead-end" in {rule["id"] for rule in rules["rules"] if rule["mode"] == "live"}
    await services.reader.close()
