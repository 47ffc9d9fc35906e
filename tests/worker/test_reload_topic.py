"""The rules' topic on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from streams.embedded.topics import create_topics
from streams.errors import BrokerUnavailableError, TopicLayoutError
from streams.rulefiles.watch import Snapshot
from streams.settings import Settings
from streams.worker.reload_topic import KEY, Publication, RulesTopic, publication_of
from streams.worker.topics import connect_admin, ensure_topics


def publication(text: str) -> Publication:
    return publication_of(Snapshot({"a.yaml": text.encode(), "deep/b.yaml": "ü".encode()}, text[:8]), "version", 7)


@pytest.fixture
def settings(broker: str, unique: str) -> Settings:
    return Settings(kafka_bootstrap=broker, app_id=unique, topic_prefix=f"{unique}.", partitions=2)


@pytest.fixture
async def topic(settings: Settings) -> AsyncIterator[RulesTopic]:
    await create_topics(settings)
    topic = RulesTopic(settings)
    await topic.start()
    yield topic
    await topic.close()


async def send(settings: Settings, *values: bytes | None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap)
    await producer.start()
    for value in values:
        await producer.send_and_wait(settings.topic("rules"), value, key=KEY, partition=0)
    await producer.stop()


async def test_an_empty_topic_says_nothing_and_is_followed_from_its_beginning(topic: RulesTopic) -> None:
    assert await topic.current() is None
    await topic.publish(publication("one"))
    async with asyncio.timeout(10):
        assert await topic.next() == publication("one")


async def test_the_last_word_counts_and_those_after_it_follow(settings: Settings, topic: RulesTopic) -> None:
    for text in ("one", "two"):
        await topic.publish(publication(text))
    assert await topic.current() == publication("two")
    for text in ("three", "four"):
        await topic.publish(publication(text))
    async with asyncio.timeout(10):
        assert [(await topic.next()).digest, (await topic.next()).digest] == ["three", "four"]


async def test_the_files_come_out_as_they_went_in(topic: RulesTopic) -> None:
    await topic.publish(publication("one"))
    found = await topic.current()
    assert found is not None
    assert found.contents() == {"a.yaml": b"one", "deep/b.yaml": "ü".encode()}


async def test_megabytes_of_rules_fit(topic: RulesTopic) -> None:
    large = publication("\n".join(f"# line {number}" for number in range(160_000)))
    assert len(large.files["a.yaml"]) > 2_000_000
    await topic.publish(large)
    assert await topic.current() == large


@pytest.mark.parametrize("value", [None, b"nonsense", b'{"digest": 1}', b"\xff"])
async def test_what_is_no_publication_is_passed_over(
    settings: Settings, topic: RulesTopic, value: bytes | None
) -> None:
    await topic.publish(publication("one"))
    await send(settings, value)
    assert await topic.current() is None
    await send(settings, value)
    await topic.publish(publication("two"))
    async with asyncio.timeout(10):
        assert (await topic.next()).digest == "two"


async def test_a_broker_that_is_not_there() -> None:
    topic = RulesTopic(Settings(kafka_bootstrap="127.0.0.1:1"))
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1"):
        await topic.start()
    await topic.close()


async def test_two_partitions_are_refused(settings: Settings) -> None:
    admin = await connect_admin(settings, asyncio.Event())
    try:
        await admin.create_topics([NewTopic(settings.topic("rules"), num_partitions=2, replication_factor=1)])
        with pytest.raises(TopicLayoutError, match="2 partitions and must have one"):
            await ensure_topics(admin, settings)
    finally:
        await admin.close()
