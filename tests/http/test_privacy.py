"""Privacy at the API: consent by purpose, browsers that refuse, addresses, and a visitor's export and erasure."""

from __future__ import annotations

import base64
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

from streams.core.session import Visitor
from streams.delivery import ERASE_HEADER, Delivery, Refusals, WorkerNote, visitor_key
from streams.http.admin import private_app
from streams.http.app import build_services
from streams.http.caller import Services
from streams.http.dialects.routes import EVENTS
from streams.http.visitors import ErasureRequest
from streams.keys import AdminKey, Keys
from streams.retention import KEPT_BY_TIME
from streams.settings import Settings
from streams.telemetry import metrics_page
from tests.http.served import serving
from tests.http.sse import event_source
from tests.http.support import KEYS, Api, eventually, now_ms, read_topic, running_api, suggestion
from tests.support.programs import running_worker

SEARCH = {"id": "e-1", "visitor": "v", "type": "search", "props": {"query": "my secret", "results": 0}}
ADMIN_KEYS = Keys(
    admin_keys=("ak_secret", AdminKey("ak_reads", id="auditor", scopes=("visitors_read",))),
    server_keys=KEYS.server_keys, write_keys=KEYS.write_keys, token_secrets=KEYS.token_secrets,
)
ADMIN = {"authorization": "Bearer ak_secret"}


def search(**changes: Any) -> dict[str, Any]:
    return {**SEARCH, **changes}


def consenting(said: Any) -> dict[str, Any]:
    return search(context={"consent": said, "device": "tv"}, session="s-1", page={"path": "/p"}, unknown="field")


# --- consent


@pytest.mark.parametrize("said", [False, "denied", {"personalization": False}, {"marketing": True}])
async def test_of_an_event_without_consent_only_that_it_was_is_written(api: Api, said: Any) -> None:
    assert (await api.send(consenting(said))).json()["accepted"] == 1
    (kept,) = await api.events()
    assert set(kept) == {"id", "visitor", "type", "ts", "received", "context"}
    assert kept["context"] == {"consent": said if isinstance(said, str) else False}


@pytest.mark.parametrize("said", [{"personalization": True, "measurement": False}, {"analytics": True}])
async def test_any_consent_leaves_the_event_whole(api: Api, said: Any) -> None:
    await api.send(consenting(said))
    (kept,) = await api.events()
    assert (kept["props"], kept["context"]["consent"], kept["unknown"]) == (SEARCH["props"], said, "field")


async def test_silence_goes_by_the_sites_default(settings: Settings) -> None:
    async with running_api(msgspec.structs.replace(settings, consent_default="denied")) as api:
        await api.send([search(), search(id="e-2", context={"source": "report"})])
        first, second = sorted(await api.events(), key=lambda event: event["id"])
    assert "props" not in first
    assert second["props"] == SEARCH["props"]  # a report: the visitor's own word is in force


async def test_broken_events_of_who_refuses_leave_no_text(api: Api) -> None:
    broken = search(type="Not A Type")
    await api.send(broken, sec_gpc="1")
    await api.send({**broken, "context": {"consent": False}})
    await api.send(b'{"consent": "denied", "query": "my secret"')
    await api.send({**broken, "context": {"consent": True}})
    raw = [letter["raw"] for letter in await api.dead_letters()]
    assert sorted("my secret" in text for text in raw) == [False, False, False, True]


async def test_who_withdraws_is_shown_nothing_at_once(api: Api, delivery: Delivery, unique: str) -> None:
    """No worker runs here: it would say the same a moment later."""
    await delivery.deliver([suggestion(unique)], {})
    assert len(await api.suggestions(unique)) == 1
    await api.send(search(visitor=unique, context={"consent": False}))
    assert await api.suggestions(unique) == []
    await delivery.deliver([suggestion(unique, "late", created=now_ms() - 5_000)], {})
    assert await api.suggestions(unique) == []


async def test_who_consents_again_is_shown_what_comes_then(api: Api, delivery: Delivery, unique: str) -> None:
    await api.send(search(visitor=unique, context={"consent": False}))
    await delivery.deliver([suggestion(unique, created=now_ms() + 1)], {})
    assert len(await api.suggestions(unique)) == 1


