"""`avert rules publish`: put the rules of a directory into force in every worker, from outside of them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from streams.core.ruleset import EngineOptions
from streams.errors import BrokerUnavailableError, RuleFileError
from streams.rulefiles.load import compile_files
from streams.rulefiles.watch import take
from streams.settings import Settings
from streams.worker.reload_topic import Publication, RulesTopic, publication_of
from streams.worker.topics import connect_admin, ensure_topics

CONNECT_S_MAX = 15.0  # a person waits


async def publish_directory(settings: Settings, options: EngineOptions) -> Publication:
    """Publish `settings.rules_dir`. Raises RuleFileError, BrokerUnavailableError, TopicLayoutError."""
    directory: Path = settings.rules_dir
    try:
        snapshot = take(directory)
    except (OSError, RuntimeError) as error:
        raise RuleFileError(f"{directory}: there is no such directory") from error
    if snapshot.problem is not None:
        raise RuleFileError(snapshot.problem)
    publication = publication_of(
        snapshot, compile_files(snapshot.files, directory, options).version, time.time_ns() // 1_000_000
    )
    try:
        async with asyncio.timeout(CONNECT_S_MAX):
            admin = await connect_admin(settings, asyncio.Event())
            try:
                await ensure_topics(admin, settings)
            finally:
                await admin.close()
    except TimeoutError:
        raise BrokerUnavailableError(f"{settings.kafka_bootstrap} does not answer") from None
    topic = RulesTopic(settings)
    try:
        await topic.start()
        await topic.publish(publication)
    finally:
        await topic.close()
    return publication
