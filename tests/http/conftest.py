from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from streams.delivery import Delivery
from streams.settings import Settings
from tests.http.support import Api, delivering, running_api


@pytest.fixture
def settings(broker: str, redis_url: str, unique: str) -> Settings:
    return Settings(
        kafka_bootstrap=broker, redis_url=redis_url, topic_prefix=f"{unique}.", partitions=2, redis_timeout_ms=2000,
        rate_per_visitor_per_s=100_000,
    )


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with running_api(settings) as running:
        yield running


@pytest.fixture
async def delivery(redis_url: str) -> AsyncIterator[Delivery]:
    async with delivering(redis_url) as running:
        yield running
