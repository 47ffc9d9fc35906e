"""What happens to data and rules: repeats, disorder, wrong clocks, poison, broken rule files."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.chaos.conftest import Build
from tests.chaos.house import EVENTS_MAX, HOUR_MS, SEED, VISITORS, Hand, House
from tests.chaos.load import Sent, mixed
from tests.chaos.test_garbage import GARBAGE

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1_500)]

DAY_MS = 24 * HOUR_MS
YEAR_2100_MS = 4_102_444_800_000
REMEMBERED = 8  # of a visitor's last events one comes again; the state knows the last 32
FAULT_S = 15.0


def start_ms() -> int:
    return time.time_ns() // 1_000_000 - 6 * HOUR_MS


def repeated_and_shuffled() -> Iterator[Sent]:
    """Every third event comes again, up to seven events later; and the log's timestamps jump by up to four minutes."""
    chance = random.Random(SEED)
    latest: dict[bytes, list[Sent]] = {}
    for sent in mixed(EVENTS_MAX, VISITORS, SEED, start_ms()):
        shuffled = replace(sent, timestamp=sent.timestamp - chance.randrange(240_000))
        yield shuffled
        if sent.kind == "denied":
            latest.pop(sent.key, None)  # what was forgotten is not known again
        elif sent.kind == "event":
            mine = latest.setdefault(sent.key, [])
            mine.append(shuffled)
            del mine[:-REMEMBERED]
            if chance.random() < 1 / 3:
                yield replace(chance.choice(mine), kind="repeat", timestamp=shuffled.timestamp)


CLOCKS_MS = {
    "a day behind": lambda at: at - DAY_MS,
    "a day ahead": lambda at: at + DAY_MS,
    "1970": lambda at: at % HOUR_MS,
    "2100": lambda at: YEAR_2100_MS + at % HOUR_MS,
}


def by_wrong_clocks() -> Iterator[Sent]:
    """Every fifth visitor's clock is right; the others' are wrong by CLOCKS_MS. Some records are of 1970."""
    chance = random.Random(SEED)
    for sent in mixed(EVENTS_MAX, VISITORS, SEED, start_ms()):
        number = sum(sent.key) % 5
        if sent.kind not in ("event", "denied") or number == len(CLOCKS_MS):
            yield sent
            continue
        event = msgspec.json.decode(sent.value)
        event["ts"] = list(CLOCKS_MS.values())[number](event["ts"])
        timestamp = 1_000 if chance.random() < 0.01 else sent.timestamp
        yield replace(sent, value=msgspec.json.encode(event), timestamp=timestamp)


def with_poison() -> Iterator[Sent]:
    """Every tenth record is one of the garbage's kinds."""
    garbage = itertools.cycle([(key, value) for key, value, _ in GARBAGE.values() if value is not None])
    for number, sent in enumerate(mixed(EVENTS_MAX, VISITORS, SEED, start_ms())):
        yield sent
        if number % 10 == 0:
            key, value = next(garbage)
            if key != b"h" and len(value) < 500_000:  # of a megabyte each would be a test of the disk
                yield Sent("garbage", sent.timestamp, key or b"", value)


@contextmanager
def killed_halfway(shared: Build, records: Iterator[Sent]) -> Iterator[House]:
    """A house whose one worker was killed amid these records. It is done and judged; the figures may be looked at."""
    with shared(house={"records": records}).open() as house:
        worker = house.hand("w")
        house.begin()
        house.rest(FAULT_S / 2)
        house.act("killed")
        worker.kill()
        house.rest(FAULT_S / 2)
        house.finish(pauses=True)
        yield house


@pytest.mark.fault("duplicates (every third event again) and disorder (up to 4 minutes), and a kill")
def test_duplicates_and_disorder(shared: Build) -> None:
    with killed_halfway(shared, repeated_and_shuffled()) as house:
        assert house.figures.results["duplicate"] > house.figures.in_log / 10


@pytest.mark.slow
@pytest.mark.fault("clients' clocks a day off, in 1970, in 2100; a kill")
def test_wrong_client_clocks(shared: Build) -> None:
    with killed_halfway(shared, by_wrong_clocks()):
        pass  # what is judged of every fault is all there is to judge


@pytest.mark.fault("poison: every tenth record is garbage of 20 kinds, and a kill")
def test_poison(shared: Build) -> None:
    with killed_halfway(shared, with_poison()) as house:
        assert house.figures.results["dead_letter"] > house.figures.in_log / 15


def broken_rules(hand: Hand) -> bool:
    """Whether the worker says that its directory's rules are broken."""
    return hand.alive and 'avert_rules_broken{source="directory"} 1.0' in hand.program.metrics()


BROKEN = {
    "not YAML": b"rule: [",
    "a word that is none": b"rule: x\nprevents: support_chat\nwhenn: {}\n",
    "not UTF-8": b"rule: \xff\xfe",
    "an outcome that is none": b"rule: x\nprevents: nothing\nwhen: {event: search}\n",
}


@pytest.mark.slow
@pytest.mark.fault("broken rule files under load; the worker killed while they are")
def test_broken_rule_files(shared: Build) -> None:
    with shared().open() as house:
        worker = house.hand("w")
        house.begin()
        path = Path(house.settings.rules_dir) / "broken.yaml"
        for number, (what, text) in enumerate(BROKEN.items()):
            house.act(what)
            path.write_bytes(text)
            house.until(lambda: broken_rules(worker), "the worker says that they are broken")
            if number == 1:
                worker.kill()
                house.until(lambda: worker.ready, "it works with the rules that were agreed on")
            path.unlink()
            house.until(lambda: not broken_rules(worker), "the worker says that they are well again")
        house.finish(pauses=True)
