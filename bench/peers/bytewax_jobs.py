"""The three jobs on Bytewax: `python -m bytewax.run "bench.peers.bytewax_jobs:flow('BROKER', 'TOPIC', 'OUT', 'JOB')"`.

Count and sequence keep their state by visitor (`stateful_flat_map`). Bytewax's timers go by the wall clock, so the
absence keeps its state by partition: the partition's event time drives a heap of deadlines. Prints the time of the
first event (seconds since the epoch).
"""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Iterable
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic

from bench.peers._jobs import ABSENCE_MS, END, JOBS, START, absence_role

BATCH = 1000  # the connector's default


class Click(msgspec.Struct):
    """What the jobs need of an event."""

    type: str
    ts: int
    props: dict[str, Any]


_decode = msgspec.json.Decoder(Click).decode
_first: list[float] = []


def _tell_first() -> None:
    _first.append(time.time())
    sys.stdout.write(f"first {_first[0]}\n")
    sys.stdout.flush()


def _match(visitor: str, at: int) -> KafkaSinkMessage[bytes, bytes]:
    return KafkaSinkMessage(visitor.encode(), msgspec.json.encode({"visitor": visitor, "at": at}))


class Absence(StatefulBatchLogic):
    """One partition: its clock, and the checkouts that nobody has followed with a purchase."""

    def __init__(self, resumed: tuple[int, dict[str, list[int]]] | None) -> None:
        self._clock, self._pending = resumed or (0, {})
        self._due = [(start + ABSENCE_MS, visitor) for visitor, starts in self._pending.items() for start in starts]
        heapq.heapify(self._due)

    def on_batch(self, values: list[tuple[str, int, int | None]]) -> tuple[Iterable[Any], bool]:
        """(visitor, time in ms, role) in the order of the partition."""
        found = []
        pending, due = self._pending, self._due
        for visitor, at, role in values:
            while due and due[0][0] <= at:
                deadline, whose = heapq.heappop(due)
                starts = pending.get(whose)
                if starts and starts[0] + ABSENCE_MS == deadline:
                    found.append(_match(whose, deadline))
                    del starts[0]
                    if not starts:
                        del pending[whose]
            if role == START:
                pending.setdefault(visitor, []).append(at)
                heapq.heappush(due, (at + ABSENCE_MS, visitor))
            elif role == END:
                pending.pop(visitor, None)
            self._clock = at
        return found, False

    def snapshot(self) -> tuple[int, dict[str, list[int]]]:
        """What is kept of it."""
        return self._clock, {visitor: [*starts] for visitor, starts in self._pending.items()}


def flow(broker: str, topic: str, out: str, job_name: str) -> Dataflow:
    """The dataflow of one job."""
    made = Dataflow(f"bench_{job_name}")
    events = op.input("events", made, KafkaSource([broker], [topic], tail=True, batch_size=BATCH))

    if job_name == "absence":

        def advance(message: Any) -> tuple[str, tuple[str, int, int | None]]:
            if not _first:
                _tell_first()
            click = _decode(message.value)
            return str(message.partition), (message.key.decode(), click.ts, absence_role(click.type))

        found = op.stateful_batch("absence", op.map("decode", events, advance), Absence)
    else:
        job = JOBS[job_name]

        def concerned(message: Any) -> tuple[str, tuple[int, int]] | None:
            if not _first:
                _tell_first()
            click = _decode(message.value)
            role = job.role(click.type, click.props)
            return None if role is None else (message.key.decode(), (role, click.ts))

        def look(state: list[Any] | None, part: tuple[int, int]) -> tuple[list[Any] | None, list[int]]:
            step = job.step(state, *part)
            return step.state or state, [] if step.match_at is None else [step.match_at]

        keyed = op.filter_map("decode", events, concerned)
        matches = op.stateful_flat_map("look", keyed, look)
        found = op.map("match", matches, lambda match: ("", _match(*match)))
    op.output("matches", op.map("unkey", found, lambda pair: pair[1]), KafkaSink([broker], out))
    return made
