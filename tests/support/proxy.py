"""A TCP proxy on loopback between a program and a server, whose slowness a test sets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self

from streams.embedded.child import PortLease

CHUNK_BYTES = 64 * 1024


class SlowProxy:
    """Hands bytes on, each chunk of an answer `delay_s` later. A context manager; runs in a thread of its own."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._lease = PortLease()
        self.port = self._lease.port
        self.delay_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10.0)
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)
        self._loop.close()
        self._lease.release()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _close(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._hand_on(reader, to_writer, slow=False))
                both.create_task(self._hand_on(to_reader, writer, slow=True))
        except* OSError:
            pass  # one of the two has gone: so does the other
        finally:
            for each in (writer, to_writer):
                each.close()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if slow and self.delay_s:
                await asyncio.sleep(self.delay_s)
            writer.write(chunk)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
