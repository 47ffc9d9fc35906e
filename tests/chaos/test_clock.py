"""A partition's clock is the log's, not the process's: it goes on where it was when the worker that saw it is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from bench._log import create_topic, ends, until_committed
from bench._processes import Program, leased_port, worker
from bench._workload import jobs, write_rules
from streams.core.event import Event, encode_event
from streams.core.visitor import decode_visitor
from streams.embedded.kafka import KafkaNode
from streams.embedded.stack import FETCH_WAIT_MS
from streams.settings import Settings
from tests.chaos.oracle import collect

HOUR_MS = 3_600_000
BEHIND_MS = 700  # a second collector's clock


@pytest.fixture
def settings(apache_kafka: KafkaNode, redis_url: str, unique: str, tmp_path: Path) -> Iterator[Settings]:
    with leased_port() as port:
        yield Settings(
            kafka_bootstrap=apache_kafka.address,
            redis_url=redis_url,
            rules_dir=write_rules(tmp_path / "rules", jobs(1)),
            app_id=unique,
            topic_prefix=f"{unique}-",
            partitions=1,
            worker_http_port=port,
            commit_interval_s=0.2,
            fetch_wait_ms=FETCH_WAIT_MS,
            broker_session_timeout_s=6.0,
            broker_heartbeat_s=1.5,
            broker_rebalance_timeout_s=6.0,
        )


def apply(settings: Settings, program: Program, visitor: str, timestamp: int) -> None:
    """One event of `visitor`, recorded at `timestamp` ms; returns when it is committed."""
    topic = settings.topic("clickstream")

    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all")
        await producer.start()
        value = encode_event(Event(id=f"e-{visitor}", visitor=visitor, type="page_view", ts=timestamp))
        headers = [("avert-clock", b"log")]
        await producer.send_and_wait(topic, value, visitor.encode(), 0, timestamp, headers=headers)
        await producer.stop()
        goal = await ends(settings.kafka_bootstrap, topic, 1)
        await asyncio.wait_for(
            until_committed(settings.kafka_bootstrap, settings.app_id, goal, program.child.check), 30.0
        )

    asyncio.run(send())


@pytest.mark.kafka  # the embedded broker forgets what stands beside a committed offset
def test_a_killed_workers_clock_goes_on_with_the_next_worker(settings: Settings) -> None:
    asyncio.run(create_topic(settings.kafka_bootstrap, settings.topic("clickstream"), 1))
    at = time.time_ns() // 1_000_000 - HOUR_MS
    with worker(settings) as program:
        program.until_ready()
        apply(settings, program, "first", at)
        program.child.kill()
        program.start().until_ready()
        apply(settings, program, "second", at - BEHIND_MS)

    rows = collect(settings, 1).rows
    assert decode_visitor("first", rows["first"]).clock == at
    assert decode_visitor("second", rows["second"]).clock == at
