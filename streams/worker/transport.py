"""Record batches through Faust: one message for each partition and poll, its value the list of raw records.

1. A poll waits until there is room for what it brings (see ledger.py), so batches grow with the load and never
   queue up.
2. Of the clickstream, a message's value is a `Batch` of the ledger; of the changelog, `ChangelogRows` for recovery.
   In both the message's offset is that of the last record, so that Faust's own bookkeeping stays right.
3. From a hand-over until recovery is over nothing of the clickstream is taken, and what is drained meanwhile is
   thrown away; then every partition's position is set, then polls may drain it again. In this order nothing is
   skipped. (Faust resumes first and seeks then, and seeks only where there is a commit.) And it is watched: records
   that were drained and then thrown away, where the next ones follow on, end the process.
4. The commit is owned: the ledger says how far, Faust's acks and gaps say nothing. The changelog is never committed.
   With each offset goes the partition's clock there, so that whoever goes on from it has the same one.
5. Every answered heartbeat renews the lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from time import monotonic
from typing import Any, ClassVar

from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.consumer import ensure_TP, ensure_TPset
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.telemetry import COMMITS
from streams.worker.clock import wall_ms
from streams.worker.ledger import Batch, Ledger
from streams.worker.link import Link
from streams.worker.table import ChangelogRows, SkippedError, skipped

IDLE_S = 0.05  # between looks whether there is something to poll; Faust waits 1 s
COMMIT_S_MAX = 5.0  # of a hand-over; what is not committed is read again and recognised


def _as_it_is(_records: Any, _tp: Any, record: Any) -> Any:
    """What the fetcher makes of a record: nothing.

    Its own has all that is asked for here (offset, timestamp, key, value, headers), and copying it into a
    ConsumerRecord costs more than unpacking it.
    """
    return record


def check_coordination(coordinator: Any) -> None:
    """Raise what aiokafka's group coordinator wants its user to know. Raises KafkaError, which ends the process.

    It waits until somebody asks, before each poll, as aiokafka's own `getmany` does and Faust does not: without this, a
    group coordinator that has given up leaves a consumer that stands still and says nothing.
    """
    if coordinator._coordination_task.done() and not coordinator._closing.done():
        raise KafkaError("aiokafka's group coordination has ended by itself")
    coordinator.check_errors()


def _named(partitions: Iterable[Any] | None) -> str:
    return " ".join(sorted(f"{tp.topic}/{tp.partition}" for tp in list(partitions or ())))


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread with aiokafka's consumer in it; the fetch wait and the lease are ours."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust's driver fixes it at 1,500 ms. aiokafka hands the value to its fetcher in start().
        consumer._fetch_max_wait_ms = self.app.link.settings.fetch_wait_ms
        return consumer

    async def on_start(self) -> None:
        """Connect, then watch the heartbeats."""
        aiokafka_fetcher.PartitionRecords._consumer_record = _as_it_is  # this process has no other consumer
        await super().on_start()
        self.app.link.lease.observe(self._consumer._coordinator)  # aiokafka has no hook

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """The group has just let us in: that is as good as a heartbeat."""
        self.app.link.lease.renew(self._consumer._coordinator.member_id)
        await super().on_partitions_assigned(assigned, generation_id)

    async def poll(self, active: set[Any], timeout_s: float, generation: int) -> Mapping[Any, list[Any]]:
        """What the fetcher has of `active`, waiting for it up to the timeout; nothing once the generation is over."""
        of_clickstream = any(tp.topic == self.app.link.clickstream for tp in active)
        # The embedded broker takes the beginning of the changelog's last record batch for its end. Recovery is over
        # at that end; so that it does not miss the batch's rest, rows come as a fetch brought them: whole batches.
        records_max = self._consumer._max_poll_records if of_clickstream else None
        tps = {driver.ensure_aiokafka_TP(tp) for tp in active}
        return await self.call_thread(
            self._drain, tps, monotonic() + timeout_s, generation, records_max
        )

    async def _drain(
        self, active: set[Any], deadline_s: float, generation: int, records_max: int | None
    ) -> Mapping[Any, list[Any]]:
        """As aiokafka's `fetched_records`, but a wait that a hand-over overtakes ends empty-handed.

        Positions are set in this thread too, after the generation has changed. So whatever is drained for the old
        generation is drained before they are set, and will be fetched again.
        """
        fetcher, ledger = self._consumer._fetcher, self.app.link.ledger
        subscriptions = fetcher._subscriptions
        check_coordination(self._consumer._coordinator)
        with subscriptions.fetch_context():
            while ledger.generation == generation and not subscriptions.reassignment_in_progress:
                if self._consumer._closed or fetcher._closed:
                    raise ConsumerStoppedError
                records: Mapping[Any, list[Any]] = await fetcher.fetched_records(
                    active, timeout=0, max_records=records_max
                )  # with timeout 0 nothing in it waits
                left_s = deadline_s - monotonic()
                if records or left_s <= 0:
                    return records
                waiter = fetcher._create_fetch_waiter()
                done, _ = await asyncio.wait([waiter], timeout=left_s)
                if not done:
                    waiter.cancel()
                    break
                waiter.result()  # raises what ended the fetcher
        return {}

    async def committed(self, tps: list[Any]) -> dict[Any, Any]:
        """The group's commits, by partition: an offset to go on at, and its metadata. None has no entry."""
        return await self.call_thread(self._committed, tps)

    async def _committed(self, tps: list[Any]) -> dict[Any, Any]:
        wanted = [driver.ensure_aiokafka_TP(tp) for tp in tps]
        # aiokafka's `committed()` would drop the metadata.
        found = await self._consumer._coordinator.fetch_committed_offsets(wanted)
        pairs = ((tp, found.get(name)) for tp, name in zip(tps, wanted, strict=True))
        return {tp: commit for tp, commit in pairs if commit is not None and commit.offset >= 0}

    async def commit_marked(self, offsets: Mapping[Any, tuple[int, str]]) -> bool:
        """Commit offsets with metadata; False when the group has moved on meanwhile. Other failures end the process."""
        return await self.call_thread(self._commit_marked, offsets)

    async def _commit_marked(self, offsets: Mapping[Any, tuple[int, str]]) -> bool:
        try:
            await self._consumer.commit(
                {driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(*marked) for tp, marked in offsets.items()}
            )
        except CommitFailedError:  # the group is rebalancing: what is not committed is read again and recognised
            return False
        except (KafkaError, IllegalStateError) as error:
            await self.crash(error)
            return False
        return True

    def fetched_at_ms(self, tp: Any) -> int | None:
        """Wall time of the last answer to a fetch of this partition, ms; None when there was none."""
        try:
            at: int | None = self._consumer.last_poll_timestamp(driver.ensure_aiokafka_TP(tp))
        except (AssertionError, AttributeError, KeyError):  # not assigned (any more)
            return None
        return at


