"""One visitor with 5 % of all events (a bot): what the others feel of it, without it, with it, and with it shed.

``python -m bench.hotkey [--events N] [--rules 20] [--share 0.05] [--rate 1000] [--seconds 20] [--turns 3]``, on Apache
Kafka, one worker, four partitions. First what an event of the bot costs, applied and shed, CPU us. Then two jobs, each
run in three ways, alternating, medians:

- *behind*: a backlog of a site with 2,000 events/s is worked off. The others' events a second, CPU seconds a million of
  the others' events, bytes of state.
- *live*: events as they happen, at a fixed rate. From an event of another visitor to its decision on its way to Kafka,
  ms; CPU seconds a million events, which are more than behind: batches are small, and the clock is looked at.

The limit is in proportion to the rate (it is told): as large a part of the bot is shed as at 10,000 events/s with
the default limit. The bot does what visitors do, only more often.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from types import SimpleNamespace
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from bench import _log as log
from bench._processes import Program, leased_port, worker
from bench._report import last_line, load_average, machine, say, table
from bench._workload import _NEXT, SESSION_TIMEOUT_MS, START_MS, Record, _props, jobs, write_rules
from streams.embedded.stack import EmbeddedCache
from streams.http.broker import partition_of
from streams.rulefiles.load import load_rules
from streams.rulefiles.options import engine_options
from streams.settings import Settings
from streams.worker.apply import Applier
from streams.worker.machine import core_machine
from streams.worker.partition import PartitionMemory

BOT = "bot"
PARTITIONS = 4
BACKLOG_PER_S = 2_000  # of the log's time
BACKLOG_VISITORS = 20_000  # six events a minute each
LIVE_VISITORS = 2_000
PORTION_S = 0.02  # the live load leaves in portions
WARM_UP_S = 4.0
SITE_PER_S = 10_000  # the site to which the limit is in proportion
WAYS = ("without the bot", "with it", "with it, shed")


@dataclass(frozen=True)
class Place:
    """Where things are."""

    bootstrap: str
    redis_url: str
    rules_dir: Path


@dataclass(frozen=True)
class Ran:
    """One run. What a job does not measure is 0."""

    way: str
    events: int
    shed: int
    bot_decisions: int
    others_per_s: float = 0
    cpu_s_per_m: float = 0
    state_mb: float = 0
    p50_ms: float = 0
    p99_ms: float = 0


def event_of(visitor: str, at: int, chance: random.Random, encode: Any) -> bytes:
    """A visitor's next event, drawn as those of the clickstream are."""
    (kind,) = chance.choices([name for name, _ in _NEXT], [weight for _, weight in _NEXT])
    value: bytes = encode({
        "id": f"{chance.getrandbits(64):016x}", "visitor": visitor, "type": kind, "ts": at, "received": at,
        "page": {"url": "https://shop.example/p/1", "path": "/p/1"}, "props": _props(kind, chance),
        "context": {"device": "mobile"},
    })  # fmt: skip
    return value


def backlog(others: int, share: float) -> Iterator[Record]:
    """So many events of the others, and the bot's among them; the others' do not depend on `share`."""
    chance, bots, encode = random.Random(3), random.Random(7), msgspec.json.Encoder().encode
    owed = 0.0
    for number in range(others):
        at = START_MS + number * 1_000 // BACKLOG_PER_S
        visitor = f"v{chance.randrange(BACKLOG_VISITORS):06d}"
        yield Record(at, visitor, event_of(visitor, at, chance, encode))
        owed += share / (1 - share)
        if owed >= 1:
            owed -= 1
            yield Record(at, BOT, event_of(BOT, at, bots, encode))


def settings_of(place: Place, name: str, port: int, limit: int) -> Settings:
    """Of one run's worker."""
    return Settings(
        kafka_bootstrap=place.bootstrap, redis_url=place.redis_url, rules_dir=place.rules_dir, app_id=name,
        topic_prefix=f"{name}-", partitions=PARTITIONS, session_timeout_ms=SESSION_TIMEOUT_MS,
        broker_rebalance_timeout_s=6.0, worker_http_port=port, visitor_events_per_minute_max=limit,
    )  # fmt: skip


