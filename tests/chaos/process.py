"""A worker process that dies or freezes at a marked point of its work. The worker itself knows nothing of it.

As a script: ``python -m tests.chaos.process WRITER [POINT NUMBER kill|freeze]``. The settings come from the
environment, as always. Every row that it sends to the changelog says in a header which process wrote it, and in which
tenure of the partitions its batch began (``WRITER#TENURE``); when it comes to POINT for the NUMBERth time, it sends
itself SIGKILL or SIGSTOP. The points stand between the steps of `streams/worker/commit.py` and of a hand-over:

before-effects     step 1 is over, nothing has left
within-effects     one topic of several has the batch's effects
after-effects      step 2 is over
after-delivery     step 3 is over
within-changelog   some of the rows are in the changelog: whole record batches of them
after-changelog    step 4 is over, the batch is not done
before-commit      step 5 is over, nothing is committed
after-commit       the group has the commit, the process does not know it
in-recovery        some rows of the changelog have been read, some not
in-hand-over       partitions are being taken away, nothing is finished
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from streams.settings import load_settings
from streams.worker import main, totals
from streams.worker.send import Row, Written
from streams.worker.topics import changelog_name
from streams.worker.totals import is_line

POINTS = (
    "before-effects", "within-effects", "after-effects", "after-delivery", "within-changelog", "after-changelog",
    "before-commit", "after-commit", "in-recovery", "in-hand-over",
)  # fmt: skip
PORTION_BYTES = 16 * 1024  # small, so that a batch's rows and totals go out in several record batches
WRITER_HEADER = "writer"
SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}


class Fate:
    """What happens at which point."""

    def __init__(self, point: str = "", number: int = 0, signal_: signal.Signals = signal.SIGKILL) -> None:
        self._due = point, number
        self._signal = signal_
        self._seen: Counter[str] = Counter()

    def at(self, point: str) -> None:
        """The process has come to `point`."""
        self._seen[point] += 1
        if (point, self._seen[point]) == self._due:
            os.kill(os.getpid(), self._signal)


class MarkedSender:
    """A RecordSender that comes to points, and signs the rows."""

    def __init__(self, sender: Any, fate: Fate, changelog: str, writer: str) -> None:
        self._sender = sender
        self._fate = fate
        self._changelog = changelog
        self._writer = writer

    @property
    def tenure(self) -> int:
        """As the sender's."""
        return int(self._sender.tenure)

    async def send(
        self, partition: int, rows: Mapping[str, Sequence[Row]], tenure: int | None = None
    ) -> list[Written]:
        """As the sender's, in two parts where a point lies between them."""
        if self._changelog in rows:
            began = self.tenure if tenure is None else tenure
            signature = (WRITER_HEADER, f"{self._writer}#{began}".encode())
            signed = [Row(key, value, [*headers, signature]) for key, value, headers in rows[self._changelog]]
            # A record batch comes whole or not at all: rows and the totals that count them are not torn apart.
            lines = [number for number, row in enumerate(signed) if is_line(row.key or b"")]
            cut = lines[-1] + 1 if lines else len(signed) // 2
            written: list[Written] = []
            if cut:
                written += await self._sender.send(partition, {self._changelog: signed[:cut]}, tenure)
                self._fate.at("within-changelog")
            if signed[cut:]:
                written += await self._sender.send(partition, {self._changelog: signed[cut:]}, tenure)
            self._fate.at("after-changelog")
            return written
        self._fate.at("before-effects")
        (first, some), *others = rows.items()
        written = await self._sender.send(partition, {first: some}, tenure)
        if others:
            self._fate.at("within-effects")
            written += await self._sender.send(partition, dict(others), tenure)
        self._fate.at("after-effects")
        return written


class MarkedDelivery:
    """A Delivery that comes to a point."""

    def __init__(self, delivery: Any, fate: Fate) -> None:
        self._delivery = delivery
        self._fate = fate

    async def deliver(self, changes: Sequence[Any], progress: Mapping[int, int]) -> bool:
        """As the delivery's."""
        told: bool = await self._delivery.deliver(changes, progress)
        if changes:
            self._fate.at("after-delivery")
        return told


class MarkedWorker(main.Worker):
    """The worker, with points between the steps of its parts."""

    fate = Fate()
    writer = ""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        totals.PORTION_BYTES_MAX = PORTION_BYTES
        procedure, fate, link = self._link.procedure, self.fate, self._link
        procedure._sender = MarkedSender(procedure._sender, fate, changelog_name(self._settings), self.writer)
        procedure._delivery = MarkedDelivery(procedure._delivery, fate)
        hand_over = link.hand_over

        async def marked_hand_over() -> None:
            if link.ready:
                fate.at("in-hand-over")
            await hand_over()

        link.hand_over = marked_hand_over

    async def _serve(self) -> None:
        consumer, fate, table = self._app.consumer, self.fate, self._link.table
        commit, apply = consumer._commit_done, table.apply_changelog_batch

        async def marked_commit() -> bool:
            if self._link.ledger.committable():
                fate.at("before-commit")
            taken: bool = await commit()
            if taken:
                fate.at("after-commit")
            return taken

        def marked_apply(batch: Any) -> None:
            apply(batch)
            fate.at("in-recovery")

        consumer._commit_done, table.apply_changelog_batch = marked_commit, marked_apply
        await super()._serve()


def run(arguments: list[str]) -> int:
    """The worker's exit code."""
    settings = load_settings()
    MarkedWorker.writer, *fate = arguments
    if fate:
        point, number, what = fate
        if point not in POINTS:
            raise ValueError(point)
        MarkedWorker.fate = Fate(point, int(number), SIGNALS[what])
    main.Worker = MarkedWorker
    return main.main(settings)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
