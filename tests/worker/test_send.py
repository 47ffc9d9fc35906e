"""The sender asks its lease more than once: what waits in the producer while the process is frozen does not go out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.errors import BrokerUnavailableError
from streams.worker.fence import FencedWriter
from streams.worker.lease import Lease
from streams.worker.send import RecordSender, Row, Written


class Out:
    """A sender with a valid lease, and a topic for what it sends."""

    def __init__(self, broker: str, topic: str) -> None:
        self.lease = Lease(10.0, 0.0)
        self.lease.renew("a")
        self.sender = RecordSender(broker, self.lease, 10.0, "test")
        self._rows = {topic: [Row(b"v", b"row")]}

    async def send(self) -> list[Written]:
        """Of a batch that begins now."""
        return await self.sender.send(0, self._rows, self.sender.tenure)

    async def handed_over(self) -> asyncio.Task[list[Written]]:
        """As `send`, when the lease has been asked and the producer has the rows."""
        sending = asyncio.create_task(self.send())
        await asyncio.sleep(0)
        return sending

    def connections(self) -> dict[Any, Any]:
        """The producer's, by node."""
        return {node: conn for (node, _), conn in self.sender._producer.client._conns.items()}


@pytest.fixture
async def out(broker: str, unique: str) -> AsyncIterator[Out]:
    topic = f"{unique}-rows"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()
    out = Out(broker, topic)
    await out.sender.start()
    try:
        yield out
    finally:
        await out.sender.close()


async def test_what_the_producer_holds_while_the_group_forgets_us_is_not_sent(out: Out) -> None:
    assert await out.send() == [Written(0, 1)]
    sending = await out.handed_over()
    out.lease.renew("a, anew")
    with pytest.raises(BrokerUnavailableError, match="NotOursError"):
        await sending
    assert await out.send() == [Written(1, 1)]


async def test_what_the_producer_holds_while_no_heartbeat_is_answered_waits_for_the_next(out: Out) -> None:
    sending = await out.handed_over()
    out.lease.lose()
    done, _ = await asyncio.wait([sending], timeout=0.5)
    assert not done
    out.lease.renew("a")
    assert await sending == [Written(0, 1)]


async def test_what_was_given_up_is_not_sent_in_a_later_tenure(out: Out) -> None:
    sending = await out.handed_over()
    out.lease.lose()
    sending.cancel()
    await asyncio.wait([sending])
    out.lease.renew("a, anew")
    await asyncio.wait(out.sender._under_way)  # until the producer has let it go
    assert await out.send() == [Written(0, 1)]


async def test_what_a_hand_over_gives_up_is_not_sent_although_the_group_knows_us_still(out: Out) -> None:
    sending = await out.handed_over()
    out.lease.end_tenure()
    with pytest.raises(BrokerUnavailableError, match="NotOursError"):
        await sending
    assert await out.send() == [Written(0, 1)]


async def test_the_producers_connections_are_fenced(out: Out) -> None:
    await out.send()
    fenced = {node for node, conn in out.connections().items() if type(conn._writer) is FencedWriter}
    assert fenced
    assert out.connections().keys() - fenced <= {"bootstrap"}  # which only asks where the nodes are
