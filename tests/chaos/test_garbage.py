"""One event in a hundred is garbage: each becomes a dead letter with its reason, and no neighbour is lost."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from bench._log import create_topic, ends, until_committed
from bench._processes import leased_port, worker
from bench._workload import clickstream, jobs, write_rules
from streams.core.effects import Refusal
from streams.embedded.local import answers
from streams.embedded.stack import FETCH_WAIT_MS
from streams.http.broker import partition_of
from streams.settings import Settings
from tests.chaos.oracle import collect

EVENTS = 6_000
PARTITIONS = 2
HOUR_MS = 3_600_000


def event(**changed: Any) -> bytes:
    """A good event of visitor ``g``, changed."""
    return msgspec.json.encode({"id": "x", "visitor": "g", "type": "search", "ts": 1} | changed)


def nested(depth: int) -> bytes:
    return event().replace(b'"ts":1', b'"ts":1,"props":' + b'{"a":' * depth + b"1" + b"}" * depth)


# What comes, under which key (default: the visitor's), and why it cannot be used.
GARBAGE: dict[str, tuple[bytes | None, bytes | None, Refusal]] = {
    "words": (b"g", b"GET / HTTP/1.1", Refusal.NOT_JSON),
    "cut short": (b"g", event()[:-9], Refusal.NOT_JSON),
    "nothing": (b"g", None, Refusal.NOT_JSON),
    "empty": (b"g", b"", Refusal.NOT_JSON),
    "NaN": (b"g", event().replace(b'"ts":1', b'"ts":NaN'), Refusal.NOT_JSON),
    "half a character": (b"g", event(props={"text": "?"}).replace(b"?", rb"\ud83d"), Refusal.NOT_JSON),
    "beyond a double": (b"g", event(props={"total": 0}).replace(b":0", b":1e400"), Refusal.SCHEMA),
    "a megabyte": (b"g", event(props={"text": "x" * 1_000_000}), Refusal.TOO_LARGE),
    "nested": (b"g", nested(9), Refusal.TOO_DEEP),
    "nested beyond the stack": (b"g", nested(1_500), Refusal.TOO_DEEP),
    "a list": (b"g", b"[1,2,3]", Refusal.SCHEMA),
    "no id": (b"g", event().replace(b'"id":"x",', b""), Refusal.SCHEMA),
    "time as text": (b"g", event(ts="yesterday"), Refusal.SCHEMA),
    "props as a list": (b"g", event(props=[1]), Refusal.SCHEMA),
    "id too long": (b"g", event(id="x" * 65), Refusal.SCHEMA),
    "type in capitals": (b"g", event(type="Search!"), Refusal.BAD_TYPE),
    "many keys": (b"g", event(props={str(number): 1 for number in range(65)}), Refusal.TOO_MANY_KEYS),
    "a long string": (b"g", event(props={"text": "x" * 5_000}), Refusal.STRING_TOO_LONG),
    "Latin-1": (b"g", event(props={"text": "?"}).replace(b"?", "é".encode("latin-1")), Refusal.NOT_UTF8),
    "no key": (None, event(), Refusal.NO_KEY),
    "an empty key": (b"", event(), Refusal.NO_KEY),
    "another's key": (b"h", event(), Refusal.KEY_MISMATCH),
    "a key that is not text": (b"\xff\xfe", event(), Refusal.KEY_MISMATCH),
}

# What looks like garbage and is a good event: it must be applied.
STRANGE: tuple[dict[str, Any], ...] = (
    {"type": "purchase", "props": {"total": 2**70}},
    {"type": "purchase", "props": {"total": 10**400}},
    {"type": "purchase", "props": {"total": -1e308}},
    {"type": "purchase", "props": {"total": "NaN"}},
    {"type": "purchase", "props": {"total": {"amount": [1]}}},
    {"type": "search", "props": {"results": False, "query": "\u0000\U0001f600" * 100}},
    {"type": "purchase", "ts": -(2**62)},
    {"type": "product_view", "page": {"url": "http://[broken", "path": 7, "referrer": "http://[::1"}},
    {"type": "...", "context": {"campaign": {"a": {"b": 1}}, "device": [], "consent": "granted"}},
)


@pytest.fixture
def settings(broker: str, redis_url: str, unique: str, tmp_path: Path) -> Iterator[Settings]:
    rules = write_rules(tmp_path / "rules", jobs(20))
    outcomes = rules / "outcomes.yaml"
    outcomes.write_text(outcomes.read_text() + '  applied: {kind: conversion, when: {event: "*"}, value: 0}\n')
    with leased_port() as port:
        yield Settings(
            kafka_bootstrap=broker,
            redis_url=redis_url,
            rules_dir=rules,
            app_id=unique,
            topic_prefix=f"{unique}-",
            partitions=PARTITIONS,
            worker_http_port=port,
            commit_interval_s=0.3,
            fetch_wait_ms=FETCH_WAIT_MS,
            broker_rebalance_timeout_s=6.0,
        )


async def send(settings: Settings, topic: str) -> tuple[set[str], dict[str, str]]:
    """Good events, 1 % garbage between them. Returns the ids of the good ones, and {where: reason} of the garbage."""
    chance = random.Random(1)
    kinds = list(GARBAGE)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all", linger_ms=5)
    await producer.start()
    good, bad, waiting = set(), {}, []
    try:
        for number, record in enumerate(clickstream(EVENTS, 200, start_ms=time.time_ns() // 1_000_000 - 6 * HOUR_MS)):
            partition = partition_of(record.visitor.encode(), PARTITIONS)
            headers = [("avert-clock", b"log")]
            whole = msgspec.json.decode(record.value)
            good.add(whole["id"])
            if number % 50 == 7:
                whole |= STRANGE[number // 50 % len(STRANGE)]
            waiting.append(
                await producer.send(
                    topic,
                    json.dumps(whole).encode(),
                    record.visitor.encode(),
                    partition,
                    record.timestamp,
                    headers=headers,
                )
            )
            if number % 100 == 0:
                key, value, reason = GARBAGE[kinds[number // 100 % len(kinds)]]
                written = await producer.send_and_wait(
                    topic, value, key, chance.randrange(PARTITIONS), record.timestamp, headers=headers
                )
                bad[f"{topic}/{written.partition}@{written.offset}"] = reason.value
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()
    return good, bad


def test_garbage_becomes_dead_letters_and_no_neighbour_is_lost(settings: Settings) -> None:
    topic = settings.topic("clickstream")
    asyncio.run(create_topic(settings.kafka_bootstrap, topic, PARTITIONS))
    with worker(settings) as program:
        program.until_ready()
        good, bad = asyncio.run(send(settings, topic))
        assert set(bad.values()) == {reason.value for _, _, reason in GARBAGE.values()}
        goal = asyncio.run(ends(settings.kafka_bootstrap, topic, PARTITIONS))
        asyncio.run(
            asyncio.wait_for(until_committed(settings.kafka_bootstrap, settings.app_id, goal, program.child.check), 40)
        )
        found = collect(settings, PARTITIONS)

        assert {key[1]: reason for key, reason in found.effects.items() if key[0] == "deadletter"} == bad
        applied = [
            content["trigger"]
            for (record, *_), content in found.effects.items()
            if record == "outcome" and content["outcome"] == "applied"
        ]
        assert sorted(applied) == sorted(good)
        assert found.contradictions == []
        assert answers(f"{program.url}/readyz")
        assert dead_letters_metered(program.metrics) == Counter(bad.values())


def dead_letters_metered(metrics: Callable[[], str]) -> Counter[str]:
    lines = [line for line in metrics().splitlines() if line.startswith("avert_dead_letters_total{")]
    return Counter(
        {line.partition('reason="')[2].partition('"')[0]: int(float(line.rpartition(" ")[2])) for line in lines}
    )
