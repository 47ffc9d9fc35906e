"""Fixtures and options for every test. Servers are real and on loopback; see support/servers.py."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.support.servers"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--broker", choices=("embedded", "kafka", "kafka3"), default="embedded",
        help="what the `broker` fixture is: the embedded broker, or Apache Kafka (make kafka-libs): one node, or three",
    )
    parser.addoption(
        "--chaos-report", metavar="PATH", default=None, help="write a report of the faults that were tested to PATH"
    )
