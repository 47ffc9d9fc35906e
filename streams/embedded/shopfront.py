"""The demo shop beside a local pipeline: its port and origin are the pipeline's to give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from streams.embedded.local import Local
from streams.embedded.shop import Shop
from streams.embedded.shop_decisions import DecisionFeed


@contextmanager
def running_shop(local: Local) -> Iterator[Shop]:
    """The shop of a pipeline that has been started."""
    with DecisionFeed(local.settings) as feed, Shop(local.shop_port, local.api_url, local.keys.write, feed.of) as shop:
        yield shop