async def test_the_last_word_of_a_request_counts(api: Api, delivery: Delivery, unique: str) -> None:
    await delivery.deliver([suggestion(unique)], {})
    yes = search(visitor=unique, id="e-2", context={"consent": True})
    await api.send([search(visitor=unique, context={"consent": False}), yes])
    assert len(await api.suggestions(unique)) == 1


async def test_measuring_alone_is_no_leave_to_show(api: Api, delivery: Delivery, unique: str) -> None:
    await delivery.deliver([suggestion(unique)], {})
    await api.send(search(visitor=unique, context={"consent": {"measurement": True}}))
    assert await api.suggestions(unique) == []


async def test_an_open_stream_is_told_at_once(settings: Settings, delivery: Delivery) -> None:
    async with serving(settings, connected=True) as served:
        visitor, query = served.query()
        await delivery.deliver([suggestion(visitor, "s1")], {})
        async with event_source(served.url, query) as source:
            assert await source.list() == ["s1"]
            body = {"events": [search(visitor=visitor, context={"consent": "denied"})]}
            await served.client.post("/v1/events?key=wk_shop", json=body, headers={"origin": "https://shop.example"})
            assert await source.list() == []


# --- browsers that refuse


def knock(path: str, method: str) -> tuple[str, dict[str, Any]]:
    """A request that this door takes."""
    track = {"type": "track", "event": "A", "anonymousId": "a", "messageId": "m", "writeKey": "wk_shop"}
    snow = {"e": "pv", "eid": "e", "duid": "d", "aid": "shop"}
    hog = {"event": "a", "distinct_id": "d", "api_key": "wk_shop", "uuid": "0192f6a0-0000-7000-8000-000000000000"}
    panel = [{"event": "a", "properties": {"token": "wk_shop", "distinct_id": "d", "$insert_id": "i"}}]
    def encoded(value: Any) -> str:
        return base64.b64encode(msgspec.json.encode(value)).decode()

    kinds: list[tuple[tuple[str, ...], dict[str, Any], dict[str, Any]]] = [
        (("/v1/batch", "/v1/b", "/v1/import", "/beacon"), {"json": {"batch": [track], "writeKey": "wk_shop"}}, {}),
        (("/v1/cloudevents",), {"json": {"specversion": "1.0", "id": "1", "source": "s", "type": "search"}}, {}),
        (("/v1/pixel", "/pixel/v1"), {}, {"params": {"data": encoded(track)}}),
        (("/v1/", "/api/s"), {"json": track}, {}),
        (("/com.snowplow",), {"json": {"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4",
                                       "data": [snow]}}, {}),
        (("/i",), {}, {"params": snow}),
        (("/track", "/import"), {"json": panel}, {"params": {"data": encoded(panel)}}),
        (("/matomo", "/piwik"), {"data": {"idsite": "shop", "rec": "1", "_id": "0123456789abcdef", "url": "https://a/"}},
         {"params": {"idsite": "shop", "rec": "1", "_id": "0123456789abcdef", "url": "https://a/"}}),
        (("/mp/collect",), {"params": {"api_secret": "wk_shop", "measurement_id": "G-1"},
                            "json": {"client_id": "c", "events": [{"name": "search"}]}}, {}),
        (("/g/collect",), {"params": {"v": "2", "tid": "wk_shop", "cid": "c", "en": "search"}},
         {"params": {"v": "2", "tid": "wk_shop", "cid": "c", "en": "search"}}),
        (("/",), {"json": hog}, {"params": {"data": encoded(hog)}}),
    ]
    exact = next((kind for kind in kinds if path == kind[0][0]), None)
    prefixes, post, get = exact or next(kind for kind in kinds if path.startswith(kind[0]) and kind[0] != ("/i",))
    del prefixes
    return path.replace("{kind}", "track"), post if method == "POST" else get


DOORS = [
    (entry.path, method) for entry in EVENTS
    for method, dialect in (("POST", entry.post), ("GET", entry.get)) if dialect is not None
]


@pytest.fixture
async def shop(settings: Settings) -> AsyncIterator[Api]:
    keys = Keys(
        write_keys=(msgspec.structs.replace(KEYS.write_keys[0], apps=("*",)),), server_keys=KEYS.server_keys,
        token_secrets=KEYS.token_secrets,
    )
    async with running_api(settings, keys) as running:
        yield running


