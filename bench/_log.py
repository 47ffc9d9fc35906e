"""The broker's side of a benchmark: topics, a preloaded backlog, how far a group has come, what came out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench._workload import Record
from streams.embedded.kafka import LIBS, KafkaNode
from streams.embedded.stack import FETCH_WAIT_MS, EmbeddedBroker
from streams.http.broker import partition_of

FOLLOWS_LOG = [("avert-clock", b"log")]  # the partition's clock is the records' own
_BATCH_BYTES = 256 * 1024
_POLL_S = 0.02
QUIET_S = 1.0  # far longer than what is on its way takes


@contextlib.contextmanager
def broker_of(kind: str) -> Iterator[str]:
    """Start an `embedded` broker or an Apache `kafka` node; gives its address."""
    with KafkaNode() if kind == "kafka" else EmbeddedBroker() as server:
        yield server.address


def kafka_is_here() -> bool:
    """Whether Apache Kafka's jars have been fetched (``make kafka-libs``)."""
    return any(LIBS.glob("kafka_2.13-*.jar"))


def fetch_wait_ms(kind: str) -> int:
    """The setting that goes with a broker."""
    return 100 if kind == "kafka" else FETCH_WAIT_MS


async def create_topic(bootstrap: str, name: str, partitions: int) -> None:
    """Create a topic that keeps old records: the log's time is not today's."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs={"retention.ms": "-1"})])
    finally:
        await admin.close()


async def preload(bootstrap: str, topic: str, partitions: int, records: Iterable[Record]) -> None:
    """Write the records in their order, with the header that makes the log the clock."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=0, max_batch_size=_BATCH_BYTES)
    await producer.start()
    try:
        while len(await producer.partitions_for(topic)) < partitions:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(_POLL_S)
        batches: dict[int, Any] = {}
        for record in records:
            key = record.visitor.encode()
            number = partition_of(key, partitions)
            for _ in range(2):
                batch = batches.setdefault(number, producer.create_batch())
                if (
                    batch.append(timestamp=record.timestamp, key=key, value=record.value, headers=FOLLOWS_LOG)
                    is not None
                ):
                    break
                await producer.send_batch(batches.pop(number), topic, partition=number)
        waiting = [await producer.send_batch(batch, topic, partition=number) for number, batch in batches.items()]
        await asyncio.gather(*waiting)
        await producer.flush()
    finally:
        await producer.stop()


async def ends(bootstrap: str, topic: str, partitions: int) -> dict[TopicPartition, int]:
    """The offset after the last record of each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        found: dict[TopicPartition, int] = await consumer.end_offsets(
            [TopicPartition(topic, number) for number in range(partitions)]
        )
        return found
    finally:
        await consumer.stop()


async def until_committed(bootstrap: str, group: str, goal: dict[TopicPartition, int], alive: Any) -> None:
    """Return when the group has committed everything up to `goal`. `alive()` raises when waiting is in vain."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        while True:
            alive()
            done = await admin.list_consumer_group_offsets(group, partitions=list(goal))
            if all(at in done and done[at].offset >= end for at, end in goal.items() if end):
                return
            await asyncio.sleep(_POLL_S)
    finally:
        await admin.close()


async def until_quiet(bootstrap: str, topic: str, partitions: int) -> None:
    """Return when nothing has been added to a topic for QUIET_S."""
    before: dict[TopicPartition, int] = {}
    while (now := await ends(bootstrap, topic, partitions)) != before:
        before = now
        await asyncio.sleep(QUIET_S)


async def read_all(bootstrap: str, topic: str, partitions: int) -> list[Any]:
    """Every record of a topic, in the order of each partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        every = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(every)
        goal = await consumer.end_offsets(every)
        found: list[Any] = []
        while any([await consumer.position(at) < end for at, end in goal.items()]):
            for records in (await consumer.getmany(timeout_ms=200, max_records=20_000)).values():
                found.extend(records)
        return found
    finally:
        await consumer.stop()
