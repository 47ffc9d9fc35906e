"""The totals as the workers tell them: the compacted topic `totals`, followed once somebody has asked.

1. Not from the cache: the numbers must be right after it was emptied.
2. The first question reads the topic from its beginning (it is small, being compacted) and later ones what has come
   since. An answer knows every record that the broker had when the question was asked.
3. Of two records of one line the one that has counted more is the newer, whoever wrote it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.core.about import About
from streams.core.totals import Line, Totals
from streams.errors import BrokerUnavailableError
from streams.settings import Settings
from streams.telemetry import KAFKA_ERRORS, log

_READ_S_MAX = 10.0  # of one question; the first after a start reads everything
_POLL_MS = 100
_FAILURES = (KafkaError, OSError, TimeoutError)

_decoder: msgspec.json.Decoder[Line | About] = msgspec.json.Decoder(Line | About)


class TotalsReader:
    """Reads for everybody who asks; one question at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topic("totals")
        self._consumer: Any = None
        self._lock = asyncio.Lock()
        self._lines: dict[bytes, Line] = {}  # by the record's key: partition and line
        self._about: About | None = None

    async def close(self) -> None:
        """Leave the broker."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(consumer.stop(), 1.0)

    async def current(self) -> tuple[Totals, About | None]:
        """The sums over all partitions, and what they mean (None: no worker has run). Raises BrokerUnavailableError."""
        async with self._lock:
            try:
                async with asyncio.timeout(_READ_S_MAX):
                    await self._catch_up()
            except _FAILURES as error:
                KAFKA_ERRORS.labels("totals").inc()
                await self.close()
                raise BrokerUnavailableError(f"the totals cannot be read at the moment: {error!r}") from error
            summed = Totals()
            summed.absorb(self._lines.values())
            return summed, self._about

    async def _catch_up(self) -> None:
        if self._consumer is None:
            self._consumer = await self._connected()
        consumer = self._consumer
        if consumer is None:
            return
        partitions = sorted(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        while True:
            records = await consumer.getmany(timeout_ms=_POLL_MS)
            for some in records.values():
                for record in some:
                    self._take(record)
            behind = [tp for tp in partitions if await consumer.position(tp) < ends[tp]]
            if not behind and not records:  # an end may be said too low by the embedded broker
                return

    async def _connected(self) -> Any:
        """A consumer at the topic's beginning; None when there is no such topic: no worker has ever run."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap, enable_auto_commit=False, auto_offset_reset="earliest",
            fetch_max_wait_ms=_POLL_MS,
        )
        try:
            await consumer.start()
            partitions = await self._partitions(consumer)
            if not partitions:
                await consumer.stop()
                return None
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
        except BaseException:  # also when it is cancelled: a consumer that nobody holds would keep its connections
            await consumer.stop()
            raise
        self._lines.clear()
        return consumer

    async def _partitions(self, consumer: Any) -> list[TopicPartition]:
        cluster = await consumer._client.fetch_all_metadata()  # asks for all topics, so that none is auto-created
        numbers = cluster.partitions_for_topic(self._topic) or set()
        return [TopicPartition(self._topic, number) for number in sorted(numbers)]

    def _take(self, record: Any) -> None:
        if record.value is None:
            self._lines.pop(record.key, None)
            return
        try:
            line = _decoder.decode(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a stranger's, or of an Avert to come
            log.error("totals_record_unreadable", offset=record.offset, partition=record.partition, error=str(error))
            return
        if isinstance(line, About):
            self._about = line
            return
        known = self._lines.get(record.key)
        if known is None or line.number >= known.number:
            self._lines[record.key] = line
