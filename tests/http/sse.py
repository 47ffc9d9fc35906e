"""A client of server-sent events that shows everything: comments, ids, what came when, how it ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 20.0


@dataclass
class Message:
    """One message of the stream: its fields, or a comment alone."""

    fields: dict[str, str] = field(default_factory=dict)
    comment: bool = False

    @property
    def suggestions(self) -> list[str]:
        """The ids of the suggestions in it."""
        return [suggestion["id"] for suggestion in json.loads(self.fields["data"])["suggestions"]]


class EventSource:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    async def open(self) -> None:
        """Read the head; of an answer that is no stream the body too."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = int(head[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        if "content-length" in self.headers:
            self.body = await self._reader.readexactly(int(self.headers["content-length"]))

    async def message(self) -> Message | None:
        """The next message; None when the server ended the stream."""
        found = Message()
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                line = await self._line()
                if line is None:
                    return None
                if line.startswith(":"):
                    found.comment = True
                elif line:
                    name, _, value = line.partition(": ")
                    found.fields[name] = value
                elif found.fields or found.comment:
                    return found

    async def list(self) -> list[str]:
        """The ids of the next list of suggestions, whatever comes before it."""
        while True:
            found = await self.message()
            assert found is not None, "the stream ended"
            if "data" in found.fields:
                return found.suggestions

    async def ended(self) -> bool:
        """Read to the end."""
        while await self.message() is not None:
            pass
        return True

    async def _line(self) -> str | None:
        while b"\n" not in self.body:
            size = await self._reader.readline()
            chunk = await self._reader.readexactly(int(size, 16) + 2) if size else b"\r\n"
            if len(chunk) == 2:
                return None
            self.body += chunk[:-2]
        line, _, self.body = self.body.partition(b"\n")
        return line.decode()


@asynccontextmanager
async def event_source(url: str, query: str, **headers: Any) -> AsyncIterator[EventSource]:
    """A connection to the stream of `url`, opened; header names with underscores."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    writer.write(f"GET /v1/suggestions/stream?{query} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    source = EventSource(reader, writer)
    try:
        await source.open()
        yield source
    finally:
        writer.close()
