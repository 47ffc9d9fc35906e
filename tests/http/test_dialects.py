"""The dialects through the real application: what clients hear, whose key counts, what becomes of what is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streams.http.dialects.routes import CONFIGS, EVENTS
from streams.keys import Keys, TokenSecret, WriteKey
from streams.settings import Settings
from streams.telemetry import REGISTRY
from tests.http.support import SHOP, Api, running_api

KEYS = Keys(
    write_keys=(
        WriteKey("wk_shop", (SHOP,), apps=("shop",)),
        WriteKey("wk_gone", (SHOP,), revoked=True, apps=("gone",)),
    ),
    server_keys=("sk_secret",),
    token_secrets=(TokenSecret("k", "the secret that signs"),),
)
TP2 = "/com.snowplowanalytics.snowplow/tp2"
PAYLOAD = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
TRACK = {"type": "track", "event": "Chat Opened", "anonymousId": "a-1", "messageId": "m-1"}


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with running_api(settings, KEYS) as running:
        yield running


def basic(key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def snowplow(**fields: str) -> dict[str, Any]:
    return {"schema": PAYLOAD, "data": [{"e": "pv", "eid": "e-1", "duid": "d-1", "aid": "shop", **fields}]}


# --- answers


@pytest.mark.parametrize(
    ("path", "body", "status", "content", "content_type"),
    [
        ("/v1/batch", {"batch": [TRACK], "writeKey": "wk_shop"}, 200, b'{"success":true}', "application/json"),
        ("/v1/t", {**TRACK, "writeKey": "wk_shop"}, 200, b'{"success":true}', "application/json"),
        (TP2, snowplow(), 200, b"ok", "text/plain; charset=utf-8"),
        ("/acme/v1", snowplow(), 200, b"ok", "text/plain; charset=utf-8"),
        ("/e/", {"event": "a", "distinct_id": "d", "api_key": "wk_shop"}, 200, b'{"status":1}', "application/json"),
        ("/v1/cloudevents?key=wk_shop", {"specversion": "1.0", "id": "1", "source": "s", "type": "search"}, 202,
         b'{"accepted":1,"rejected":[]}', "application/json"),
    ],
)
async def test_each_client_hears_what_it_waits_for(
    api: Api, path: str, body: dict[str, Any], status: int, content: bytes, content_type: str
) -> None:
    response = await api.client.post(path, json=body)
    assert (status, content, content_type) == (response.status_code, response.content, response.headers["content-type"])
    assert len(await api.events()) == 1


async def test_a_pixel_is_a_picture(api: Api) -> None:
    response = await api.client.get("/i?e=pv&aid=shop&duid=d-1&eid=e-1&url=https%3A%2F%2Fshop.example%2Fhelp")
    assert (response.status_code, response.headers["content-type"]) == (200, "image/gif")
    assert response.content.startswith(b"GIF89a")
    data = base64.b64encode(json.dumps({**TRACK, "writeKey": "wk_shop"}).encode()).decode()
    assert (await api.client.get("/v1/pixel/track", params={"data": data})).status_code == 200
    assert {"page_view", "chat_opened"} == {event["type"] for event in await api.events()}


async def test_what_is_asked_before_events_is_answered_and_leads_here(api: Api) -> None:
    settings = (await api.client.get("/v1/projects/wk_shop/settings")).json()
    assert settings["integrations"]["Segment.io"]["apiHost"] == "api.example/v1"
    assert list(settings["integrations"]) == ["Segment.io"]
    source = (await api.client.get("/sourceConfig/?writeKey=wk_shop")).json()["source"]
    assert (source["enabled"], source["destinations"]) == (True, [])
    assert (await api.client.post("/flags/?v=2", json={})).json()["featureFlags"] == {}
    assert (await api.client.get("/array/wk_shop/config")).json()["sessionRecording"] is False
    script = (await api.client.get("/array/wk_shop/config.js")).text
    assert "_POSTHOG_REMOTE_CONFIG" in script
    assert '"wk_shop"' in script


# --- keys


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v1/batch", {"batch": [TRACK]}, {}),
        ("/v1/batch", {"batch": [TRACK]}, basic("wk_gone")),
        ("/v1/batch", {"batch": [TRACK], "writeKey": "wk_nobody"}, {}),
        ("/v1/batch", {"batch": [TRACK], "writeKey": "wk_shop"}, {"origin": "https://evil.example"}),
        (TP2, snowplow(aid="gone"), {}),
        (TP2, snowplow(aid="other"), {}),
        ("/batch/", {"batch": [{"event": "a", "distinct_id": "d"}], "api_key": "phc_nobody"}, {}),
        ("/batch/", {"batch": []}, {}),
        ("/v1/cloudevents", {"specversion": "1.0", "id": "1", "source": "s", "type": "search"}, {}),
        ("/e/", "not an event at all", {}),
    ],
)
async def test_without_a_good_key_nothing_is_kept(
    api: Api, path: str, body: Any, headers: dict[str, str]
) -> None:
    response = await api.client.post(path, json=body, headers=headers)
    assert response.status_code == 401
    assert (await api.events(), await api.dead_letters()) == ([], [])


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v1/batch", {"batch": [TRACK]}, basic("wk_shop")),
        ("/v1/batch", {"batch": [TRACK]}, {"x-write-key": "wk_shop"}),
        ("/v1/batch", {"batch": [TRACK]}, basic("sk_secret")),
        ("/beacon/v1/batch?writeKey=wk_shop", {"batch": [TRACK]}, {}),
        ("/api/s/track", {**TRACK, "writeKey": "wk_***"}, {"x-write-key": "wk_shop:secret"}),
        ("/e/", [{"event": "a", "distinct_id": "d", "properties": {"token": "wk_shop"}}], {}),
        (TP2, snowplow(), {"origin": SHOP}),
    ],
)
async def test_the_key_may_stand_wherever_clients_put_it(
    api: Api, path: str, body: Any, headers: dict[str, str]
) -> None:
    assert (await api.client.post(path, json=body, headers=headers)).status_code == 200
    assert len(await api.events()) == 1


# --- refusals


async def test_a_body_that_is_none_becomes_one_dead_letter(api: Api) -> None:
    for path, body in (("/v1/batch", b'{"writeKey":"wk_shop","batch":[{'), ("/e/", b'{"api_key":"wk_shop","batch":7}')):
        assert (await api.client.post(path, content=body)).status_code == 400
    assert [letter["reason"] for letter in await api.dead_letters()] == ["not_json", "not_json"]
    assert await api.events() == []


async def test_the_key_of_a_bare_list_is_found_behind_a_broken_event(api: Api) -> None:
    good = {"event": "a", "distinct_id": "d", "uuid": "u-1", "properties": {"token": "wk_shop"}}
    response = await api.client.post("/e/", content=b'[{"x":NaN},' + json.dumps(good).encode() + b"]")
    assert response.status_code == 200
    assert [event["id"] for event in await api.events()] == ["u-1"]
    assert len(await api.dead_letters()) == 1


async def test_limits_are_those_of_our_own_events(api: Api) -> None:
    deep: Any = 1
    for _ in range(20):
        deep = {"a": deep}
    calls = [
        {**TRACK, "messageId": "deep", "properties": {"a": deep}},
        {**TRACK, "messageId": "long", "properties": {"a": "x" * 3000}},
        {**TRACK, "messageId": "keys", "properties": {f"k{number}": 1 for number in range(70)}},
        {**TRACK, "messageId": "none", "event": ""},
        {**TRACK, "messageId": "when", "timestamp": "yesterday"},
        TRACK,
    ]
    response = await api.client.post("/v1/batch", json={"batch": calls, "writeKey": "wk_shop"})
    assert response.status_code == 200
    assert [event["id"] for event in await api.events()] == ["m-1"]
    reasons = [letter["reason"] for letter in await api.dead_letters()]
    assert sorted(reasons) == ["schema", "schema", "string_too_long", "too_deep", "too_many_keys"]


async def test_too_many_events_and_too_many_bytes(api: Api) -> None:
    many = {"batch": [TRACK] * 501, "writeKey": "wk_shop"}
    assert (await api.client.post("/v1/batch", json=many)).status_code == 413
    big = b'{"writeKey":"wk_shop","batch":[]' + b" " * (1 << 20) + b"}"
    assert (await api.client.post("/v1/batch", content=big)).status_code == 413


# --- who, and whether


async def test_ids_that_are_too_long_or_missing_stay_the_same_when_sent_again(api: Api) -> None:
    long = {**TRACK, "messageId": "m" * 100, "anonymousId": "a" * 200}
    dated = {"type": "track", "event": "A", "anonymousId": "a-1", "timestamp": "2026-01-01T00:00:00Z"}
    undated = {"type": "track", "event": "A", "anonymousId": "a-1"}
    for sent_at in ("2026-01-01T00:00:01Z", "2026-01-01T00:00:05Z"):
        for call in (long, dated, undated):
            body = {**call, "sentAt": sent_at, "writeKey": "wk_shop"}
            assert (await api.client.post("/v1/track", json=body)).status_code == 200
    ids: dict[str, int] = {}
    for event in await api.events():
        ids[event["id"]] = ids.get(event["id"], 0) + 1
    assert sorted(ids.values()) == [1, 1, 2, 2]  # two undated ones that look the same are two


async def test_consent_goes_along(api: Api) -> None:
    cases: list[tuple[dict[str, Any], Any]] = [
        ({}, None),
        ({"consent": {"categoryPreferences": {"Functional": True, "Advertising": False}}}, True),
        ({"consent": {"categoryPreferences": {"Analytics": True, "Advertising": False}}}, False),
        ({"consentManagement": {"allowedConsentIds": ["C0001"], "deniedConsentIds": ["C0003"]}}, False),
    ]
    for number, (context, _) in enumerate(cases):
        call = {**TRACK, "messageId": f"m-{number}", "context": context, "writeKey": "wk_shop"}
        await api.client.post("/v1/track", json=call)
    said = {event["id"]: event["context"].get("consent") for event in await api.events()}
    for number, (_, expected) in enumerate(cases):
        found = said[f"m-{number}"]
        assert expected == (found and found["personalization"])


async def test_a_browser_that_refuses_tracking_is_heard(api: Api) -> None:
    await api.client.post("/v1/track", json={**TRACK, "writeKey": "wk_shop"}, headers={"sec-gpc": "1"})
    assert [event["context"]["consent"] for event in await api.events()] == [False]


# --- paths


async def test_paths_of_nobody_stay_nobodys(api: Api) -> None:
    for method, path in (("GET", "/acme/v1"), ("POST", "/wp/login"), ("GET", "/wp-login.php"), ("POST", "/a/b/c")):
        assert (await api.client.request(method, path, content=b"{}")).status_code == 404, path
    assert (await api.client.post("/v1/suggestions", content=b"{}")).status_code == 405


async def test_a_path_with_parameters_is_metered_by_its_pattern(api: Api) -> None:
    def count(route: str) -> float:
        return REGISTRY.get_sample_value("avert_http_requests_total", {"route": route, "status": "200"}) or 0

    before = count("/array/{key}/config")
    await api.client.get("/array/wk_shop/config")
    assert count("/array/{key}/config") == before + 1


def test_no_path_is_two_things() -> None:
    paths = [(entry.path, method) for entry in EVENTS for method in ("post", "get") if getattr(entry, method)]
    paths += [(path, method.lower()) for path, methods, _, _ in CONFIGS for method in methods]
    assert len(set(paths)) == len(paths)


# --- clients that are not run by the tests: by what is published and was captured of them


async def one_event(api: Api, **request: Any) -> tuple[int, bytes, dict[str, Any]]:
    response = await api.client.request(**request)
    (event,) = await api.events()
    return response.status_code, response.content, event


async def test_mixpanel_of_servers_and_browsers(api: Api) -> None:
    properties = {
        "token": "wk_shop", "distinct_id": "$device:d-1", "$device_id": "d-1", "$insert_id": "i-1", "query": "refund",
        "results": 0, "time": 1_795_000_000.25, "$current_url": "https://shop.example/help?a=b", "mp_lib": "web",
    }
    body = b"data=" + base64.b64encode(json.dumps([{"event": "Search", "properties": properties}]).encode())
    status, content, event = await one_event(api, method="POST", url="/track/?verbose=1&ip=1", content=body)
    assert (status, content) == (200, b'{"error":null,"status":1}')
    assert (event["id"], event["visitor"], event["type"]) == ("i-1", "d-1", "search")
    assert event["ts"] == 1_795_000_000_250 or event["ts"] == event["received"]
    assert (event["props"], event["page"]["path"]) == ({"query": "refund", "results": 0}, "/help")
    plain = json.dumps({"event": "Old", "properties": {"token": "wk_shop", "distinct_id": "u-1", "$insert_id": "i-2"}})
    response = await api.client.post("/track", data={"data": plain, "verbose": "1"})
    assert response.status_code == 200
    assert {"search", "old"} == {kept["type"] for kept in await api.events()}


async def test_matomo_one_by_one_and_in_bulk(api: Api) -> None:
    query = "idsite=shop&rec=1&url=https%3A%2F%2Fshop.example%2Fhelp&action_name=Help&uid=u-1&_id=d-1"
    status, content, event = await one_event(api, method="GET", url=f"/matomo.php?{query}")
    assert (status, content[:6]) == (200, b"GIF89a")
    assert (event["visitor"], event["type"], event["context"]["user"]) == ("d-1", "page_view", "u-1")
    for _ in range(2):  # the same once more: the random number tells it from another view of the page
        await api.client.get(f"/matomo.php?{query}&rand=7&ping=1")
    pings = [event["id"] for event in await api.events() if event["type"] == "page_ping"]
    assert (len(pings), len(set(pings))) == (2, 1)
    bulk = {"requests": [f"?{query}&search=refund&search_count=0", f"?{query}&e_c=Support&e_a=Chat%20Open", "?e_c="]}
    response = await api.client.post("/matomo.php", json=bulk)
    assert response.json() == {"status": "success", "tracked": 2, "invalid": 1}
    kept = {event["type"]: event["props"] for event in await api.events() if "props" in event}
    assert kept["search"] == {"query": "refund", "results": 0}
    assert "chat_opened" in kept


async def test_google_by_measurement_protocol_and_as_gtag_sends(api: Api) -> None:
    params = {"session_id": "s-1", "engagement_time_msec": 5, "search_term": "refund", "page_location": f"{SHOP}/help"}
    body = {"client_id": "c-1", "user_id": "u-1", "events": [{"name": "view_search_results", "params": params}]}
    status, _, event = await one_event(api, method="POST", url="/mp/collect?api_secret=wk_shop", json=body)
    assert status == 204
    assert (event["visitor"], event["session"], event["type"]) == ("c-1", "s-1", "search")
    assert event["props"] == {"search_term": "refund", "query": "refund"}
    lines = "en=page_view&dl=https%3A%2F%2Fshop.example%2F\r\nen=purchase&ep.transaction_id=A-1&epn.value=59.9"
    response = await api.client.post("/g/collect?v=2&tid=wk_shop&cid=c-1&sid=s-1", content=lines)
    assert response.status_code == 204
    kept = {event["type"]: event for event in await api.events()}
    assert kept["purchase"]["props"] == {"transaction_id": "A-1", "value": 59.9, "order": "A-1", "total": 59.9}
    assert kept["page_view"]["page"]["path"] == "/"


async def test_cloudevents_in_all_modes(api: Api) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "https://shop.example", "type": "search", "subject": "v-1"}
    url = "/v1/cloudevents?key=wk_shop"
    await api.client.post(url, json={**event, "data": {"results": 0, "page": {"path": "/help"}}, "session": "s-1"})
    binary = {f"ce-{name}": value for name, value in {**event, "id": "2", "subject": "caf%C3%A9"}.items()}
    await api.client.post(url, content=b'{"results":0}', headers=binary)
    packed = base64.b64encode(b'{"results":0}').decode()
    batch = [{**event, "id": "3", "data_base64": packed}, {**event, "id": "4", "specversion": "0.3"}, {"id": "5"}]
    response = await api.client.post(url, json=batch)
    assert response.status_code == 202
    assert [(item["index"], item["reason"]) for item in response.json()["rejected"]] == [(1, "schema"), (2, "schema")]
    kept = {event["id"]: event for event in await api.events()}
    assert sorted(kept) == ["1", "2", "3"]
    assert (kept["1"]["page"], kept["1"]["session"], kept["2"]["visitor"]) == ({"path": "/help"}, "s-1", "café")
    for one in kept.values():
        assert one["props"] == {"results": 0}
