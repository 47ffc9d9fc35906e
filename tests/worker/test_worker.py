"""Whole worker processes on a real broker: events in, effects, rows and offsets out; end, restart, garbage."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from streams.core.totals import RuleLine, Totals, decode_line
from streams.settings import Settings
from streams.worker.topics import topic_names
from streams.worker.totals import is_line
from tests.worker.small import event_bytes
from tests.worker.support import (
    WorkerProcess,
    caught_up,
    lag,
    producer,
    put,
    read,
    read_effects,
    read_table,
    test_settings,
    until,
)

Start = Callable[..., WorkerProcess]
VISITORS = [f"visitor-{number}" for number in range(20)]


@pytest.fixture
def settings(broker: str, unique: str) -> Settings:
    return test_settings(broker, unique)


def events(first: int, count: int, kind: str = "page_view") -> list[tuple[bytes | None, bytes | None]]:
    now = int(time.time() * 1000)
    return [
        (VISITORS[n % 20].encode(), event_bytes(VISITORS[n % 20], f"e{n}", kind, now, props={"n": n}))
        for n in range(first, first + count)
    ]


def totals(first: int, count: int) -> dict[str, tuple[int, int]]:
    """Visitor -> (number of its events, sum of their n)."""
    numbers = {visitor: [n for n in range(first, first + count) if VISITORS[n % 20] == visitor] for visitor in VISITORS}
    return {visitor: (len(some), sum(some)) for visitor, some in numbers.items()}


async def table_totals(settings: Settings) -> dict[str, tuple[int, int]]:
    return {name: (state.count, state.total) for name, state in (await read_table(settings)).items()}


async def test_events_become_rows_and_effects_and_are_committed(settings: Settings, start: Start) -> None:
    await start(settings).ready()
    async with producer(settings) as client:
        await put(client, settings, [*events(0, 100), *events(100, 40, "fire")])
    await caught_up(settings)
    assert await table_totals(settings) == totals(0, 140)
    decisions = await read_effects(settings, "decisions")
    suggestions = await read_effects(settings, "suggestions")
    assert sorted(each["id"] for each in decisions) == sorted(f"d:e{n}" for n in range(100, 140))
    assert sorted(each["id"] for each in suggestions) == sorted(f"s:e{n}" for n in range(100, 140))


async def test_effects_stand_in_the_partition_of_their_event(settings: Settings, start: Start) -> None:
    await start(settings).ready()
    async with producer(settings) as client:
        await put(client, settings, events(0, 40, "fire"))
    await caught_up(settings)
    source = {record.key: record.partition for record in await read(settings, settings.topic("clickstream"))}
    for name in ("decisions", "suggestions"):
        effects = await read(settings, settings.topic(name))
        assert {record.key: record.partition for record in effects} == source


async def test_worker_that_is_started_again_goes_on_where_it_was(settings: Settings, start: Start) -> None:
    worker = await start(settings).ready()
    async with producer(settings) as client:
        await put(client, settings, events(0, 100))
        await caught_up(settings)
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
        await put(client, settings, events(100, 100))
        again = await start(settings).ready()
        await caught_up(settings)
    assert await table_totals(settings) == totals(0, 200)
    assert again.metric("avert_recovered_rows_total") >= 20
    assert again.metric('avert_events_total{result="applied"}') == 100


async def test_sigterm_commits_and_ends_with_0(settings: Settings, start: Start) -> None:
    worker = await start(test_settings(settings.kafka_bootstrap, settings.app_id, commit_interval_s=60.0)).ready()
    async with producer(settings) as client:
        await put(client, settings, events(0, 100))
    await until(lambda: worker.metric('avert_events_total{result="applied"}') == 100, "all applied")
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert await lag(settings) == 0


async def test_garbage_becomes_dead_letters_and_its_neighbours_go_on(settings: Settings, start: Start) -> None:
    worker = await start(settings).ready()
    garbage: list[tuple[bytes | None, bytes | None]] = [
        (b"k", b"not json"), (b"k", b"\xff\xfe"), (b"k", None), (b"k", b"x" * 900_000), (None, event_bytes("k", "1")),
        (b"other", event_bytes("k", "2")), (b"k", b"[" * 100_000),
        (VISITORS[0].encode(), event_bytes(VISITORS[0], "3", "boom")),
    ]
    async with producer(settings) as client:
        for each in garbage:
            await put(client, settings, [*events(0, 5), each])
        await put(client, settings, events(0, 20))
    await caught_up(settings)
    letters = await read_effects(settings, "deadletter")
    assert sorted(letter["reason"] for letter in letters) == sorted([
        "not_json", "not_utf8", "not_json", "too_large", "no_key", "key_mismatch", "too_large", "engine",
    ])
    clickstream = await read(settings, settings.topic("clickstream"))
    sources = {f"{record.topic}/{record.partition}@{record.offset}" for record in clickstream}
    assert {letter["source"] for letter in letters} <= sources
    counts = {name: count for name, (count, _) in (await table_totals(settings)).items()}
    assert counts == {visitor: (9 if index < 5 else 1) for index, visitor in enumerate(VISITORS)}
    assert worker.process.poll() is None


async def test_timer_fires_without_a_further_event(settings: Settings, start: Start) -> None:
    await start(settings).ready()
    now = int(time.time() * 1000)
    async with producer(settings) as client:
        await put(client, settings, [(b"a", event_bytes("a", "1", "wait", now, props={"ms": 300}))])

    async def outcomes() -> list[str]:
        return [each["outcome"] for each in await read_effects(settings, "outcomes")]

    assert await until(outcomes, "the timer's outcome") == ["waited"]


async def test_visitor_that_does_not_matter_any_more_is_deleted(settings: Settings, start: Start) -> None:
    worker = await start(settings).ready()
    now = int(time.time() * 1000)
    async with producer(settings) as client:
        await put(client, settings, [(b"a", event_bytes("a", "1", "wait", now, props={"ms": 100}))])

    async def gone() -> bool:
        rows = await read(settings, topic_names(settings)[-1])
        rows = [row for row in rows if not is_line(row.key)]
        return bool(rows) and rows[-1].value is None

    await until(gone, "the tombstone")
    await until(lambda: worker.metric("avert_live_visitors") == 0, "no visitor is left")


async def test_more_partitions_than_the_setting_are_kept(settings: Settings, start: Start) -> None:
    worker = await start(settings).ready()
    worker.signal(signal.SIGTERM)
    await worker.ended()
    again = await start(test_settings(settings.kafka_bootstrap, settings.app_id, partitions=2)).ready()
    assert again.metric("avert_assigned_partitions") == 4


async def told(settings: Settings) -> dict[str, int]:
    """What the topic `totals` says was suggested, by rule: the sum of each partition's last word."""
    lines = {record.key: decode_line(record.value) for record in await read(settings, settings.topic("totals"))}
    summed = Totals()
    summed.absorb(lines.values())
    return {line.rule: line.decisions["suggested"] for line in summed.lines.values() if isinstance(line, RuleLine)}


async def test_totals_are_told_and_go_on_after_a_kill(settings: Settings, start: Start) -> None:
    worker = await start(settings).ready()
    now = int(time.time() * 1000)
    fires = [(f"v{n}".encode(), event_bytes(f"v{n}", f"e{n}", "fire", now)) for n in range(20)]
    async with producer(settings) as client:
        await put(client, settings, fires[:15])

        async def first() -> bool:
            return await told(settings) == {"r": 15}

        await until(first, "the first are told")
        worker.signal(signal.SIGKILL)
        await worker.ended()
        await put(client, settings, fires[15:])
        await start(settings).ready()

        async def all_of_them() -> bool:
            return await told(settings) == {"r": 20}

        await until(all_of_them, "all are told, each once")
