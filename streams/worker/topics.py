"""The topics: created before anybody subscribes, all with one partition count, the changelog compacted.

1. If none exists, all are created with `settings.partitions`.
2. If some exist, their count is the law; what is missing is created with it.
3. The topic `rules` stands apart: one partition, compacted (see reload_topic.py).
4. Counts that contradict each other are refused: a visitor's state could not follow its partition.
5. A topic that is subscribed before it exists may never be consumed (seen with Faust): hence all this comes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from streams.errors import BrokerUnavailableError, TopicLayoutError
from streams.retention import COMPACTION_LAG_MS_MIN, changelog_name, topic_configurations
from streams.settings import Settings
from streams.telemetry import KAFKA_ERRORS, log

RETRY_S_MAX = 5.0
VISIBLE_S_MAX = 30.0  # from a topic's creation to all partitions having a leader

__all__ = [
    "COMPACTION_LAG_MS_MIN", "EFFECT_TOPICS", "RULES_BYTES_MAX", "agreed_partitions", "changelog_name", "connect_admin",
    "ensure_topics", "partition_counts", "topic_names",
]  # fmt: skip

EFFECT_TOPICS = ("decisions", "suggestions", "outcomes", "journeys", "deadletter")

RULES_BYTES_MAX = 8 * 1024 * 1024  # one record is all rule files, compressed


def topic_names(settings: Settings) -> tuple[str, ...]:
    """All topics that a worker needs."""
    names = ("clickstream", *EFFECT_TOPICS, "totals", "erasures")
    return (*map(settings.topic, names), changelog_name(settings))


def agreed_partitions(counts: Mapping[str, int], wanted: int) -> int:
    """The one partition count of the existing topics (`wanted` when there are none). Raises TopicLayoutError."""
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in sorted(counts.items()))
        raise TopicLayoutError(
            f"the topics must have the same number of partitions, but {listed}. Add partitions only to topics that "
            "are empty; with data in them, create new topics under another AVERT_TOPIC_PREFIX and AVERT_APP_ID with "
            "the count you want, let the producers write there, and end the old workers when they have no lag"
        )
    return next(iter(counts.values()), wanted)


async def connect_admin(settings: Settings, stop: asyncio.Event) -> Any:
    """An admin client, as soon as the broker answers; None when `stop` was set before. Says what it waits for."""
    wait_s = 0.25
    while not stop.is_set():
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap, request_timeout_ms=10_000)
        try:
            await admin.start()
        except (KafkaError, OSError) as error:
            await admin.close()
            KAFKA_ERRORS.labels("connect").inc()
            wait_s = min(2 * wait_s, RETRY_S_MAX)
            log.warning(
                "kafka_unreachable", bootstrap=settings.kafka_bootstrap, error=str(error), retry_in_s=wait_s,
                hint="is it running, and is AVERT_KAFKA_BOOTSTRAP right?",
            )
            try:
                await asyncio.wait_for(stop.wait(), wait_s)
            except TimeoutError:
                continue
        else:
            return admin
    return None


async def ensure_topics(admin: Any, settings: Settings) -> int:
    """Create what is missing, check what is there; returns the partition count.

    Raises TopicLayoutError, BrokerUnavailableError.
    """
    names = topic_names(settings)
    counts = await partition_counts(admin, names)
    partitions = agreed_partitions(counts, settings.partitions)
    missing = [name for name in names if name not in counts]
    if missing:
        await _create(admin, settings, missing, partitions)
        counts = await _visible(admin, names)
        agreed_partitions(counts, partitions)  # another worker may have been faster, with other settings
        log.info("topics_created", topics=missing, partitions=partitions)
    await _ensure_rules_topic(admin, settings)
    if partitions != settings.partitions:
        log.info("topics_keep_their_partitions", partitions=partitions, setting=settings.partitions)
    return partitions


async def _ensure_rules_topic(admin: Any, settings: Settings) -> None:
    name = settings.topic("rules")
    found = (await partition_counts(admin, (name,))).get(name)
    if found is None:
        await _create(admin, settings, [name], 1, {
            "cleanup.policy": "compact", "max.message.bytes": str(RULES_BYTES_MAX),
        })
        found = (await _visible(admin, (name,)))[name]
    if found != 1:
        raise TopicLayoutError(
            f"the topic {name} has {found} partitions and must have one: which rules are the newest would not be "
            "certain. Delete it; it is made anew, and the next start publishes the rules"
        )


async def partition_counts(admin: Any, names: tuple[str, ...]) -> dict[str, int]:
    """Topic -> partitions, for those of `names` that exist. Asks for all topics, so that none is auto-created."""
    try:
        cluster = (await admin._get_cluster_metadata()).to_object()  # list_topics leaves partitions out
    except KafkaError as error:
        raise BrokerUnavailableError(f"Kafka does not say which topics it has: {error}") from error
    return {
        topic["topic"]: len(topic["partitions"]) for topic in cluster["topics"]
        if topic["topic"] in names and topic["error_code"] == 0
    }


async def _create(
    admin: Any, settings: Settings, missing: list[str], partitions: int, configuration: Mapping[str, str] | None = None
) -> None:
    """`configuration`: of all of them; without it each has its own (retention.py)."""
    configs = topic_configurations(settings)
    new = [
        NewTopic(
            name, num_partitions=partitions, replication_factor=settings.replication_factor,
            topic_configs=configuration or configs.get(name, {}),
        )
        for name in missing
    ]
    try:
        answer = await admin.create_topics(new)
    except KafkaError as error:
        raise BrokerUnavailableError(f"Kafka did not create the topics {', '.join(missing)}: {error}") from error
    for name, code, *words in answer.topic_errors:
        refused = for_code(code)
        if code and refused is not TopicAlreadyExistsError:
            raise TopicLayoutError(
                f"Kafka refused to create the topic {name}: {refused.__name__} {' '.join(filter(None, words))}; "
                f"create it by hand with {partitions} partitions and {configuration or configs.get(name, {})}"
            )


async def _visible(admin: Any, names: tuple[str, ...]) -> dict[str, int]:
    deadline = asyncio.get_running_loop().time() + VISIBLE_S_MAX
    while asyncio.get_running_loop().time() < deadline:
        counts = await partition_counts(admin, names)
        if len(counts) == len(names):
            return counts
        await asyncio.sleep(0.05)
    raise BrokerUnavailableError(f"topics were created but do not show up: {sorted(set(names) - set(counts))}")
