from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from streams.core.effects import Withdrawal
from streams.delivery import Delivery
from streams.embedded.stack import EmbeddedCache
from streams.settings import Settings
from streams.telemetry import REGISTRY
from tests.http.support import SERVER, Api, eventually, now_ms, running_api, suggestion


def _with(settings: Settings, **changes: Any) -> Settings:
    return Settings(**{**{name: getattr(settings, name) for name in settings.__struct_fields__}, **changes})


async def test_a_delivered_suggestion_is_answered_in_full(api: Api, delivery: Delivery) -> None:
    expires = now_ms() + 60_000
    made = suggestion(
        "v", body={"en": "Track it"}, action_label={"en": "Track"}, action_href="/orders", expires=expires
    )
    await delivery.deliver([made], {})
    assert await api.suggestions("v") == [{
        "id": "s1", "rule": "search-dead-end", "placement": "help-banner", "title": "Can't find it?",
        "body": "Track it", "action": {"label": "Track", "href": "/orders"}, "expires": expires,
    }]


async def test_nobody_elses(api: Api, delivery: Delivery) -> None:
    await delivery.deliver([suggestion("v", "s1"), suggestion("w", "s2")], {})
    assert [one["id"] for one in await api.suggestions("w")] == ["s2"]
    assert await api.suggestions("x") == []


async def test_the_highest_priority_comes_first(api: Api, delivery: Delivery) -> None:
    await delivery.deliver([suggestion("v", str(priority), priority=priority) for priority in (10, 90, 50)], {})
    assert [one["id"] for one in await api.suggestions("v")] == ["90", "50", "10"]


async def test_only_the_session_and_placement_asked_for(api: Api, delivery: Delivery) -> None:
    await delivery.deliver([
        suggestion("v", "a", session="x", placement="top"), suggestion("v", "b", session="x", placement="side"),
        suggestion("v", "c", session="y", placement="top"),
    ], {})
    for query, ids in (("&session=x", ["a", "b"]), ("&placement=top", ["a", "c"]), ("&session=x&placement=top", ["a"])):
        assert [one["id"] for one in await api.suggestions("v", query)] == ids


async def test_a_withdrawal_removes(api: Api, delivery: Delivery) -> None:
    await delivery.deliver([suggestion("v", "s1"), suggestion("v", "s2")], {})
    await delivery.deliver([Withdrawal("s1", "v", "search-dead-end", now_ms(), "outcome")], {})
    assert [one["id"] for one in await api.suggestions("v")] == ["s2"]


async def test_an_expired_suggestion_is_not_shown_beside_a_living_one(api: Api, delivery: Delivery) -> None:
    now = now_ms()
    await delivery.deliver([suggestion("v", "live"), suggestion("v", "dead", expires=now - 1)], {})
    assert [one["id"] for one in await api.suggestions("v")] == ["live"]


@pytest.mark.parametrize(("after_ms", "shown"), [(-1, True), (0, False), (1, False)])
async def test_a_suggestion_is_over_in_the_millisecond_of_its_expiry(
    api: Api, delivery: Delivery, after_ms: int, shown: bool
) -> None:
    expires = now_ms() + 60_000
    await delivery.deliver([suggestion("v", expires=expires)], {})
    assert bool(await api.services.reader.read("v", expires + after_ms)) is shown


async def test_the_language_asked_for_then_the_browsers_then_the_visitors_then_the_first(
    api: Api, delivery: Delivery
) -> None:
    await delivery.deliver([suggestion("v", title={"en": "E", "it": "I", "de": "D"}, locale="de-DE")], {})
    for query, headers, title in (
        ("&lang=it", {"accept_language": "en"}, "I"), ("", {"accept_language": "it-CH, en;q=0.5"}, "I"),
        ("", {"accept_language": "fr"}, "D"), ("&lang=fr", {}, "D"),
    ):
        assert [one["title"] for one in await api.suggestions("v", query, **headers)] == [title]


# --- access


async def test_every_wrong_token_reads_nothing_and_gets_one_answer(api: Api, delivery: Delivery) -> None:
    await delivery.deliver([suggestion("v")], {})
    access, now_s = api.services.access, now_ms() // 1000
    good, _ = access.issue_token("v", now_s)
    wrong = {
        "none": None, "empty": "", "forged": good[:-1] + ("A" if good[-1] != "A" else "B"), "cut": good[:-1],
        "expired": access.issue_token("v", now_s - 3600)[0], "foreign": access.issue_token("w", now_s)[0],
        "later": good.replace(good.split(".")[1], f"{now_s + 999_999:x}"), "a write key": "wk_shop", "long": "x" * 5000,
    }
    answers = set()
    for token in wrong.values():
        for visitor in ("v", "nobody"):
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            response = await api.client.get("/v1/suggestions", params={"visitor": visitor}, headers=headers)
            answers.add((response.status_code, response.content, response.headers["content-type"]))
    body = b'{"error":"unauthorized","message":"no valid key or token for this"}'
    assert answers == {(401, body, "application/json")}


