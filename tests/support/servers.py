"""Real servers for tests: which broker a test gets, one fresh name for each test's topics, an empty cache."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator

import pytest

from streams.embedded.kafka import KafkaCluster, KafkaNode, fetch_libs
from streams.embedded.stack import EmbeddedBroker, EmbeddedCache

# Taken out of the environment: to Settings, and to the programs under test, it would be an unknown AVERT_ name.
OWN_BROKER = os.environ.pop("AVERT_TEST_BROKER", None)

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def apache_kafka() -> Iterator[KafkaNode]:
    """One Apache Kafka node (`.address`, `.kill()`, `.start()`) for the tests of crashes and rebalances."""
    with KafkaNode(libs=fetch_libs()) as node:
        yield node


@pytest.fixture(scope="session")
def kafka_cluster() -> Iterator[KafkaCluster]:
    """Three Apache Kafka nodes that replicate everything; a write needs two of them. A test leaves all running."""
    with KafkaCluster(fetch_libs()) as cluster:
        yield cluster


# What `--broker` may be, besides `embedded`: the fixture that has it.
KAFKA_BROKERS = {"kafka": "apache_kafka", "kafka3": "kafka_cluster"}


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a broker: embedded; Apache Kafka with ``--broker kafka`` or ``kafka3``; or $AVERT_TEST_BROKER."""
    kind = request.config.getoption("--broker")
    if OWN_BROKER:
        yield OWN_BROKER
    elif kind in KAFKA_BROKERS:
        yield request.getfixturevalue(KAFKA_BROKERS[kind]).address
    else:
        with EmbeddedBroker() as server:
            yield server.address


@pytest.fixture(scope="session")
def cache() -> Iterator[EmbeddedCache]:
    """One Valkey (`.url`, `.port`, `.kill()`, `.start()`)."""
    with EmbeddedCache() as server:
        yield server


@pytest.fixture
def redis_url(cache: EmbeddedCache) -> str:
    """The address of an empty cache."""
    with socket.create_connection(("127.0.0.1", cache.port), 5) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(5) == b"+OK\r\n"
    return cache.url


@pytest.fixture
def unique() -> str:
    """A name that no other test uses: for topic prefixes, consumer groups, app ids."""
    return f"t{os.getpid()}x{next(_numbers)}"
