"""Record batches through Faust: one message for each partition and poll, its value the list of raw records.

1. A poll waits until there is room for what it brings (see ledger.py), so batches grow with the load and never
   queue up.
2. Of the clickstream, a message's value is a `Batch` of the ledger; of the changelog, a list of records for recovery.
   In both the message's offset is that of the last record, so that Faust's own bookkeeping stays right.
3. What was fetched before a hand-over is never taken after it.
4. The commit is owned: the ledger says how far, Faust's acks and gaps say nothing. The changelog is never committed.
5. Every answered heartbeat renews the lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from faust.transport.consumer import ensure_TP, ensure_TPset
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.telemetry import COMMITS
from streams.worker.commit import wall_ms
from streams.worker.ledger import Batch, Ledger
from streams.worker.link import Link

COMMIT_S_MAX = 5.0  # of a hand-over; what is not committed is read again and recognised


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # faust ships no types
    """Faust's thread with aiokafka's consumer in it; the fetch wait and the lease are ours."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust's driver fixes it at 1,500 ms. aiokafka hands the value to its fetcher in start().
        consumer._fetch_max_wait_ms = self.app.link.settings.fetch_wait_ms
        return consumer

    async def on_start(self) -> None:
        """Connect, then watch the heartbeats."""
        await super().on_start()
        self.app.link.lease.observe(self._consumer._coordinator)  # aiokafka has no hook

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """The group has just let us in: that is as good as a heartbeat."""
        self.app.link.lease.renew()
        await super().on_partitions_assigned(assigned, generation_id)

    def fetched_at_ms(self, tp: Any) -> int | None:
        """Wall time of the last answer to a fetch of this partition, ms; None when there was none."""
        try:
            at: int | None = self._consumer.last_poll_timestamp(driver.ensure_aiokafka_TP(tp))
        except (AssertionError, AttributeError, KeyError):  # not assigned (any more)
            return None
        return at


class Consumer(driver.Consumer):  # type: ignore[misc]  # faust ships no types
    """See the module."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _link(self) -> Link:
        link: Link = self.app.link
        return link

    @property
    def _ledger(self) -> Ledger:
        return self._link.ledger

    # --- polls ------------------------------------------------------------------------------------------------

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:  # noqa: ASYNC109  # Faust's signature
        """One message for each partition that the poll brought records of."""
        ledger, link = self._ledger, self._link
        await ledger.room()
        before = ledger.generation, self.app.consumer_generation_id
        records, active = await self._wait_next_records(timeout)
        if not records or self.should_stop or not self.flow_active:
            return
        taken_ms = wall_ms()
        for raw_tp, some in records.items():
            if (ledger.generation, self.app.consumer_generation_id) != before or not self.flow_active:
                return  # they will be fetched again, from the committed offset
            tp = ensure_TP(raw_tp)
            if active is not None and tp not in active:
                continue
            value: Any = some
            if tp.topic == link.clickstream:
                if ledger.closed:
                    return
                value = Batch(tp.partition, some, taken_ms)
                ledger.take(value)
            yield tp, self._message(tp, some, value)

    def _message(self, tp: Any, records: list[Any], value: Any) -> Any:
        last = records[-1]
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000.0, last.timestamp_type, [], None, value,
            None, None, None, tp, generation_id=self.app.consumer_generation_id,
        )

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Offsets inside a batch are not gaps; and the commit does not ask."""

    # --- commits ----------------------------------------------------------------------------------------------

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what the ledger says is done. Faust calls this every commit interval, and at the end."""
        del topics, start_new_transaction
        return await self.commit_done()

    async def commit_done(self) -> bool:
        """Commit what is done in sequence; True when the group has taken it."""
        clickstream, ledger = self._link.clickstream, self._ledger
        mine = {tp.partition for tp in self.assignment() if tp.topic == clickstream}
        offsets = {partition: offset for partition, offset in ledger.committable().items() if partition in mine}
        if not offsets:
            return False
        taken = await self._commit({TP(clickstream, partition): offset for partition, offset in offsets.items()})
        COMMITS.labels("ok" if taken else "refused").inc()
        if taken:
            for partition, offset in offsets.items():
                ledger.commit(partition, offset)
                self._link.committed(partition, offset)
        return bool(taken)

    async def perform_seek(self) -> None:
        """Faust: go to the committed offsets, before the first event."""
        await super().perform_seek()
        for tp in ensure_TPset(self.assignment()):
            offset = self._committed_offset[tp]
            if tp.topic == self._link.clickstream and offset is not None:
                self._ledger.commit(tp.partition, offset)
                self._link.committed(tp.partition, offset)

    # --- hand-over --------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Faust: the group is rebalancing. Finish or drop what is in hand, commit, then let Faust stop the flow."""
        await self._link.hand_over()
        try:
            await asyncio.wait_for(self.commit_done(), COMMIT_S_MAX)
        except TimeoutError:
            COMMITS.labels("late").inc()
        await super().on_partitions_revoked(revoked)

    # --- lag --------------------------------------------------------------------------------------------------

    def end_of(self, partition: int) -> tuple[int, int] | None:
        """(next offset of the partition's end, wall ms when the broker said so), without asking; None: not known."""
        tp = TP(self._link.clickstream, partition)
        fetched_at = self._thread.fetched_at_ms(tp)
        if fetched_at is None:
            return None
        end = self.highwater(tp)
        return None if end is None else (end, fetched_at)


class Transport(driver.Transport):  # type: ignore[misc]  # faust ships no types
    """Faust's aiokafka transport with the consumer above."""

    Consumer: ClassVar[type] = Consumer