@pytest.mark.parametrize(("path", "method"), [*DOORS, ("/v1/events", "POST")])
async def test_global_privacy_control_is_heard_at_every_door(shop: Api, path: str, method: str) -> None:
    if path == "/v1/events":
        url, request = path, {"json": SEARCH}
    else:
        url, request = knock(path, method)
    headers = {"sec-gpc": "1", "x-write-key": "wk_shop", "origin": "https://shop.example"}
    answer = await shop.client.request(method, url, headers=headers, **request)
    assert answer.status_code < 300, answer.text
    (kept,) = await shop.events()
    assert kept["context"] == {"consent": False}
    assert not {"props", "page", "session"} & set(kept)


async def test_what_a_refusing_browsers_visitor_said_yes_to_by_name_stays(api: Api) -> None:
    await api.send(search(context={"consent": {"personalization": True, "analytics": True}}), sec_gpc="1")
    (kept,) = await api.events()
    assert kept["context"]["consent"] == {"personalization": False, "measurement": True}
    assert kept["props"] == SEARCH["props"]


@pytest.mark.parametrize("heard", [True, False])
async def test_do_not_track_is_heard_where_the_setting_says_so(settings: Settings, heard: bool) -> None:
    async with running_api(msgspec.structs.replace(settings, honour_dnt=heard)) as api:
        await api.send(SEARCH, dnt="1")
        (kept,) = await api.events()
        assert ("props" in kept) is not heard


# --- personal data


