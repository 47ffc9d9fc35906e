"""Server-sent events, over the real server: what comes, what does not, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
import redis.asyncio as redis

from streams.core.effects import Withdrawal
from streams.delivery import Delivery
from streams.embedded.stack import EmbeddedCache
from streams.http import push
from streams.settings import Settings
from streams.telemetry import REGISTRY
from tests.http.served import Served, serving
from tests.http.sse import event_source
from tests.http.support import KEYS, SERVER, delivering, eventually, now_ms, suggestion


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Served]:
    async with serving(settings) as running:
        yield running


def ended(reason: str) -> float:
    return REGISTRY.get_sample_value("avert_streams_ended_total", {"reason": reason}) or 0.0


async def test_the_list_comes_at_once_and_whenever_it_changes(served: Served, delivery: Delivery) -> None:
    visitor, query = served.query()
    await delivery.deliver([suggestion(visitor, "s1")], {})
    async with event_source(served.url, query) as source:
        assert (source.status, source.headers["content-type"]) == (200, "text/event-stream")
        assert await source.list() == ["s1"]
        await delivery.deliver([suggestion(visitor, "s2", priority=90)], {})
        assert await source.list() == ["s2", "s1"]
        await delivery.deliver([Withdrawal("s2", visitor, "search-dead-end", now_ms(), "outcome")], {})
        assert await source.list() == ["s1"]


async def test_an_empty_list_is_told_too(served: Served) -> None:
    async with event_source(served.url, served.query()[1]) as source:
        assert await source.list() == []


async def test_what_expires_is_taken_from_the_list(served: Served, delivery: Delivery) -> None:
    visitor, query = served.query()
    soon = suggestion(visitor, "soon", expires=now_ms() + 1500)
    await delivery.deliver([soon, suggestion(visitor, "later")], {})
    async with event_source(served.url, query) as source:
        assert set(await source.list()) == {"soon", "later"}
        assert await source.list() == ["later"]
        assert now_ms() >= soon.expires


async def test_the_head_tells_everybody_between_not_to_keep_it(served: Served) -> None:
    async with event_source(served.url, served.query()[1], origin="https://shop.example") as source:
        assert source.headers["cache-control"] == "no-store"
        assert source.headers["x-accel-buffering"] == "no"
        assert source.headers["access-control-allow-origin"] == "https://shop.example"
        first = await source.message()
        assert first is not None
        assert first.fields == {"retry": "3000"}


async def test_placement_session_and_language_narrow_it_as_they_do_for_get(served: Served, delivery: Delivery) -> None:
    visitor, query = served.query()
    await delivery.deliver([suggestion(visitor, "a"), suggestion(visitor, "b", placement="cart")], {})
    async with event_source(served.url, f"{query}&placement=cart&lang=it") as source:
        while "data" not in (found := await source.message()).fields:
            pass
        (shown,) = msgspec.json.decode(found.fields["data"])["suggestions"]
        assert (shown["id"], shown["title"]) == ("b", "Non lo trovi?")
    assert (await served.client.get(f"/v1/suggestions?{query}&placement=cart&lang=it")).json()["suggestions"] == [shown]


async def test_who_comes_back_is_sent_only_what_changed(
    served: Served, delivery: Delivery, settings: Settings
) -> None:
    visitor, query = served.query()
    await delivery.deliver([suggestion(visitor, "s1")], {})
    async with event_source(served.url, query) as source:
        while "id" not in (found := await source.message()).fields:
            pass
        revision = found.fields["id"]
    async with serving(settings) as other, event_source(other.url, query, last_event_id=revision) as source:
        await eventually(lambda: bool(other.services.reader.changes.listening))
        await delivery.deliver([suggestion(visitor, "s2")], {})
        assert set(await source.list()) == {"s1", "s2"}
    async with event_source(served.url, query, last_event_id=revision) as source:
        assert set(await source.list()) == {"s1", "s2"}


async def test_all_processes_hear_of_a_change(served: Served, delivery: Delivery, settings: Settings) -> None:
    visitor, query = served.query()
    async with (
        serving(settings) as other,
        event_source(served.url, query) as here, event_source(other.url, query) as there,
    ):
        assert [await here.list(), await there.list()] == [[], []]
        await delivery.deliver([suggestion(visitor, "s1")], {})
        assert [await here.list(), await there.list()] == [["s1"], ["s1"]]


async def test_others_changes_are_not_told(served: Served, delivery: Delivery) -> None:
    visitor, query = served.query()
    async with event_source(served.url, query) as source:
        assert await source.list() == []
        await delivery.deliver([suggestion("somebody-else", "not-yours")], {})
        await delivery.deliver([suggestion(visitor, "yours")], {})
        assert await source.list() == ["yours"]


async def test_one_process_has_one_subscription_and_none_without_need(
    served: Served, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.http.listening._IDLE_S", 0.0)
    monkeypatch.setattr("streams.http.listening._POLL_S", 0.05)
    async with redis.Redis.from_url(redis_url) as valkey:
        async def listeners(count: int) -> bool:
            return int((await valkey.pubsub_numsub("avert:changes"))[0][1]) == count

        assert await listeners(0)
        first, second = served.query()[1], served.query()[1]
        async with event_source(served.url, first) as one, event_source(served.url, second) as two:
            assert [await one.list(), await two.list()] == [[], []]
            await eventually(lambda: listeners(1))
        await eventually(lambda: listeners(0))


async def test_heartbeats_come_while_nothing_happens(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "HEARTBEAT_S", 0.05)
    async with event_source(served.url, served.query()[1]) as source:
        assert await source.list() == []
        for _ in range(3):
            beat = await source.message()
            assert beat is not None
            assert (beat.comment, beat.fields) == (True, {})


# --- access


@pytest.mark.parametrize("query", ["visitor=v", "visitor=v&token=x", "visitor=v&token=k2.ffffffff.x"])
async def test_without_a_token_there_is_no_stream(served: Served, query: str) -> None:
    async with event_source(served.url, query) as source:
        assert source.status == 401
        assert b"unauthorized" in source.body


async def test_the_server_key_opens_one(served: Served) -> None:
    async with event_source(served.url, "visitor=v", **SERVER) as source:
        assert await source.list() == []


async def test_a_browser_that_refuses_tracking_is_told_not_to_come_back(served: Served) -> None:
    async with event_source(served.url, served.query()[1], sec_gpc="1") as source:
        assert source.status == 204


async def test_it_ends_with_the_token(settings: Settings) -> None:
    async with serving(msgspec.structs.replace(settings, token_ttl_s=2)) as served:
        before = ended("expired")
        async with event_source(served.url, served.query()[1]) as source:
            assert await source.list() == []
            assert await source.ended()
        assert ended("expired") == before + 1


async def test_it_ends_soon_after_the_secret_was_taken_out(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "HEARTBEAT_S", 0.05)
    async with event_source(served.url, served.query()[1]) as source:
        assert await source.list() == []
        served.services.access.use(msgspec.structs.replace(KEYS, token_secrets=KEYS.token_secrets[1:]))
        assert await source.ended()


# --- bounds


async def test_one_stream_too_many_is_refused_and_the_place_is_free_again_after_one_ends(settings: Settings) -> None:
    async with serving(msgspec.structs.replace(settings, streams_per_visitor_max=2)) as served:
        query = served.query()[1]
        async with event_source(served.url, query) as one:
            async with event_source(served.url, query) as two, event_source(served.url, query) as three:
                assert [one.status, two.status, three.status] == [200, 200, 429]
                assert int(three.headers["retry-after"]) > 0
            await eventually(lambda: REGISTRY.get_sample_value("avert_streams") == 1)
            async with event_source(served.url, query) as again:
                assert again.status == 200
        await eventually(lambda: REGISTRY.get_sample_value("avert_streams") == 0)


async def test_the_bound_holds_over_processes_that_count_together(settings: Settings) -> None:
    together = msgspec.structs.replace(settings, streams_per_visitor_max=1, limits_in="redis")
    async with serving(together) as here, serving(together) as there:
        query = here.query()[1]
        async with event_source(here.url, query) as one, event_source(there.url, query) as two:
            assert [one.status, two.status] == [200, 429]
        async def free() -> bool:
            async with event_source(there.url, query) as again:
                return again.status == 200

        await eventually(free)


async def test_a_process_has_a_bound_too(settings: Settings) -> None:
    async with (
        serving(msgspec.structs.replace(settings, streams_max=1)) as served,
        event_source(served.url, served.query()[1]) as one, event_source(served.url, served.query()[1]) as two,
    ):
        assert [one.status, two.status] == [200, 503]
        assert int(two.headers["retry-after"]) > 0


async def test_who_reads_nothing_is_dropped(
    served: Served, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "SEND_TIMEOUT_S", 0.2)
    visitor, query = served.query()
    before = ended("slow")
    async with event_source(served.url, query) as source:
        source.writer.transport.pause_reading()
        text = {"en": "x" * 200_000}
        number = 0

        async def dropped() -> bool:
            nonlocal number
            number += 1
            await delivery.deliver([suggestion(visitor, "s", title={"en": f"{number}{text['en']}"})], {})
            return ended("slow") == before + 1

        await eventually(dropped)
    await eventually(lambda: REGISTRY.get_sample_value("avert_streams") == 0)


async def test_a_stopping_process_ends_its_streams_and_begins_none(served: Served) -> None:
    query = served.query()[1]
    async with event_source(served.url, query) as source:
        assert await source.list() == []
        served.services.streams.stop()
        assert await source.ended()
    async with event_source(served.url, query) as source:
        assert source.status == 503


# --- the cache


async def test_without_the_cache_the_stream_lives_and_goes_on_when_it_is_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "HEARTBEAT_S", 0.05)
    with EmbeddedCache() as cache:
        async with serving(msgspec.structs.replace(settings, redis_url=cache.url)) as served:
            visitor, query = served.query()
            async with delivering(cache.url) as delivery:
                await delivery.deliver([suggestion(visitor, "s1")], {})
            async with event_source(served.url, query) as source:
                assert await source.list() == ["s1"]
                cache.kill()
                for _ in range(5):  # no list: not known is not empty
                    beat = await source.message()
                    assert beat is not None
                    assert beat.comment
                cache.start()
                async with delivering(cache.url) as delivery:
                    await delivery.deliver([suggestion(visitor, "s2")], {})
                while (found := await source.list()) != ["s2"]:
                    assert found == []  # what was there went with the cache
