"""Erasures: in their place among the events, and once, wherever a crash cuts what they leave."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis
from aiokafka import AIOKafkaProducer

from streams.core.effects import EventResult, Refusal, Withdrawal
from streams.core.event import Event, encode_event
from streams.delivery import ERASE_HEADER, Delivery, Erasure, Refusals, visitor_key
from streams.embedded.kafka import KafkaNode
from streams.settings import Settings
from streams.worker.apply import TOMBSTONE_HEADER, Applier, Work
from streams.worker.machine import core_machine
from streams.worker.partition import PartitionMemory
from streams.worker.table import _tombstone_offset
from streams.worker.topics import changelog_name
from streams.worker.totals import is_line
from tests.core.build import T0, compiled, event
from tests.http.support import suggestion
from tests.worker.small import SMALL, Record, record
from tests.worker.support import WorkerProcess, caught_up, producer, read, read_effects, test_settings
from tests.worker.test_apply import apply, reasons, rows_of
from tests.worker.test_reload import RULE
from tests.worker.test_reload import write as write_rules

ERASE = ((ERASE_HEADER, b"1"),)


@pytest.fixture
def memory() -> PartitionMemory:
    return PartitionMemory(3, SMALL)


def erasure(offset: int, visitor: str, at: int = 1_000_000) -> Record:
    return Record(offset, visitor.encode(), None, at, ERASE)


def tombstones(work: Work) -> list[tuple[bytes | None, list[tuple[str, bytes]]]]:
    return [(row.key, row.headers) for row in work.rows if row.value is None]


def test_the_state_goes_and_a_tombstone_says_from_where(memory: PartitionMemory) -> None:
    apply(memory, record(0, "a"), record(1, "b"))
    work = apply(memory, erasure(2, "a"))
    assert tombstones(work) == [(b"a", [(TOMBSTONE_HEADER, b"2")])]
    assert (memory.visitor("a"), memory.visitor("b").total) == (None, 2)
    assert work.changes == [Erasure("a")]
    assert sum(work.results.values()) == 0  # it is no event


def test_who_is_not_known_gets_a_tombstone_all_the_same(memory: PartitionMemory) -> None:
    assert tombstones(apply(memory, erasure(0, "a"))) == [(b"a", [(TOMBSTONE_HEADER, b"0")])]


def test_what_comes_behind_it_begins_anew(memory: PartitionMemory) -> None:
    apply(memory, record(0, "a"))
    work = apply(memory, record(1, "a"), erasure(2, "a"), record(3, "a"))
    assert {name: (row.count, row.total, row.offset) for name, row in rows_of(work).items() if row} == {"a": (1, 8, 3)}


def test_an_engine_that_fails_behind_it_brings_nothing_back(memory: PartitionMemory) -> None:
    apply(memory, record(0, "a"))
    work = apply(memory, record(1, "a"), erasure(2, "a"), record(3, "a"), record(4, "a", "boom"))
    assert memory.visitor("a").total == 8
    assert reasons(work) == [Refusal.ENGINE]


def test_another_visitors_erasure_is_nobodys(memory: PartitionMemory) -> None:
    work = apply(memory, record(0, "a"), erasure(1, "b"), record(2, "a", "boom"))
    assert memory.visitor("a").total == 1
    assert reasons(work) == [Refusal.ENGINE]


def test_without_a_key_it_is_a_dead_letter(memory: PartitionMemory) -> None:
    work = apply(memory, erasure(0, ""))
    assert (reasons(work), work.rows) == ([Refusal.NO_KEY], [])


def test_a_visitor_who_began_after_it_is_not_erased_again(memory: PartitionMemory) -> None:
    memory.restore(0, "a", SMALL.encode(SMALL.decode("a", rows(record(7, "a")))), -1)
    work = apply(memory, erasure(5, "a"))
    assert (work.rows, work.changes, memory.visitor("a").offset) == ([], [], 7)


def rows(*records: Record) -> bytes:
    """The row that these records make."""
    return apply(PartitionMemory(3, SMALL), *records).rows[0].value or b""


@pytest.mark.parametrize("cut", range(4))
@pytest.mark.parametrize("split", range(1, 6))
def test_wherever_a_crash_cuts_the_changelog_the_end_is_the_same(cut: int, split: int) -> None:
    """Two batches, of whose rows `cut` were written; whoever reads these, and all events again, ends as without it."""
    log = [record(0, "a"), record(1, "b"), record(2, "a"), erasure(3, "a"), record(4, "b"), record(5, "a")]
    first = PartitionMemory(3, SMALL)
    written = [*apply(first, *log[:split]).rows, *apply(first, *log[split:]).rows][:cut]
    second = PartitionMemory(3, SMALL)
    for position, row in enumerate(written):
        assert row.key is not None
        offset = _tombstone_offset(row.headers) if row.value is None else -1
        second.restore(position, row.key.decode(), row.value, offset)
    second.recovered()
    apply(second, *log)
    ends = {name: (second.visitor(name).total, second.visitor(name).offset) for name in second.rows}
    assert ends == {"a": (32, 5), "b": (18, 4)}


def test_events_of_before_that_are_read_again_stay_dead(memory: PartitionMemory) -> None:
    memory.restore(0, "a", None, 2)
    work = apply(memory, record(0, "a"), record(1, "a"), erasure(2, "a"))
    assert work.results == {EventResult.REPLAYED: 2}
    assert (work.rows, memory.rows) == ([], {})


def test_live_suggestions_are_withdrawn(memory: PartitionMemory) -> None:
    machine = core_machine(compiled(event("a")))
    memory = PartitionMemory(0, machine)
    applier = Applier(machine, "clicks")
    seen = Record(0, b"v", encode_event(Event("e", "v", "a", T0)), T0)
    (made,) = applier.apply(memory, [seen], T0, None).changes
    work = applier.apply(memory, [erasure(1, "v", T0 + 5)], T0 + 5, None)
    assert work.effects == [Withdrawal(made.id, "v", "r0", T0 + 5, "erased")]
    assert work.changes[-1] == Erasure("v")


# --- the cache -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def stored(redis_url: str) -> Any:
    client = redis.Redis.from_url(redis_url)
    yield client
    await client.aclose()


async def test_nothing_is_left_in_the_cache_and_who_listens_is_told(redis_url: str, stored: Any, unique: str) -> None:
    delivery = Delivery(redis_url, 2000, unique)
    async with stored.pubsub() as channel:
        await channel.subscribe(f"{unique}:changes")
        await channel.get_message(timeout=5)
        await delivery.deliver([suggestion("v"), suggestion("w")], {})
        await Refusals(stored, 2000, unique).refuse(["v"], 1)
        await delivery.deliver([suggestion("v", "s2"), Erasure("v")], {0: 1})
        told = [(await channel.get_message(timeout=5))["data"] for _ in range(3)]
    assert told == [b'["v","w"]', b'["v"]', b'["v"]']
    assert await stored.keys(f"{unique}:s:*") == [visitor_key(unique, "w").encode()]
    await delivery.close()


async def test_what_comes_behind_an_erasure_is_shown(redis_url: str, stored: Any, unique: str) -> None:
    delivery = Delivery(redis_url, 2000, unique)
    await delivery.deliver([suggestion("v", "old"), Erasure("v"), suggestion("v", "new")], {})
    assert await stored.hkeys(visitor_key(unique, "v")) == [b"new"]
    await delivery.close()


# --- a real worker ---------------------------------------------------------------------------------------------------


async def erase(client: AIOKafkaProducer, settings: Settings, visitor: str) -> None:
    headers = [(ERASE_HEADER, b"1")]
    await client.send_and_wait(settings.topic("clickstream"), key=visitor.encode(), headers=headers)


async def see(client: AIOKafkaProducer, settings: Settings, visitor: str, *ids: str) -> None:
    for name in ids:
        seen = Event(name, visitor, "search", int(time.time() * 1000))
        await client.send_and_wait(settings.topic("clickstream"), encode_event(seen), key=visitor.encode())


async def kept(settings: Settings) -> dict[str, int]:
    """Visitor -> sessions' events, as a worker would recover it."""
    machine = core_machine(None)
    memory = PartitionMemory(0, machine)
    for position, found in enumerate(await read(settings, changelog_name(settings))):
        if not is_line(found.key):
            offset = _tombstone_offset(found.headers) if found.value is None else -1
            memory.restore(position, found.key.decode(), found.value, offset)
    return {name: sum(session.events for session in memory.visitor(name).sessions) for name in memory.rows}


