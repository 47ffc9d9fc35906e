"""The totals of a partition: how they are written so that they always agree with the rows, and how they are read.

1. Each line of the totals is a row of the changelog, under a key that no visitor can have: visitors' keys are UTF-8,
   and TOTALS_MARK begins no UTF-8.
2. The rows of a batch go out in portions (`portions`). A portion is one record batch, which Kafka appends whole or not
   at all: rows of visitors, and the lines of the totals as they are when exactly the effects of these rows, and of the
   portions before, are counted. The next portion is sent when this one is acknowledged. So wherever a crash cuts the
   changelog, rows and totals tell of the same effects; those of the rows that are missing are made again.
3. Rows without counted effects depend on nothing: they ride with the last portion, and may spill over.
4. Of two writings of a line recovery takes the one that has counted more (`Totals.restore`).

One visitor whose effects of one batch change more lines than fit into a record batch (some two thousand rules that
fire for him at once) breaks 2: his portion is split, and a crash between its halves would leave him uncounted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from streams.core.effects import Effect
from streams.core.totals import Totals, decode_line
from streams.errors import RowVersionError
from streams.worker.send import BATCH_BYTES_MAX, Row

TOTALS_MARK = b"\xff"
# A portion is closed before it grows beyond this. What is left of a record batch is for the row that is added last and
# the lines that its effects change.
PORTION_BYTES_MAX = BATCH_BYTES_MAX // 2
_RECORD_BYTES = 64  # of a record beside key and value: lengths, deltas, a tombstone's header


class Portion(NamedTuple):
    """Rows for one record batch, and the lines of the totals among them, by their keys."""

    rows: list[Row]
    lines: dict[str, bytes]


def is_line(key: bytes) -> bool:
    """Whether a changelog record carries a line of the totals."""
    return key[:1] == TOTALS_MARK


def restore_line(totals: Totals, value: bytes) -> None:
    """Take a line from the changelog. Raises RowVersionError."""
    try:
        totals.restore(decode_line(value))
    except msgspec.DecodeError as error:
        raise RowVersionError(
            f"a line of the totals cannot be read: {error}; it was written by a newer Avert: upgrade this worker"
        ) from error


def portions(rows: Sequence[Row], counted: Mapping[bytes, Sequence[Effect]], totals: Totals) -> Iterator[Portion]:
    """Cut the rows of a batch into portions, counting the effects (by the rows' keys) on the way."""
    plain = rows
    if counted:
        plain = [row for row in rows if row.key not in counted]
        ready: Portion | None = None
        for portion in _portions([row for row in rows if row.key in counted], counted, totals):
            if ready is not None:
                yield ready
            ready = portion
        if ready is not None:
            ready.rows.extend(plain)
            yield ready
            return
    if plain:
        yield Portion(list(plain), {})


def _portions(rows: Sequence[Row], counted: Mapping[bytes, Sequence[Effect]], totals: Totals) -> Iterator[Portion]:
    portion: list[Row] = []
    size = 0
    for row in rows:
        weight = _RECORD_BYTES + len(row.key or b"") + len(row.value or b"")
        if portion and size + weight + _room(totals) > PORTION_BYTES_MAX:
            yield _closed(portion, totals)
            portion, size = [], 0
        for effect in counted[row.key or b""]:
            totals.add(effect)
        portion.append(row)
        size += weight
    yield _closed(portion, totals)


def _room(totals: Totals) -> int:
    return totals.room() + _RECORD_BYTES * len(totals.changed)


def _closed(rows: list[Row], totals: Totals) -> Portion:
    lines = totals.settle()
    return Portion(rows + [Row(TOTALS_MARK + key.encode(), value) for key, value in lines.items()], lines)