def counted(program: Program, name: str) -> float:
    """A sample of the worker's metrics page."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", program.metrics(), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def decisions(settings: Settings) -> list[tuple[int, dict[str, Any]]]:
    """(record's timestamp, decision), each once."""
    records = await log.read_all(settings.kafka_bootstrap, settings.topic("decisions"), PARTITIONS)
    return [(record.timestamp, msgspec.json.decode(record.value)) for record in records]


async def behind(place: Place, name: str, way: str, records: list[Record], limit: int) -> Ran:
    """A backlog is worked off."""
    others = sum(record.visitor != BOT for record in records)
    with leased_port() as port:
        settings = settings_of(place, name, port, limit)
        topic = settings.topic("clickstream")
        await log.create_topic(place.bootstrap, topic, PARTITIONS)
        await log.preload(place.bootstrap, topic, PARTITIONS, records)
        goal = await log.ends(place.bootstrap, topic, PARTITIONS)
        with worker(settings) as program:
            await asyncio.to_thread(program.until_ready)
            began, cpu_s = time.monotonic(), program.cpu_s()
            await log.until_committed(place.bootstrap, name, goal, program.child.check)
            seconds, cpu_s = time.monotonic() - began, program.cpu_s() - cpu_s
            shed = await asyncio.to_thread(counted, program, 'avert_events_total{result="shed"}')
            state = await asyncio.to_thread(counted, program, "avert_changelog_bytes_total")
    made = await decisions(settings)
    return Ran(
        way, len(records), int(shed), sum(each["visitor"] == BOT for _, each in made), others / seconds,
        cpu_s / others * 1e6, state / 1e6,
    )  # fmt: skip


async def live(place: Place, name: str, way: str, per_s: float, bot_per_s: float, seconds: float, limit: int) -> Ran:
    """A fixed rate of the others; `bot_per_s` more of the bot."""
    with leased_port() as port:
        settings = settings_of(place, name, port, limit)
        await log.create_topic(place.bootstrap, settings.topic("clickstream"), PARTITIONS)
        with worker(settings) as program:
            await asyncio.to_thread(program.until_ready)
            cpu_s = program.cpu_s()
            began_ms, sent = await _load(settings, per_s, bot_per_s, seconds)
            goal = await log.ends(place.bootstrap, settings.topic("clickstream"), PARTITIONS)
            await log.until_committed(place.bootstrap, name, goal, program.child.check)
            cpu_s = program.cpu_s() - cpu_s
            shed = await asyncio.to_thread(counted, program, 'avert_events_total{result="shed"}')
            state = await asyncio.to_thread(counted, program, "avert_changelog_bytes_total")
    made = await decisions(settings)
    waited = [
        at - each["at"] for at, each in made
        if each["visitor"] != BOT and each.get("trigger") and each["at"] >= began_ms + WARM_UP_S * 1000
    ]  # fmt: skip
    cuts = quantiles(waited, n=100)
    bots = sum(each["visitor"] == BOT for _, each in made)
    return Ran(
        way, sent, int(shed), bots, cpu_s_per_m=cpu_s / sent * 1e6, state_mb=state / 1e6,
        p50_ms=cuts[49], p99_ms=cuts[98],
    )  # fmt: skip


async def _load(settings: Settings, per_s: float, bot_per_s: float, seconds: float) -> tuple[int, int]:
    """Send for so long, open-loop; (when it began, ms, and how many)."""
    chance, encode = random.Random(3), msgspec.json.Encoder().encode
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all", linger_ms=0)
    await producer.start()
    topic, sent, bots = settings.topic("clickstream"), 0, 0
    try:
        began, began_ms = time.monotonic(), time.time_ns() // 1_000_000
        while (gone := time.monotonic() - began) < WARM_UP_S + seconds:
            for _ in range(int(gone * per_s) + int(gone * bot_per_s) - sent):
                is_bot = bots < int(gone * bot_per_s)
                bots += is_bot
                visitor = BOT if is_bot else f"v{chance.randrange(LIVE_VISITORS):06d}"
                at, key = time.time_ns() // 1_000_000, visitor.encode()
                await producer.send(
                    topic, event_of(visitor, at, chance, encode), key=key, timestamp_ms=at,
                    partition=partition_of(key, PARTITIONS),
                )  # fmt: skip
                sent += 1
            await asyncio.sleep(PORTION_S)
        await producer.flush()
    finally:
        await producer.stop()
    return began_ms, sent


def applying_us(rules_dir: Path, limit: int, number: int = 40_000) -> float:
    """CPU us of step 1 (read, applied, encoded) for an event of the bot, in batches of 1,000."""
    rules = load_rules(rules_dir, engine_options(Settings(visitor_events_per_minute_max=limit)))
    machine, chance, encode = core_machine(rules), random.Random(5), msgspec.json.Encoder().encode
    applier, memory = Applier(machine, "clickstream"), PartitionMemory(0, machine)
    batches = [[
        SimpleNamespace(
            offset=offset, timestamp=START_MS + offset, key=BOT.encode(), headers=(),
            value=event_of(BOT, START_MS + offset, chance, encode),
        ) for offset in range(first, first + 1_000)
    ] for first in range(0, number, 1_000)]  # fmt: skip
    began = time.process_time()
    for batch in batches:
        applier.apply(memory, batch, START_MS + number, None)
    return (time.process_time() - began) / number * 1e6


def _runs(options: argparse.Namespace, place: Place) -> Iterator[tuple[str, Ran]]:
    alone, both = list(backlog(options.events, 0)), list(backlog(options.events, options.share))
    each = options.share / (1 - options.share)  # of the bot, for one of the others
    limits = [
        round(Settings().visitor_events_per_minute_max * rate / SITE_PER_S) for rate in (BACKLOG_PER_S, options.rate)
    ]
    for job, rate, limit in zip(("behind", "live"), (BACKLOG_PER_S, options.rate), limits, strict=True):
        say(f"{job}: the bot sends {rate * each * 60:,.0f} events a minute; limit {limit}")
    for turn in range(options.turns):
        for number, way in enumerate(WAYS):
            name = f"k{os.getpid()}-{turn}-{number}"
            records = both if number else alone
            ran = asyncio.run(behind(place, name, way, records, limits[0] if number == 2 else 0))
            say(f"  behind, {ran}; load average {load_average()}")
            yield "behind", ran
            ran = asyncio.run(live(
                place, f"{name}-live", way, options.rate, options.rate * each if number else 0, options.seconds,
                limits[1] if number == 2 else 0,
            ))  # fmt: skip
            say(f"  live, {ran}; load average {load_average()}")
            yield "live", ran


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=300_000, help="of the others, in the backlog")
    parser.add_argument("--rules", type=int, default=20)
    parser.add_argument("--share", type=float, default=0.05, help="of all events, that are the bot's")
    parser.add_argument("--rate", type=float, default=1_000, help="of the others, live, events/s")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    say(machine())
    with tempfile.TemporaryDirectory() as folder, log.broker_of("kafka") as bootstrap, EmbeddedCache() as cache:
        rules = write_rules(Path(folder), jobs(options.rules))
        applying = {way: median(applying_us(rules, limit) for _ in range(3)) for way, limit in (("all", 0), ("one", 1))}
        say(f"an event of the bot, applied: {applying['all']:.1f} CPU us; shed: {applying['one']:.1f}")
        runs = list(_runs(options, Place(bootstrap, cache.url, rules)))

    def middle(job: str, way: str, field: str) -> float:
        return float(median(getattr(ran, field) for kind, ran in runs if kind == job and ran.way == way))

    fields = {
        "behind": ("shed", "bot_decisions", "others_per_s", "cpu_s_per_m", "state_mb"),
        "live": ("shed", "bot_decisions", "cpu_s_per_m", "state_mb", "p50_ms", "p99_ms"),
    }
    for job, names in fields.items():
        table((job, *names), [[way, *(middle(job, way, name) for name in names)] for way in WAYS])
    last_line({
        "share": options.share, "events": options.events, "rules": options.rules, "rate": options.rate,
        "turns": options.turns, "load_average": load_average(),
        "applied_us": round(applying["all"], 1), "shed_us": round(applying["one"], 1),
        **{job: {way: {name: round(middle(job, way, name), 2) for name in names} for way in WAYS}
           for job, names in fields.items()},
        "runs": [{"job": job} | msgspec.to_builtins(ran) for job, ran in runs],
    })  # fmt: skip


if __name__ == "__main__":
    main()
