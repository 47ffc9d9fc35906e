from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest
import redis.asyncio as redis

from streams.core.effects import Suggestion, Withdrawal
from streams.delivery import Delivery, RuleNote, WorkerNote
from streams.telemetry import REGISTRY
from tests.http.support import delivering, now_ms, suggestion


@pytest.fixture
async def delivery(redis_url: str) -> AsyncIterator[Delivery]:
    async with delivering(redis_url) as running:
        yield running


@pytest.fixture
async def valkey(redis_url: str) -> AsyncIterator[redis.Redis]:
    async with redis.Redis.from_url(redis_url) as client:
        yield client


def _withdrawal(visitor: str, suggestion_id: str) -> Withdrawal:
    return Withdrawal(suggestion_id, visitor, "search-dead-end", now_ms(), "dismissed")


async def test_a_suggestion_is_stored_as_it_is(delivery: Delivery, valkey: redis.Redis) -> None:
    made = suggestion("v", "s1", body={"it": "Ciao"}, locale="it")
    assert await delivery.deliver([made], {}) is True
    assert msgspec.json.decode(await valkey.hget("avert:s:v", "s1"), type=Suggestion) == made


async def test_the_key_lives_as_long_as_its_latest_suggestion(delivery: Delivery, valkey: redis.Redis) -> None:
    now = now_ms()
    for expires, latest in ((50_000, 50_000), (90_000, 90_000), (70_000, 90_000)):
        await delivery.deliver([suggestion("v", str(expires), expires=now + expires)], {})
        assert await valkey.pexpiretime("avert:s:v") == now + latest


async def test_the_latest_within_one_call(delivery: Delivery, valkey: redis.Redis) -> None:
    now = now_ms()
    await delivery.deliver([suggestion("v", str(at), expires=now + at) for at in (50_000, 90_000, 70_000)], {})
    assert await valkey.pexpiretime("avert:s:v") == now + 90_000


async def test_what_has_expired_already_leaves_nothing(delivery: Delivery, valkey: redis.Redis) -> None:
    assert await delivery.deliver([suggestion("v", expires=now_ms() - 1)], {})
    assert await valkey.exists("avert:s:v") == 0


async def test_changes_are_made_in_their_order(delivery: Delivery, valkey: redis.Redis) -> None:
    changes = [suggestion("v", "a"), _withdrawal("v", "a"), _withdrawal("v", "b"), suggestion("v", "b")]
    await delivery.deliver(changes, {})
    assert await valkey.hkeys("avert:s:v") == [b"b"]


async def test_repeating_changes_nothing(delivery: Delivery, valkey: redis.Redis) -> None:
    changes = [suggestion("v", "a"), suggestion("v", "b"), _withdrawal("v", "a")]
    await delivery.deliver(changes, {0: 1})
    before = await valkey.hgetall("avert:s:v"), await valkey.pexpiretime("avert:s:v")
    await delivery.deliver(changes, {0: 1})
    assert (await valkey.hgetall("avert:s:v"), await valkey.pexpiretime("avert:s:v")) == before


async def test_a_visitors_hash_does_not_grow_with_what_expired(delivery: Delivery, valkey: redis.Redis) -> None:
    await delivery.deliver([suggestion("v", "long", expires=now_ms() + 600_000)], {})
    for number in range(100):
        await delivery.deliver([suggestion("v", f"s{number}", expires=now_ms() - 1)], {})
    assert await valkey.hlen("avert:s:v") <= 17
    assert await valkey.hexists("avert:s:v", "long")


async def test_progress_is_kept_for_whoever_comes_late_and_told_to_whoever_listens(
    delivery: Delivery, valkey: redis.Redis
) -> None:
    async with valkey.pubsub() as channel:
        await channel.subscribe("avert:progress")
        await channel.get_message(timeout=5)
        await delivery.deliver([suggestion("v")], {0: 41, 3: 7})
        message = await channel.get_message(timeout=5)
    assert msgspec.json.decode(message["data"]) == {"0": 41, "3": 7}
    await delivery.deliver([], {0: 42})
    assert await valkey.hgetall("avert:progress") == {b"0": b"42", b"3": b"7"}


async def test_who_hears_of_progress_finds_the_suggestion(delivery: Delivery, valkey: redis.Redis) -> None:
    async with valkey.pubsub() as channel:
        await channel.subscribe("avert:progress")
        await channel.get_message(timeout=5)
        for number in range(50):
            _, _ = await asyncio.gather(
                delivery.deliver([suggestion(f"v{number}")], {0: number}), channel.get_message(timeout=5)
            )
            assert await valkey.exists(f"avert:s:v{number}") == 1


async def test_nothing_to_say_asks_nobody() -> None:
    assert await Delivery("redis://127.0.0.1:1/0", 50).deliver([], {}) is True


