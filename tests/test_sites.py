"""Two sites on one broker and one cache: a topic prefix each, and nothing of one is ever seen by the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis.asyncio as redis
from aiokafka.admin import AIOKafkaAdminClient

from bench._processes import Program, leased_port, worker
from bench._workload import jobs, write_rules
from streams.keys import Keys, TokenSecret, WriteKey
from streams.settings import Settings, load_settings
from streams.worker.topics import changelog_name
from tests.http.support import KEYS, SHOP, Api, eventually, read_topic, running_api

VISITOR = "someone-known-to-both"
OTHER_KEYS = Keys(
    write_keys=(WriteKey("wk_shop", (SHOP,)),), server_keys=("sk_secret",),
    token_secrets=(TokenSecret("k1", "another site's secret"),),
)  # fmt: skip


class Site:
    """Worker and API of one site."""

    def __init__(self, settings: Settings, api: Api, program: Program) -> None:
        self.settings, self.api, self.program = settings, api, program

    async def search(self, number: int) -> None:
        """The visitor's search number so and so, processed; both sites give it the same id."""
        event = {
            "id": f"search-{number}", "visitor": VISITOR, "type": "search", "props": {"results": 0, "query": "refund"},
        }  # fmt: skip
        answer = await self.api.send(event)
        assert answer.json()["accepted"] == 1, answer.text
        # The worker says that it is done, by metrics of its own process.
        await eventually(lambda: self.applied() == number)

    def applied(self) -> int:
        """Events that this site's worker has applied."""
        name = 'avert_events_total{result="applied"} '
        (line,) = [line for line in self.program.metrics().splitlines() if line.startswith(name)]
        return int(float(line.removeprefix(name)))


async def _site(stack: AsyncExitStack, environment: dict[str, str], prefix: str, keys: Keys) -> Site:
    port = stack.enter_context(leased_port())
    # The prefix alone: everything else that has a name follows it. The cache has a user of the site (docs/scale.md).
    async with redis.Redis.from_url(environment["AVERT_REDIS_URL"]) as cache:
        rights = (f"~{prefix}*", f"&{prefix}*", "+@all", "-@dangerous")
        await cache.execute_command("ACL", "SETUSER", prefix, "reset", "on", ">secret", *rights)
    cache_url = environment["AVERT_REDIS_URL"].replace("redis://", f"redis://{prefix}:secret@")
    settings = load_settings(environment | {
        "AVERT_TOPIC_PREFIX": prefix, "AVERT_WORKER_HTTP_PORT": str(port), "AVERT_REDIS_URL": cache_url,
    })  # fmt: skip
    program = stack.enter_context(worker(settings))
    await asyncio.to_thread(program.until_ready)
    return Site(settings, await stack.enter_async_context(running_api(settings, keys)), program)


@pytest.fixture
async def sites(broker: str, redis_url: str, unique: str, tmp_path: Path) -> AsyncIterator[tuple[Site, Site]]:
    environment = {
        "AVERT_KAFKA_BOOTSTRAP": broker, "AVERT_REDIS_URL": redis_url, "AVERT_PARTITIONS": "2",
        "AVERT_FETCH_WAIT_MS": "20", "AVERT_BROKER_REBALANCE_TIMEOUT_S": "6", "AVERT_REDIS_TIMEOUT_MS": "2000",
        "AVERT_LIMITS_IN": "redis", "AVERT_RULES_DIR": str(write_rules(tmp_path, jobs(1))),
    }  # fmt: skip
    async with AsyncExitStack() as stack:
        yield (
            await _site(stack, environment, f"{unique}-a-", KEYS),
            await _site(stack, environment, f"{unique}-b-", OTHER_KEYS),
        )


async def _topics(broker: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def _clients(broker: str, group: str) -> set[str]:
    """The client ids of a group's members."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([group])
        return {member[1] for member in answer.groups[0][5]}
    finally:
        await admin.close()


async def _decisions(site: Site) -> list[dict[str, Any]]:
    return [msgspec.json.decode(record.value) for record in await read_topic(site.settings, "decisions")]


async def test_nothing_of_one_site_is_seen_by_the_other(
    sites: tuple[Site, Site], broker: str, redis_url: str, unique: str
) -> None:
    one, other = sites
    await one.search(1)
    await other.search(1)  # the same id of the same visitor, and no duplicate
    await one.search(2)  # the second: the rule fires, here only

    (suggestion,) = await one.api.suggestions(VISITOR)
    assert suggestion["rule"] == "search-dead-end"
    assert await other.api.suggestions(VISITOR) == []
    assert len(await _decisions(one)) == 1
    assert await _decisions(other) == []

    # The other visitor state has one search in it; a second makes it fire, with a suggestion of its own.
    await other.search(2)
    await eventually(lambda: _has(other))
    assert len(await _decisions(one)) == 1

    token = one.api.services.access.issue_token(VISITOR, 2_000_000_000)[0]
    assert one.api.services.access.may_read(VISITOR, token, 2_000_000_000)
    assert not other.api.services.access.may_read(VISITOR, token, 2_000_000_000)

    # Whatever has a name has the site's.
    names = {name for name in await _topics(broker) if name.startswith(unique)}
    for site in sites:
        prefix = site.settings.topic_prefix
        assert changelog_name(site.settings) in names
        assert site.settings.app_id == f"{prefix}avert"
        assert len([name for name in names if name.startswith(prefix)]) == len(names) / 2
    keys = await _keys(redis_url)
    assert {key.partition(":")[0] for key in keys} == {site.settings.app_id for site in sites}
    for site in sites:
        assert await _clients(broker, site.settings.app_id) in ({site.settings.app_id}, {""})  # embedded: not told


async def _keys(redis_url: str) -> set[str]:
    async with redis.Redis.from_url(redis_url, decode_responses=True) as cache:
        return set(await cache.keys("*"))


async def _has(site: Site) -> bool:
    return bool(await site.api.suggestions(VISITOR))
