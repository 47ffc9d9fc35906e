"""The batch procedure: its order, and what is left when it ends after each of its steps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from streams.core.effects import Suggestion, Withdrawal
from streams.errors import BrokerUnavailableError
from streams.worker.apply import Applier
from streams.worker.commit import BatchProcedure
from streams.worker.ledger import Batch, Ledger, Stage
from streams.worker.partition import PartitionMemory
from streams.worker.send import Row, Written
from streams.worker.totals import is_line
from tests.worker.small import SMALL, record

CHANGELOG = "changelog"


class World:
    """Kafka and the cache, as far as they show: what arrived, in order. `fail_at`: the step that does not succeed."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.fail_at = ""
        self.table: dict[bytes, bytes | None] = {}
        self.effects: list[bytes | None] = []
        self.changes: list[Suggestion | Withdrawal] = []
        self.progress: dict[int, int] = {}
        self.hold: asyncio.Event | None = None

    tenure = 0

    async def send(
        self, partition: int, rows: Mapping[str, Sequence[Row]], tenure: int | None = None
    ) -> list[Written]:
        step = "changelog" if CHANGELOG in rows else "effects"
        if self.hold is not None:
            await self.hold.wait()
        self.steps.append(step)
        if self.fail_at == step:
            raise BrokerUnavailableError(step)
        written = []
        for some in rows.values():
            for row in some:
                if step == "changelog" and row.key is not None:
                    self.table[row.key] = row.value
                    if self.fail_at == "half the changelog" and is_line(row.key):
                        raise BrokerUnavailableError("the first portion only")
                else:
                    self.effects.append(row.value)
            written.append(Written(0, len(some)))
        return written

    async def deliver(self, changes: Sequence[Suggestion | Withdrawal], progress: Mapping[int, int]) -> bool:
        if changes:
            self.steps.append("delivery")
        self.changes += changes
        self.progress.update(progress)
        return self.fail_at != "delivery"


class Run:
    """One worker's life over a world that outlives it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = Ledger()
        self.ledger.open()
        self.procedure = BatchProcedure(
            Applier(SMALL, "clicks"), world, world, self.ledger, lambda name: name, CHANGELOG
        )
        self.memory = PartitionMemory(0, SMALL)
        for position, (key, row) in enumerate(world.table.items()):
            if is_line(key):
                self.memory.restore_line(position, row)
            else:
                self.memory.restore(position, key.decode(), row, 0)
        self.memory.recovered()
        self.memory.retained = False

    def batch(self, *records: Any) -> Batch:
        batch = Batch(0, list(records), 0)
        self.ledger.take(batch)
        self.ledger.begin(batch)
        return batch

    async def run(self, *records: Any) -> None:
        await self.procedure.run(self.batch(*records), self.memory)


@pytest.fixture
def world() -> World:
    return World()


async def test_steps_are_taken_in_their_order(world: World) -> None:
    run = Run(world)
    await run.run(record(0, "a", "fire"))
    assert world.steps == ["effects", "delivery", "changelog"]
    assert run.ledger.committable() == {0: (1, run.memory.clock_text())}
    assert world.progress == {0: 0}


@pytest.mark.parametrize("fail_at", ["effects", "changelog"])
async def test_failed_step_leaves_the_batch_undone(world: World, fail_at: str) -> None:
    world.fail_at = fail_at
    run = Run(world)
    with pytest.raises(BrokerUnavailableError):
        await run.run(record(0, "a", "fire"))
    assert run.ledger.committable() == {}
    assert run.memory.done == -1
    assert run.ledger.in_hand() == []


@pytest.mark.parametrize("fail_at", ["effects", "delivery", "changelog", "half the changelog", "commit"])
async def test_after_a_crash_at_any_step_a_second_run_ends_in_the_same_state(world: World, fail_at: str) -> None:
    records = [record(0, "a", "fire"), record(1, "b"), record(2, "a")]
    calm = World()
    await Run(calm).run(*records)
    world.fail_at = fail_at
    with contextlib.suppress(BrokerUnavailableError):
        await Run(world).run(*records)
    world.fail_at = ""
    await Run(world).run(*records)  # another worker, from the changelog and the commit (which there was none of)
    assert world.table == calm.table
    assert set(world.effects) == set(calm.effects)
    assert {change.id for change in world.changes if isinstance(change, Suggestion)} == {"s:e0"}


async def test_cache_that_is_down_does_not_stop_the_batch(world: World) -> None:
    world.fail_at = "delivery"
    run = Run(world)
    await run.run(record(0, "a", "fire"))
    assert run.ledger.committable() == {0: (1, run.memory.clock_text())}


async def test_batch_without_effects_sends_none_and_tells_its_progress(world: World) -> None:
    await Run(world).run(record(0, "a"))
    assert world.steps == ["changelog"]
    assert world.progress == {0: 0}


async def test_next_batch_is_applied_while_this_one_is_under_way_and_leaves_after_it(world: World) -> None:
    run = Run(world)
    world.hold = asyncio.Event()
    first = asyncio.create_task(run.procedure.run(run.batch(record(0, "a", "fire")), run.memory))
    second = asyncio.create_task(run.procedure.run(run.batch(record(1, "a", "fire")), run.memory))
    await asyncio.sleep(0)
    assert run.memory.visitor("a").count == 2
    assert world.steps == []
    world.hold.set()
    await asyncio.gather(first, second)
    assert world.steps == ["effects", "delivery", "changelog"] * 2
    assert [change.id for change in world.changes if isinstance(change, Suggestion)] == ["s:e0", "s:e1"]


@pytest.mark.parametrize("fail_at", ["effects", "changelog"])
async def test_batch_whose_predecessor_failed_leaves_no_row(world: World, fail_at: str) -> None:
    """Its rows would contain events whose effects are not out, and nothing would ever make these again."""
    run = Run(world)
    world.hold, world.fail_at = asyncio.Event(), fail_at
    first = asyncio.create_task(run.procedure.run(run.batch(record(0, "a", "fire")), run.memory))
    later = run.batch(record(1, "a"))
    second = asyncio.create_task(run.procedure.run(later, run.memory))
    first.add_done_callback(lambda _: setattr(world, "fail_at", ""))  # and Kafka is back at that very moment
    await asyncio.sleep(0)
    world.hold.set()
    await asyncio.gather(first, second, return_exceptions=True)
    assert isinstance(first.exception(), BrokerUnavailableError)
    assert later.stage is Stage.DROPPED
    assert b"a" not in world.table or fail_at == "changelog"
    assert run.ledger.committable() == {}


async def test_row_on_its_way_is_not_changed_by_the_next_batch(world: World) -> None:
    run = Run(world)
    world.hold = asyncio.Event()
    first = asyncio.create_task(run.procedure.run(run.batch(record(0, "a")), run.memory))
    await asyncio.sleep(0)
    second = run.batch(record(1, "a"))
    world.fail_at = ""
    task = asyncio.create_task(run.procedure.run(second, run.memory))
    await asyncio.sleep(0)
    task.cancel()
    world.hold.set()
    await first
    assert SMALL.decode("a", world.table[b"a"] or b"").count == 1
    assert second.stage is Stage.DROPPED