async def test_no_address_of_a_visitor_is_anywhere(
    settings: Settings, tmp_path: Path, redis_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A run with limits in the cache, refusals, dead letters and a worker: then everything that was written is read."""
    address, six = "198.51.100.123", "2001:db8:1:2:3:4:5:6"
    settings = msgspec.structs.replace(
        settings, proxy_hops=1, limits_in="redis", log_level="debug", worker_http_port=free_port(),
        app_id=settings.topic_prefix,
        broker_rebalance_timeout_s=6.0, fetch_wait_ms=20, rules_dir=Path(__file__).parents[2] / "rules",
    )
    with running_worker(settings, tmp_path), capture_logs() as said:
        async with running_api(settings) as api:
            redis = api.services.reader.client
            for client in (address, six):
                forwarded = {"x_forwarded_for": client}
                spoken = search(props={"ip": client, "results": 0}, ip=client, context={"ip": client})
                answer = await api.send({"events": [spoken]}, query="?wait=1000", **forwarded)
                assert answer.json()["accepted"] == 1
                await api.send(search(type="Not A Type"), **forwarded)
                await api.send(SEARCH, x_write_key="wk_wrong", **forwarded)
                await api.client.get("/v1/suggestions?visitor=v", headers={"x-forwarded-for": client})
                track = {"event": "A", "anonymousId": "a", "writeKey": "wk_shop", "context": {"ip": client}}
                for call in (track, {**track, "type": "track"}):  # the first is a dead letter
                    await api.client.post("/v1/track", json=call, headers={"x-forwarded-for": client})
            stored = await everything(redis)
            names = ("clickstream", "deadletter", "decisions", "suggestions", "outcomes")
            topics = [await read_topic(settings, name) for name in names]
            metrics = metrics_page().decode()
    everywhere = repr((topics, stored, said, metrics, capfd.readouterr())) + (tmp_path / "worker.log").read_text()
    assert [len(records) for records in topics[:2]] == [4, 4]  # it looks where things stand
    assert "search" in everywhere
    for client in (address, six):
        i = everywhere.find(client)
        assert i < 0, everywhere[max(0, i - 300) : i + 60]


async def everything(redis: Any) -> str:
    """All keys and values of the cache, as text."""
    found = []
    async for key in redis.scan_iter(count=1000):
        kind = await redis.type(key)
        ask = {b"hash": redis.hgetall, b"string": redis.get, b"zset": lambda k: redis.zrange(k, 0, -1)}[kind]
        found.append((key, await ask(key)))
    return repr(found)


def free_port() -> int:
    with socket.socket() as lease:
        lease.bind(("127.0.0.1", 0))
        return int(lease.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/v1/track", {"type": "track", "event": "A", "anonymousId": "a", "writeKey": "wk_shop", "context": {"page": {
            "url": "https://s.example/u/anna@example.com?email=anna%40example.com", "path": "/u/anna%40example.com",
            "title": "anna@example.com, +39 333 123 4567", "referrer": "https://r.example/?q=4111 1111 1111 1111",
        }}, "properties": {"note": "anna@example.com", "href": "https://s.example/?mail=anna@example.com"}}),
        ("/e/", {"event": "$pageview", "distinct_id": "d", "api_key": "wk_shop", "properties": {
            "$current_url": "https://s.example/u/anna@example.com?x=+393331234567", "title": "4111 1111 1111 1111",
            "$referrer": "https://r.example/?mail=anna%40example.com",
        }}),
        ("/com.snowplowanalytics.snowplow/tp2", {
            "schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "data": [{
                "e": "pv", "eid": "e", "duid": "d", "aid": "shop", "url": "https://s.example/?m=anna@example.com",
                "page": "Call +39 333 123 4567", "refr": "https://r.example/anna%40example.com",
            }]}),
        ("/v1/events", {"id": "e", "visitor": "v", "type": "page_view", "page": {
            "path": "/u/anna@example.com", "title": "4111-1111-1111-1111", "referrer": "https://r.example/?q=%2B39",
        }, "props": {"deep": [{"er": "tel:+39 333 1234567"}]}}),
    ],
)
async def test_no_door_lets_personal_data_through(shop: Api, url: str, body: Any) -> None:
    answer = await shop.client.post(url, json=body, headers={"x-write-key": "wk_shop"})
    assert answer.status_code < 300, answer.text
    (record,) = await shop.read_topic("clickstream")
    for told in (b"anna", b"4111", b"333 12", b"3933", b"mail="):
        assert told not in record.value


# --- export and erasure


@asynccontextmanager
async def private(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, Services]]:
    services = build_services(settings, ADMIN_KEYS)
    await services.log.start()
    await eventually(lambda: services.log.available)
    transport = httpx.ASGITransport(private_app(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://private.example") as client:
        yield client, services
    await services.log.close()
    await services.reader.close()
    await services.totals.close()


@asynccontextmanager
async def said_of(delivery: Delivery, state: Any) -> AsyncIterator[None]:
    """Something that answers as the worker of every partition does."""
    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"visitor": request.query["visitor"], "partition": 1, "at": 1, "state": state})

    app = web.Application()
    app.router.add_get("/v1/visitors", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    await delivery.announce(WorkerNote(address, (0, 1), 2, "v1", now_ms(), now_ms() + 60_000), [], now_ms())
    try:
        yield
    finally:
        await delivery.withdraw(address)
        await runner.cleanup()


@pytest.mark.parametrize(
    ("method", "key"), [("GET", None), ("DELETE", None), ("DELETE", "ak_reads"), ("GET", "sk_secret")]
)
async def test_each_call_needs_its_scope(settings: Settings, method: str, key: str | None) -> None:
    async with private(settings) as (client, _):
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        assert (await client.request(method, "/v1/visitors/v", headers=headers)).status_code == 401


async def test_the_export_has_all_places(settings: Settings, delivery: Delivery, unique: str) -> None:
    await delivery.deliver([suggestion(unique)], {})
    async with private(settings) as (client, _), said_of(delivery, {"visits": 3}):
        answer = await client.get(f"/v1/visitors/{unique}", headers={"authorization": "Bearer ak_reads"})
    found = answer.json()
    assert (answer.status_code, found["state"], len(found["suggestions"])) == (200, {"visits": 3}, 1)
    assert {kept["topic"] for kept in found["log"]} == {settings.topic(name) for name in KEPT_BY_TIME}
    assert {(kept["partition"], kept["key"]) for kept in found["log"]} == {(1, unique)}


async def test_without_its_worker_there_is_no_export(settings: Settings) -> None:
    async with private(settings) as (client, services):
        await services.reader.client.delete("avert:workers")
        answer = await client.get("/v1/visitors/v", headers=ADMIN)
    assert (answer.status_code, answer.json()["error"]) == (503, "workers_unknown")


async def test_an_erasure_reaches_cache_log_and_who_copies_it(
    settings: Settings, delivery: Delivery, unique: str
) -> None:
    visitor = f"{unique}/with a slash"
    await delivery.deliver([suggestion(visitor)], {})
    async with private(settings) as (client, services):
        answer = await client.delete(f"/v1/visitors/{visitor}", headers=ADMIN)
        assert (answer.status_code, answer.json()["erased"]) == (202, False)
        assert await services.reader.read(visitor, now_ms()) == []
        (control,) = await read_topic(settings, "clickstream")
        (asked,) = await read_topic(settings, "erasures")
    assert (control.key.decode(), control.value, control.headers) == (visitor, None, ((ERASE_HEADER, b"1"),))
    request = msgspec.json.decode(asked.value, type=ErasureRequest)
    assert asked.key.decode() == request.visitor == visitor
    assert (request.topic, request.partition, request.offset) == (control.topic, control.partition, control.offset)


async def test_an_erasure_is_told_without_the_id(settings: Settings) -> None:
    async with private(settings) as (client, _):
        with capture_logs() as said:
            await client.delete("/v1/visitors/customer-4711", headers=ADMIN)
    (line,) = [line for line in said if line["event"] == "admin_call"]
    assert (line["call"], line["result"], "4711" in str(said)) == ("visitor_erase", "ok", False)
    assert line["visitor"]


async def test_without_the_cache_an_erasure_is_refused_and_to_be_repeated(settings: Settings) -> None:
    away = msgspec.structs.replace(settings, redis_url="redis://127.0.0.1:1/0", redis_timeout_ms=100)
    async with private(away) as (client, _):
        answer = await client.delete("/v1/visitors/v", headers=ADMIN)
        assert (answer.status_code, answer.json()["error"]) == (503, "cache_unavailable")
        assert await read_topic(settings, "clickstream") == []


@pytest.mark.parametrize(("path", "status"), [("/v1/visitors/" + "v" * 129, 400), ("/v1/visitors/v?wait=soon", 400)])
async def test_what_is_asked_wrongly(settings: Settings, path: str, status: int) -> None:
    async with private(settings) as (client, _):
        assert (await client.delete(path, headers=ADMIN)).status_code == status


async def test_a_real_worker_exports_and_erases(
    settings: Settings, tmp_path: Path, unique: str, delivery: Delivery
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_bytes(msgspec.json.encode(ADMIN_KEYS))
    settings = msgspec.structs.replace(
        settings, worker_http_port=free_port(), keys_file=keys, rules_dir=Path(__file__).parents[2] / "rules",
        app_id=unique, broker_rebalance_timeout_s=6.0, fetch_wait_ms=20,
    )
    url = f"/v1/visitors/{unique}"
    with running_worker(settings, tmp_path):
        async with running_api(settings, ADMIN_KEYS) as api, private(settings) as (client, services):
            async def exported() -> dict[str, Any]:
                answer = await client.get(url, headers=ADMIN)
                return answer.json() if answer.status_code == 200 else {}

            async def kept() -> bool:
                return bool((await exported()).get("state"))

            for number in range(3):
                await api.send(search(visitor=unique, id=f"e-{number}"))
            await eventually(kept)
            state = (await exported())["state"]
            assert set(state) == set(Visitor.__slots__)
            assert [session["events"] for session in state["sessions"]] == [3]
            for _ in range(2):  # repeated it is the same
                answer = await client.delete(f"{url}?wait=20000", headers=ADMIN)
                assert (answer.status_code, answer.json()["erased"]) == (200, True)
                assert (await exported())["state"] is None
            assert await services.reader.client.exists(visitor_key(settings.cache_prefix, unique)) == 0
            await api.send(search(visitor=unique, id="e-0"))
            await eventually(kept)
            assert [session["events"] for session in (await exported())["state"]["sessions"]] == [1]
    assert unique not in visitor_lines(tmp_path / "worker.log")


def visitor_lines(path: Path) -> str:
    return "\n".join(line for line in path.read_text().splitlines() if "visitor_erased" in line)


async def test_a_refusal_ends_by_itself(api: Api, unique: str) -> None:
    client = api.services.reader.client
    await Refusals(client, 2000).refuse([unique], now_ms())
    assert 0 < await client.pttl(visitor_key("avert", unique)) <= 3_600_000


async def test_a_refusal_that_cannot_be_read_is_one(api: Api, delivery: Delivery, unique: str) -> None:
    await delivery.deliver([suggestion(unique)], {})
    await api.services.reader.client.hset(visitor_key("avert", unique), "!", "of another version")
    assert await api.suggestions(unique) == []
