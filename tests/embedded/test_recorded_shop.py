"""Somebody else's ground truth: the recorded shop through a real broker and a real worker gives the owner's table."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from streams.core.effects import OutcomeRecord
from streams.embedded.child import PortLease
from streams.embedded.recorded_shop import OPTIONS, RECORDING
from streams.embedded.tally import Tally, Watcher
from streams.embedded.topics import create_topics
from streams.replay import read_recording, replay
from streams.settings import Settings
from tests.support.programs import running_worker

EXPECTED = {
    row["domain_sessionid"]: row["session_cart_abandoned"]
    for row in json.loads((RECORDING.parent / "expected_sessions.json").read_text())
}


class Sessions(Tally):
    """Also keeps which outcomes each session had."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes_of: defaultdict[str, list[str]] = defaultdict(list)

    def count(self, topic: str, record: Any) -> None:
        super().count(topic, record)
        if topic == "outcomes":
            outcome = msgspec.json.decode(record.value, type=OutcomeRecord)
            self.outcomes_of[outcome.session].append(outcome.outcome)


async def sessions_of_replay(settings: Settings, folder: Path) -> Sessions:
    partitions = await create_topics(settings)
    await replay(read_recording(RECORDING, OPTIONS), settings, OPTIONS)
    watcher = Watcher(settings)
    watcher.tally = sessions = Sessions()
    await watcher.start(partitions)
    try:
        with running_worker(settings, folder) as worker:
            async with asyncio.timeout(60):
                while await watcher.lag() or await watcher.unread():
                    worker.check()
                    await watcher.read()
    finally:
        await watcher.stop()
    return sessions


async def test_owners_table_comes_out_of_the_pipeline(
    broker: str, redis_url: str, unique: str, tmp_path: Path
) -> None:
    port = PortLease()
    settings = Settings(
        kafka_bootstrap=broker, redis_url=redis_url, rules_dir=RECORDING.parent / "rules", app_id=unique,
        topic_prefix=f"{unique}.", partitions=4, broker_rebalance_timeout_s=6.0, fetch_wait_ms=20,
        worker_http_port=port.port,
    )
    sessions = await sessions_of_replay(settings, tmp_path)

    ended = {session for session, names in sessions.outcomes_of.items() if "session" in names}
    assert ended == set(EXPECTED)
    assert len(ended) == 63
    assert sessions.outcomes["session"] == 63
    assert sessions.outcomes["session_cart_abandoned"] == 11
    assert sessions.dead_letters == 0
    for session, abandoned in EXPECTED.items():
        names = sessions.outcomes_of[session]
        ours = "session_cart_abandoned" in names if "cart_touched" in names else None
        assert ours == abandoned, session
