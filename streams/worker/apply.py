"""Step 1 of a batch: its records applied in memory. No I/O; what has to leave is collected in a `Work`.

1. Records are applied in the order of the log, each with the partition's clock as it stands after that record.
2. Then the visitors are woken whose timers are due by that clock.
3. What the engine fails on becomes a dead letter, and its visitor is as if the event had not come: read again from
   its row, with the batch's earlier events applied again.
4. A record that asks for an erasure drops what is kept of its visitor, in its place among the events.
5. Then every visitor that was touched is encoded, so that its row is exactly the state after this batch, whatever
   is applied while the row is on its way. Events that were shed touch nobody: their visitor's row stays unwritten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec

from streams.core.effects import (
    DeadLetter,
    Decision,
    Effect,
    EventResult,
    Journey,
    OutcomeRecord,
    Receipt,
    Refusal,
    Suggestion,
    Withdrawal,
)
from streams.core.event import Event, Refused, dead_letter_text, parse_event
from streams.core.totals import COUNTED
from streams.delivery import ERASE_HEADER, Change, Erasure
from streams.errors import AvertError
from streams.telemetry import log
from streams.worker.machine import Machine
from streams.worker.partition import PartitionMemory
from streams.worker.send import Row

TICKED_VISITORS_MAX: Final = 2_000  # woken in one batch; the others wait for the next, so that a batch stays short
TICK_RETRY_MS: Final = 60_000  # a timer that the engine failed on is tried again then, not ten times a second
TOMBSTONE_HEADER = "offset"  # of the visitor's last event, decimal

CLOCK_HEADER = "avert-clock"
_FOLLOWS_LOG = b"log"
_ADVANCE = b"advance"

EFFECT_TOPIC: dict[type, str] = {
    Decision: "decisions",
    Receipt: "decisions",
    Suggestion: "suggestions",
    Withdrawal: "suggestions",
    OutcomeRecord: "outcomes",
    Journey: "journeys",
    DeadLetter: "deadletter",
}

_encode_json: Final = msgspec.json.Encoder().encode
# Named once, as looking up a member of an enum for each event costs more than the comparison.
_APPLIED: Final = EventResult.APPLIED
_REPLAYED: Final = EventResult.REPLAYED
_SHED: Final = EventResult.SHED


class EngineFailure:
    """What the engine raised: a defect."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def guarded(call: Callable[..., Any], *arguments: Any) -> Any:
    """The call's result, or an EngineFailure. An AvertError (a row of an unknown version) is not poison: it goes on."""
    try:
        return call(*arguments)
    except AvertError:
        raise
    except Exception as error:  # noqa: BLE001  # no event, whatever it is, may end the agent; the other place is _step()
        return EngineFailure(error)


class Work:
    """What step 1 leaves to be done."""

    __slots__ = (
        "applied", "before", "changes", "counted", "dead", "dirty", "effects", "erased", "received", "results", "rows",
        "woken",
    )

    def __init__(self) -> None:
        self.applied = 0  # the results that nearly all have; hashing an enum's member for each would cost more
        self.results: Counter[EventResult] = Counter()
        self.effects: list[Effect] = []
        self.dead: list[tuple[bytes | None, DeadLetter]] = []  # with the record's key
        self.dirty: dict[str, Any] = {}  # visitor -> state, None to forget it
        self.before: dict[str, bytes] = {}  # rows of before this batch, of visitors that were forgotten in it
        self.erased: set[str] = set()
        self.rows: list[Row] = []  # for the changelog
        self.counted: dict[bytes, list[Effect]] = {}  # those of the effects that totals count, by the visitor's row key
        self.changes: list[Change] = []  # for the cache
        self.received: list[int] = []  # ms; receipt of each event that led to a suggestion
        self.woken = 0

    def records(self, topic_of: Callable[[str], str]) -> dict[str, list[Row]]:
        """The effects as records, by full topic name."""
        by_topic: dict[str, list[Row]] = {}
        of_kind: dict[type, list[Row]] = {}
        for effect in self.effects:
            kind = type(effect)
            rows = of_kind.get(kind)
            if rows is None:
                rows = of_kind[kind] = by_topic.setdefault(topic_of(EFFECT_TOPIC[kind]), [])
            rows.append(Row(effect.visitor.encode(), _encode_json(effect)))
        if self.dead:
            by_topic[topic_of("deadletter")] = [Row(key, _encode_json(letter)) for key, letter in self.dead]
        return by_topic


