"""The memory of one partition: its visitors, their timers, its clock, how far it has come.

1. A visitor is *cold*, its encoded row, until it is touched; then it is *hot* as well, a live object.
2. The row of a hot visitor is the one that went, or is about to go, to the changelog last. While a batch is being
   applied, its row is therefore the state before the batch.
3. Of two rows of one visitor the one with the higher offset wins; at equal offsets the later in the log, which is a
   tick's. A tombstone at offset n buries every row at or below n.
4. A timer's entry in the heap may be too early, never too late: whoever pops it looks at the visitor.
5. The clock never goes back.
6. The totals contain exactly the effects of the rows that are in the changelog or on their way (see totals.py).
7. A memory whose partition was taken away, or which is ahead of the changelog because a batch was dropped half way,
   is not repaired: it is forgotten, and read again from the changelog.
"""

from __future__ import annotations

import asyncio
from heapq import heapify, heappop, heappush
from typing import Any, Final

from streams.core.session import MINUTE_MS
from streams.core.totals import Totals, encode_line
from streams.telemetry import log
from streams.worker.machine import Machine
from streams.worker.totals import restore_line

# A record from further in the future does not move the clock: its producer's is wrong.
CLOCK_AHEAD_MS_MAX: Final = 3_600_000
HOT_VISITORS_MAX: Final = 16_384  # of one partition; a live object is some 2 KiB, and 8 partitions are a usual share
SHED_TOLD_MAX = 1_024  # visitors of whom it was told; bots of one partition in one minute are fewer
_STALE_ENTRIES_MAX: Final = 1_024  # dead heap entries that are not worth a rebuild


class Timers:
    """When which visitor has to be woken, ms of the partition's clock."""

    __slots__ = ("_heap", "_scheduled")

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._scheduled: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._scheduled)

    def wake(self, visitor: str, due: int) -> None:
        """Have `visitor` popped at `due` or before. A due that moves later costs nothing here (law 4)."""
        scheduled = self._scheduled.get(visitor)
        if scheduled is not None and scheduled <= due:
            return
        self._scheduled[visitor] = due
        heappush(self._heap, (due, visitor))
        if len(self._heap) > 2 * len(self._scheduled) + _STALE_ENTRIES_MAX:
            self._heap = [(when, who) for who, when in self._scheduled.items()]
            heapify(self._heap)

    def drop(self, visitor: str) -> None:
        """Forget the visitor's timer."""
        self._scheduled.pop(visitor, None)

    def pop(self, now: int) -> str | None:
        """A visitor whose entry lies at or before `now`, or None. Its entry is gone: set it again."""
        heap, scheduled = self._heap, self._scheduled
        while heap and heap[0][0] <= now:
            due, visitor = heappop(heap)
            if scheduled.get(visitor) == due:
                del scheduled[visitor]
                return visitor
        return None

    def next_due(self) -> int | None:
        """The earliest entry's time, which may be one that nobody waits for any more."""
        return self._heap[0][0] if self._heap else None


