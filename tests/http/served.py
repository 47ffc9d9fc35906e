"""The API behind its real server, in this process: what a test needs to see from both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import msgspec

from streams.http.access import mint_visitor
from streams.http.app import build_app, build_services
from streams.http.caller import Services
from streams.http.main import accept, server, stop
from streams.http.main import listenable as free_port
from streams.keys import Keys
from streams.settings import Settings
from tests.http.support import KEYS, eventually, now_ms


@dataclass
class Served:
    """A running API: where it listens, and what it works with."""

    url: str
    services: Services
    client: httpx.AsyncClient

    def visitor(self) -> tuple[str, str]:
        """A new visitor id, and a token for it."""
        visitor = mint_visitor()
        return visitor, self.services.access.issue_token(visitor, now_ms() // 1000)[0]

    def query(self) -> tuple[str, str]:
        """A new visitor id, and the query that opens what belongs to it."""
        visitor, token = self.visitor()
        return visitor, f"visitor={visitor}&token={token}"


@asynccontextmanager
async def serving(settings: Settings, keys: Keys = KEYS, *, connected: bool = False) -> AsyncIterator[Served]:
    """The application behind granian on a free port; `connected`: once the broker has answered."""
    port = free_port("127.0.0.1", 0)
    services = build_services(msgspec.structs.replace(settings, api_port=port), keys)
    await services.log.start()
    running = server(build_app(services), services.settings, "127.0.0.1", port)
    task = asyncio.create_task(running.serve())
    try:
        await accept(("127.0.0.1", port))
        if connected:
            await eventually(lambda: services.log.available)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield Served(f"http://127.0.0.1:{port}", services, client)
    finally:
        stop(services, [running])
        await task
        await services.log.close()
        await services.reader.close()
        await services.totals.close()
