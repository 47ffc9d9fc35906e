"""The API's way into Kafka: what `append` returned from is acknowledged by the broker; everything else is an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2

from streams.errors import BrokerUnavailableError
from streams.retention import changelog_name, topic_configurations
from streams.settings import Settings
from streams.telemetry import KAFKA_ERRORS, log

# A page's request should not hang: what is unacknowledged for this long is answered 503; the client sends it again
# under the same ids, and what did arrive is recognised.
ACK_TIMEOUT_S = 5.0
_CANCEL_AGAIN_S = 0.1
_PROBE_S = 1.0  # between two looks at the broker; also how soon its return is noticed
_CONNECT_TIMEOUT_S = 5.0
_WRITTEN = ("clickstream", "deadletter", "erasures")
_ALL = (*_WRITTEN, "decisions", "suggestions", "outcomes", "totals")
_KAFKA_FAILURES = (KafkaError, OSError, TimeoutError)


class Record(NamedTuple):
    """What is to be appended. `timestamp` in ms; a record without a key goes to any partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


class EventLog:
    """Appends records; connects, and connects again, in the background."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None
        self._task: asyncio.Task[None] | None = None
        self._available = False
        self._told = False

    @property
    def available(self) -> bool:
        """Whether the broker answered the latest call."""
        return self._available

    async def start(self) -> None:
        """Begin to connect. Returns at once: until the broker is there, `append` raises BrokerUnavailableError."""
        self._task = asyncio.create_task(self._keep_connected())

    async def close(self) -> None:
        """Send what is under way, and close the connection."""
        while self._task is not None and not self._task.done():
            # Once is not always enough: Python 3.11's `wait_for`, by which the client connects, loses a cancellation
            # that comes in the moment in which what it waits for is there.
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CANCEL_AGAIN_S)
        if self._producer is not None:
            producer, self._producer = self._producer, None
            with suppress(TimeoutError):
                async with asyncio.timeout(ACK_TIMEOUT_S):
                    await producer.stop()

    async def append(self, records: Sequence[Record]) -> dict[tuple[str, int], int]:
        """Append in this order and wait until all in-sync replicas have them.

        Returns {(topic, partition): the last offset written there}. Raises BrokerUnavailableError when any record
        is not acknowledged within ACK_TIMEOUT_S.
        """
        producer = self._producer
        if producer is None or not self._available:
            raise BrokerUnavailableError("the event log cannot be reached at the moment; send the same again later")
        futures: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(ACK_TIMEOUT_S):
                for topic, key, value, timestamp, headers in records:
                    partition = None if key is None else partition_of(key, len(await producer.partitions_for(topic)))
                    futures.append(await producer.send(topic, value, key, partition, timestamp, list(headers)))
                written = [await future for future in futures]
        except _KAFKA_FAILURES as error:
            for future in futures:
                future.add_done_callback(_seen)
            self._lost("append", error)
            raise BrokerUnavailableError("the event log did not acknowledge in time; send the same again") from error
        return {(record.topic, record.partition): record.offset for record in written}

    async def _keep_connected(self) -> None:
        """Connect; then ask for metadata every now and then, which notices the broker's going and return."""
        while True:
            reached = await self._try("connect", self._probe if self._producer is not None else self._connect)
            if reached and not self._available:
                # A broker that came back may be a new one (the embedded broker forgets): its topics are checked again.
                self._available = await self._try("create_topics", self._create_topics)
                if self._available:
                    self._told = False
                    log.info("kafka_connected", bootstrap=self._settings.kafka_bootstrap)
            await asyncio.sleep(_PROBE_S)

    async def _try(self, operation: str, call: Callable[[], Awaitable[None]]) -> bool:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await call()
        except _KAFKA_FAILURES as error:
            self._lost(operation, error)
            return False
        return True

    async def _connect(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            client_id=self._settings.app_id,
            acks="all",
            request_timeout_ms=int(ACK_TIMEOUT_S * 1000),
            max_batch_size=256 * 1024,  # a full request of 500 events of ordinary size in one go
        )
        try:
            await producer.start()
        except BaseException:  # also when it is cancelled: a producer that nobody holds would keep its connections
            await producer.stop()
            raise
        self._producer = producer

    async def _probe(self) -> None:
        await self._producer.client.fetch_all_metadata()

    async def _create_topics(self) -> None:
        """Create the topics that the API writes to, where they are missing, with as many partitions as the others have.

        A broker's own default would be one partition, and a worker refuses topics whose counts differ.
        """
        settings = self._settings
        written = [settings.topic(name) for name in _WRITTEN]
        cluster = await self._producer.client.fetch_all_metadata()
        all_names = [settings.topic(name) for name in _ALL] + [changelog_name(settings)]
        counts = {name: len(cluster.partitions_for_topic(name) or ()) for name in all_names}
        partitions = next(filter(None, counts.values()), settings.partitions)
        missing = [name for name in written if not counts[name]]
        if missing:
            admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
            try:
                await admin.start()
                configured = topic_configurations(settings)
                answer = await admin.create_topics([
                    NewTopic(name, partitions, settings.replication_factor, topic_configs=configured[name])
                    for name in missing
                ])
            finally:
                await admin.close()
            for name, code, *words in answer.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:  # a worker may have been faster
                    raise error(f"topic {name}: {words}")
            log.info("topics_created", topics=missing, partitions=partitions)
        for name in written:
            await self._producer.partitions_for(name)

    def _lost(self, operation: str, error: BaseException) -> None:
        KAFKA_ERRORS.labels(operation).inc()
        self._available = False
        if not self._told:  # one line an outage
            self._told = True
            log.warning(
                "kafka_unavailable", bootstrap=self._settings.kafka_bootstrap, operation=operation,
                error=f"{type(error).__name__}: {error}", retry="every second, in the background",
            )


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives to `key`; remembered, since a visitor sends many events."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def _seen(future: asyncio.Future[Any]) -> None:
    """Take notice of what a given-up future ended with, so that asyncio does not complain of it."""
    if not future.cancelled():
        future.exception()
