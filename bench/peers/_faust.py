"""How Faust is set up, for both of its benchmarks: no web server, no leader's topic, tables in memory."""

from __future__ import annotations

import tempfile
from typing import Any

import faust


def make_app(app_id: str, broker: str, partitions: int, **more: Any) -> faust.App:
    """An application that reads one topic of so many partitions."""
    return faust.App(
        app_id,
        broker=f"kafka://{broker}",
        store="memory://",
        topic_partitions=partitions,
        web_enabled=False,
        datadir=tempfile.mkdtemp(prefix="faust-"),
        topic_disable_leader=True,
        broker_rebalance_timeout=6.0,
        stream_wait_empty=False,
        worker_redirect_stdouts=False,
        **more,
    )
