"""What the table makes of Faust's calls: assignments, changelog messages, recoveries that are complete or not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.errors import RowVersionError
from streams.worker.ledger import Ledger
from streams.worker.table import ChangelogRows, SessionsTable, SkippedError
from tests.worker.small import SMALL, Record, Small

CLICKS = "clicks"


class Recovery:
    """As much of Faust's as the table looks at."""

    def __init__(self) -> None:
        self.signal_recovery_start = asyncio.Event()
        self._generation_id = 1
        self.active_offsets: dict[Any, int] = {}
        self.remaining = False

    def need_recovery(self) -> bool:
        return self.remaining


@pytest.fixture
def recovery() -> Recovery:
    return Recovery()


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
def table(recovery: Recovery, failures: list[BaseException]) -> SessionsTable:
    table = SessionsTable.__new__(SessionsTable)
    table.app = SimpleNamespace(tables=SimpleNamespace(recovery=recovery))
    table.attach(SMALL, CLICKS, Ledger(), failures.append)
    return table


async def assign(table: SessionsTable, generation: int, *partitions: int) -> None:
    await table.on_rebalance({TP(CLICKS, number) for number in partitions}, set(), set(), generation)


def message(partition: int, rows: list[Record], after: int = -1) -> Any:
    return SimpleNamespace(message=SimpleNamespace(partition=partition, value=ChangelogRows(rows, after)))


def row(position: int, visitor: str, offset: int) -> Record:
    return Record(position, visitor.encode(), SMALL.encode(Small(offset=offset, due=1)), 0)


async def complete(table: SessionsTable, *partitions: int) -> None:
    await table.on_recovery_completed({TP("changelog", number) for number in partitions}, set())


async def test_rows_are_applied_to_their_partition(table: SessionsTable) -> None:
    await assign(table, 1, 0, 1)
    table.apply_changelog_batch([message(0, [row(0, "a", 5)]), message(1, [row(0, "b", 6), row(1, "c", 7)])])
    assert [sorted(table.memories[number].rows) for number in (0, 1)] == [["a"], ["b", "c"]]
    assert table.persisted_offset(TP("changelog", 1)) == 1


async def test_rows_of_a_partition_that_is_not_ours_are_left_alone(table: SessionsTable) -> None:
    await assign(table, 1, 0)
    table.apply_changelog_batch([message(3, [row(0, "a", 5)])])
    assert len(table) == 0


async def test_partition_that_was_taken_away_is_forgotten(table: SessionsTable) -> None:
    await assign(table, 1, 0, 1)
    table.apply_changelog_batch([message(0, [row(0, "a", 5)]), message(1, [row(0, "b", 6)])])
    await assign(table, 2, 1)
    assert table.memory(0) is None
    assert table.persisted_offset(TP("changelog", 0)) == -1
    assert sorted(table.memories[1].rows) == ["b"]


async def test_generation_that_was_missed_forgets_everything(table: SessionsTable) -> None:
    await assign(table, 1, 0)
    table.apply_changelog_batch([message(0, [row(0, "a", 5)])])
    await assign(table, 3, 0)
    assert table.memories[0].rows == {}
    assert table.persisted_offset(TP("changelog", 0)) == -1


async def test_complete_recovery_makes_its_partitions_ready(table: SessionsTable, recovery: Recovery) -> None:
    await assign(table, 1, 0, 1)
    recovery.active_offsets = {TP("changelog", 0): 41, TP("changelog", 1): -1}
    await complete(table, 0, 1)
    assert table.complete
    assert table.persisted_offset(TP("changelog", 0)) == 41  # compacted away, all of it


@pytest.mark.parametrize("why", ["another rebalance", "another generation", "rows remain"])
async def test_recovery_that_was_overtaken_is_not_believed(
    table: SessionsTable, recovery: Recovery, why: str
) -> None:
    await assign(table, 1, 0)
    if why == "another rebalance":
        recovery.signal_recovery_start.set()
    elif why == "another generation":
        recovery._generation_id = 0
    else:
        recovery.remaining = True
    await complete(table, 0)
    assert not table.complete
    assert not table.memories[0].retained


async def test_row_of_an_unknown_version_ends_the_worker(table: SessionsTable, failures: list[BaseException]) -> None:
    await assign(table, 1, 0)
    table.apply_changelog_batch([message(0, [Record(0, b"a", b"?", 0)])])
    assert [type(error) for error in failures] == [RowVersionError]


async def test_rows_that_got_lost_end_the_worker(table: SessionsTable, failures: list[BaseException]) -> None:
    await assign(table, 1, 0)
    table.apply_changelog_batch([message(0, [row(0, "a", 5)]), message(0, [row(7, "b", 6)], after=6)])
    assert [type(error) for error in failures] == [SkippedError]
