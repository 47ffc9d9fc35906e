"""The topics, for those who come before the first worker: the worker's own layout, created the worker's own way."""

from __future__ import annotations

import asyncio

from streams.errors import BrokerUnavailableError
from streams.settings import Settings

CONNECT_TIMEOUT_S = 10.0  # for people at a terminal: after this long the address is wrong or the broker is down


async def create_topics(settings: Settings) -> int:
    """Create what is missing and check the rest; returns the partition count.

    Raises BrokerUnavailableError, TopicLayoutError.
    """
    from streams.worker.topics import connect_admin, ensure_topics  # noqa: PLC0415  # without Faust, and late

    give_up = asyncio.Event()
    asyncio.get_running_loop().call_later(CONNECT_TIMEOUT_S, give_up.set)
    admin = await connect_admin(settings, give_up)
    if admin is None:
        raise BrokerUnavailableError(f"no Kafka at {settings.kafka_bootstrap} (AVERT_KAFKA_BOOTSTRAP)")
    try:
        return await ensure_topics(admin, settings)
    finally:
        await admin.close()
