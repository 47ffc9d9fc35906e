from __future__ import annotations

import pytest

from streams.http.edge import Edge
from streams.telemetry import REGISTRY
from tests.http.support import SERVER, SHOP, WRITE, Api


def _cors(headers: object) -> dict[str, str]:
    return {name: value for name, value in dict(headers).items() if name.startswith("access-control-")}


async def test_a_preflight_from_a_listed_origin_may_send_our_headers(api: Api) -> None:
    response = await api.client.options(
        "/v1/events", headers={"origin": SHOP, "access-control-request-method": "POST"}
    )
    assert response.status_code == 204
    assert response.content == b""
    assert response.headers["access-control-allow-origin"] == SHOP
    assert "X-Write-Key" in response.headers["access-control-allow-headers"]
    assert "POST" in response.headers["access-control-allow-methods"]
    assert response.headers["vary"] == "Origin"


async def test_a_listed_page_may_send_the_headers_that_its_tracker_asks_for(api: Api) -> None:
    asked = "anonymousid,authorization,content-type,sentat"
    response = await api.client.options("/v1/page", headers={"origin": SHOP, "access-control-request-headers": asked})
    assert response.headers["access-control-allow-headers"] == asked
    assert response.headers["access-control-allow-credentials"] == "true"
    strange = {"origin": SHOP, "access-control-request-headers": "x, *, (y)"}
    answer = await api.client.options("/v1/page", headers=strange)
    assert answer.headers["access-control-allow-headers"].startswith("Authorization")


@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", SHOP + ".evil.example", SHOP + ":444", "http://shop.example",
               "https://gone.example", "*"],
)
async def test_any_other_origin_is_told_nothing(api: Api, origin: str | None) -> None:
    headers = {} if origin is None else {"origin": origin}
    for response in (
        await api.client.options("/v1/suggestions", headers=headers),
        await api.client.get("/v1/suggestions?visitor=v", headers={**SERVER, **headers}),
    ):
        assert response.status_code in (200, 204)
        assert _cors(response.headers) == {}
        assert response.headers["vary"] == "Origin"


async def test_errors_can_be_read_by_the_page_too(api: Api) -> None:
    response = await api.client.get("/v1/suggestions?visitor=v", headers={"origin": SHOP})
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == SHOP
    assert response.headers["access-control-expose-headers"] == "Retry-After"


async def test_what_an_endpoint_sends_is_left_as_it_is() -> None:
    start = {"type": "http.response.start", "status": 200, "headers": []}
    sent = []

    async def app(scope, receive, send):
        await send(start)

    async def send(message):
        sent.append([name for name, _ in message["headers"]])

    edge = Edge(app, lambda origin: True, frozenset())
    for _ in range(2):
        await edge({"type": "http", "method": "GET", "path": "/", "headers": [(b"origin", b"https://a")]}, None, send)
    assert [names.count(b"access-control-allow-origin") for names in sent] == [1, 1]
    assert start["headers"] == []


async def test_answers_are_metered_by_route_and_status_and_unknown_paths_share_a_label(api: Api) -> None:
    def count(route: str, status: str) -> float:
        return REGISTRY.get_sample_value("avert_http_requests_total", {"route": route, "status": status}) or 0

    cases = [("/v1/events", "202"), ("/v1/events", "401"), ("other", "404")]
    before = [count(*case) for case in cases]
    await api.client.post("/v1/events", json=[], headers=WRITE)
    await api.client.post("/v1/events", json=[])
    await api.client.get("/wp-login.php")
    await api.client.get("/v1/events/../../etc/passwd")
    assert [count(*case) for case in cases] == [before[0] + 1, before[1] + 1, before[2] + 2]
