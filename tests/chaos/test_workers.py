"""What happens to workers: coming and going, frozen, slow, with a clock that is set."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.chaos.conftest import Build
from tests.chaos.load import Sent

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1_500)]


@pytest.mark.fault("workers 2 → 3 → 1 → 3, one of them by SIGKILL; the program's own timeouts")
def test_workers_come_and_go(shared: Build) -> None:
    defaults = {"broker_session_timeout_s": 10.0, "broker_heartbeat_s": 2.0, "broker_rebalance_timeout_s": 12.0}
    with shared(**defaults).open() as house:
        first, second = house.hand("a"), house.hand("b")
        house.begin()
        house.all_ready()
        house.act("2 to 3")
        third = house.hand("c")
        house.all_ready()
        house.rest(3.0)
        house.act("3 to 2: asked to stop")
        assert second.stop() == 0
        house.rest(3.0)
        house.act("2 to 1: killed")
        first.wanted = False
        first.kill()
        house.rest(14.0)  # until the group has noticed
        house.act("1 to 2")
        first.start()
        house.all_ready()
        house.act("2 to 3")
        second.start()
        house.all_ready()
        house.rest(3.0)
        assert third.lives == 1, third.program.log_text()[-2000:]
        house.finish(pauses=True)


@pytest.mark.parametrize("point", [
    "before-effects", "within-changelog"
])  # fmt: skip
@pytest.mark.fault("a worker frozen (SIGSTOP) past its session, and thawed")
def test_a_thawed_worker_does_not_write(shared: Build, point: str) -> None:
    """Frozen between two steps of a batch: the worst moment. Its rows' signatures prove what it wrote, and when.

    It may be let in again and go on, in another tenure: what it had begun before must not come after the other's rows.
    """
    with shared().open() as house:
        frozen = house.hand("a", point, 20, "freeze")
        house.begin()
        house.until(lambda: frozen.frozen, "it freezes")
        house.act(f"frozen {point}")
        zombie, life = f"{frozen.writer}#", frozen.program
        other = house.hand("b")
        house.until(
            lambda: all(writers[-1].startswith(f"{other.writer}#") for writers in house.writers().values()),
            "the other one writes",
        )
        taken_over = house.writers()
        before = {writer for writers in taken_over.values() for writer in writers if writer.startswith(zombie)}
        assert len(before) == 1
        house.act("thawed")
        frozen.signal(signal.SIGCONT)
        house.until(lambda: life.child.exit_code is not None or "rejoin" in life.log_text(), "it notices")
        house.all_ready()
        house.rest(3.0)
        house.finish()
        after = {number: writers[len(taken_over[number]) - 1:] for number, writers in house.writers().items()}
        assert before.isdisjoint(writer for writers in after.values() for writer in writers), (before, after)
        house.figures.note = f"frozen {point}: no row of the thawed one after the other's first"


@pytest.mark.slow
@pytest.mark.fault("a slow consumer: a worker with a fifth of its time falls behind, and catches up")
def test_a_slow_worker_falls_behind_and_catches_up(shared: Build) -> None:
    with shared(house={"per_s": 2_000}).open() as house:
        worker = house.hand("w")
        house.begin()
        house.act("slow")
        for _ in range(40):
            worker.signal(signal.SIGSTOP)
            house.rest(0.4)
            worker.signal(signal.SIGCONT)
            house.rest(0.1)
        house.over()
        house.finish()
        assert worker.lives == 1


HOUR_S = 3_600
CACHED_S = 1  # how long libfaketime goes on with what it has read


@pytest.mark.slow
@pytest.mark.fault("a worker's system clock set forward by two hours, then back by four, while wall time moves timers")
def test_a_worker_whose_clock_is_set(shared: Build, tmp_path: Path) -> None:
    """The load is live here: wall time moves the partitions' clocks, as it does in production."""
    offset = tmp_path / "offset"
    offset.write_text("+0s")
    environment = {
        "LD_PRELOAD": faketime_library(), "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": str(CACHED_S),
    }  # fmt: skip
    with shared(house={"records": live(), "headers": []}).open() as house:
        worker = house.hand("w", environment=environment)
        house.begin()
        for step in ("+2h", "-2h"):
            house.act(f"the clock is set to {step}")
            offset.write_text(step)
            house.until(lambda step=step: worker.program.log_text().count("clock_was_set") == 1 + (step == "-2h"), step)
            house.rest(5.0)
        house.over()
        house.until(house.works_again, "work goes on")
        page = worker.program.metrics()
        assert worker.lives == 1
        # Nothing was late, no session ended early, no timer of minutes fired: time did not jump for the visitors.
        assert metric(page, 'avert_events_total{result="late"}') == 0
        assert metric(page, 'avert_events_total{result="applied"}') > 0
        assert metric(page, "avert_timers_total") == 0
        house.figures.note = "no event late, no timer fired"
        house.count_without_a_reference()


def live() -> Iterator[Sent]:
    """Searches and page views of now, of visitors who have waited for nothing yet; absences of minutes begin."""
    for number in itertools.count():
        visitor, now = f"v{number % 400}", time.time_ns() // 1_000_000
        event = {"id": f"l{number}", "visitor": visitor, "ts": now, "type": ("search", "page_view")[number // 400 % 2],
                 "props": {"results": 0}}  # fmt: skip
        yield Sent("event", now, visitor.encode(), msgspec.json.encode(event), event["id"])


def metric(page: str, name: str) -> float:
    """One sample of a metrics page; 0 when it is not there."""
    return next((float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name + " ")), 0.0)


def faketime_library() -> str:
    """Where Debian's libfaketime is; `make servers` brings it."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert found, "libfaketime is not here: tests/support/servers.sh"
    return str(found[0])
