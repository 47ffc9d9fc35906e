"""Hold streams of suggestions open: ``python -m bench._streams URL FILE`` with a line ``visitor token`` a stream."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from bench._report import say


async def hold(host: str, port: int, visitor: str, token: str) -> asyncio.Task[None]:
    """One stream, once its head is there; the task reads what comes, and keeps the connection."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET /v1/suggestions/stream?visitor={visitor}&token={token} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(head.decode())

    async def read() -> None:
        while await reader.read(65_536):
            pass
        writer.close()

    return asyncio.create_task(read())


async def main(url: str, lines: list[str]) -> None:
    """Open all; say so; hold them."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    held = [await hold(parts.hostname, parts.port, *line.split()) for line in lines]
    say(f"{len(held)} open")
    await asyncio.gather(*held)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2]).read_text().splitlines()))
