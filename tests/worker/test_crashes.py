"""Crashes and hand-overs, on Apache Kafka: every accepted event is applied once, whatever happens to the workers.

The small engine knows no event ids, so an event that is applied twice shows in its visitor's sum.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer

from streams.embedded.kafka import KafkaNode, fetch_libs
from streams.errors import BrokerUnavailableError, TopicLayoutError
from streams.settings import Settings
from tests.worker.small import event_bytes
from tests.worker.support import (
    WorkerProcess,
    caught_up,
    producer,
    put,
    read_effects,
    read_table,
    test_settings,
    until,
)

pytestmark = pytest.mark.kafka

Start = Callable[..., WorkerProcess]
VISITORS = 500


@pytest.fixture
def settings(apache_kafka: KafkaNode, unique: str) -> Settings:
    return test_settings(apache_kafka.address, unique)


class Oracle:
    """Sends events and knows each that was acknowledged; says what must be in the table and on the topics."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sent = 0
        self.expected: dict[str, tuple[int, int]] = {}
        self.fired: set[str] = set()

    async def send(self, client: AIOKafkaProducer, count: int) -> None:
        """So many more events; every tenth fires."""
        now = int(time.time() * 1000)
        records: list[tuple[bytes | None, bytes | None]] = []
        for n in range(self.sent, self.sent + count):
            visitor = f"v{n * 7919 % VISITORS}"
            kind = "fire" if n % 10 == 0 else "page_view"
            records.append((visitor.encode(), event_bytes(visitor, f"e{n}", kind, now, props={"n": n})))
            seen, total = self.expected.get(visitor, (0, 0))
            self.expected[visitor] = (seen + 1, total + n)
            if kind == "fire":
                self.fired.add(f"s:e{n}")
        self.sent += count
        await put(client, self.settings, records)

    async def check(self) -> Counter[str]:
        """Everything once; returns how often each suggestion stands on its topic (repeats have the same id)."""
        await caught_up(self.settings)
        table = {name: (state.count, state.total) for name, state in (await read_table(self.settings)).items()}
        assert table == self.expected
        ids = Counter(each["id"] for each in await read_effects(self.settings, "suggestions"))
        assert set(ids) == self.fired
        return ids


