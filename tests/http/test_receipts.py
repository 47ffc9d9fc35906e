from __future__ import annotations

from typing import Any

import httpx
import pytest

from streams.core.event import Event, parse_event
from tests.http.support import SERVER, Api, now_ms

RECEIPT = {"suggestion": "s1", "visitor": "v", "kind": "shown"}


async def post(api: Api, body: Any, token: str | None = None, **headers: str) -> httpx.Response:
    if token is None:
        token, _ = api.services.access.issue_token("v", now_ms() // 1000)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.client.post("/v1/receipts", json=body, headers={"authorization": f"Bearer {token}", **named})


@pytest.mark.parametrize("kind", ["shown", "clicked", "dismissed"])
async def test_a_receipt_is_an_event_of_the_visitor(api: Api, kind: str) -> None:
    response = await post(api, {**RECEIPT, "kind": kind, "session": "visit-1"})
    assert (response.status_code, response.json()) == (202, {"accepted": 1})
    (record,) = await api.read_topic("clickstream")
    event = parse_event(record.value)
    assert isinstance(event, Event)
    assert (record.key, event.visitor, event.session) == (b"v", "v", "visit-1")
    assert (event.type, event.props) == (f"suggestion_{kind}", {"suggestion": "s1"})
    assert event.ts == event.received == record.timestamp


async def test_a_repeated_receipt_has_the_same_id_and_another_has_not(api: Api) -> None:
    for receipt in (RECEIPT, RECEIPT, {**RECEIPT, "kind": "clicked"}, {**RECEIPT, "suggestion": "s2"}):
        assert (await post(api, receipt)).status_code == 202
    ids = [kept["id"] for kept in await api.events()]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


async def test_a_receipt_says_so_when_the_browser_refuses_tracking(api: Api) -> None:
    await post(api, RECEIPT, sec_gpc="1")
    assert (await api.events())[0]["context"] == {"consent": False}


@pytest.mark.parametrize(
    "body", [{}, {**RECEIPT, "kind": "seen"}, {**RECEIPT, "suggestion": ""}, {**RECEIPT, "suggestion": "x" * 65},
             {**RECEIPT, "visitor": 7}, [], "text"],
)
async def test_what_is_no_receipt_is_refused(api: Api, body: Any) -> None:
    response = await post(api, body)
    assert (response.status_code, response.json()["error"]) == (400, "bad_request")
    assert await api.events() == []


async def test_a_receipt_needs_the_visitors_token(api: Api) -> None:
    foreign, _ = api.services.access.issue_token("w", now_ms() // 1000)
    for token in (foreign, "", "nonsense"):
        assert (await post(api, RECEIPT, token)).status_code == 401
    assert (await post(api, RECEIPT, "sk_secret")).status_code == 202
    assert len(await api.events()) == 1


# --- tokens


async def test_the_sites_server_gets_a_token_for_a_visitor_whom_it_knows(api: Api) -> None:
    issued = (await api.client.post("/v1/tokens", json={"visitor": "v"}, headers=SERVER)).json()
    assert issued["visitor"] == "v"
    assert abs(issued["expires"] - now_ms() - 3_600_000) < 60_000
    headers = {"authorization": f"Bearer {issued['token']}"}
    assert (await api.client.get("/v1/suggestions?visitor=v", headers=headers)).status_code == 200
    assert (await api.client.get("/v1/suggestions?visitor=w", headers=headers)).status_code == 401


async def test_a_token_for_nobody_is_one_for_a_new_visitor(api: Api) -> None:
    first, second = [(await api.client.post("/v1/tokens", headers=SERVER)).json() for _ in range(2)]
    assert first["visitor"] != second["visitor"]
    assert api.services.access.token_holds(first["visitor"], first["token"], now_ms() // 1000)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wk_shop"}, {"authorization": "Bearer sk_secre"}])
async def test_nobody_else_gets_a_token(api: Api, headers: dict[str, str]) -> None:
    response = await api.client.post("/v1/tokens", json={"visitor": "v"}, headers=headers)
    assert (response.status_code, response.json()["error"]) == (401, "unauthorized")


@pytest.mark.parametrize("visitor", ["", "x" * 129, 7])
async def test_a_token_for_an_impossible_id_is_refused(api: Api, visitor: Any) -> None:
    assert (await api.client.post("/v1/tokens", json={"visitor": visitor}, headers=SERVER)).status_code == 400
