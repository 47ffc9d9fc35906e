"""Who did what before an anti-conversion, beside who had not done it: counted in one pass, in bounded memory.

1. Visitors are compared at the same point of their history: its events are numbered from the lane's first one, and the
   numbers fall into strata. A visitor who first does something in a stratum is compared with all who got as far and had
   not done it until then. Without that, whatever long visits contain would look like a cause of what ends them.
   Y. P. Li, K. J. Propert, P. R. Rosenbaum, "Balanced risk set matching", JASA 96 (2001); also called a landmark
   analysis (Anderson, Cain, Gelber, Journal of Clinical Oncology 1, 1983).
2. The moment of a stratum is its first event. "Had not done it until then" looks back only: who does it later is still
   compared with, as looking ahead would favour either side.
3. A moment is followed by the outcome when the lane's first one comes after it, less than the window later. The first
   one ends the lane, so each visitor counts once, however many chats he opens; their money is added up.
4. Only sums are kept: for each antecedent and lane, by stratum, visitors who did it (at the stratum's moment, or later
   in it) and where their lanes end; the same of those whom the outcome followed. Memory is rows times a constant.
5. There are at most twice ANTECEDENTS_MAX rows; beyond, those that the fewest visitors did are dropped (lossy counting
   of G. S. Manku, R. Motwani, VLDB 2002). What is dropped depends on how often it was done, never on what followed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.impact.case.steps import Antecedent

# Where strata begin: each event by itself at first, where most visits end; then steps of less than a half.
STARTS: Final = (0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 29, 40, 56, 80)
STRATA: Final = len(STARTS)
ANTECEDENTS_MAX: Final = 20_000  # 50 MB of counts with five outcomes; a site's pages, queries and ways that recur
_WIDTH: Final = 6 * STRATA
_AT, _LAST, _FOLLOWED, _FROM, _UNTIL = 0, 2 * STRATA, 3 * STRATA, 4 * STRATA, 5 * STRATA
_FLUSH_CODES: Final = 400_000
_CENT_MICROS: Final = 10_000

Happened = Sequence[tuple[int, int]]  # (when in ms, money in micro-units), ascending
Table = NDArray[Any]


class Strata(NamedTuple):
    """Sums by stratum. The first axis of those of antecedents is the row."""

    exposed: Table  # visitors who first did it in the stratum
    followed: Table  # of these, whom the outcome followed
    others: Table  # visitors who got as far and had not done it
    others_followed: Table


def _columns() -> list[int]:
    found = []
    for index in range(STARTS[-1] + 1):
        stratum = bisect_right(STARTS, index) - 1
        found.append(2 * stratum + (index != STARTS[stratum]))
    return [*found, 2 * STRATA - 1]


_COLUMNS: Final = _columns()
_DEEPEST: Final = len(_COLUMNS) - 1


class Counts:
    """The sums of all visitors so far. Slot 0 is of those who came to the outcome of no whole lane, in all of these."""

    def __init__(self, windows_ms: Sequence[int], whole: Sequence[bool]) -> None:
        self.windows = tuple(windows_ms)
        self.whole = tuple(whole)
        self.slots = len(self.windows) + 1
        self.rows: dict[Antecedent, int] = {}
        self.table: Table = np.zeros((1024, self.slots * _WIDTH), np.int32)
        self.reached: Table = np.zeros((self.slots, STRATA), np.int64)  # visitors by the last stratum of their lane
        self.moments: Table = np.zeros((self.slots, STRATA), np.int64)  # moments that were followed
        self.money: dict[tuple[Antecedent, int], list[int]] = {}  # [visitors, micro-units, cents squared]
        self.dropped = 0
        self.visitors = 0
        self._codes = array("q")

    def row(self, one: Antecedent) -> int:
        """The antecedent's row; valid until `tidy`."""
        found = self.rows.get(one)
        if found is None:
            found = self.rows[one] = len(self.rows)
        return found

    def add(
        self, times: Sequence[int], steps: Sequence[Sequence[Antecedent]], begins: Sequence[int],
        happened: Sequence[Happened],
    ) -> None:  # fmt: skip
        """One visitor: when each event was (ascending), its antecedents; by lane where it begins, and what happened."""
        self.visitors += 1
        together = not any(found for found, whole in zip(happened, self.whole, strict=True) if whole)
        firsts: dict[tuple[int, int], dict[Antecedent, int]] = {}
        shared = False
        for lane, (begin, found) in enumerate(zip(begins, happened, strict=True)):
            if begin < 0:
                continue
            slot = lane + 1
            if together and self.whole[lane]:
                if shared:
                    continue
                slot, shared = 0, True
            end = bisect_left(times, found[0][0], begin) if found else len(times)
            if end > begin:
                if (begin, end) not in firsts:
                    firsts[begin, end] = first_of(steps, begin, end)
                last = bisect_right(STARTS, end - begin - 1) - 1
                self._lane(slot, firsts[begin, end], last)
                if found:
                    self._happened(slot, firsts[begin, end], times[begin:end], found)
        if len(self._codes) >= _FLUSH_CODES:
            self.tidy()

    def _lane(self, slot: int, first: dict[Antecedent, int], last: int) -> None:
        self.reached[slot, last] += 1
        width = self.slots * _WIDTH
        at, until = slot * _WIDTH + _AT, slot * _WIDTH + _LAST + last
        emit, row = self._codes.append, self.row
        for one, index in first.items():
            base = row(one) * width
            emit(base + at + _COLUMNS[index if index < _DEEPEST else _DEEPEST])
            emit(base + until)

    def _happened(self, slot: int, first: dict[Antecedent, int], times: Sequence[int], found: Happened) -> None:
        window, at = self.windows[slot - 1], found[0][0]
        last = bisect_right(STARTS, len(times) - 1) - 1
        near = next((s for s in range(last + 1) if at - times[STARTS[s]] < window), STRATA)
        self.moments[slot, near : last + 1] += 1
        width, base = self.slots * _WIDTH, slot * _WIDTH
        for one, index in first.items():
            code = self.row(one) * width + base
            stratum, off = divmod(_COLUMNS[min(index, _DEEPEST)], 2)
            since = times[index]
            if at - since < window:
                self._codes.append(code + _FOLLOWED + stratum)
                micros = sum(money for when, money in found if when - since < window)
                paid = self.money.setdefault((one, slot), [0, 0, 0])
                paid[0] += 1
                paid[1] += micros
                paid[2] += (micros // _CENT_MICROS) ** 2
            begin = max(stratum + off, near)
            if begin <= last:
                self._codes.extend((code + _FROM + begin, code + _UNTIL + last))

    # --- rows ------------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Put what was noted into the table, and drop the rarest rows when there are too many."""
        while len(self.table) < len(self.rows):
            self.table = np.concatenate([self.table, np.zeros_like(self.table)])
        np.add.at(self.table.reshape(-1), np.frombuffer(self._codes, np.int64), 1)
        self._codes = array("q")
        if len(self.rows) > 2 * ANTECEDENTS_MAX:
            self._drop()

    def _drop(self) -> None:
        often = self._of(slice(_AT, _AT + 2 * STRATA))[: len(self.rows)].sum(axis=(1, 2))
        names = list(self.rows)
        # Of equally rare ones the name decides: the same recording, the same case.
        kept = sorted(sorted(range(len(names)), key=lambda row: (-int(often[row]), names[row]))[:ANTECEDENTS_MAX])
        self.dropped += len(names) - len(kept)
        self.table = self.table[kept].copy()
        self.rows = {names[row]: index for index, row in enumerate(kept)}
        self.money = {key: paid for key, paid in self.money.items() if key[0] in self.rows}

    def _of(self, columns: slice) -> Table:
        return self.table.reshape(len(self.table), self.slots, _WIDTH)[:, :, columns].astype(np.int64)

    # --- what came of it -------------------------------------------------------------------------------------

    def strata(self, lane: int) -> Strata:
        """The sums of one lane, of every row in the order of `rows`. Call `tidy` before."""
        slots = [0, lane + 1] if self.whole[lane] else [lane + 1]
        parts = self.table[: len(self.rows)].reshape(len(self.rows), self.slots, _WIDTH)[:, slots].sum(axis=1)
        parts = parts.astype(np.int64)
        at = parts[:, _AT:_LAST].reshape(-1, STRATA, 2)
        done = _until(np.concatenate([at[:, :1, 0], at[:, 1:, 0] + at[:, :-1, 1]], axis=1), parts[:, _LAST:_FOLLOWED])
        done_followed = _until(parts[:, _FROM:_UNTIL], parts[:, _UNTIL:])
        last = self.reached[slots].sum(axis=0)
        got = last[::-1].cumsum()[::-1]
        return Strata(
            exposed=at.sum(axis=2),
            followed=parts[:, _FOLLOWED:_FROM],
            others=got - done,
            others_followed=self.moments[slots].sum(axis=0) - done_followed,
        )

    def paid(self, one: Antecedent, lane: int) -> tuple[int, int, int]:
        """(visitors, micro-units, cents squared) of the outcomes that followed an antecedent."""
        visitors, micros, squared = self.money.get((one, lane + 1), (0, 0, 0))
        return visitors, micros, squared


def _until(begun: Table, ended: Table) -> Table:
    """How many have begun at or before each stratum and not ended before it."""
    total = begun.cumsum(axis=1)
    total[:, 1:] -= ended.cumsum(axis=1)[:, :-1]
    return np.asarray(total)


def first_of(steps: Sequence[Sequence[Antecedent]], begin: int, end: int) -> dict[Antecedent, int]:
    """Each antecedent between two events (the end excluded), with the number of the first event that has it."""
    first: dict[Antecedent, int] = {}
    for index in range(begin, end):
        for one in steps[index]:
            if one not in first:
                first[one] = index - begin
    return first
