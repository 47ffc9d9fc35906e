"""The `sessions` table: to Faust a table with a changelog, to us one PartitionMemory for each partition.

Faust brings the partitions, has the changelog read when they come, and tells when all is here. Rows are applied by
own code (see `PartitionMemory.restore`), a list of records at a time, as the transport delivers them; Faust's
bookkeeping (`offset > seen offset`, `remaining = highwater - offset`) sees the last offset of each list, which is all
that it needs. Writing does not go through here at all: see commit.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from faust.tables.table import Table

from streams.errors import AvertError
from streams.telemetry import LAG, RECOVERED_ROWS, RECOVERY_SECONDS, log
from streams.worker.apply import TOMBSTONE_HEADER
from streams.worker.ledger import Ledger
from streams.worker.machine import Machine
from streams.worker.partition import PartitionMemory
from streams.worker.totals import is_line

# Faust hands rows on when so many messages are buffered. A message is a list of records here, so few must do; 1 has a
# meaning of its own in Faust (the changelog goes on being read after recovery).
RECOVERY_BUFFER_MESSAGES = 2
NOTHING_PERSISTED = -1  # Faust: read the changelog from its beginning; None would mean "as far as you read last time"


class SkippedError(AvertError):
    """Records came out of the fetcher and did not arrive: what is missing would never be noticed later."""

    reason = "skipped"


class ChangelogRows(NamedTuple):
    """Records of one changelog partition; `after`: the offset up to which the fetcher had given records out before."""

    records: list[Any]
    after: int


def skipped(records: list[Any], after: int, arrived: int) -> bool:
    """Whether something between `arrived` (the last offset that came through) and these records got lost on the way.

    Offsets alone do not tell: compaction leaves gaps.
    """
    first: int = records[0].offset
    return after > arrived and first > after


class SessionsTable(Table):
    """See the module."""

    def attach(
        self, machine: Machine, clickstream: str, ledger: Ledger, fail: Callable[[BaseException], None]
    ) -> None:
        """What Faust's constructor does not know. `fail` ends the process."""
        self.machine = machine
        self.ledger = ledger
        self.fail = fail
        self.memories: dict[int, PartitionMemory] = {}
        self.clickstream = clickstream
        self.generation = -1
        self.rows_read = 0  # in all recoveries; the watchdog sees progress in it
        self._recovery_began = time.monotonic()

    # --- partitions -------------------------------------------------------------------------------------------

    def memory(self, partition: int) -> PartitionMemory | None:
        """The memory of a partition that is assigned, else None."""
        return self.memories.get(partition)

    def ready_memories(self) -> list[PartitionMemory]:
        """The partitions that are recovered."""
        return [memory for memory in self.memories.values() if memory.ready]

    @property
    def complete(self) -> bool:
        """Whether every assigned partition is recovered."""
        return all(memory.ready for memory in self.memories.values())

    def forget(self, partition: int) -> None:
        """Drop everything that is known of the partition, timers too. Whoever is still at work on it must not write."""
        memory = self.memories.pop(partition, None)
        if memory is not None:
            memory.ready = False
            self.ledger.forget(partition)
            with suppress(KeyError):  # no lag was ever told of it
                LAG.remove(str(partition))

    async def on_rebalance(
        self, assigned: set[Any], revoked: set[Any], newly_assigned: set[Any], generation_id: int = 0
    ) -> None:
        """Faust: the assignment has changed. Retained partitions keep their memory; the others are forgotten."""
        del revoked, newly_assigned  # relative to what Faust remembers; `assigned` is what counts
        self._recovery_began = time.monotonic()
        # With a generation in between, of which this process was no member, somebody else may have had them all.
        consecutive = generation_id == self.generation + 1
        self.generation = generation_id
        mine = {tp.partition for tp in assigned if tp.topic == self.clickstream}
        for partition in [number for number in self.memories if not consecutive or number not in mine]:
            self.forget(partition)
        for partition in mine - self.memories.keys():
            self.memories[partition] = PartitionMemory(partition, self.machine)
        for memory in self.memories.values():
            memory.ready = False

    # --- recovery ---------------------------------------------------------------------------------------------

    def persisted_offset(self, tp: Any) -> int:
        """Faust: up to which changelog offset this process has the rows already."""
        memory = self.memories.get(tp.partition)
        return NOTHING_PERSISTED if memory is None else memory.persisted

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Faust: messages from the changelog. Rows of partitions that are not ours (any more) are left alone."""
        try:
            for event in batch:
                self._restore(event.message.partition, event.message.value)
        except AvertError as error:
            # Faust logs what is raised here, and goes on without the rows: the link has to be told.
            self.fail(error)

    def _restore(self, partition: int, rows: ChangelogRows) -> None:
        memory = self.memories.get(partition)
        if memory is None or memory.ready:
            return
        records, after = rows
        if skipped(records, after, memory.persisted):
            raise SkippedError(f"the changelog's partition {partition} was not read without a gap")
        for record in records:
            if is_line(record.key):
                memory.restore_line(record.offset, record.value)
                continue
            tombstone = _tombstone_offset(record.headers) if record.value is None else -1
            memory.restore(record.offset, record.key.decode(), record.value, tombstone)
        self.rows_read += len(records)
        RECOVERED_ROWS.inc(len(records))

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:
        """Faust: the changelog has been read to its end. Which is not always so.

        When another rebalance comes while the changelog is being read, Faust swallows its own RebalanceAgain and calls
        this with whatever it has (it notices later, and starts the next recovery). Believed here, that would be a table
        without its rows.
        """
        del standby_tps  # there are none
        recovery = self.app.tables.recovery
        overtaken = recovery.signal_recovery_start.is_set() or recovery._generation_id != self.generation
        if overtaken or recovery.need_recovery():
            log.warning("recovery_overtaken", generation=self.generation)
            return
        offsets = recovery.active_offsets
        for tp in active_tps:
            memory = self.memories.get(tp.partition)
            if memory is not None:
                # A changelog whose beginning (or all of it) is compacted away still has an end.
                memory.persisted = max(memory.persisted, offsets.get(tp) or NOTHING_PERSISTED)
                memory.recovered()
        took_s = time.monotonic() - self._recovery_began
        RECOVERY_SECONDS.set(took_s)
        log.info(
            "recovered", partitions=sorted(self.memories), visitors=sum(len(m.rows) for m in self.memories.values()),
            seconds=round(took_s, 3),
        )

    # --- what a Faust table does and this one leaves out --------------------------------------------------------

    async def on_start(self) -> None:
        """Faust: start. The changelog exists already, and there is no store."""

    async def need_active_standby_for(self, tp: Any) -> bool:
        """Faust: no standbys."""
        del tp
        return False

    def __len__(self) -> int:
        """Visitors with a row."""
        return sum(len(memory.rows) for memory in self.memories.values())

    def __bool__(self) -> bool:
        """A table is there even when it is empty."""
        return True


def _tombstone_offset(headers: Any) -> int:
    for name, value in headers:
        if name == TOMBSTONE_HEADER:
            return int(value)
    return 1 << 62  # one without an offset was not written by a worker; an erasure by hand buries everything