async def test_an_absent_cache_is_a_false_and_a_metric() -> None:
    labels = {"operation": "deliver"}
    before = REGISTRY.get_sample_value("avert_redis_errors_total", labels) or 0
    async with delivering("redis://127.0.0.1:1/0") as delivery:
        assert await delivery.deliver([suggestion("v")], {0: 1}) is False
    assert REGISTRY.get_sample_value("avert_redis_errors_total", labels) == before + 1


async def test_a_silent_cache_never_holds_up_the_stream() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with delivering(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", 50) as delivery:
            async with asyncio.timeout(20):
                assert await delivery.deliver([suggestion("v")], {0: 1}) is False


async def test_what_comes_while_a_call_is_under_way_goes_out_together(
    delivery: Delivery, valkey: redis.Redis
) -> None:
    async with valkey.pubsub() as channel:
        await channel.subscribe("avert:progress")
        await channel.get_message(timeout=5)
        taken = await asyncio.gather(
            *(delivery.deliver([suggestion(f"v{number}")], {number % 3: number}) for number in range(9))
        )
        said = [msgspec.json.decode((await channel.get_message(timeout=5))["data"]) for _ in range(2)]
        assert await channel.get_message(timeout=0.1) is None
    assert taken == [True] * 9
    assert said == [{"0": 0}, {"0": 6, "1": 7, "2": 8}]
    for number in range(9):
        assert await valkey.exists(f"avert:s:v{number}") == 1


async def test_who_is_cancelled_in_a_call_leaves_it_to_those_who_share_it(
    delivery: Delivery, valkey: redis.Redis
) -> None:
    await valkey.execute_command("CLIENT", "PAUSE", 500, "WRITE")
    first, second, third = (
        asyncio.create_task(delivery.deliver([suggestion(name)], {})) for name in ("first", "second", "third")
    )
    for cancelled in (first, second):
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait((cancelled,))
    assert await third is True
    assert await valkey.exists("avert:s:second", "avert:s:third") == 2


async def test_a_wrong_password_is_a_false_too(valkey: redis.Redis, redis_url: str) -> None:
    async with delivering(redis_url.replace("redis://", "redis://nobody:wrong@")) as delivery:
        assert await delivery.deliver([suggestion("v")], {}) is False


# --- what workers say of themselves


async def test_a_worker_is_known_until_its_time_is_over(delivery: Delivery, valkey: redis.Redis) -> None:
    now = now_ms()
    first, second = (WorkerNote(address, (0,), 2, "v1", now, now + 15_000) for address in ("http://a", "http://b"))
    rules = [RuleNote("r", "A rule", "live")]
    assert await delivery.announce(first, rules, now)
    assert await delivery.announce(second, rules, now)
    assert set(await valkey.hgetall("avert:workers")) == {b"http://a", b"http://b"}
    later = now + 15_001
    assert await delivery.announce(msgspec.structs.replace(second, until=later + 15_000), rules, later)
    assert set(await valkey.hgetall("avert:workers")) == {b"http://b"}
    assert msgspec.json.decode(await valkey.get("avert:rules:v1"), type=list[RuleNote]) == rules


async def test_a_stranger_in_the_workers_hash_is_put_out(delivery: Delivery, valkey: redis.Redis) -> None:
    await valkey.hset("avert:workers", "http://x", b"nonsense")
    now = now_ms()
    assert await delivery.announce(WorkerNote("http://a", (), 2, "v1", now, now + 15_000), [], now)
    assert set(await valkey.hgetall("avert:workers")) == {b"http://a"}


async def test_a_worker_that_ends_is_forgotten(delivery: Delivery, valkey: redis.Redis) -> None:
    now = now_ms()
    await delivery.announce(WorkerNote("http://a", (), 2, "v1", now, now + 15_000), [], now)
    await delivery.withdraw("http://a")
    assert await valkey.hgetall("avert:workers") == {}


async def test_announcing_never_fails_without_the_cache() -> None:
    delivery = Delivery("redis://127.0.0.1:1/0", 50)
    assert await delivery.announce(WorkerNote("http://a", (), 2, "v1", 0, 15_000), [], 0) is False
    await delivery.withdraw("http://a")


async def test_changed_visitors_are_told_after_the_writes(delivery: Delivery, valkey: redis.Redis) -> None:
    async with valkey.pubsub() as channel:
        await channel.subscribe("avert:changes")
        await channel.get_message(timeout=5)
        await delivery.deliver([suggestion("v", "a"), suggestion("w", "b"), suggestion("v", "c")], {0: 1})
        message = await channel.get_message(timeout=5)
        assert msgspec.json.decode(message["data"]) == ["v", "w"]
        await delivery.deliver([], {0: 2})
        await delivery.deliver([suggestion("x")], {})
        message = await channel.get_message(timeout=5)
        assert msgspec.json.decode(message["data"]) == ["x"]