class PartitionMemory:
    """Everything that this process knows of one partition."""

    def __init__(self, partition: int, machine: Machine) -> None:
        self.partition = partition
        self.machine = machine
        self.rows: dict[str, bytes] = {}
        self.hot: dict[str, Any] = {}
        self.buried: dict[str, int] = {}  # visitor -> offset of its tombstone, while its events may be read again
        self.doomed: set[str] = set()  # nothing in them matters, but their events are not committed yet
        self.shed_at: dict[str, int] = {}  # visitor -> offset of its last event shed, until that is committed
        self._shed_told: dict[str, int] = {}  # visitor -> minute in which it was last told that its events are shed
        self.totals = Totals()
        self.unpublished: dict[str, bytes] = {}  # lines that are in the changelog and not yet on the topic `totals`
        self.timers = Timers()
        self.clock = 0
        self.follows_wall = True  # False while the partition's records are replayed ones
        self.done = -1  # greatest offset of the clickstream that is contained here
        self.committed = 0  # the offset at which the group's commit says to go on
        self.persisted = -1  # up to here (changelog offset) nothing is in the changelog that is not here
        self.retained = False  # kept over a rebalance: authoritative up to `done`
        self.ready = False  # recovered
        self.lock = asyncio.Lock()  # one batch at a time leaves for Kafka
        self.sessions = 0  # live ones of the visitors that were touched
        self._sessions_of: dict[str, int] = {}

    # --- the clock --------------------------------------------------------------------------------------------

    def see(self, timestamp: int, wall: int) -> int:
        """Move the clock by a record's timestamp (ms). Returns the timestamp that the engine may believe."""
        if timestamp < 0 or timestamp > wall + CLOCK_AHEAD_MS_MAX:  # none, or one that cannot be true
            self.clock = self.clock or wall
            return self.clock
        self.clock = max(self.clock, timestamp)
        return timestamp

    def advance(self, wall: int) -> None:
        """Move the clock by wall time (ms, less the grace), as far as the partition's records let it."""
        if self.follows_wall and wall > self.clock:
            self.clock = wall

    def clock_text(self) -> str:
        """The clock as it goes with a commit: what is read again after a crash starts from the very same one."""
        return f"{self.clock} {'wall' if self.follows_wall else 'log'}"

    def set_clock(self, text: str) -> None:
        """Take over the clock that stood with the group's commit; anything else that may stand there is ignored."""
        at, _, mode = text.partition(" ")
        if at.isascii() and at.isdigit() and mode in ("wall", "log"):
            self.clock = max(self.clock, int(at))
            self.follows_wall = mode == "wall"

    # --- visitors ---------------------------------------------------------------------------------------------

    def visitor(self, name: str) -> Any:
        """The live state, decoded when it was cold; None when there is none. Raises RowVersionError."""
        state = self.hot.get(name)
        if state is None:
            row = self.rows.get(name)
            if row is not None:
                state = self.hot[name] = self.machine.decode(name, row)
        return state

    def last_offset(self, name: str) -> int:
        """Of the visitor's last event, applied or shed: its state knows only of the applied ones."""
        offset: int = self.visitor(name).offset
        return max(offset, self.shed_at.get(name, -1))

    def shed(self, name: str, offset: int, timestamp: int) -> None:
        """An event at `offset`, of `timestamp` (ms), was one too many. The log tells once a minute where, not who."""
        self.shed_at[name] = offset
        minute = timestamp // MINUTE_MS
        if self._shed_told.get(name, -1) < minute:
            if len(self._shed_told) >= SHED_TOLD_MAX:
                self._shed_told.clear()
            self._shed_told[name] = minute
            log.warning("events_shed", partition=self.partition, offset=offset)

    def due(self, name: str) -> int | None:
        """When the visitor's next timer is due, ms; None when there is no such visitor."""
        state = self.hot.get(name)
        if state is not None:
            due: int = state.due
            return due
        row = self.rows.get(name)
        return None if row is None else self.machine.header(row).due

    def keep(self, name: str, state: Any) -> bytes:
        """Take the state's row as the visitor's, set its timer; returns the row."""
        row = self.machine.encode(state)
        self.rows[name] = row
        sessions = len(state.sessions)
        self.sessions += sessions - self._sessions_of.get(name, 0)
        self._sessions_of[name] = sessions
        if state.due < self.machine.never and name not in self.doomed:
            self.timers.wake(name, state.due)
        return row

    def remove(self, name: str) -> bool:
        """Forget one visitor. Returns whether it had a row."""
        self.hot.pop(name, None)
        self.timers.drop(name)
        self.doomed.discard(name)
        self.sessions -= self._sessions_of.pop(name, 0)
        return self.rows.pop(name, None) is not None

    def cool(self) -> None:
        """Let the objects that were made first go when there are too many; their rows stay."""
        if len(self.hot) > HOT_VISITORS_MAX:
            for name in list(self.hot)[: HOT_VISITORS_MAX // 4]:
                del self.hot[name]

    # --- recovery ---------------------------------------------------------------------------------------------

    def restore(self, position: int, name: str, row: bytes | None, tombstone_offset: int) -> None:
        """Take one row of the changelog, at offset `position` there. `tombstone_offset` counts when `row` is None."""
        if position <= self.persisted:
            return
        self.persisted = position
        offset = tombstone_offset if row is None else self.machine.header(row).offset
        if self.retained and offset <= self.done:
            return  # nobody else has had the partition since: this is an echo, or a zombie's
        known = self.rows.get(name)
        if row is None:
            if known is None or offset >= self.machine.header(known).offset:
                self.remove(name)
                self.buried[name] = max(offset, self.buried.get(name, -1))
        elif offset > self.buried.get(name, -1) and (
            known is None or offset >= self.machine.header(known).offset
        ):
            self.hot.pop(name, None)
            self.rows[name] = row

    def restore_line(self, position: int, value: bytes | None) -> None:
        """Take one line of the totals, at offset `position` of the changelog. Raises RowVersionError."""
        if position <= self.persisted:
            return
        self.persisted = position
        if value is not None:
            restore_line(self.totals, value)

    def recovered(self) -> None:
        """All rows are here: set the timers, have the totals published anew, and be ready."""
        self.unpublished = {key: encode_line(line) for key, line in self.totals.lines.items()}
        never, header = self.machine.never, self.machine.header
        for name, row in self.rows.items():
            due = header(row).due
            # A row without a timer is one that waited for its deletion when its worker ended: look at it at once.
            self.timers.wake(name, due if due < never else 0)
        self.ready = True
        self.retained = True

    def wrote(self, first_position: int, count: int) -> None:
        """Own rows are in the changelog at `first_position` and after."""
        if first_position == self.persisted + 1:
            self.persisted += count
        # Else somebody wrote in between: the next recovery has to read from there.

    def commit(self, offset: int) -> None:
        """The group goes on at `offset`: what lies before will not be read again."""
        self.committed = max(self.committed, offset)
        if self.shed_at:
            self.shed_at = {name: at for name, at in self.shed_at.items() if at >= self.committed}
        if self.buried:
            self.buried = {name: at for name, at in self.buried.items() if at >= self.committed}
