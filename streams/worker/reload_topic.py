"""The topic `rules`: the set of rule files that the whole fleet has agreed on. One partition, one key, compacted.

1. A record is one whole set of files that compiled where it was published. Its place in the log decides which one is
   the newest, and no clock.
2. Reading begins at the last record; whoever follows sees every publication after it, in their order.
3. A record without a value is "none": what a person writes to begin anew. It replaces nothing in a running worker.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import BrokerUnavailableError
from streams.rulefiles.watch import BYTES_MAX, Snapshot
from streams.settings import Settings
from streams.telemetry import KAFKA_ERRORS, log

KEY = b"current"
# JSON escapes make a text longer, at worst (control characters, which YAML forbids) six times; twice is generous.
RECORD_BYTES_MAX = 2 * BYTES_MAX
READ_S_MAX = 10.0  # for the last record, once the broker has said that there is one
RETRY_S = 1.0


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One set of rule files, by path below the rules' directory. `by`: which machine sent it, for people."""

    digest: str  # over the files; two sets are the same when this is
    version: str  # of the rules compiled from them, with the publisher's settings
    published: int  # ms
    by: str
    files: dict[str, str]

    def contents(self) -> dict[str, bytes]:
        """The files as they were read."""
        return {name: text.encode() for name, text in self.files.items()}


def publication_of(snapshot: Snapshot, version: str, now_ms: int) -> Publication:
    """What is published of files that compiled to `version` (so they are UTF-8)."""
    return Publication(
        digest=snapshot.digest, version=version, published=now_ms, by=socket.gethostname(),
        files={name: raw.decode() for name, raw in snapshot.files.items()},
    )


class RulesTopic:
    """Reads and writes the topic. All methods but `close` need `start`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._partition = TopicPartition(settings.topic("rules"), 0)
        self._consumer: Any = None
        self._producer: Any = None

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailableError."""
        bootstrap = self._settings.kafka_bootstrap
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, client_id=self._settings.app_id, enable_auto_commit=False,
            auto_offset_reset="earliest", max_partition_fetch_bytes=RECORD_BYTES_MAX,
        )
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, client_id=self._settings.app_id, acks="all",
            max_request_size=RECORD_BYTES_MAX, compression_type="gzip",
            request_timeout_ms=int(self._settings.send_timeout_s * 1000),
        )
        try:
            await self._consumer.start()
            await self._producer.start()
        except (KafkaError, OSError) as error:
            raise BrokerUnavailableError(f"{bootstrap}: {error}") from error
        self._consumer.assign([self._partition])

    async def current(self) -> Publication | None:
        """The newest publication, or None. `next` goes on after it. Raises BrokerUnavailableError."""
        consumer, partition = self._consumer, self._partition
        try:
            first = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
            consumer.seek(partition, max(first, end - 1))
            if first >= end:
                return None
            record = await asyncio.wait_for(consumer.getone(partition), READ_S_MAX)
        except (KafkaError, TimeoutError) as error:
            KAFKA_ERRORS.labels("rules").inc()
            raise BrokerUnavailableError(f"the topic {partition.topic} cannot be read: {error!r}") from error
        return self._decoded(record)

    async def next(self) -> Publication:
        """The next publication; waits for it, over any trouble with the broker."""
        while True:
            try:
                publication = self._decoded(await self._consumer.getone(self._partition))
            except KafkaError as error:
                KAFKA_ERRORS.labels("rules").inc()
                log.warning("rules_topic_unreadable", error=repr(error), retry_in_s=RETRY_S)
                await asyncio.sleep(RETRY_S)
                continue
            if publication is not None:
                return publication

    def _decoded(self, record: Any) -> Publication | None:
        if record.value is None:
            return None
        try:
            return msgspec.json.decode(record.value, type=Publication)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a stranger's, or of an Avert to come
            log.error("rules_record_unreadable", offset=record.offset, error=str(error))
            return None

    async def publish(self, publication: Publication) -> None:
        """Send; return when it is acknowledged. Raises BrokerUnavailableError."""
        try:
            await self._producer.send_and_wait(
                self._partition.topic, msgspec.json.encode(publication), key=KEY, partition=0
            )
        except (KafkaError, OSError) as error:
            KAFKA_ERRORS.labels("rules").inc()
            raise BrokerUnavailableError(f"the rules could not be published: {error!r}") from error

    async def close(self) -> None:
        """Disconnect, within a second or two, whatever the broker does."""
        for client in (self._producer, self._consumer):
            if client is not None:
                try:
                    await asyncio.wait_for(client.stop(), 1.0)
                except TimeoutError:
                    KAFKA_ERRORS.labels("close").inc()
