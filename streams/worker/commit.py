"""The batch procedure: the order in which a batch leaves its traces, so that a crash between any two steps is harmless.

1. Apply the records in memory; collect effects and touched visitors.
2. Send the effects; await their acknowledgement.
3. Write suggestions to the cache: best effort, bounded time.
4. Send the touched visitors' rows to the changelog, and with them the totals that count what led to these rows:
   a. cut the rows into portions, each of which closes with the lines of the totals as of its last row (totals.py);
   b. send a portion as one record batch; await; then the next.
5. Mark the batch done. Only then may its offsets be committed.

A crash after 1 leaves nothing. After 2 or 3: the state is the old one, the events are read again and make the same
effects with the same ids. After 4: the rows carry the offset of their last event, which is recognised. After 5, before
the commit: the same. Of rows that were sent in several record batches some may be there and some not: each visitor
is recognised, or not, by itself, and the totals of the last record batch that is there have counted the visitors of
those that are there, and no others: what they have not counted is made again, and counted then.

What is told of the totals (the topic `totals`, metrics) are lines of acknowledged portions: they never go back.

Step 3 stands before 4 because after 4 nothing would ever make the suggestion again. Progress alone may be told while
4 is under way.

A row goes (a tombstone) only when nothing in it can matter *and* the visitor's last event lies before the partition's
commit. Without the second half: a crash, the events above the commit are read again, find no row that knows them, and
are counted twice. A withdrawn consent, and an erasure, cannot wait that long: there the tombstone itself carries the
offset, and recovery remembers it until the commit has passed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from streams.core.effects import Decision, OutcomeRecord, Withdrawal
from streams.delivery import Change
from streams.telemetry import (
    BATCH_SIZE,
    CHANGELOG_BYTES,
    DEAD_LETTERS,
    DECISIONS,
    END_TO_END_SECONDS,
    EVENTS,
    HOP_SECONDS,
    OUTCOME_AMOUNT,
    OUTCOMES,
    STEP_SECONDS,
    TIMERS_FIRED,
    WITHDRAWALS,
    outcome_label,
    rule_label,
)
from streams.worker.apply import Applier, Work
from streams.worker.clock import wall_ms
from streams.worker.ledger import Batch, Ledger, Stage
from streams.worker.partition import PartitionMemory
from streams.worker.send import Row, Written
from streams.worker.totals import portions

# Looked up once: five look-ups of a label a batch cost as much as a small batch itself.
_APPLIED_S, _FETCHED_S, _EFFECTS_S, _DELIVERED_S, _CHANGELOG_S = (
    HOP_SECONDS.labels(hop) for hop in ("applied", "fetched", "effects", "delivered", "changelog")
)


class Sender(Protocol):
    """What `RecordSender` does."""

    @property
    def tenure(self) -> int:
        """The tenure of the partitions in which something begins now."""

    async def send(
        self, partition: int, rows: Mapping[str, Sequence[Row]], tenure: int | None = None
    ) -> list[Written]:
        """Send and await the acknowledgement, if the tenure is still the same."""


class Deliverer(Protocol):
    """What `streams.delivery.Delivery` does."""

    async def deliver(self, changes: Sequence[Change], progress: Mapping[int, int]) -> bool:
        """Write to the cache; never raises."""


class BatchProcedure:
    """Runs batches. Those of different partitions may overlap while they wait; those of one are run in order."""

    def __init__(
        self, applier: Applier, sender: Sender, delivery: Deliverer, ledger: Ledger,
        topic_of: Callable[[str], str], changelog: str,
    ) -> None:
        """`topic_of`: a topic's full name. `changelog`: the changelog's full name."""
        self._applier = applier
        self._sender = sender
        self._delivery = delivery
        self._ledger = ledger
        self._topic_of = topic_of
        self._changelog = changelog

    async def run(self, batch: Batch, memory: PartitionMemory, caught_up_at: int | None = None) -> None:
        """The procedure for one begun batch (see `Applier.apply` for `caught_up_at`). Raises what the sender raises.

        Step 1 is taken at once, while the partition's batch before may still await its acknowledgements; 2 to 5 begin
        when that one is done. However it ends, the batch is finished in the ledger; when it ends early, its
        partition's memory is ahead of the changelog and must be forgotten.
        """
        stage, tenure = Stage.DROPPED, self._sender.tenure
        try:
            # 1. Apply in memory. Nothing is awaited before it: tasks start in the order in which they are made.
            live = not batch.records or memory.follows_wall
            begun = time.perf_counter()
            work = self._applier.apply(memory, batch.records, wall_ms(), caught_up_at)
            applied_s = time.perf_counter() - begun
            batch.clock = memory.clock_text()
            async with memory.lock:
                if batch.dropped:  # the one before failed: these rows would say that its effects are out
                    return
                await self._leave(batch, memory, work, live, tenure)
            stage = Stage.DONE
        finally:
            self._ledger.finish(batch, stage)
        if batch.records:
            STEP_SECONDS.observe(applied_s)
            BATCH_SIZE.observe(len(batch.records))
            _APPLIED_S.observe(applied_s)
            if live and memory.follows_wall:
                _FETCHED_S.observe(max(0, batch.taken_ms - batch.records[-1].timestamp) / 1000)
        count(work)

    async def _leave(self, batch: Batch, memory: PartitionMemory, work: Work, live: bool, tenure: int) -> None:
        records, partition = batch.records, batch.partition
        applied = time.perf_counter()

        # 2. Effects, acknowledged.
        effects = work.records(self._topic_of)
        if effects:
            await self._sender.send(partition, effects, tenure)
        sent = time.perf_counter()

        # 3. Suggestions to the cache.
        progress = {partition: records[-1].offset} if records else {}
        telling: asyncio.Future[bool] | None = None
        if work.changes:
            await self._delivery.deliver(work.changes, progress)
        elif progress:
            telling = asyncio.ensure_future(self._delivery.deliver((), progress))
        delivered = time.perf_counter()
        if work.received and live:
            now = wall_ms()
            for received in work.received:
                END_TO_END_SECONDS.observe(max(0, now - received) / 1000)

        # 4. Rows to the changelog, acknowledged.
        for rows, lines in portions(work.rows, work.counted, memory.totals):
            for written in await self._sender.send(partition, {self._changelog: rows}, tenure):
                memory.wrote(*written)
            memory.unpublished.update(lines)
            CHANGELOG_BYTES.inc(sum(map(len, lines.values())))
        if telling is not None:
            await telling

        # 5. Done.
        if records:
            memory.done = max(memory.done, records[-1].offset)
            _EFFECTS_S.observe(sent - applied)
            _DELIVERED_S.observe(delivered - sent)
            _CHANGELOG_S.observe(time.perf_counter() - delivered)


def count(work: Work) -> None:
    """Meter a batch that is done, so that a repeated one is not metered twice."""
    for result, number in work.results.items():
        EVENTS.labels(result.value).inc(number)
    for _, letter in work.dead:
        DEAD_LETTERS.labels(letter.reason.value).inc()
    decisions: Counter[tuple[str, str, str, str]] = Counter()  # a label's look-up costs more than all else here
    for effect in work.effects:
        if type(effect) is Decision:
            decisions[effect.rule, effect.kind, effect.arm, effect.reason or ""] += 1
        elif type(effect) is OutcomeRecord:
            outcome = outcome_label(effect.outcome)
            OUTCOMES.labels(outcome, effect.kind).inc()
            if effect.amount:
                OUTCOME_AMOUNT.labels(outcome, effect.kind).inc(max(0.0, effect.amount))
        elif type(effect) is Withdrawal:
            WITHDRAWALS.labels(effect.reason).inc()
    for (rule, kind, arm, reason), number in decisions.items():
        DECISIONS.labels(rule_label(rule), kind, arm, reason).inc(number)
    TIMERS_FIRED.inc(work.woken)
    CHANGELOG_BYTES.inc(sum(len(row.value) for row in work.rows if row.value is not None))
