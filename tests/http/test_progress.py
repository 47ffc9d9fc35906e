from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from streams.delivery import Delivery
from streams.embedded.stack import EmbeddedCache
from streams.http import listening
from streams.http.reading import SuggestionReader
from tests.http.support import delivering, eventually

LONG_MS = 30_000  # not reached when all goes well


@pytest.fixture
async def valkey(redis_url: str) -> AsyncIterator[redis.Redis]:
    async with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def reader(redis_url: str) -> AsyncIterator[SuggestionReader]:
    running = SuggestionReader(redis_url, 2000)
    yield running
    await running.close()


async def listeners(valkey: redis.Redis) -> int:
    return int((await valkey.pubsub_numsub("avert:progress"))[0][1])


@pytest.mark.parametrize(("offset", "done"), [(9, True), (10, True), (11, False)])
async def test_what_was_said_before_counts(
    reader: SuggestionReader, delivery: Delivery, offset: int, done: bool
) -> None:
    await delivery.deliver([], {3: 10})
    assert await reader.wait_for(3, offset, LONG_MS if done else 30) is done


async def test_each_partition_has_its_own(reader: SuggestionReader, delivery: Delivery) -> None:
    await delivery.deliver([], {3: 10})
    assert await reader.wait_for(4, 0, 30) is False


async def test_many_wait_and_each_is_woken_at_its_own_offset(
    reader: SuggestionReader, delivery: Delivery, valkey: redis.Redis
) -> None:
    waiting = [asyncio.create_task(reader.wait_for(0, offset, LONG_MS)) for offset in range(10)]

    async def listening() -> bool:
        return await listeners(valkey) == 1

    await eventually(listening)
    await delivery.deliver([], {0: 4})
    assert await asyncio.gather(*waiting[:5]) == [True] * 5
    assert not any(task.done() for task in waiting[5:])
    await delivery.deliver([], {0: 9})
    assert await asyncio.gather(*waiting[5:]) == [True] * 5


async def test_nobody_listens_unless_somebody_waits(
    reader: SuggestionReader, delivery: Delivery, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_IDLE_S", 0.0)
    monkeypatch.setattr(listening, "_POLL_S", 0.05)
    await reader.read("v", 0)
    assert await listeners(valkey) == 0
    await reader.wait_for(0, 0, 30)

    async def silent() -> bool:
        return await listeners(valkey) == 0

    await eventually(silent)


async def test_a_log_that_began_anew_is_not_taken_for_the_old_one(
    reader: SuggestionReader, delivery: Delivery, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_IDLE_S", 0.0)
    monkeypatch.setattr(listening, "_POLL_S", 0.05)
    await delivery.deliver([], {0: 1000})
    assert await reader.wait_for(0, 5, LONG_MS)

    async def silent() -> bool:
        return await listeners(valkey) == 0

    await eventually(silent)
    await delivery.deliver([], {0: 2})
    assert await reader.wait_for(0, 5, 30) is False


async def test_nonsense_on_the_channel_is_survived(
    reader: SuggestionReader, delivery: Delivery, valkey: redis.Redis
) -> None:
    waiting = asyncio.create_task(reader.wait_for(0, 5, LONG_MS))

    async def listening() -> bool:
        return await listeners(valkey) == 1

    await eventually(listening)
    await valkey.publish("avert:progress", "nonsense")
    await delivery.deliver([], {0: 5})
    assert await waiting is True


async def test_who_waits_while_the_cache_restarts_is_woken_after_it() -> None:
    with EmbeddedCache() as cache:
        reader = SuggestionReader(cache.url, 2000)
        waiting = asyncio.create_task(reader.wait_for(0, 5, LONG_MS))
        async with redis.Redis.from_url(cache.url) as valkey:
            async def listening() -> bool:
                return await listeners(valkey) == 1

            await eventually(listening)
        cache.kill()
        cache.start()
        async with delivering(cache.url) as delivery:
            assert await delivery.deliver([], {0: 5})
            assert await waiting is True
        await reader.close()


async def test_each_process_hears_of_what_the_others_wrote_too(redis_url: str, delivery: Delivery) -> None:
    processes = [SuggestionReader(redis_url, 2000) for _ in range(3)]
    waiting = [
        asyncio.create_task(process.wait_for(0, offset, LONG_MS)) for offset, process in enumerate(processes)
    ]
    await delivery.deliver([], {0: 1})  # what two of them wrote, in one batch of the worker
    assert await asyncio.gather(*waiting[:2]) == [True, True]
    assert not waiting[2].done()
    await delivery.deliver([], {1: 7, 0: 2})
    assert await waiting[2] is True
    for process in processes:
        await process.close()


async def test_another_worker_that_begins_again_further_back_wakes_nobody_early(
    reader: SuggestionReader, delivery: Delivery
) -> None:
    await delivery.deliver([], {0: 10})
    assert await reader.wait_for(0, 10, LONG_MS)
    waiting = asyncio.create_task(reader.wait_for(0, 12, LONG_MS))
    await delivery.deliver([], {0: 8})  # the partition moved: what was not committed is done again
    await delivery.deliver([], {0: 11})
    assert await reader.wait_for(0, 11, LONG_MS)
    assert not waiting.done()
    await delivery.deliver([], {0: 12})
    assert await waiting is True
