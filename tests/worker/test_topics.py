"""Topics: created with one count before anybody subscribes; counts that contradict each other are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.embedded.kafka import KafkaNode
from streams.errors import TopicLayoutError
from streams.settings import Settings
from streams.worker.topics import (
    COMPACTION_LAG_MS_MIN,
    agreed_partitions,
    changelog_name,
    connect_admin,
    ensure_topics,
    partition_counts,
    topic_names,
)
from tests.worker.support import test_settings


@pytest.fixture
def settings(broker: str, unique: str) -> Settings:
    return test_settings(broker, unique)


@pytest.fixture
async def admin(settings: Settings) -> AsyncIterator[Any]:
    admin = await connect_admin(settings, asyncio.Event())
    yield admin
    await admin.close()


def test_without_topics_the_setting_decides() -> None:
    assert agreed_partitions({}, 8) == 8


def test_existing_topics_decide_over_the_setting() -> None:
    assert agreed_partitions({"a": 12, "b": 12}, 8) == 12


def test_contradicting_counts_are_refused_with_what_to_do() -> None:
    with pytest.raises(TopicLayoutError, match=r"a has 4, b has 8.*AVERT_TOPIC_PREFIX"):
        agreed_partitions({"b": 8, "a": 4}, 4)


async def test_all_topics_are_created_with_one_count(admin: Any, settings: Settings) -> None:
    assert await ensure_topics(admin, settings) == 4
    assert await partition_counts(admin, topic_names(settings)) == dict.fromkeys(topic_names(settings), 4)


async def test_missing_topics_follow_the_count_of_the_existing(admin: Any, settings: Settings) -> None:
    await admin.create_topics([NewTopic(settings.topic("clickstream"), 6, 1)])
    assert await ensure_topics(admin, settings) == 6
    assert set((await partition_counts(admin, topic_names(settings))).values()) == {6}


async def test_changelog_of_another_count_is_refused(admin: Any, settings: Settings) -> None:
    await admin.create_topics([NewTopic(settings.topic("clickstream"), 4, 1), NewTopic(changelog_name(settings), 3, 1)])
    with pytest.raises(TopicLayoutError, match=f"{changelog_name(settings)} has 3"):
        await ensure_topics(admin, settings)


async def test_two_workers_that_start_at_once_agree(settings: Settings) -> None:
    stop = asyncio.Event()
    admins = [await connect_admin(settings, stop) for _ in range(2)]
    try:
        assert await asyncio.gather(*(ensure_topics(admin, settings) for admin in admins)) == [4, 4]
    finally:
        for admin in admins:
            await admin.close()


async def test_waiting_for_a_broker_ends_with_the_worker() -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(connect_admin(Settings(kafka_bootstrap="127.0.0.1:1"), stop))
    await asyncio.sleep(0)
    stop.set()
    assert await waiting is None


@pytest.mark.kafka
async def test_changelog_is_compacted_and_keeps_what_a_zombie_wrote(apache_kafka: KafkaNode, unique: str) -> None:
    settings = test_settings(apache_kafka.address, unique)
    admin = await connect_admin(settings, asyncio.Event())
    try:
        await ensure_topics(admin, settings)
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, changelog_name(settings))])
        config = {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}
    finally:
        await admin.close()
    assert config["cleanup.policy"] == "compact"
    assert int(config["min.compaction.lag.ms"]) == COMPACTION_LAG_MS_MIN
