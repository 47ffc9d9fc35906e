"""The sender asks its lease twice: what waits in the producer while the process is frozen does not go out after."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.errors import BrokerUnavailableError
from streams.worker.fence import FencedWriter
from streams.worker.lease import Lease
from streams.worker.send import RecordSender, Row, Written

ROWS = [Row(b"v", b"row")]


async def topic_on(broker: str, name: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        await admin.close()
    return name


async def test_what_the_producer_holds_while_the_group_forgets_us_is_not_sent(broker: str, unique: str) -> None:
    topic = await topic_on(broker, f"{unique}-rows")
    lease = Lease(10.0, 0.0)
    lease.renew("a")
    sender = RecordSender(broker, lease, 10.0, "test")
    await sender.start()
    try:
        assert await sender.send(0, {topic: ROWS}, sender.tenure) == [Written(0, 1)]
        sending = asyncio.create_task(sender.send(0, {topic: ROWS}, sender.tenure))
        await asyncio.sleep(0)  # it has asked its lease, and handed the rows to the producer
        lease.renew("a, anew")
        with pytest.raises(BrokerUnavailableError, match="NotOursError"):
            await sending
        assert await sender.send(0, {topic: ROWS}, sender.tenure) == [Written(1, 1)]
    finally:
        await sender.close()


async def test_what_the_producer_holds_while_no_heartbeat_is_answered_waits_for_the_next(
    broker: str, unique: str
) -> None:
    topic = await topic_on(broker, f"{unique}-rows")
    lease = Lease(10.0, 0.0)
    lease.renew("a")
    sender = RecordSender(broker, lease, 10.0, "test")
    await sender.start()
    try:
        sending = asyncio.create_task(sender.send(0, {topic: ROWS}, sender.tenure))
        await asyncio.sleep(0)
        lease.lose()
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done
        lease.renew("a")
        assert await sending == [Written(0, 1)]
    finally:
        await sender.close()


async def test_what_was_given_up_is_not_sent_in_a_later_tenure(broker: str, unique: str) -> None:
    topic = await topic_on(broker, f"{unique}-rows")
    lease = Lease(10.0, 0.0)
    lease.renew("a")
    sender = RecordSender(broker, lease, 10.0, "test")
    await sender.start()
    try:
        sending = asyncio.create_task(sender.send(0, {topic: ROWS}, sender.tenure))
        await asyncio.sleep(0)
        lease.lose()
        sending.cancel()
        await asyncio.wait([sending])
        lease.renew("a, anew")
        await asyncio.wait(sender._under_way)  # until the producer has let it go
        assert await sender.send(0, {topic: ROWS}, sender.tenure) == [Written(0, 1)]
    finally:
        await sender.close()


async def test_all_connections_of_the_producer_are_fenced(broker: str, unique: str) -> None:
    topic = await topic_on(broker, f"{unique}-rows")
    lease = Lease(10.0, 0.0)
    lease.renew("a")
    sender = RecordSender(broker, lease, 10.0, "test")
    await sender.start()
    try:
        await sender.send(0, {topic: ROWS}, sender.tenure)
        assert any(type(conn._writer) is FencedWriter for conn in sender._producer.client._conns.values())
        assert all(
            type(conn._writer) is FencedWriter
            for (node, _), conn in sender._producer.client._conns.items()
            if node != "bootstrap"
        )
    finally:
        await sender.close()
