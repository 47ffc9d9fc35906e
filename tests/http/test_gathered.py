"""Questions to the cache, gathered into calls: each gets what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from streams.embedded.stack import EmbeddedCache
from streams.http.gathered import Gathered, field_of
from streams.telemetry import REGISTRY
from tests.http.support import eventually


@pytest.fixture
async def valkey(redis_url: str) -> AsyncIterator[redis.Redis]:
    async with redis.Redis.from_url(redis_url) as client:
        await client.flushdb()
        yield client


def fields(*names: str) -> bytes:
    return b"".join(field_of("visitor", name) for name in names)


def _errors(operation: str) -> float:
    return REGISTRY.get_sample_value("avert_redis_errors_total", {"operation": operation}) or 0


async def _calls(valkey: redis.Redis) -> int:
    said = await valkey.info("commandstats")
    return sum(int(said.get(name, {}).get("calls", 0)) for name in ("cmdstat_evalsha", "cmdstat_eval"))


async def test_each_question_gets_what_is_its_own(valkey: redis.Redis) -> None:
    calls = Gathered(valkey, 2000, limits=(9, 9))
    for number in range(300):
        await valkey.hset(f"h{number}", "field", str(number))
    questions = [
        calls.ask(fields("a", f"v{number}") if number % 3 else b"", f"h{number}" if number % 2 else "")
        for number in range(300) if number % 3 or number % 2
    ]
    numbers = [number for number in range(300) if number % 3 or number % 2]
    for number, told in zip(numbers, await asyncio.gather(*questions), strict=True):
        assert told.counts is not None
        assert len(told.counts) == (2 if number % 3 else 0)
        if not number % 2:
            assert told.stored is None
        elif told.counts and told.counts[0] > 9:
            assert told.stored == []
        else:
            assert told.stored == [b"field", str(number).encode()]


async def test_questions_of_one_turn_are_one_call(valkey: redis.Redis) -> None:
    calls = Gathered(valkey, 2000)
    await calls.ask(key="h")  # the script is known from here on
    before = await _calls(valkey)
    await asyncio.gather(*(calls.ask(fields("a"), "") for _ in range(100)), *(calls.ask(key="h") for _ in range(100)))
    assert await _calls(valkey) == before + 1


@pytest.mark.parametrize(("most", "read"), [(4, False), (5, True), (6, True)])
async def test_a_hash_is_read_up_to_the_limit_and_not_above(valkey: redis.Redis, most: int, read: bool) -> None:
    await valkey.hset("h", "a", "1")
    calls = Gathered(valkey, 2000, limits=(most, 100))
    for _ in range(4):
        await calls.ask(fields("who"))
    told = await calls.ask(fields("who", "whom"), "h")
    if told.counts == [5, 1]:  # else the second went over in the middle
        assert told.stored == ([b"a", b"1"] if read else [])


async def test_what_is_no_hash_is_not_known_and_spoils_nobody_elses(valkey: redis.Redis) -> None:
    await valkey.set("text", "x")
    await valkey.hset("h", "a", "1")
    calls, before = Gathered(valkey, 2000), _errors("read")
    wrong, right = await asyncio.gather(calls.ask(key="text"), calls.ask(key="h"))
    assert (wrong.stored, right.stored) == (None, [b"a", b"1"])
    assert _errors("read") == before + 1


async def test_many_fields_are_several_calls_and_every_one_is_counted(valkey: redis.Redis) -> None:
    calls = Gathered(valkey, 2000)
    names = [f"v{number}" for number in range(500)]
    told = await asyncio.gather(*(calls.ask(fields(*names)) for _ in range(10)))
    assert sum(len(one.counts or ()) for one in told) == 5000
    seconds = [await valkey.hgetall(key) for key in await valkey.keys("avert:rate:*")]
    assert sum(int(count) for second in seconds for count in second.values()) == 5000


async def test_a_question_that_was_given_up_takes_nothing_from_the_others(valkey: redis.Redis) -> None:
    await valkey.hset("h", "a", "1")
    calls = Gathered(valkey, 2000)
    given_up = asyncio.create_task(calls.ask(key="nothing"))
    other = asyncio.create_task(calls.ask(key="h"))
    await asyncio.sleep(0)  # both have asked
    given_up.cancel()
    assert (await other).stored == [b"a", b"1"]
    assert given_up.cancelled()


async def test_a_script_that_the_cache_has_forgotten_is_told_again(valkey: redis.Redis) -> None:
    calls = Gathered(valkey, 2000)
    await calls.ask(key="h")
    await valkey.script_flush()
    assert (await calls.ask(key="h")).stored == []


async def test_without_the_cache_nothing_is_known_and_soon_after_it_all_is() -> None:
    with EmbeddedCache() as cache:
        client = redis.Redis.from_url(cache.url, socket_timeout=0.5)
        calls = Gathered(client, 500, limits=(9,))
        assert (await calls.ask(fields("a"), "h")).stored == []
        cache.kill()
        before = [_errors("read"), _errors("limits")]
        assert await calls.ask(fields("a"), "h") == (None, None)
        assert [_errors("read"), _errors("limits")] == [before[0] + 1, before[1] + 1]
        cache.start()

        async def back() -> bool:
            return (await calls.ask(fields("a"), "h")).stored == []

        await eventually(back)
        await client.aclose()


async def test_closing_waits_for_what_is_under_way(valkey: redis.Redis) -> None:
    calls = Gathered(valkey, 2000)
    asked = asyncio.create_task(calls.ask(key="h"))
    await asyncio.sleep(0)
    await calls.close()
    assert (await asked).stored == []
