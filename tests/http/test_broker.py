"""The event log's connection: it ends when it is told to."""

from __future__ import annotations

import asyncio

import pytest

from streams.http.broker import EventLog
from streams.settings import Settings


async def test_it_closes_also_when_a_cancellation_is_lost_on_the_way(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    connecting = asyncio.Event()

    async def connect(_log: EventLog) -> None:
        """As a client that is told to end in the moment in which it has been refused."""
        connecting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("refused") from None

    monkeypatch.setattr(EventLog, "_connect", connect)
    log = EventLog(settings)
    await log.start()
    await connecting.wait()
    async with asyncio.timeout(20):
        await log.close()
    assert not log.available
