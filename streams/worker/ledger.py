"""Which batches are in hand, which offsets are done, what may be committed.

1. A batch is *taken* when the transport hands it on, *begun* when the agent has it, then *done* or *dropped*.
2. Only what is done in sequence may be committed: never past a batch of the same partition that is unfinished.
3. The next poll waits until no partition has DEPTH batches in hand, so batches grow with the load by themselves
   (a queue of small ones would be paid for one by one), and one is applied while the one before awaits its
   acknowledgements.
4. While the ledger is closed (a hand-over, the end) nothing is taken and nothing begins.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum, auto
from typing import Any

DEPTH = 2  # batches of one partition in hand: one on its way to Kafka, one being applied


class Stage(Enum):
    """How far a batch is."""

    TAKEN = auto()
    BEGUN = auto()
    DONE = auto()
    DROPPED = auto()


class Batch:
    """Records of one partition that one poll brought. Empty: an occasion to look at the timers."""

    __slots__ = ("clock", "partition", "records", "stage", "taken_ms")

    def __init__(self, partition: int, records: list[Any], taken_ms: int) -> None:
        self.partition = partition
        self.records = records  # aiokafka ConsumerRecords, offsets ascending
        self.stage = Stage.TAKEN
        self.taken_ms = taken_ms
        self.clock = ""  # the partition's clock after this batch, as it goes with a commit

    @property
    def dropped(self) -> bool:
        """Whether it must go no further: it was dropped, or the one before it was."""
        return self.stage is Stage.DROPPED


class Ledger:
    """See the module. All in the main thread's event loop."""

    def __init__(self) -> None:
        self.closed = True  # until the first recovery is complete
        self.generation = 0  # counts closings and openings: what was fetched before one is not taken after it
        self._in_hand: dict[int, deque[Batch]] = {}
        self._done: dict[int, tuple[int, str]] = {}  # partition -> next offset, and clock, after the last batch done
        self._committed: dict[int, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._room = asyncio.Event()
        self._room.set()

    def open(self) -> None:
        """Recovery is complete, positions are set: what is fetched from now on may be taken."""
        self.closed = False
        self.generation += 1

    def close(self) -> None:
        """Take and begin nothing more. What was taken and has not begun is dropped; it will be read again."""
        self.closed = True
        self.generation += 1
        for batch in [batch for queue in self._in_hand.values() for batch in queue if batch.stage is Stage.TAKEN]:
            self.finish(batch, Stage.DROPPED)

    def take(self, batch: Batch) -> None:
        """The batch is on its way to the agent."""
        queue = self._in_hand.setdefault(batch.partition, deque())
        queue.append(batch)
        self._idle.clear()
        if len(queue) >= DEPTH:
            self._room.clear()

    def begin(self, batch: Batch) -> bool:
        """Whether the agent may work on it; False when it was dropped meanwhile."""
        if batch.stage is not Stage.TAKEN:
            return False
        batch.stage = Stage.BEGUN
        return True

    def finish(self, batch: Batch, stage: Stage) -> None:
        """The batch is DONE or DROPPED. A dropped one stops its partition's sequence."""
        batch.stage = stage
        queue = self._in_hand.get(batch.partition)
        while queue and queue[0].stage in (Stage.DONE, Stage.DROPPED):
            first = queue.popleft()
            if first.stage is Stage.DROPPED:
                for later in queue:  # nothing after a gap counts
                    later.stage = Stage.DROPPED
            elif first.records:
                self._done[first.partition] = first.records[-1].offset + 1, first.clock
        if not any(self._in_hand.values()):
            self._in_hand.clear()
            self._idle.set()
        if all(len(queue) < DEPTH for queue in self._in_hand.values()):
            self._room.set()

    async def idle(self) -> None:
        """Return when nothing is in hand."""
        await self._idle.wait()

    async def room(self) -> None:
        """Return when one more batch of any partition may be taken."""
        await self._room.wait()

    def busy(self, partition: int) -> bool:
        """Whether a batch of this partition is in hand."""
        return bool(self._in_hand.get(partition))

    def in_hand(self) -> list[Batch]:
        """Everything that is not finished."""
        return [batch for queue in self._in_hand.values() for batch in queue]

    def committable(self) -> dict[int, tuple[int, str]]:
        """Partition -> (offset to go on at, clock there), for those that have come further than their commit."""
        return {
            partition: (offset, clock) for partition, (offset, clock) in self._done.items()
            if offset > self._committed.get(partition, -1)
        }

    def commit(self, partition: int, offset: int) -> None:
        """The group's commit now says to go on at `offset`."""
        self._committed[partition] = offset

    def forget(self, partition: int) -> None:
        """The partition is somebody else's."""
        self._done.pop(partition, None)
        self._committed.pop(partition, None)