class Consumer(driver.Consumer):
    """See the module."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._drained: dict[Any, int] = {}  # last offset that came out of the fetcher, whatever became of it
        self._committing = asyncio.Lock()
        self._taken: dict[int, int] = {}  # last offset of each clickstream partition that went to the ledger

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
        before = ledger.generation
        records = await self._poll(timeout, before)
        after = self._note_drained(records)
        if self.should_stop:
            return
        taken_ms = wall_ms()
        for raw_tp, some in records.items():
            if ledger.generation != before or not self.flow_active:
                return  # a hand-over, or its end: from there the positions are set anew
            tp = ensure_TP(raw_tp)
            value: Any
            if tp.topic == link.clickstream:
                value = Batch(tp.partition, some, taken_ms)
                if skipped(some, after[raw_tp], self._taken.get(tp.partition, -1)):
                    link.fail(SkippedError(f"records of {tp} before offset {some[0].offset} were drained and lost"))
                    return
                self._taken[tp.partition] = some[-1].offset
                ledger.take(value)
            else:
                value = ChangelogRows(some, after[raw_tp])
            yield tp, self._message(tp, some, value)

    def _note_drained(self, records: Mapping[Any, list[Any]]) -> dict[Any, int]:
        """Partition -> last offset that was drained before these records, since its position was set; else -1."""
        after = {}
        for tp, some in records.items():
            after[tp] = self._drained.get(tp, -1)
            self._drained[tp] = some[-1].offset
        return after

    async def seek_wait(self, partitions: Mapping[Any, int]) -> None:
        """Faust: set positions."""
        for tp in partitions:
            self._drained.pop(tp, None)
        await super().seek_wait(partitions)

    async def _poll(self, timeout_s: float, generation: int) -> Mapping[Any, list[Any]]:
        """What the fetcher has of the partitions that are active now.

        Faust hands the living set to the consumer's thread; a partition that becomes active while a poll waits would
        be drained by it, before its position is set.
        """
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = set(self._active_partitions)
        if not active or self._ledger.generation != generation:
            await self.sleep(IDLE_S)
            return {}
        if not any(tp.topic == self._link.clickstream for tp in active):
            timeout_s = IDLE_S  # recovery: look soon whether it is over
        records: Mapping[Any, list[Any]] = await self._thread.poll(active, timeout_s, generation)
        return records

    def resume_partitions(self, tps: Iterable[Any]) -> None:
        """Faust: fetch from these again. The clickstream's wait until the ledger is open (see `open`)."""
        if self._ledger.closed:
            tps = {tp for tp in tps if tp.topic != self._link.clickstream}
        super().resume_partitions(tps)

    def open(self) -> None:
        """Recovery is over and the positions are set: fetch from the clickstream."""
        self._ledger.open()
        self.resume_partitions({tp for tp in self.assignment() if tp.topic == self._link.clickstream})

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
        # Not while the group is rebalancing: a commit that reaches the coordinator between our join and our sync makes
        # aiokafka forget its generation, and the group has to rebalance once more.
        return False if self._ledger.closed else await self.commit_done()

    async def commit_done(self) -> bool:
        """Commit what is done in sequence; True when the group has taken it. One at a time."""
        async with self._committing:
            return await self._commit_done()

    async def _commit_done(self) -> bool:
        clickstream, ledger = self._link.clickstream, self._ledger
        mine = {tp.partition for tp in self.assignment() if tp.topic == clickstream}
        offsets = {partition: done for partition, done in ledger.committable().items() if partition in mine}
        if not offsets:
            return False
        marked = {TP(clickstream, partition): offsets[partition] for partition in offsets}
        taken = await self._thread.commit_marked(marked)
        COMMITS.labels("ok" if taken else "refused").inc()
        if taken:
            for partition, (offset, _) in offsets.items():
                ledger.commit(partition, offset)
                self._link.committed(partition, offset)
        return bool(taken)

    async def perform_seek(self) -> None:
        """Faust: go to the committed offsets, before the first event.

        Faust's own way leaves a partition without a commit where the fetcher happens to be, which may be past records
        that were drained and thrown away while the group was rebalancing. Here every position is set.
        """
        mine = [tp for tp in ensure_TPset(self.assignment()) if tp.topic == self._link.clickstream]
        if not mine:
            return
        positions = dict(await self.earliest_offsets(*mine))
        commits = await self._thread.committed(mine)
        for tp, (offset, _) in commits.items():
            positions[tp] = offset
            self._ledger.commit(tp.partition, offset)
            self._link.committed(tp.partition, offset)
        for tp in mine:
            memory = self._link.table.memory(tp.partition)
            if memory is not None:
                if memory.done < 0 and tp in commits:
                    memory.set_clock(commits[tp].metadata)
                # A retained one knows more than the commit does.
                positions[tp] = max(positions[tp], memory.done + 1)
            self._taken[tp.partition] = positions[tp] - 1
        await self.seek_wait(positions)

    # --- hand-over --------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Faust: the group is rebalancing. Finish or drop what is in hand, commit, then let Faust stop the flow."""
        await self._link.hand_over()
        try:
            # Also waits for a commit that is under way. Without a lease nobody would take it.
            if self._link.lease.valid or self._committing.locked():
                await asyncio.wait_for(self.commit_done(), COMMIT_S_MAX)
        except TimeoutError:
            COMMITS.labels("late").inc()
        await super().on_partitions_revoked(revoked)

    # --- what it is like --------------------------------------------------------------------------------------

    def condition(self) -> dict[str, str]:
        """What aiokafka and Faust are at, for the log of a worker that stands still. Read while another thread runs."""
        of_driver = self._thread._consumer
        fetcher, subscription = of_driver._fetcher, of_driver._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        states = {} if assignment is None else dict(assignment._tp_state)
        return {
            "flow": f"active={self.flow_active} ledger_closed={self._ledger.closed}",
            "polled": _named(self._active_partitions),
            "fetched": _named(fetcher._records),
            "in_flight": f"{sorted(fetcher._in_flight)} tasks={len(fetcher._pending_tasks)}",
            "reassigning": str(of_driver._subscription.reassignment_in_progress),
            "pending_error": repr(of_driver._coordinator._pending_exception),
            "positions": " ".join(
                f"{tp.topic}/{tp.partition}@{state._position}{'!' if state._committed_futs else ''}"
                for tp, state in sorted(states.items())
            ),
        }

    # --- lag --------------------------------------------------------------------------------------------------

    def end_of(self, partition: int) -> tuple[int, int] | None:
        """(next offset of the partition's end, wall ms when the broker said so), without asking; None: not known."""
        tp = TP(self._link.clickstream, partition)
        fetched_at = self._thread.fetched_at_ms(tp)
        if fetched_at is None:
            return None
        end = self.highwater(tp)
        return None if end is None else (end, fetched_at)


class Transport(driver.Transport):
    """Faust's aiokafka transport with the consumer above."""

    Consumer: ClassVar[type] = Consumer