class Applier:
    """Applies batches, each with one set of rules from its first record to its last."""

    def __init__(self, machine: Machine, topic: str) -> None:
        """`topic`: the clickstream's full name, for the dead letters' source."""
        self._machine = machine
        self._topic = topic

    def use(self, rules: Any) -> None:
        """Other rules from the next batch on: `apply` awaits nothing, so no batch sees both."""
        self._machine = replace(self._machine, rules=rules)

    def apply(self, memory: PartitionMemory, records: list[Any], wall: int, caught_up_at: int | None) -> Work:
        """Apply `records` (offsets ascending; may be none). Times in ms.

        `caught_up_at`: wall time less the grace, when the partition is known to have had nothing more then; else None.
        """
        work = Work()
        batch_clock, done = memory.clock, memory.done
        for index, record in enumerate(records):
            offset: int = record.offset  # typed, so that compiled code compares numbers and no objects
            if offset <= done:
                work.results[_REPLAYED] += 1
                continue
            stamped: int = record.timestamp
            timestamp = memory.see(stamped, wall)
            headers = record.headers
            if headers:
                memory.follows_wall, is_event = _clock_mode(headers)
                if not is_event:
                    continue
                if _is_erasure(headers):
                    self._erase(memory, record, work)
                    continue
            elif not memory.follows_wall:
                memory.follows_wall = True
            event = self._event(memory, record, work)
            if event is None:
                continue
            if memory.buried and memory.buried.get(event.visitor, -1) >= offset:
                work.results[_REPLAYED] += 1
                continue
            # The record is its own position, unless its timestamp cannot be believed.
            position = record if timestamp == stamped else self._machine.position(offset, timestamp)
            if not self._step(memory, record, event, position, work):
                self._rebuild(memory, event.visitor, records[:index], (batch_clock, wall), work)
        if work.applied:
            work.results[_APPLIED] += work.applied
        if caught_up_at is not None:
            memory.advance(caught_up_at)
        self._wake(memory, records, (batch_clock, wall), work)
        self._encode(memory, work)
        return work

    # --- one event ----------------------------------------------------------------------------------------------

    def _event(self, memory: PartitionMemory, record: Any, work: Work | None) -> Event | None:
        """The record's event; else None, and a dead letter (not when it is read again: `work` is None then)."""
        event = parse_event(record.value)
        if type(event) is Event:
            if record.key == event.visitor.encode():
                return event
            event = (
                Refused(Refusal.KEY_MISMATCH, "the record's key is not the event's visitor")
                if record.key else
                Refused(Refusal.NO_KEY, "the record has no key; the key must be the visitor")
            )
        if work is not None:
            self._dead(work, memory, record, event.reason, event.detail)  # type: ignore[union-attr]
        return None

    def _step(self, memory: PartitionMemory, record: Any, event: Event, position: Any, work: Work) -> bool:
        """Apply one event; False when the engine failed on it."""
        machine = self._machine
        visitor: str = event.visitor
        known = memory.hot.get(visitor)
        if known is None:
            known = memory.visitor(visitor)
        try:
            state, result, effects = machine.step(known, event, position, machine.rules, memory.clock)
        except AvertError:
            raise
        except Exception as error:  # noqa: BLE001  # as in `guarded`, without its cost for every event
            detail = f"{type(error).__name__}: {error}"[:200]
            log.error("engine_failed", visitor=visitor, offset=record.offset, exc_info=error)
            self._dead(work, memory, record, Refusal.ENGINE, detail)
            return False
        if result is _APPLIED:
            work.applied += 1
        else:
            work.results[result] += 1
            if result is _REPLAYED:
                return True
            if result is _SHED:
                memory.shed(visitor, position.offset, position.timestamp)
                if state.offset != position.offset:  # else its timers came first
                    return True
        if memory.doomed:
            memory.doomed.discard(visitor)
        if state is None:
            self._forget(memory, visitor, position.offset, work)
        else:
            work.dirty[visitor] = state
            if state is not known:
                memory.hot[visitor] = state
        if effects:
            self._collect(work, effects, event.received or position.timestamp)
        return True

    @staticmethod
    def _forget(memory: PartitionMemory, visitor: str, offset: int, work: Work) -> None:
        """The event at `offset` withdrew the consent: nothing is kept, and what came before it must not come again."""
        row = memory.rows.get(visitor)
        if memory.remove(visitor) and row is not None:
            work.before[visitor] = row
        if visitor in work.dirty or visitor in work.before:
            work.dirty[visitor] = None
            memory.buried[visitor] = offset

    def _erase(self, memory: PartitionMemory, record: Any, work: Work) -> None:
        """Drop all that is kept of the visitor who is the record's key; what comes after it begins anew.

        The tombstone carries the record's offset, and is written whether there is a row or not: it says of all rows of
        before that they are void, those too that a crash left half written.
        """
        if not record.key:
            self._dead(work, memory, record, Refusal.NO_KEY, "an erasure without a key; the key must be the visitor")
            return
        visitor = record.key.decode("utf-8", "replace")
        if memory.buried.get(visitor, -1) >= record.offset:
            return  # done before a crash
        state = memory.hot.get(visitor) or memory.visitor(visitor)
        if state is not None:
            if state.offset >= record.offset:
                return  # one that began after it
            effects: list[Effect] = []
            self._machine.forget(state, memory.clock, "erased", effects)
            self._collect(work, effects, None)
        work.changes.append(Erasure(visitor))
        memory.remove(visitor)
        memory.buried[visitor] = record.offset
        work.dirty[visitor] = None
        work.erased.add(visitor)
        log.info("visitor_erased", partition=memory.partition, offset=record.offset)  # the id is in nobody's log

    @staticmethod
    def _collect(work: Work, effects: list[Effect], received: int | None) -> None:
        work.effects.extend(effects)
        for effect in effects:
            kind = type(effect)
            if kind in COUNTED:
                work.counted.setdefault(effect.visitor.encode(), []).append(effect)
            elif kind is Suggestion or kind is Withdrawal:
                work.changes.append(effect)  # type: ignore[arg-type]
                if kind is Suggestion and received is not None:
                    work.received.append(received)

    def _dead(self, work: Work, memory: PartitionMemory, record: Any, reason: Refusal, detail: str) -> None:
        raw, truncated = dead_letter_text(record.value)
        work.results[EventResult.DEAD_LETTER] += 1
        work.dead.append((record.key, DeadLetter(
            reason=reason, detail=detail, source=f"{self._topic}/{memory.partition}@{record.offset}",
            at=record.timestamp, raw=raw, truncated=truncated,
        )))

    # --- what the engine failed on --------------------------------------------------------------------------------

    def _rebuild(
        self, memory: PartitionMemory, visitor: str, earlier: list[Any], clocks: tuple[int, int], work: Work
    ) -> None:
        """Bring one visitor back to where it was before the failed call: its row, and this batch's events before.

        The engine is pure, so the events that it took before it takes again, with the effects that are collected
        already; one that it failed on before, it fails on again, and it is left out again.
        """
        machine = self._machine
        memory.hot.pop(visitor, None)
        row = work.before.get(visitor)
        state = memory.visitor(visitor) if row is None else machine.decode(visitor, row)
        clock, wall = clocks
        again = PartitionMemory(memory.partition, machine)  # its clock only
        again.clock = clock
        for record in earlier:
            if record.offset <= memory.done:
                continue
            timestamp = again.see(record.timestamp, wall)
            if record.headers and not _clock_mode(record.headers)[1]:
                continue
            if record.headers and _is_erasure(record.headers):
                state = None if record.key == visitor.encode() else state
                continue
            event = self._event(memory, record, None)
            if event is None or event.visitor != visitor:
                continue
            before = None if state is None else machine.encode(state)
            answer = guarded(
                machine.step, state, event, machine.position(record.offset, timestamp), machine.rules, again.clock
            )
            if type(answer) is EngineFailure:
                state = None if before is None else machine.decode(visitor, before)
            else:
                state = answer[0]
        if state is None:
            memory.hot.pop(visitor, None)
        else:
            memory.hot[visitor] = state
        if visitor in work.dirty:
            work.dirty[visitor] = state

    # --- timers ---------------------------------------------------------------------------------------------------

    def _wake(
        self, memory: PartitionMemory, records: list[Any], clocks: tuple[int, int], work: Work
    ) -> None:
        """Tick the visitors that are due by the partition's clock; bury those whose row may go."""
        machine, now = self._machine, memory.clock
        while now and work.woken < TICKED_VISITORS_MAX and (visitor := memory.timers.pop(now)) is not None:
            due = memory.due(visitor)
            if due is None or visitor in memory.doomed:
                continue
            if now < due < machine.never:
                memory.timers.wake(visitor, due)
                continue
            work.woken += 1
            state = memory.visitor(visitor)
            answer = guarded(machine.tick, state, machine.rules, now)
            if type(answer) is EngineFailure:
                log.error("engine_failed", visitor=visitor, due=due, exc_info=answer.error)
                self._rebuild(memory, visitor, records, clocks, work)
                memory.timers.wake(visitor, now + TICK_RETRY_MS)
                work.dead.append((visitor.encode(), DeadLetter(
                    reason=Refusal.ENGINE, detail=f"{type(answer.error).__name__}: {answer.error}"[:200],
                    source=f"{self._topic}/{memory.partition}@timer:{due}", at=now, raw="",
                )))
                continue
            kept, effects = answer
            # A row whose visitor has nothing left that matters goes only when its events are committed (see commit.py):
            # until then the state stays as the tick has left it, as the mark of what has been applied.
            work.dirty[visitor] = memory.hot[visitor] = state if kept is None else kept
            if kept is None:
                memory.doomed.add(visitor)
            if effects:
                self._collect(work, effects, None)
        for visitor in [name for name in memory.doomed if memory.last_offset(name) < memory.committed]:
            work.dirty[visitor] = None

    def _encode(self, memory: PartitionMemory, work: Work) -> None:
        for visitor, state in work.dirty.items():
            if state is None:
                doomed = visitor in memory.doomed
                offset = memory.last_offset(visitor) if doomed else memory.buried[visitor]
                key = visitor.encode()
                # One that came and went in this very batch leaves a mark too, if what he did has been counted.
                if doomed or visitor in work.before or visitor in work.erased or key in work.counted:
                    memory.remove(visitor)
                    work.rows.append(Row(key, None, [(TOMBSTONE_HEADER, b"%d" % offset)]))
            else:
                work.rows.append(Row(visitor.encode(), memory.keep(visitor, state)))
        memory.cool()


def _is_erasure(headers: Any) -> bool:
    return any(name == ERASE_HEADER for name, _ in headers)


def _clock_mode(headers: Any) -> tuple[bool, bool]:
    """(whether wall time may move the clock, whether the record carries an event), by the record's headers."""
    for name, value in headers:
        if name == CLOCK_HEADER:
            return value not in (_FOLLOWS_LOG, _ADVANCE), value != _ADVANCE
    return True, True
