"""All workers killed while they hold 100,000 live visitors: how soon they work again."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import Iterator

import msgspec
import pytest

from bench._log import ends, preload, until_committed
from bench._workload import Record, clickstream
from streams.core.visitor import decode_visitor
from tests.chaos.conftest import Build
from tests.chaos.house import HOUR_MS, add_applied_outcome
from tests.chaos.load import Sent
from tests.chaos.manyrules import fifty_rules
from tests.chaos.oracle import collect

LIVE_VISITORS = 100_000
EVENTS_EACH = 8
PING = "ping"  # by these alone it is seen when work goes on
RECOVERY_S_MAX = 15.0
ROW_BYTES_MAX = 2_048
TRICKLE = "trickle-"
APPLY_S_MAX = 600.0


def visits(start_ms: int) -> Iterator[Record]:
    """The shop's visitors over and over under new names, so that all of them are in a visit at the same time."""
    at_once = LIVE_VISITORS // 100
    for round_number in range(100):
        for record in clickstream(at_once * EVENTS_EACH, at_once, round_number, start_ms):
            event = msgspec.json.decode(record.value)
            name = f"{record.visitor}-{round_number}"
            event["visitor"], event["id"] = name, f"{event['id']}-{round_number}"
            yield Record(start_ms + (record.timestamp - start_ms) % (10 * 60_000), name, msgspec.json.encode(event))


def trickle() -> Iterator[Sent]:
    """A few events of new visitors, by which it is seen when work goes on."""
    for number in itertools.count():
        name, now = f"{TRICKLE}{number % 40}", time.time_ns() // 1_000_000
        event = {"id": f"t{number}", "visitor": name, "ts": now, "type": PING}
        yield Sent("event", now, name.encode(), msgspec.json.encode(event), event["id"])


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(1_500)
@pytest.mark.fault(f"all workers killed with {LIVE_VISITORS:,} live visitors, 50 rules of every kind; started at once")
def test_all_workers_killed_with_many_live_visitors(shared: Build) -> None:
    long_session = {"session_timeout_ms": 12 * HOUR_MS}  # they are all live still, however long the preparation takes
    with shared(house={"records": trickle(), "per_s": 200, "headers": []}, **long_session).open() as house:
        shutil.rmtree(house.settings.rules_dir)
        add_applied_outcome(fifty_rules(house.settings.rules_dir), of=PING)
        start_ms = time.time_ns() // 1_000_000 - HOUR_MS
        bootstrap, partitions = house.settings.kafka_bootstrap, house.settings.partitions
        asyncio.run(preload(bootstrap, house.topic, partitions, visits(start_ms)))
        workers = [house.hand("a"), house.hand("b")]
        house.all_ready()
        goal = asyncio.run(ends(bootstrap, house.topic, partitions))
        asyncio.run(asyncio.wait_for(
            until_committed(bootstrap, house.settings.app_id, goal, house.tend), APPLY_S_MAX
        ))  # fmt: skip
        house.begin()
        house.act("all are killed")
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.start()
        house.all_ready()
        house.until(house.works_again, "work goes on")
        house.load.stop()
        house.measured()
        found = collect(house.settings, partitions)
        assert found.contradictions == []
        states = [decode_visitor(name, row) for name, row in found.rows.items() if not name.startswith(TRICKLE)]
        sizes = sorted(len(row) for name, row in found.rows.items() if not name.startswith(TRICKLE))
        live = sum(bool(state.sessions) for state in states)
        applied = sum(session.events for state in states for session in state.sessions)
        house.figures.note = (
            f"{live:,} live visitors; a row {sum(sizes) // len(sizes):,} bytes in the mean, "
            f"{sizes[int(0.99 * len(sizes))]:,} at p99"
        )
        house.figures.in_log = len(house.load.accepted) + LIVE_VISITORS * EVENTS_EACH
        house.figures.results = {"applied": len(house.load.accepted) + applied}
        assert applied == LIVE_VISITORS * EVENTS_EACH
        assert live == LIVE_VISITORS
        assert sizes[len(sizes) // 2] < ROW_BYTES_MAX
        house.judge_times(RECOVERY_S_MAX)
