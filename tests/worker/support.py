"""Worker processes, and what a test puts into and reads out of a broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.embedded.child import PortLease
from streams.settings import PREFIX, Settings
from streams.worker.partition import PartitionMemory
from streams.worker.table import _tombstone_offset
from streams.worker.topics import changelog_name
from streams.worker.totals import is_line
from tests.support.waiting import until
from tests.worker.small import SMALL, Small

ROOT = Path(__file__).resolve().parents[2]


def test_settings(broker: str, unique: str, **more: Any) -> Settings:
    """Settings of a test's own topics and group, with short times."""
    return Settings(**{
        "kafka_bootstrap": broker, "redis_url": "redis://127.0.0.1:1/0", "app_id": unique,
        "topic_prefix": unique + "-", "partitions": 4, "fetch_wait_ms": 20, "broker_session_timeout_s": 6.0,
        "broker_heartbeat_s": 0.5, "broker_rebalance_timeout_s": 6.0, "commit_interval_s": 0.2, **more,
    })


test_settings.__test__ = False  # its name is a name, not a test's


class WorkerProcess:
    """One `tests.worker.process` (or another module); its output in a file that a failing test shows."""

    def __init__(self, settings: Settings, module: str = "tests.worker.process", *arguments: str) -> None:
        self._lease = PortLease()
        self.port = self._lease.port
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        defaults = Settings()
        for field in msgspec.structs.fields(Settings):
            value = getattr(settings, field.name)
            if value != getattr(defaults, field.name):
                environment[PREFIX + field.name.upper()] = str(value)
        environment[PREFIX + "WORKER_HTTP_PORT"] = str(self.port)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], env=environment, cwd=ROOT, stdout=self._output,
            stderr=self._output,
        )

    def get(self, path: str) -> tuple[int, str]:
        """(status, body) of the worker's HTTP; status 0 when nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """The value of one sample, by its name with labels as on the page; 0 when it is not there."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        return 0.0

    async def ready(self) -> WorkerProcess:
        """Wait until it is ready. Fails, with its output, when it ends instead."""
        def is_ready() -> bool:
            assert self.process.poll() is None, self.output()
            return self.get("/readyz")[0] == 200

        await until(is_ready, "the worker is ready")
        return self

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        await until(lambda: self.process.poll() is not None, "the worker ends")
        return self.process.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def output(self) -> str:
        """What it has written."""
        self._output.seek(0)
        return self._output.read().decode()

    def close(self) -> None:
        """End it in any case."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        self._output.close()
        self._lease.release()


@asynccontextmanager
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer."""
    client = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, linger_ms=2)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


Pair = tuple[bytes | None, bytes | None]


async def put(client: AIOKafkaProducer, settings: Settings, records: Iterable[Pair]) -> None:
    """Records (key, value) to the clickstream, acknowledged. Without a key: to partition 0."""
    topic = settings.topic("clickstream")
    for sent in [await client.send(topic, key=k, value=v, partition=None if k else 0) for k, v in records]:
        await sent


async def ends_of(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    """The next offset of each partition (assigned). The embedded broker says it rightly only in a fetch's answer."""
    ends = await consumer.end_offsets(partitions)
    for partition, end in ends.items():
        if end:
            consumer.seek(partition, end - 1)
            await until(lambda p=partition: consumer.getmany(p, timeout_ms=1_000), f"the last record of {partition}")
            ends[partition] = consumer.highwater(partition)
    return ends


async def read(settings: Settings, topic: str) -> list[Any]:
    """All records of a topic, by partition and offset."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
        consumer.assign(partitions)
        ends = await ends_of(consumer, partitions)
        await consumer.seek_to_beginning(*partitions)
        records: list[Any] = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for some in (await consumer.getmany(partition, timeout_ms=1_000)).values():
                    records += some
        return records
    finally:
        await consumer.stop()


async def read_effects(settings: Settings, name: str) -> list[Any]:
    """All effects on a topic, decoded."""
    return [msgspec.json.decode(record.value) for record in await read(settings, settings.topic(name))]


async def read_table(settings: Settings) -> dict[str, Small]:
    """The visitors as a worker would recover them."""
    memories = [PartitionMemory(number, SMALL) for number in range(settings.partitions)]
    for record in await read(settings, changelog_name(settings)):
        if is_line(record.key):
            continue
        tombstone = _tombstone_offset(record.headers) if record.value is None else -1
        memories[record.partition].restore(record.offset, record.key.decode(), record.value, tombstone)
    return {name: memory.visitor(name) for memory in memories for name in memory.rows}


async def lag(settings: Settings) -> int:
    """Records of the clickstream that the group has not committed."""
    topic = settings.topic("clickstream")
    partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, group_id=settings.app_id, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(partitions)  # by hand: asks for the group's commits without being of the group
        ends = await ends_of(consumer, partitions)
        return sum([end - (await consumer.committed(partition) or 0) for partition, end in ends.items()])
    finally:
        await consumer.stop()


async def caught_up(settings: Settings) -> None:
    """Wait until everything in the clickstream is committed."""
    async def none_left() -> bool:
        return await lag(settings) == 0

    await until(none_left, "no lag")
