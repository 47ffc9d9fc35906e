"""What the faults' tests share: a house, and the report that the run itself writes (see report.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from streams.embedded.kafka import KafkaCluster, KafkaNode
from tests.chaos.house import House, chaos_settings
from tests.chaos.report import LINES, Report
from tests.support.servers import OWN_BROKER

REPORT = pytest.StashKey[Report]()
Build = Callable[..., House]


@pytest.fixture
def build(redis_url: str, unique: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Build]:
    """Builds a house: `build(address, name, **settings)`; more of House's own arguments as `house={...}`."""
    with ExitStack() as ends:

        def made(address: str, name: str, house: dict[str, Any] | None = None, **settings: Any) -> House:
            given = {"redis_url": redis_url, **settings}
            one = House(chaos_settings(address, unique=unique, folder=tmp_path, **given), broker=name, **(house or {}))
            ends.callback(lambda: request.node.user_properties.append(("figures", asdict(one.figures))))
            return ends.enter_context(one)

        yield made


@pytest.fixture
def shared(build: Build, request: pytest.FixtureRequest) -> Build:
    """Builds houses on the broker that most tests share: one node; three with ``--broker kafka3``; or one's own."""
    if OWN_BROKER:
        return lambda **more: build(OWN_BROKER, "given", **more)
    if request.config.getoption("--broker") != "kafka3":
        node: KafkaNode = request.getfixturevalue("apache_kafka")
        return lambda **more: build(node.address, "1 node", **more)
    cluster: KafkaCluster = request.getfixturevalue("kafka_cluster")

    def replicated(house: dict[str, Any] | None = None, **more: Any) -> House:
        return build(cluster.address, "3 nodes", {"replicas": 3, **(house or {})}, replication_factor=3, **more)

    return replicated


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--chaos-report")
    config.stash[REPORT] = Report(LINES / Path(path).parent.name if path is not None else LINES)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    outcome = yield
    marker = item.get_closest_marker("fault")
    if marker is not None:
        item.config.stash[REPORT].note(item.nodeid, marker.args[0], outcome)
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    outcome = yield
    path = item.config.getoption("--chaos-report")
    if path is not None:  # after each test, so that a run which is cut short leaves what it has
        item.config.stash[REPORT].write(item.nodeid, Path(path))
    return outcome
