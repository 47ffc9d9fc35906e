"""What happens to the cache: stopped, emptied, slow. The stream never waits for it, and nothing depends on it."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from streams.embedded.kafka import KafkaNode
from streams.embedded.stack import EmbeddedCache
from tests.chaos.conftest import Build
from tests.chaos.house import Hand
from tests.support.proxy import SlowProxy

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1_500)]

SLOW_S = 0.6  # more than twice what a worker waits for an answer


def ask(port: int, command: bytes) -> bytes:
    """One command to the cache, and the first bytes of its answer."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(command + b"\r\n")
        return connection.recv(64)


def errors_of(hand: Hand) -> Callable[[], bool]:
    """Whether the worker has metered errors of the cache."""
    return lambda: any(
        line.startswith("avert_redis_errors_total{") and float(line.rpartition(" ")[2]) > 0
        for line in hand.program.metrics().splitlines()
    )


@pytest.mark.fault("the cache killed for 10 s, then emptied, then slower than a worker waits")
def test_cache_killed_emptied_slow(build: Build, apache_kafka: KafkaNode) -> None:
    with EmbeddedCache() as cache, SlowProxy(cache.port) as proxy:
        house = build(apache_kafka.address, "1 node", redis_url=f"redis://127.0.0.1:{proxy.port}/0").open()
        worker = house.hand("w")
        house.begin()
        house.until(lambda: ask(cache.port, b"DBSIZE") != b":0\r\n", "the cache is written")
        house.act("killed")
        cache.kill()
        house.until(errors_of(worker), "the worker meters it")
        house.rest(10.0)
        assert worker.ready
        house.act("back, and empty")
        cache.start()
        house.until(lambda: ask(cache.port, b"DBSIZE") != b":0\r\n", "the cache is written again")
        house.act("emptied")
        assert ask(cache.port, b"FLUSHALL") == b"+OK\r\n"
        house.until(lambda: ask(cache.port, b"DBSIZE") != b":0\r\n", "the cache is written again")
        house.act("slow")
        proxy.delay_s = SLOW_S
        house.rest(10.0)
        assert worker.ready
        house.act("quick again")
        proxy.delay_s = 0.0
        house.finish(pauses=True)
        assert worker.lives == 1
