"""A whole pipeline for clients to talk to: broker, cache, worker, collector, all real, with one rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streams.embedded.child import PortLease
from streams.embedded.stack import FETCH_WAIT_MS, EmbeddedCache
from streams.keys import WriteKey
from streams.settings import Settings
from tests.clients.pages import Pages
from tests.clients.site import Site
from tests.clients.support import running_collector, save_keys
from tests.support.programs import running_worker

RULES = Path(__file__).parent / "rules"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What drives SDKs needs them installed: `make clients`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("clients")


@pytest.fixture(scope="session")
def pages() -> Iterator[Pages]:
    """A web server with the pages that browsers open."""
    with Pages() as server:
        yield server


@pytest.fixture(scope="session")
def site(
    broker: str, cache: EmbeddedCache, pages: Pages, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Worker and collector of one site, whose write key is for the origin of `pages`."""
    folder = tmp_path_factory.mktemp("site")
    keys = [WriteKey("wk_shop", (pages.origin,), apps=("shop",))]
    lease = PortLease()
    settings = Settings(
        kafka_bootstrap=broker, redis_url=cache.url, topic_prefix="clients.", app_id="clients", partitions=2,
        rules_dir=RULES, keys_file=save_keys(folder / "keys.json", keys), fetch_wait_ms=FETCH_WAIT_MS,
        broker_rebalance_timeout_s=6.0, worker_http_port=lease.port, redis_timeout_ms=2000,
    )
    with ExitStack() as stack:
        settings = stack.enter_context(running_collector(settings, folder))
        stack.enter_context(running_worker(settings, folder))
        yield Site(settings, "wk_shop")
    lease.release()
