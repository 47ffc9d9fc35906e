"""Fixtures and options for every test. Servers are real and on loopback; see support/servers.py."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.support.servers"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--broker", choices=("embedded", "kafka"), default="embedded",
        help="what the `broker` fixture is: the embedded broker, or Apache Kafka (make kafka-libs)",
    )