async def load(oracle: Oracle, client: AIOKafkaProducer, seconds: float, rate: int = 2_000) -> None:
    """A steady load, in steps of 50 ms."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        step = asyncio.create_task(asyncio.sleep(0.05))
        await oracle.send(client, rate // 20)
        await step


async def test_killed_worker_loses_and_doubles_nothing(settings: Settings, start: Start) -> None:
    oracle = Oracle(settings)
    async with producer(settings) as client:
        for _ in range(3):
            worker = await start(settings).ready()
            await load(oracle, client, 1.0)
            worker.signal(signal.SIGKILL)
            await worker.ended()
            await load(oracle, client, 0.3)
        await start(settings).ready()
        await load(oracle, client, 0.5)
        await oracle.check()


async def test_second_worker_takes_over_half_and_all_when_the_first_is_killed(settings: Settings, start: Start) -> None:
    oracle = Oracle(settings)
    async with producer(settings) as client:
        first = await start(settings).ready()
        running = asyncio.create_task(load(oracle, client, 14.0, 1_000))
        second = await start(settings).ready()
        await until(lambda: second.metric("avert_assigned_partitions") == 2, "the second has half")
        await until(lambda: first.metric("avert_assigned_partitions") == 2, "the first has half")
        await until(lambda: second.metric('avert_events_total{result="applied"}') > 500, "the second works")
        first.signal(signal.SIGKILL)
        await until(lambda: second.metric("avert_assigned_partitions") == 4, "the second has all")
        await running
        await oracle.check()


async def test_partitions_go_back_and_forth_without_a_repeated_effect(settings: Settings, start: Start) -> None:
    oracle = Oracle(settings)
    async with producer(settings) as client:
        first = await start(settings).ready()
        running = asyncio.create_task(load(oracle, client, 10.0, 1_000))
        for _ in range(2):
            second = await start(settings).ready()
            await until(lambda: first.metric("avert_assigned_partitions") == 2, "the first has half")
            second.signal(signal.SIGTERM)
            assert await second.ended() == 0
            await until(lambda: first.metric("avert_assigned_partitions") == 4, "the first has all again")
        await running
        ids = await oracle.check()
        assert set(ids.values()) == {1}  # an orderly hand-over commits: nothing is read again
        assert first.process.poll() is None


async def test_frozen_worker_that_thaws_ends_and_spoils_nothing(settings: Settings, start: Start) -> None:
    oracle = Oracle(settings)
    async with producer(settings) as client:
        first = await start(settings).ready()
        await load(oracle, client, 1.0)
        first.signal(signal.SIGSTOP)
        second = start(settings)
        await load(oracle, client, 1.0)
        await second.ready()
        await until(lambda: second.metric("avert_assigned_partitions") == 4, "the second has all")
        await until(lambda: second.metric('avert_events_total{result="applied"}') > 0, "the second works")
        first.signal(signal.SIGCONT)
        await load(oracle, client, 3.0)
        await oracle.check()


async def test_worker_waits_for_a_broker_that_is_not_there_yet(unique: str, start: Start) -> None:
    node = KafkaNode(libs=fetch_libs())
    settings = test_settings(node.address, unique)
    worker = start(settings)
    await until(lambda: "kafka_unreachable" in worker.output(), "the worker says what it waits for")
    assert worker.get("/readyz")[0] == 503
    assert worker.get("/healthz")[0] == 200
    with node:
        await worker.ready()


async def test_more_workers_than_partitions_are_refused_and_the_others_go_on(settings: Settings, start: Start) -> None:
    settings = test_settings(settings.kafka_bootstrap, settings.app_id, partitions=1)
    oracle = Oracle(settings)
    first = await start(settings).ready()
    second = start(settings)
    async with producer(settings) as client:
        await load(oracle, client, 1.0)
        refused, other = (second, first) if await until_one_ends(first, second) is second else (first, second)
        assert refused.process.returncode == TopicLayoutError.exit_code
        assert "more workers than partitions" in refused.output()
        await load(oracle, client, 1.0)
        await oracle.check()
        assert other.process.poll() is None


async def until_one_ends(*workers: WorkerProcess) -> WorkerProcess:
    """The worker that ends first."""
    def ended() -> list[WorkerProcess]:
        return [worker for worker in workers if worker.process.poll() is not None]

    return (await until(ended, "one of the workers ends"))[0]


async def broker_away(
    settings: Settings, node: KafkaNode, worker: WorkerProcess, start: Start, outlast_s: float = 0.0
) -> None:
    """Load, the broker's crash and return after `outlast_s`, load; everything is applied once in the end."""
    oracle = Oracle(settings)
    supervisor = asyncio.create_task(supervise(settings, worker, start))
    async with producer(settings) as client:
        await load(oracle, client, 1.0)
        node.kill()
        running = asyncio.create_task(load(oracle, client, 0.5))
        await asyncio.sleep(outlast_s)
        await asyncio.to_thread(node.start)
        await running
        await load(oracle, client, 1.0)
        checking = asyncio.create_task(oracle.check())
        await asyncio.wait((checking, supervisor), return_when=asyncio.FIRST_COMPLETED)
        supervisor.cancel()
        if supervisor.done() and not supervisor.cancelled():
            supervisor.result()  # says what was wrong with how a worker ended
        await checking


async def supervise(settings: Settings, worker: WorkerProcess, start: Start) -> None:
    """Start a worker again that ended, and look at how: only without a lease, and saying so."""
    while True:
        await until(lambda worker=worker: worker.process.poll() is not None, "a worker ends", within_s=600)
        assert worker.process.poll() == BrokerUnavailableError.exit_code
        assert "lease_lost" in worker.output()
        worker = await start(settings).ready()


async def test_worker_survives_a_broker_that_is_away_for_less_than_the_session(unique: str, start: Start) -> None:
    with KafkaNode(libs=fetch_libs()) as node:
        settings = test_settings(
            node.address, unique, broker_session_timeout_s=40.0, broker_rebalance_timeout_s=40.0
        )
        worker = await start(settings).ready()
        await broker_away(settings, node, worker, start)
        assert worker.process.poll() is None


async def test_broker_that_was_away_for_longer_costs_a_restart_at_most(unique: str, start: Start) -> None:
    """A send that finds the lease gone ends the worker; a heartbeat that is answered before any send restores it."""
    with KafkaNode(libs=fetch_libs()) as node:
        settings = test_settings(node.address, unique, broker_session_timeout_s=6.0)
        await broker_away(settings, node, await start(settings).ready(), start, 2 * settings.broker_session_timeout_s)