async def test_the_ways_to_present_a_token(api: Api, delivery: Delivery) -> None:
    await delivery.deliver([suggestion("v")], {})
    token, _ = api.services.access.issue_token("v", now_ms() // 1000)
    for headers, query in (
        ({"authorization": f"Bearer {token}"}, {}), ({"x-visitor-token": token}, {}), ({}, {"token": token}),
        (SERVER, {}),
    ):
        response = await api.client.get("/v1/suggestions", params={"visitor": "v", **query}, headers=headers)
        assert response.status_code == 200
        assert len(response.json()["suggestions"]) == 1


async def test_with_capability_ids_knowing_the_id_suffices(settings: Settings, delivery: Delivery) -> None:
    await delivery.deliver([suggestion("v")], {})
    async with running_api(_with(settings, visitor_ids="capability")) as api:
        response = await api.client.get("/v1/suggestions?visitor=v")
        assert len(response.json()["suggestions"]) == 1


async def test_a_limit_counted_in_the_cache_holds_for_reads_too(settings: Settings, delivery: Delivery) -> None:
    await delivery.deliver([suggestion("v")], {})
    async with running_api(_with(settings, limits_in="redis", rate_per_visitor_per_s=3)) as api:
        got = await asyncio.gather(*(
            api.client.get("/v1/suggestions?visitor=v", headers=SERVER) for _ in range(3 * 2 + 1)
        ))  # a burst may fall into two seconds, never into three
        let_in = [response for response in got if response.status_code == 200]
        assert 3 <= len(let_in) <= 6
        assert {response.status_code for response in got} == {200, 429}
        assert {len(response.json()["suggestions"]) for response in let_in} == {1}


@pytest.mark.parametrize(("visitor", "status"), [("", 400), ("x", 200), ("x" * 128, 200), ("x" * 129, 400)])
async def test_a_visitor_has_to_be_named(api: Api, visitor: str, status: int) -> None:
    response = await api.client.get("/v1/suggestions", params={"visitor": visitor}, headers=SERVER)
    assert response.status_code == status


async def test_a_browser_that_refuses_tracking_is_shown_nothing(api: Api, delivery: Delivery) -> None:
    await delivery.deliver([suggestion("v")], {})
    assert await api.suggestions("v", sec_gpc="1") == []
    assert len(await api.suggestions("v", sec_gpc="0")) == 1


async def test_no_cache_may_keep_an_answer(api: Api) -> None:
    response = await api.client.get("/v1/suggestions?visitor=v", headers=SERVER)
    assert response.headers["cache-control"] == "no-store"


# --- the cache


def _errors(operation: str = "read") -> float:
    return REGISTRY.get_sample_value("avert_redis_errors_total", {"operation": operation}) or 0


async def test_a_page_never_breaks_when_the_cache_goes_and_has_suggestions_when_it_is_back(settings: Settings) -> None:
    with EmbeddedCache() as cache:
        async with running_api(_with(settings, redis_url=cache.url)) as api:
            delivery = Delivery(cache.url, 2000)
            assert await delivery.deliver([suggestion("v")], {})
            assert len(await api.suggestions("v")) == 1
            before = _errors()
            cache.kill()
            assert await api.suggestions("v") == []
            assert _errors() > before
            assert (await api.client.get("/readyz")).json() == {"ready": True, "kafka": True, "redis": False}
            assert not await delivery.deliver([suggestion("v")], {})
            cache.start()

            async def readable() -> bool:
                await delivery.deliver([suggestion("v")], {})
                return len(await api.suggestions("v")) == 1

            await eventually(readable)
            assert (await api.client.get("/readyz")).status_code == 200
            await delivery.close()


async def test_a_cache_that_never_answers_costs_a_page_its_timeout_once(settings: Settings) -> None:
    """A listening socket that accepts and says nothing: what a frozen host looks like."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        async with running_api(_with(settings, redis_url=url, redis_timeout_ms=100)) as api:
            before = _errors()
            for _ in range(50):
                assert await api.suggestions("v") == []
            assert _errors() == before + 50


async def test_an_answer_that_comes_too_late_never_becomes_the_next_visitors(
    settings: Settings, cache: EmbeddedCache, delivery: Delivery
) -> None:
    await delivery.deliver([suggestion(f"v{number}", f"s{number}") for number in range(10)], {})
    async with slow_proxy(cache.port) as proxy:
        slow = _with(settings, redis_url=f"redis://127.0.0.1:{proxy.port}/0", redis_timeout_ms=50)
        async with running_api(slow) as api:
            for number in range(10):
                proxy.slow = number % 2 == 0
                assert {one["id"] for one in await api.suggestions(f"v{number}")} <= {f"s{number}"}
            proxy.slow = False

            async def back() -> bool:
                return [one["id"] for one in await api.suggestions("v3")] == ["s3"]

            await eventually(back)
            for number in range(10):
                assert [one["id"] for one in await api.suggestions(f"v{number}")] == [f"s{number}"]


class _Proxy:
    """Between the API and the cache; while `slow`, answers are held back for longer than the API waits."""

    port = 0
    slow = False

    async def serve(self, upstream_port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", upstream_port)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
            with contextlib.suppress(ConnectionError):
                while piece := await source.read(65_536):
                    if answers and self.slow:
                        await asyncio.sleep(0.12)
                    sink.write(piece)
            sink.close()

        await asyncio.gather(
            copy(reader, upstream_writer, answers=False), copy(upstream_reader, writer, answers=True)
        )


@asynccontextmanager
async def slow_proxy(upstream_port: int) -> AsyncIterator[_Proxy]:
    proxy = _Proxy()
    server = await asyncio.start_server(partial(proxy.serve, upstream_port), "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()


async def test_what_cannot_be_read_is_left_out(api: Api, delivery: Delivery) -> None:
    await delivery.deliver([suggestion("v")], {})
    await delivery._redis.hset("avert:s:v", "odd", b"{not json")
    assert [one["id"] for one in await api.suggestions("v")] == ["s1"]