POINTS = ("before-effects", "after-effects", "after-delivery", "after-changelog", "before-commit", "after-commit")


@pytest.mark.kafka
@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_that_dies_over_it_leaves_it_to_the_next(
    point: str, apache_kafka: KafkaNode, redis_url: str, unique: str, start: Callable[..., WorkerProcess],
    tmp_path: Path, stored: Any,
) -> None:
    write_rules(tmp_path / "rules", text=RULE.format(title="T"))
    settings = test_settings(
        apache_kafka.address, unique, partitions=1, redis_url=redis_url, rules_dir=tmp_path / "rules"
    )
    visitor = f"v-{unique}"
    async with producer(settings) as client:
        first = await start(settings, "streams.cli", "worker").ready()
        await see(client, settings, visitor, "e1", "e2", "e3")
        await see(client, settings, "w", "e4")
        await caught_up(settings)
        assert await kept(settings) == {visitor: 3, "w": 1}
        first.close()
        second = start(settings, "tests.chaos.process", "second", point, "1", "kill")
        await second.ready()
        await erase(client, settings, visitor)
        await second.ended()
        await see(client, settings, "w", "e5")
        await start(settings, "streams.cli", "worker").ready()
        await caught_up(settings)
        assert await kept(settings) == {"w": 2}
        await see(client, settings, visitor, "e1")  # not remembered
        await caught_up(settings)
        assert await kept(settings) == {visitor: 1, "w": 2}
        withdrawn = [each for each in await read_effects(settings, "suggestions") if each["record"] == "withdrawal"]
        assert {(each["visitor"], each["reason"]) for each in withdrawn} == {(visitor, "erased")}
        assert len(await stored.hkeys(visitor_key(settings.cache_prefix, visitor))) == 1  # of the new beginning
