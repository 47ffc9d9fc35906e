"""Rules that change under a running worker: a real broker, a real worker process, and load all the while."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.core.effects import Decision
from streams.core.event import Event, encode_event
from streams.core.ruleset import EngineOptions
from streams.embedded.child import PortLease
from streams.embedded.topics import create_topics
from streams.errors import RuleFileError
from streams.rulefiles.load import load_rules
from streams.settings import Settings
from tests.support.programs import running_worker

OUTCOMES = """\
currency: EUR
outcomes:
  chat: {kind: anti_conversion, when: {event: chat_opened}, cost: 5}
"""
# Fires at a visitor's last event, and only if the events from before the reloads are remembered.
STEPS = 8
OPTIONS = EngineOptions()  # as of the default settings
STEADY = f"""\
rule: steady
prevents: chat
when: {{count: {{event: step}}, at_least: {STEPS}}}
suggest: {{placement: a, title: Steady}}
limits: {{per_session: unlimited}}
"""
SHADOW = STEADY.replace("rule: steady", "rule: unseen\nmode: shadow").replace("placement: a", "placement: b")
CHANGING = """\
rule: changing
prevents: chat
when: {{count: {{event: other}}, at_least: {n}, within: 5m}}
suggest: {{placement: c, title: Number {n}}}
"""
RELOADS = 100
BROKEN_EVERY = 4
BROKEN = ("rule: changing\nprevents: chta\n", "rule: [", "rule: changing\n", "\xff", "when: {evnt: x}\n")


def write(directory: Path, **texts: str) -> Path:
    """Each file whole or not at all: one that is just being written could be taken for a finished one, if it stays
    empty for two looks (80 ms here) because the machine is busy."""
    directory.mkdir(exist_ok=True)
    for name, text in texts.items():
        unfinished = directory / f"{name}.unfinished"
        unfinished.write_bytes(text.encode("latin-1"))
        unfinished.rename(directory / f"{name}.yaml")
    return directory


def settings_for(broker: str, redis_url: str, unique: str, directory: Path, port: int) -> Settings:
    return Settings(
        kafka_bootstrap=broker, redis_url=redis_url, rules_dir=directory, app_id=unique, topic_prefix=f"{unique}.",
        partitions=2, broker_rebalance_timeout_s=6.0, fetch_wait_ms=20, worker_http_port=port, rules_poll_ms=40,
    )


class Page:
    """A worker's /metrics."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"
        self._client = httpx.AsyncClient(trust_env=False)

    async def read(self) -> dict[str, float]:
        text = (await self._client.get(self._url)).text
        return {name: float(value) for name, value in re.findall(r"^(avert_[^ ]+) (\S+)$", text, re.MULTILINE)}

    async def until(self, what: str, wanted: Any, timeout_s: float = 20.0) -> dict[str, float]:
        """`wanted(page)` holds; `what` says so when it never does."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    page = await self.read()
                    if wanted(page):
                        return page
                    await asyncio.sleep(0.02)
        except TimeoutError:
            shown = {name: value for name, value in page.items() if "rules" in name or "decisions" in name}
            pytest.fail(f"{what}: never; {shown}")

    async def version(self, version: str) -> dict[str, float]:
        """That version is in force, and no other is shown."""
        return await self.until(f"version {version}", lambda page: versions(page) == {version})


def versions(page: dict[str, float]) -> set[str]:
    return {name.split('"')[1] for name in page if name.startswith("avert_rules_info{")}


class Load:
    """Visitors who make their steps, a few at a time, until everybody has made all of them."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer, self._topic = producer, topic
        self.sent = 0
        self.finished = 0
        self._rounds = 0

    async def round(self, visitors: int = 5) -> None:
        """One step of each of the visitors of this round; every STEPS rounds they are other ones."""
        group, step = divmod(self._rounds, STEPS)
        self._rounds += 1
        for number in range(visitors):
            visitor = f"v{group}-{number}"
            event = Event(id=f"{visitor}-{step}", visitor=visitor, type="step", ts=0)
            await self._send(event)
        self.finished += visitors if step == STEPS - 1 else 0

    async def _send(self, event: Event) -> None:
        now = time.time_ns() // 1_000_000
        value = encode_event(msgspec.structs.replace(event, ts=now))
        await self._producer.send(self._topic, value, key=event.visitor.encode(), timestamp_ms=now)
        self.sent += 1

    async def until_done(self, stop: asyncio.Event) -> None:
        while not stop.is_set() or self._rounds % STEPS:
            await self.round()
            await asyncio.sleep(0.01)
        await self._producer.flush()


