"""What the transport, the table and the agent share: the state of one worker process, and its hand-overs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from streams.errors import AvertError
from streams.settings import Settings
from streams.telemetry import LIVE_SESSIONS, LIVE_VISITORS, PARTITIONS, READY, log
from streams.worker.clock import wall_ms
from streams.worker.commit import BatchProcedure
from streams.worker.lease import Lease
from streams.worker.ledger import Batch, Ledger

if TYPE_CHECKING:
    from streams.worker.table import SessionsTable

HAND_OVER_S_MAX = 4.0  # for the batches in hand; well below the rebalance timeout, within which we must rejoin


class Link:
    """One worker process. All methods belong to the main thread's event loop."""

    def __init__(self, settings: Settings, lease: Lease, ledger: Ledger) -> None:
        self.settings = settings
        self.lease = lease
        self.ledger = ledger
        self.clickstream = settings.topic("clickstream")
        self.table: SessionsTable
        self.procedure: BatchProcedure
        self.ready = False
        self.ending = False  # nothing is taken any more; what was done may be told of
        self.spare = False  # of the group, but without a partition
        self.on_ready: Callable[[], None] | None = None  # called once
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._tasks: dict[asyncio.Task[None], Batch] = {}

    def fail(self, error: BaseException) -> None:
        """End the process: what has happened cannot be put right in it."""
        if not self.failed.done():
            self.failed.set_result(error)

    # --- batches ----------------------------------------------------------------------------------------------

    def begin(self, batch: Batch, caught_up_at: int | None = None) -> None:
        """Start the procedure for a taken batch (unless it was dropped meanwhile)."""
        if not self.ledger.begin(batch):
            return
        memory = self.table.memory(batch.partition)
        if memory is None or not memory.ready:
            # Cannot be (see transport.py); going on would skip the batch.
            self.fail(AvertError(f"records of partition {batch.partition} came before its table was there"))
            return
        task = asyncio.create_task(self.procedure.run(batch, memory, caught_up_at))
        self._tasks[task] = batch
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        batch = self._tasks.pop(task)
        if task.cancelled():
            return  # by the hand-over, which has forgotten the partition
        error = task.exception()
        if error is not None:
            self.table.forget(batch.partition)
            self.fail(error)

    def tick(self, partition: int, caught_up_at: int | None) -> None:
        """Run an empty batch: the partition's timers, without a record."""
        batch = Batch(partition, [], wall_ms())
        self.ledger.take(batch)
        self.begin(batch, caught_up_at)

    # --- partitions come and go -------------------------------------------------------------------------------

    def recovered(self) -> None:
        """The table is complete: events come."""
        self.spare = not self.table.memories
        if self.spare:
            log.warning("no_partitions", hint="are there more workers than partitions?")
            return
        self.ready = True
        READY.labels("worker").set(1)
        self.gauges()
        if self.on_ready is not None:
            self.on_ready()
            self.on_ready = None

    def gauges(self) -> None:
        """Meter visitors, sessions, partitions."""
        memories = self.table.memories.values()
        PARTITIONS.set(len(memories))
        LIVE_VISITORS.set(sum(len(memory.rows) for memory in memories))
        LIVE_SESSIONS.set(sum(memory.sessions for memory in memories))

    async def hand_over(self) -> None:
        """Begin nothing more; finish what has begun, or drop it and forget its partition."""
        self.ready = self.spare = False
        READY.labels("worker").set(0)
        self.ledger.close()
        try:
            await asyncio.wait_for(self.ledger.idle(), HAND_OVER_S_MAX)
        except TimeoutError:
            for task, batch in list(self._tasks.items()):
                log.warning("batch_dropped", partition=batch.partition, records=len(batch.records))
                # Its memory is ahead of the changelog: it is read again from there, by whoever gets the partition, and
                # what the producer still holds of it must not get there after that.
                self.lease.end_tenure()
                self.table.forget(batch.partition)
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def committed(self, partition: int, offset: int) -> None:
        """The group's commit of a partition."""
        memory = self.table.memory(partition)
        if memory is not None:
            memory.commit(offset)
