"""A small HTTP/1.1 client for load: keep-alive, no redirects, no chunked bodies; cheap beside what is measured."""

from __future__ import annotations

import asyncio
from typing import NamedTuple


class Answer(NamedTuple):
    """Status and body."""

    status: int
    body: bytes


class Client:
    """A pool of keep-alive connections to one address; made as needed, used again."""

    def __init__(self, host: str, port: int, headers: dict[str, str]) -> None:
        self._host, self._port = host, port
        self._head = f"Host: {host}:{port}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """One request. Raises ConnectionError or asyncio.IncompleteReadError when the server goes away."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        answer = Answer(int(head[9:12]), await reader.readexactly(length) if length else b"")
        self._idle.append((reader, writer))
        return answer

    async def close(self) -> None:
        """Close every idle connection."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()