@asynccontextmanager
async def producing(broker: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def read_all(broker: str, topic: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [record.value for record in records]
        return found
    finally:
        await consumer.stop()


@pytest.mark.timeout(170)
async def test_a_hundred_reloads_under_load_lose_nothing(
    broker: str, redis_url: str, unique: str, tmp_path: Path
) -> None:
    port = PortLease()
    rules = write(tmp_path / "rules", outcomes=OUTCOMES, steady=STEADY, unseen=SHADOW, changing=CHANGING.format(n=1))
    settings = settings_for(broker, redis_url, unique, rules, port.port)
    await create_topics(settings)
    stop = asyncio.Event()
    with running_worker(settings, tmp_path) as worker:
        async with producing(broker) as producer:
            page, load = Page(port.port), Load(producer, settings.topic("clickstream"))
            task = asyncio.create_task(load.until_done(stop))
            good = load_rules(rules, OPTIONS).version
            await page.version(good)
            for number in range(1, RELOADS + 1):
                if number % BROKEN_EVERY == 0:
                    write(rules, changing=BROKEN[number // BROKEN_EVERY % len(BROKEN)])
                    with pytest.raises(RuleFileError):
                        load_rules(rules, OPTIONS)
                    bad = number // BROKEN_EVERY
                    seen = await page.until(
                        f"broken set {bad} noticed",
                        lambda p, bad=bad: p['avert_rules_reloads_total{result="broken"}'] == bad,
                    )
                    assert seen['avert_rules_broken{source="directory"}'] == 1
                    assert seen["avert_rules_directory_differs"] == 1
                    assert versions(seen) == {good}  # the old version is active
                else:
                    write(rules, changing=CHANGING.format(n=1 + number))
                    good = load_rules(rules, OPTIONS).version
                    seen = await page.version(good)
                    assert seen['avert_rules_broken{source="directory"}'] == 0
                assert not task.done()
            stop.set()
            await task
            applied = 'avert_events_total{result="applied"}'
            seen = await page.until("every event applied", lambda p: p[applied] == load.sent)
        worker.check()
    bad = RELOADS // BROKEN_EVERY
    assert seen['avert_rules_reloads_total{result="applied"}'] == 1 + RELOADS - bad
    assert seen['avert_rules_reloads_total{result="broken"}'] == bad
    assert seen['avert_rules_loaded{mode="live"}'] == 2
    assert seen['avert_rules_loaded{mode="shadow"}'] == 1
    assert {name: n for name, n in seen.items() if name.startswith("avert_events_total") and n} == {applied: load.sent}
    decisions = [
        msgspec.json.decode(value, type=Decision) for value in await read_all(broker, settings.topic("decisions"))
    ]
    made = Counter((decision.rule, decision.visitor, decision.kind) for decision in decisions)
    visitors = {visitor for _, visitor, _ in made}
    assert len(visitors) == load.finished > 0
    assert made == Counter(
        {
            (rule, visitor, kind): 1
            for visitor in visitors
            for rule, kind in (("steady", "suggested"), ("unseen", "shadow"))
        }
    )
    # Whoever a shadow rule decided on has seen nothing of it.
    shown = [msgspec.json.decode(value) for value in await read_all(broker, settings.topic("suggestions"))]
    assert {record["rule"] for record in shown} == {"steady"}
    assert len(shown) == len(visitors)


async def test_a_mode_that_vanishes_reads_zero(broker: str, redis_url: str, unique: str, tmp_path: Path) -> None:
    port = PortLease()
    rules = write(tmp_path / "rules", outcomes=OUTCOMES, steady=STEADY, unseen=SHADOW)
    settings = settings_for(broker, redis_url, unique, rules, port.port)
    with running_worker(settings, tmp_path):
        page = Page(port.port)
        await page.until("a shadow rule", lambda p: p['avert_rules_loaded{mode="shadow"}'] == 1)
        (rules / "unseen.yaml").unlink()
        seen = await page.version(load_rules(rules, OPTIONS).version)
        assert seen['avert_rules_loaded{mode="shadow"}'] == 0


async def test_two_workers_agree_whatever_their_directories_hold(
    broker: str, redis_url: str, unique: str, tmp_path: Path
) -> None:
    """Swapped links, as checkouts are mounted; an old checkout that restarts; a directory that differs."""
    ports = PortLease(), PortLease()
    roots = []
    for name in ("one", "two"):
        root = tmp_path / name
        root.mkdir()
        write(root / "rev1", outcomes=OUTCOMES, steady=STEADY)
        write(root / "rev2", outcomes=OUTCOMES, steady=STEADY.replace("Steady", "Second"))
        (root / "rules").symlink_to("rev1")
        roots.append(root)
    first = load_rules(roots[0] / "rev1", OPTIONS).version
    second = load_rules(roots[0] / "rev2", OPTIONS).version
    of = [
        settings_for(broker, redis_url, unique, root / "rules", port.port)
        for root, port in zip(roots, ports, strict=True)
    ]
    pages = [Page(port.port) for port in ports]
    with running_worker(of[0], roots[0]):
        await pages[0].version(first)
        with running_worker(of[1], roots[1]):
            await pages[1].version(first)
            swap(roots[0])
            for page in pages:
                await page.version(second)
            seen = await pages[1].until("it differs", lambda p: p["avert_rules_directory_differs"] == 1)
            assert seen['avert_rules_reloads_total{result="applied"}'] == 2
        shutil.rmtree(roots[1] / "rev2")  # this checkout stays behind
        with running_worker(of[1], roots[1]):  # and its restart rolls nobody back
            seen = await pages[1].version(second)
            assert seen["avert_rules_directory_differs"] == 1
            assert versions(await pages[0].read()) == {second}


def swap(root: Path) -> None:
    """Point the link elsewhere in one step, as git-sync does."""
    (root / "new").symlink_to("rev2")
    (root / "new").rename(root / "rules")
