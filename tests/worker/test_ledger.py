"""What is in hand, what is done in sequence, what may be committed."""

from __future__ import annotations

import asyncio

import pytest

from streams.worker.ledger import DEPTH, Batch, Ledger, Stage
from tests.worker.small import record


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.open()
    return ledger


def take(ledger: Ledger, partition: int, *offsets: int) -> Batch:
    batch = Batch(partition, [record(offset, "v") for offset in offsets], 0)
    ledger.take(batch)
    return batch


def test_done_batch_may_be_committed_up_to_its_end(ledger: Ledger) -> None:
    batch = take(ledger, 0, 5, 6, 9)
    assert ledger.begin(batch)
    assert ledger.committable() == {}
    ledger.finish(batch, Stage.DONE)
    assert ledger.committable() == {0: (10, "")}


def test_commit_never_passes_an_unfinished_batch(ledger: Ledger) -> None:
    first, second = take(ledger, 0, 5), take(ledger, 0, 6)
    ledger.finish(second, Stage.DONE)
    assert ledger.committable() == {}
    ledger.finish(first, Stage.DONE)
    assert ledger.committable() == {0: (7, "")}


def test_dropped_batch_stops_its_partitions_sequence(ledger: Ledger) -> None:
    first, second = take(ledger, 0, 5), take(ledger, 0, 6)
    ledger.finish(first, Stage.DROPPED)
    ledger.finish(second, Stage.DONE)
    assert ledger.committable() == {}


def test_partitions_are_independent(ledger: Ledger) -> None:
    take(ledger, 0, 5)
    ledger.finish(take(ledger, 1, 8), Stage.DONE)
    assert ledger.committable() == {1: (9, "")}


def test_what_is_committed_is_not_committed_again(ledger: Ledger) -> None:
    ledger.finish(take(ledger, 0, 5), Stage.DONE)
    ledger.commit(0, 6)
    assert ledger.committable() == {}


def test_empty_batch_moves_no_offset(ledger: Ledger) -> None:
    ledger.finish(take(ledger, 0), Stage.DONE)
    assert ledger.committable() == {}


def test_closing_drops_what_has_not_begun(ledger: Ledger) -> None:
    begun, waiting = take(ledger, 0, 5), take(ledger, 1, 7)
    ledger.begin(begun)
    ledger.close()
    assert not ledger.begin(waiting)
    assert ledger.in_hand() == [begun]


def test_every_closing_and_opening_starts_a_generation(ledger: Ledger) -> None:
    before = ledger.generation
    ledger.close()
    ledger.open()
    assert ledger.generation == before + 2


async def test_idle_waits_for_everything_in_hand(ledger: Ledger) -> None:
    batch = take(ledger, 0, 5)
    waiter = asyncio.create_task(ledger.idle())
    await asyncio.sleep(0)
    assert not waiter.done()
    ledger.finish(batch, Stage.DONE)
    await waiter


async def test_there_is_room_until_a_partition_has_its_depth_in_hand(ledger: Ledger) -> None:
    batches = [take(ledger, 0, number) for number in range(DEPTH - 1)]
    await asyncio.wait_for(ledger.room(), 1)
    batches.append(take(ledger, 0, DEPTH))
    waiter = asyncio.create_task(ledger.room())
    await asyncio.sleep(0)
    assert not waiter.done()
    ledger.finish(batches[0], Stage.DONE)
    await waiter


def test_forgotten_partition_is_not_committed(ledger: Ledger) -> None:
    ledger.finish(take(ledger, 0, 5), Stage.DONE)
    ledger.forget(0)
    assert ledger.committable() == {}
