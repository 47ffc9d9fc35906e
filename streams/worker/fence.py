"""The last byte of a produce request goes out when the rest is on its way, and only if the lease is still ours then.

A broker acts on a request once it has all of it. What is handed to the event loop's transport may stay there, in
this process's memory, when the system's socket buffer is full: frozen at that moment, the process would send the rest
after it thaws, and the broker would append rows of a worker that has long had a successor. So the last byte is held
back until everything before it is with the system, and the lease is asked then. In the usual case, in which the system
takes all at once, that is one more call.

What is left open is a freeze between that question and the system call behind it: some microseconds, which no client
can close.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

PRODUCE = b"\x00\x00"  # a request begins with its length, 4 bytes, and the number of its kind, 2 bytes


class FencedWriter:
    """In the place of a connection's `asyncio.StreamWriter`, of which aiokafka uses `write`, `drain` and `close`."""

    def __init__(self, writer: asyncio.StreamWriter, ours: Callable[[], bool]) -> None:
        """`ours`: whether what the producer sends may still be written."""
        self._writer = writer
        self._transport: Any = writer.transport  # an asyncio.WriteTransport, which not every loop's says it is
        self._ours = ours
        self._parts: deque[tuple[bytes | memoryview, bool]] = deque()  # and whether it completes a produce request
        self._waiting: asyncio.Task[None] | None = None
        self._transport.set_write_buffer_limits(high=0)  # `drain` returns when all is with the system

    def write(self, request: bytes) -> None:
        """Send one whole request, in the order of the calls."""
        if request[4:6] == PRODUCE:
            self._parts.append((memoryview(request)[:-1], False))
            self._parts.append((request[-1:], True))
        else:
            self._parts.append((request, False))
        if self._waiting is None and not self._advance():
            self._waiting = asyncio.ensure_future(self._finish())

    def _advance(self) -> bool:
        """Write while the system takes it at once. Whether nothing is left to write."""
        while self._parts:
            if self._transport.get_write_buffer_size():
                return False
            part, completes = self._parts.popleft()
            if completes and not self._ours():
                self._parts.clear()
                self._transport.abort()  # the broker drops what it has not got whole
                return True
            self._transport.write(part)
        return True

    async def _finish(self) -> None:
        try:
            while not self._advance():
                await self._writer.drain()
        except OSError:
            self._parts.clear()  # the connection is gone, which its reader tells everybody
        finally:
            self._waiting = None

    async def drain(self) -> None:
        """Return when everything is with the system."""
        if self._waiting is not None:
            await asyncio.shield(self._waiting)
        await self._writer.drain()

    def close(self) -> None:
        """Drop what is left, and close."""
        self._parts.clear()
        if self._waiting is not None:
            self._waiting.cancel()
        self._writer.close()
