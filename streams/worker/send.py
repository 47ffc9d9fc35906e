"""Records to Kafka as record batches: built here, split where the limit asks for it, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.protocol.produce import ProduceRequest

from streams.errors import BrokerUnavailableError
from streams.telemetry import KAFKA_ERRORS
from streams.worker.clock import wall_ms
from streams.worker.fence import FencedWriter
from streams.worker.lease import Lease

# Below the broker's default message.max.bytes (1,048,588) by a margin; a batch of 4,000 rows takes two or three.
BATCH_BYTES_MAX = 768 * 1024

Headers = list[tuple[str, bytes]]


class Row(NamedTuple):
    """One record to be sent. `value` None is a tombstone."""

    key: bytes | None
    value: bytes | None
    headers: Headers = []  # noqa: RUF012  # never changed; a fresh list a row would cost more than the row


class Written(NamedTuple):
    """Where rows have come to stand: the first offset and how many follow without a gap."""

    first: int
    records: int


class HeldBackError(KafkaError):  # type: ignore[misc]  # aiokafka ships no types
    """The producer's to try again: the lease is not valid at the moment."""

    retriable = True


class NotOursError(KafkaError):  # type: ignore[misc]
    """Not to be tried again: what waits was begun in an earlier tenure."""

    retriable = False


class RecordSender:
    """Sends through a producer of its own, with acks=all, while the lease is valid.

    The lease is asked three times: before records are handed to the producer, when the producer puts them on the wire,
    and before the last byte of a request (fence.py); the process may have been frozen in between.
    """

    def __init__(self, bootstrap: str, lease: Lease, timeout_s: float, client_id: str) -> None:
        self._bootstrap = bootstrap
        self._lease = lease
        self._timeout_s = timeout_s
        self._client_id = client_id
        self._producer: Any = None
        self._under_way: dict[asyncio.Future[Any], int] = {}  # what is with the producer; its tenure

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailableError."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, client_id=self._client_id, acks="all", linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX, request_timeout_ms=int(self._timeout_s * 1000),
        )
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            raise BrokerUnavailableError(f"{self._bootstrap}: {error}") from error
        self._guard(self._producer.client)

    def _guard(self, client: Any) -> None:
        """Have the producer's client ask the lease at the last moment. aiokafka has no hook; tests hold its names."""
        send, connection = client.send, client._get_conn

        async def guarded(node_id: Any, request: Any, **options: Any) -> Any:
            if isinstance(request, ProduceRequest):
                if self._left_over():
                    raise NotOursError
                if not self._lease.valid:
                    raise HeldBackError
            return await send(node_id, request, **options)

        async def fenced(node_id: Any, **options: Any) -> Any:
            conn = await connection(node_id, **options)
            if conn is not None and conn.connected() and not isinstance(conn._writer, FencedWriter):
                conn._writer = FencedWriter(conn._writer, lambda: self._lease.valid and not self._left_over())
            return conn

        client.send, client._get_conn = guarded, fenced

    def _left_over(self) -> bool:
        """Whether something of an earlier tenure is with the producer, which fails at its next attempt."""
        return any(tenure != self._lease.tenure for tenure in self._under_way.values())

    async def close(self) -> None:
        """Send what is under way, as far as it goes within a second; close."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            try:
                await asyncio.wait_for(producer.stop(), 1.0)
            except TimeoutError:
                KAFKA_ERRORS.labels("close").inc()

    @property
    def tenure(self) -> int:
        """The tenure in which something begins now; see `Lease`."""
        return self._lease.tenure

    async def send(
        self, partition: int, rows: Mapping[str, Iterable[Row]], tenure: int | None = None
    ) -> list[Written]:
        """Send rows, by topic, to one partition number; return when all are acknowledged.

        `tenure`: of the batch whose rows these are. Raises LeaseLostError, and BrokerUnavailableError when they are not
        acknowledged within the timeout.
        """
        await self._lease.require(tenure)
        began = self._lease.tenure
        try:
            async with asyncio.timeout(self._timeout_s):
                acknowledgements = []
                for topic, some in rows.items():
                    for batch in self._batches(some):
                        sent = await self._producer.send_batch(batch, topic, partition=partition)
                        self._under_way[sent] = began
                        sent.add_done_callback(self._over)
                        acknowledgements.append((sent, batch.record_count()))
                # Shielded: what is given up here is with the producer still, and must not go out in a later tenure.
                return [Written((await asyncio.shield(sent)).offset, count) for sent, count in acknowledgements]
        except (KafkaError, TimeoutError) as error:
            KAFKA_ERRORS.labels("send").inc()
            raise BrokerUnavailableError(
                f"Kafka did not acknowledge records for {', '.join(rows)} (partition {partition}) within "
                f"{self._timeout_s:g} s: {type(error).__name__} {error}; this process ends, nothing of it is counted"
            ) from error

    def _over(self, sent: asyncio.Future[Any]) -> None:
        del self._under_way[sent]
        if not sent.cancelled():
            sent.exception()  # nobody may be there any more to whom it would be told

    def _batches(self, rows: Iterable[Row]) -> Iterator[Any]:
        batch = self._producer.create_batch()
        # Kafka refuses what is more than an hour ahead: the system's clock, which may have been set, is no source.
        now_ms = wall_ms()
        for key, value, headers in rows:
            if batch.append(timestamp=now_ms, key=key, value=value, headers=headers) is None:
                yield batch
                batch = self._producer.create_batch()
                batch.append(timestamp=now_ms, key=key, value=value, headers=headers)  # the first one always fits
        if batch.record_count():
            batch.close()
            yield batch
