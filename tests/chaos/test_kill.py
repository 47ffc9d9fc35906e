"""SIGKILL of the worker under load, ten times, on Apache Kafka: every accepted event is applied, and applied once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench._log import create_topic, ends, until_committed
from bench._processes import Program, leased_port, worker
from bench._workload import jobs, write_rules
from streams.core.effects import EventResult
from streams.embedded.kafka import KafkaNode
from streams.rulefiles.load import load_rules
from streams.settings import Settings
from streams.worker.main import engine_options
from tests.chaos.load import Load, mixed
from tests.chaos.oracle import Found, collect, differences, expected, read_log

SEED = 20_261_122
KILLS = 10
PARTITIONS = 4
VISITORS = 1_500
PER_S = 800
EVENTS_MAX = 200_000  # never reached: the load ends with the last kill
HOUR_MS = 3_600_000
SETTLE_S_MAX = 30.0

# Every event that is applied makes one outcome which names it: so each id's way can be seen, without the engine's help.
MORE_RULES = """\
rule: limited
prevents: support_chat
when: {count: {event: product_view}, at_least: 3, within: 10m}
suggest:
  placement: side
  title: {en: "{{ event.props.sku }}?"}
  withdraw: {event: cart_add}
limits: {per_session: 1, per_visitor: {count: 2, within: 1h}, cooldown: 5m}
experiment: {holdout: 20%}
"""


@pytest.fixture
def settings(apache_kafka: KafkaNode, redis_url: str, unique: str, tmp_path: Path) -> Iterator[Settings]:
    rules = write_rules(tmp_path / "rules", jobs(20))
    (rules / "limited.yaml").write_text(MORE_RULES)
    outcomes = rules / "outcomes.yaml"
    outcomes.write_text(outcomes.read_text() + '  applied: {kind: conversion, when: {event: "*"}, value: 0}\n')
    with leased_port() as port:
        yield Settings(
            kafka_bootstrap=apache_kafka.address,
            redis_url=redis_url,
            rules_dir=rules,
            app_id=unique,
            topic_prefix=f"{unique}-",
            partitions=PARTITIONS,
            worker_http_port=port,
            commit_interval_s=0.5,
            # Kafka's least: whoever comes after a killed one waits for so long.
            broker_session_timeout_s=6.0,
            broker_heartbeat_s=1.5,
            broker_rebalance_timeout_s=6.0,
        )


def kill_again_and_again(program: Program, load: Load) -> list[str]:
    """Ten lives, each ended at a random moment: most when at work, some while starting or recovering."""
    chance = random.Random(SEED)
    lives = []
    for number in range(KILLS):
        program.start()
        if number % 4 == 3:
            moment_s = chance.uniform(0.3, 4.0)
            time.sleep(moment_s)
            lives.append(f"{moment_s:.2f} s after its start")
        else:
            program.until_ready()
            moment_s = chance.uniform(0.0, 2.5)
            time.sleep(moment_s)
            lives.append(f"{moment_s:.2f} s after it was ready")
        program.child.check()
        load.check()
        program.child.kill()
    return lives


def settled(settings: Settings, program: Program) -> tuple[Counter[EventResult], list[str], Found]:
    """Wait until all is committed and nothing differs from what is expected (timers and tombstones come later).

    Returns what became of the events, the differences that did not go away, and what there is.
    """
    topic = settings.topic("clickstream")
    goal = asyncio.run(ends(settings.kafka_bootstrap, topic, PARTITIONS))
    asyncio.run(
        asyncio.wait_for(
            until_committed(settings.kafka_bootstrap, settings.app_id, goal, program.child.check), SETTLE_S_MAX
        )
    )
    want = expected(read_log(settings, PARTITIONS), load_rules(settings.rules_dir, engine_options(settings)), topic)
    deadline = time.monotonic() + SETTLE_S_MAX
    while True:
        found = collect(settings, PARTITIONS)
        different = differences(want, found)
        if not different or time.monotonic() > deadline:
            return want.results, different, found


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_accepted_event_is_applied_once_though_the_worker_is_killed_ten_times(settings: Settings) -> None:
    topic = settings.topic("clickstream")
    asyncio.run(create_topic(settings.kafka_bootstrap, topic, PARTITIONS))
    program = worker(settings)
    start_ms = time.time_ns() // 1_000_000 - 6 * HOUR_MS
    load = Load(settings.kafka_bootstrap, topic, PARTITIONS, mixed(EVENTS_MAX, VISITORS, SEED, start_ms), PER_S)
    try:
        with load:
            lives = kill_again_and_again(program, load)
        program.start().until_ready()
        results, different, found = settled(settings, program)

        # Each accepted record became exactly one thing, and what the pure engine makes of the log is what is there.
        assert different == [], "\n".join(["killed", *lives, *different])
        assert results.total() == len(load.accepted)
        assert results[EventResult.REPLAYED] == 0
        assert all(
            results[kind]
            for kind in (
                EventResult.APPLIED,
                EventResult.DUPLICATE,
                EventResult.LATE,
                EventResult.NO_CONSENT,
                EventResult.DEAD_LETTER,
            )
        )
        # The same by what was sent, without the engine's word.
        assert applied_ids(found) == {
            sent.id for sent in load.accepted.values() if sent.kind in ("event", "repeat", "late")
        }
        assert dead_letters(found) == {
            f"{topic}/{partition}@{offset}"
            for (partition, offset), sent in load.accepted.items()
            if sent.kind == "garbage"
        }
        # The kills did interrupt something.
        assert found.repeats > 0

        # Nothing waits any more: two hours without an event end every session.
        load.advance(max(sent.timestamp for sent in load.accepted.values()) + 2 * HOUR_MS)
        _, different, _ = settled(settings, program)
        assert different == [], "\n".join(different)
    finally:
        program.child.stop()


def applied_ids(found: Found) -> set[str]:
    """The events that made their outcome `applied`."""
    return {
        outcome["trigger"]
        for (record, *_), outcome in found.effects.items()
        if record == "outcome" and outcome["outcome"] == "applied"
    }


def dead_letters(found: Found) -> set[str]:
    """Where the dead letters came from."""
    return {key[1] for key in found.effects if key[0] == "deadletter"}
