"""What waits in the transport when the lease is lost never becomes a whole request, on either event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from streams.worker.fence import PRODUCE, FencedWriter

BIG = 16 << 20  # more than a loopback connection's two socket buffers hold
METADATA = b"\x00\x03"

Loop = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Loop:
    """Runs a coroutine function on this event loop."""
    if request.param == "asyncio":
        return lambda made: asyncio.run(made())
    return lambda made: uvloop.run(made())


def request(kind: bytes, size: int) -> bytes:
    body = kind + bytes(size - 2)
    return len(body).to_bytes(4, "big") + body


class Line:
    """A connection whose other end reads when it is told to."""

    def __init__(self) -> None:
        self.is_ours = True
        self.asked = 0

    def ours(self) -> bool:
        self.asked += 1
        return self.is_ours

    async def open(self) -> FencedWriter:
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
            self.reader, writer = await asyncio.open_connection(*server.getsockname())
            self.end, _ = server.accept()
        self.end.settimeout(20)
        return FencedWriter(writer, self.ours)

    async def read(self) -> bytes:
        """All that comes until the connection ends."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes:
        got = bytearray()
        with self.end:
            try:
                while some := self.end.recv(1 << 20):
                    got += some
            except ConnectionResetError:
                pass
        return bytes(got)


def test_requests_arrive_whole_and_in_order(run: Loop) -> None:
    async def sending() -> None:
        line = Line()
        writer = await line.open()
        requests = [request(PRODUCE, BIG), request(METADATA, 30), request(PRODUCE, 2), request(METADATA, BIG)]
        for one in requests:
            writer.write(one)
        reading = asyncio.create_task(line.read())
        await writer.drain()
        writer.close()
        assert await reading == b"".join(requests)

    run(sending)


def test_small_request_is_with_the_system_at_once(run: Loop) -> None:
    async def sending() -> None:
        line = Line()
        writer = await line.open()
        small = request(PRODUCE, 500)
        writer.write(small)
        assert await asyncio.to_thread(line.end.recv, len(small), socket.MSG_WAITALL) == small
        writer.close()
        line.end.close()

    run(sending)


def test_rest_of_a_produce_request_is_not_sent_when_the_lease_is_lost_meanwhile(run: Loop) -> None:
    async def sending() -> None:
        line = Line()
        writer = await line.open()
        whole = request(PRODUCE, BIG)
        writer.write(whole)
        writer.write(request(PRODUCE, 100))
        assert not line.asked  # it waits for the other end
        line.is_ours = False
        got = await line.read()
        assert len(got) < len(whole)
        assert line.asked == 1
        assert await line.reader.read() == b""  # aiokafka's reader sees the connection's end

    run(sending)


def test_produce_request_is_not_completed_without_the_lease(run: Loop) -> None:
    async def sending() -> None:
        line = Line()
        writer = await line.open()
        line.is_ours = False
        small = request(PRODUCE, 100)
        writer.write(small)
        assert small.startswith(await line.read())
        assert line.asked == 1

    run(sending)


def test_other_requests_ask_nobody(run: Loop) -> None:
    async def sending() -> None:
        line = Line()
        writer = await line.open()
        line.is_ours = False
        asking = request(METADATA, BIG)
        writer.write(asking)
        reading = asyncio.create_task(line.read())
        await writer.drain()
        writer.close()
        assert (await reading, line.asked) == (asking, 0)

    run(sending)


def test_other_end_that_goes_away_is_no_error_of_the_writer(run: Loop) -> None:
    async def sending() -> None:
        line = Line()
        writer = await line.open()
        writer.write(request(PRODUCE, BIG))
        line.end.close()
        with contextlib.suppress(ConnectionResetError):
            assert await line.reader.read() == b""
        with pytest.raises(ConnectionError):
            await writer.drain()
        writer.close()

    run(sending)


def test_closed_with_much_to_send_it_sends_no_more(run: Loop) -> None:
    async def sending() -> None:
        line = Line()
        writer = await line.open()
        whole = request(PRODUCE, BIG)
        writer.write(whole)
        writer.close()
        assert len(await line.read()) < len(whole)

    run(sending)
