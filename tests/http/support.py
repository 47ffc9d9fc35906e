"""An API under test: the real application, a real broker, a real cache; only the network hop to it is left out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.core.effects import Suggestion
from streams.delivery import Delivery
from streams.http.app import build_app, build_services
from streams.http.caller import Services
from streams.keys import Keys, TokenSecret, WriteKey
from streams.settings import Settings
from tests.support.waiting import until as eventually

WRITE = {"x-write-key": "wk_shop"}
SERVER = {"authorization": "Bearer sk_secret"}
SHOP = "https://shop.example"
KEYS = Keys(
    write_keys=(
        WriteKey("wk_shop", (SHOP,)),
        WriteKey("wk_blog", ("https://blog.example",)),
        WriteKey("wk_gone", ("https://gone.example",), revoked=True),
    ),
    server_keys=("sk_first", "sk_secret"),
    token_secrets=(TokenSecret("k2", "the secret that signs"), TokenSecret("k1", "the one of last month")),
)


def now_ms() -> int:
    return int(time.time() * 1000)


@dataclass
class Api:
    """The application and what stands behind it."""

    settings: Settings
    services: Services
    client: httpx.AsyncClient

    async def send(self, body: Any, *, query: str = "", **headers: str) -> httpx.Response:
        """POST events with the shop's write key; header names with underscores."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(f"/v1/events{query}", content=content, headers={**WRITE, **named})

    async def suggestions(self, visitor: str, query: str = "", **headers: str) -> list[dict[str, Any]]:
        """The visitor's suggestions, read with the server key."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.client.get(f"/v1/suggestions?visitor={visitor}{query}", headers={**SERVER, **named})
        assert response.status_code == 200
        return response.json()["suggestions"]

    async def read_topic(self, name: str) -> list[Any]:
        """All records of one topic, in the order of partition and offset."""
        return await read_topic(self.settings, name)

    async def events(self) -> list[dict[str, Any]]:
        """The events in the log."""
        return [msgspec.json.decode(record.value) for record in await self.read_topic("clickstream")]

    async def dead_letters(self) -> list[dict[str, Any]]:
        """The dead letters."""
        return [msgspec.json.decode(record.value) for record in await self.read_topic("deadletter")]


async def read_topic(settings: Settings, name: str) -> list[Any]:
    """All records of one topic up to its end as of now."""
    topic = settings.topic(name)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[Any] = []
        while len(records) < sum(ends.values()):
            for found in (await consumer.getmany(timeout_ms=200)).values():
                records.extend(found)
        return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


@asynccontextmanager
async def running_api(settings: Settings, keys: Keys = KEYS, *, connected: bool = True) -> AsyncIterator[Api]:
    """The application with its services started; `connected`: only once the broker has answered."""
    services = build_services(settings, keys)
    await services.log.start()
    transport = httpx.ASGITransport(build_app(services), raise_app_exceptions=False, client=("203.0.113.7", 4711))
    try:
        if connected:
            await eventually(lambda: services.log.available)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
            yield Api(settings, services, client)
    finally:
        await services.log.close()
        await services.reader.close()
        await services.totals.close()


@asynccontextmanager
async def delivering(redis_url: str, timeout_ms: int = 2000) -> AsyncIterator[Delivery]:
    """The worker's side of the cache. The timeout is generous: a busy machine is no failure."""
    delivery = Delivery(redis_url, timeout_ms)
    await delivery.start()
    try:
        yield delivery
    finally:
        await delivery.close()


def suggestion(visitor: str, id: str = "s1", **changes: Any) -> Suggestion:
    """A suggestion that lives for a minute."""
    fields: dict[str, Any] = {
        "session": "visit-1", "rule": "search-dead-end", "version": "0123456789ab", "placement": "help-banner",
        "priority": 60, "created": now_ms(), "expires": now_ms() + 60_000,
        "title": {"en": "Can't find it?", "it": "Non lo trovi?"},
    }
    return Suggestion(id=id, visitor=visitor, **{**fields, **changes})
