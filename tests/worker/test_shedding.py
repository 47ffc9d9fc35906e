"""A bot's events are shed: its row is not written for them, and they are shed again when they are read again."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import structlog

from streams.core.definition import Limits
from streams.core.effects import EventResult
from streams.core.ruleset import EngineOptions
from streams.core.visitor import decode_visitor
from streams.worker.apply import Applier, Work
from streams.worker.machine import core_machine
from streams.worker.partition import PartitionMemory
from tests.chaos.oracle import expected
from tests.core.build import DAY, HOUR, MINUTE, compiled, count, event, outcome, rule
from tests.worker.test_totals import NOW, World, after_deaths

MOST = 3


def ruleset(**options: Any) -> Any:
    return compiled(
        rule(count("a", at_least=2), "twice", holdout=0.3, limits=Limits(per_session=None)),
        outcomes=[outcome("chat", event("chat_opened"))],
        options=EngineOptions(
            visitor_events_per_minute_max=MOST, session_timeout_ms=MINUTE, max_lateness_ms=MINUTE,
            attribution_window_ms=MINUTE, outcome_delay_ms=MINUTE, **options,
        ),
    )  # fmt: skip


MACHINE = core_machine(ruleset())


def click(offset: int, at: int = NOW, visitor: str = "bot", kind: str = "a") -> Any:
    body = {"id": f"e{offset}", "visitor": visitor, "type": kind, "ts": at}
    return SimpleNamespace(
        partition=0, offset=offset, key=visitor.encode(), value=msgspec.json.encode(body), timestamp=at, headers=()
    )


def apply(memory: PartitionMemory, *records: Any) -> Work:
    work = Applier(MACHINE, "clicks").apply(memory, list(records), NOW + DAY, None)
    memory.done = records[-1].offset
    return work


@pytest.fixture
def memory() -> PartitionMemory:
    return PartitionMemory(0, MACHINE)


def test_each_event_has_one_result(memory: PartitionMemory) -> None:
    work = apply(memory, *[click(offset) for offset in range(10)])
    assert work.results == {EventResult.APPLIED: MOST, EventResult.SHED: 10 - MOST}


def test_a_batch_of_shed_events_writes_no_row(memory: PartitionMemory) -> None:
    assert len(apply(memory, *[click(offset) for offset in range(MOST)]).rows) == 1
    work = apply(memory, click(MOST), click(MOST + 1))
    assert (work.rows, work.effects) == ([], [])


def test_the_neighbours_are_written(memory: PartitionMemory) -> None:
    apply(memory, *[click(offset) for offset in range(MOST)])
    work = apply(memory, click(MOST), click(MOST + 1, visitor="person"), click(MOST + 2))
    assert [row.key for row in work.rows] == [b"person"]


def test_a_timer_before_a_shed_event_is_written(memory: PartitionMemory) -> None:
    apply(memory, *[click(offset) for offset in range(MOST)])
    apply(memory, click(MOST, NOW + 2 * MINUTE, visitor="person"))  # moves the clock: the bot's session is over
    memory.visitor("bot").due = NOW  # as if nobody had looked yet
    work = apply(memory, click(MOST + 1))
    assert b"bot" in [row.key for row in work.rows]


def test_a_row_stays_until_the_shed_events_are_committed(memory: PartitionMemory) -> None:
    """Without it they would be read again after a crash, find no count, and be applied."""
    apply(memory, *[click(offset) for offset in range(MOST)])
    memory.commit(MOST)
    late = click(MOST + 1, NOW + HOUR, visitor="person")
    work = apply(memory, click(MOST), late)
    assert all(row.value is not None for row in work.rows if row.key == b"bot")
    memory.commit(MOST + 2)
    tombstones = [row for row in apply(memory, click(MOST + 2, NOW + HOUR, visitor="person")).rows if row.value is None]
    assert [(row.key, row.headers) for row in tombstones] == [(b"bot", [("offset", b"%d" % (MOST - 1))])]


def test_the_log_tells_once_a_minute_where_and_not_who(memory: PartitionMemory) -> None:
    with structlog.testing.capture_logs() as told:
        apply(memory, *[click(offset) for offset in range(3 * MOST)])
        apply(memory, *[click(9 + offset, NOW + MINUTE) for offset in range(3 * MOST)])
    assert told == [
        {"event": "events_shed", "partition": 0, "offset": offset, "log_level": "warning"}
        for offset in (MOST, 9 + MOST)
    ]


def log_of(seed: int) -> list[Any]:
    """Two bots among people, in bursts, with pauses in which rows go; and an end at which all of them have gone."""
    chance, records, at = random.Random(seed), [], NOW
    while len(records) < 300:
        at += chance.choice([0, 0, 1, 1000, 20_000, 3 * MINUTE])
        for _ in range(chance.choice([1, 1, 4, 12])):
            who = chance.choice(["bot", "bot", "bot2", "p1", "p2", "p3"])
            records.append(click(len(records), at, who, chance.choice(["a", "b", "chat_opened"])))
    end = click(len(records), at + 2 * DAY, "x")
    end.headers = (("avert-clock", b"advance"),)
    return [*records, end]


@pytest.mark.parametrize("seed", range(30))
async def test_effects_totals_and_rows_are_exact_after_deaths_at_any_record_batch(seed: int) -> None:
    chance, log, world = random.Random(seed), log_of(seed), World(1)
    memory = await after_deaths(world, MACHINE, log, chance)

    want = expected(log, ruleset(), "clicks")
    assert want.results[EventResult.SHED] > 10
    assert memory.totals.lines == want.totals.lines
    found = {effect["id"] for effect in map(msgspec.json.decode, world.effects) if "id" in effect}
    assert found == {key[1] for key in want.effects if key[0] not in ("withdrawal", "deadletter")}
    kept = {name: decode_visitor(name, row) for name, row in memory.rows.items()}
    assert {name: state for name, state in kept.items() if name in want.visitors} == want.visitors
