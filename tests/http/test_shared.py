"""Limits counted in the cache: exact over processes, and each for itself without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from streams.embedded.stack import EmbeddedCache
from streams.errors import TooManyRequestsError
from streams.http.gathered import Gathered
from streams.http.rates import Rates
from streams.http.shared import CountsInRedis, PlacesInRedis
from tests.http.support import eventually

ONE_SECOND = 2  # a burst may fall into two seconds, never into three


@pytest.fixture
async def valkey(redis_url: str) -> AsyncIterator[redis.Redis]:
    async with redis.Redis.from_url(redis_url) as client:
        yield client


async def let_in(rates: list[Rates], who: str, times: int) -> int:
    """How many of `times` requests at once, dealt out to `rates`, were let in."""
    async def ask(number: int) -> bool:
        try:
            await rates[number % len(rates)].admit(("visitor", who))
        except TooManyRequestsError:
            return False
        return True

    return sum(await asyncio.gather(*(ask(number) for number in range(times))))


async def test_processes_share_one_limit(valkey: redis.Redis) -> None:
    processes = [Rates(100, 100, 10, CountsInRedis(Gathered(valkey, 2000))) for _ in range(3)]
    assert 10 <= await let_in(processes, "v", 200) <= 10 * ONE_SECOND


async def test_each_who_and_each_scope_is_counted_alone(valkey: redis.Redis) -> None:
    counts = CountsInRedis(Gathered(valkey, 2000))
    for wanted in ([("visitor", "a")], [("visitor", "b")], [("key", "a"), ("address", "a")]):
        assert await counts.count(wanted) == [1] * len(wanted)


async def test_many_at_once_are_counted_one_by_one(valkey: redis.Redis) -> None:
    counts = CountsInRedis(Gathered(valkey, 2000))
    got = await asyncio.gather(*(counts.count([("visitor", "a")]) for _ in range(1000)))
    numbers = [count for one in got if one for count in one]
    assert len(numbers) == 1000
    assert sorted(numbers) == [*range(1, 1001)] or max(numbers) < 1000  # the second went over in the middle


async def test_nobody_can_be_read_out_of_the_cache(valkey: redis.Redis) -> None:
    wanted = [("visitor", "customer-4711"), ("address", "203.0.113.0/24"), ("key", "sk_1")]
    await CountsInRedis(Gathered(valkey, 2000)).count(wanted)
    await PlacesInRedis(valkey, 2000, 1).take("customer-4711", "one")
    kept = await valkey.keys("*")
    fields = [field for key in kept if b"rate" in key for field in await valkey.hkeys(key)]
    assert len(kept) == 2
    assert not [text for text in (*kept, *fields) if b"4711" in text or b"203.0" in text or b"sk_1" in text]
    assert all([0 < await valkey.pttl(key) <= 45_000 for key in kept])


async def test_without_the_cache_each_process_counts_for_itself() -> None:
    with EmbeddedCache() as cache:
        client = redis.Redis.from_url(cache.url, socket_timeout=0.5)
        processes = [Rates(100, 100, 10, CountsInRedis(Gathered(client, 500))) for _ in range(2)]
        assert 10 <= await let_in(processes, "v", 100) <= 10 * ONE_SECOND
        cache.kill()
        assert 20 <= await let_in(processes, "w", 100) <= 20 * ONE_SECOND
        cache.start()

        async def together() -> bool:
            return await let_in(processes, "x", 100) <= 10

        await eventually(together)
        await client.aclose()


async def test_a_place_is_taken_kept_and_given_back(valkey: redis.Redis) -> None:
    here, there = PlacesInRedis(valkey, 2000, 2), PlacesInRedis(valkey, 2000, 2)
    assert [await here.take("v", "a"), await there.take("v", "b"), await there.take("v", "c")] == [True, True, False]
    assert await here.take("v", "a")
    assert await there.take("w", "c")
    await here.leave("v", "a")
    assert await there.take("v", "c")


async def test_a_place_that_nobody_renews_is_free_after_its_lease(
    valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.http.shared._LEASE_MS", 200)
    places = PlacesInRedis(valkey, 2000, 1)
    assert await places.take("v", "of a process that was killed")

    async def free() -> bool:
        return await places.take("v", "another")

    await eventually(free)


async def test_without_the_cache_there_is_a_place() -> None:
    client = redis.Redis.from_url("redis://127.0.0.1:1/0")
    assert await PlacesInRedis(client, 500, 1).take("v", "a")
