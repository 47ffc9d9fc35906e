"""What the workers say of themselves in the cache: where they are, what they have, which rules are in force."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import redis.asyncio as redis

from streams.delivery import REDIS_FAILURES, RuleNote, WorkerNote, note_holds, rules_key, workers_key
from streams.errors import AvertError
from streams.telemetry import REDIS_ERRORS

T = TypeVar("T")
_rules_decoder = msgspec.json.Decoder(list[RuleNote])


class WorkersUnknownError(AvertError):
    """The cache does not answer, or no worker has said anything lately."""

    reason = "workers_unknown"
    status = 503


class Workers:
    """Reads their notes."""

    def __init__(self, client: redis.Redis, timeout_ms: int, prefix: str = "avert") -> None:
        self._redis = client
        self._timeout_s = timeout_ms / 1000
        self._prefix = prefix

    async def notes(self, now_ms: int) -> list[WorkerNote]:
        """The workers that there are at `now_ms`, by address. Raises WorkersUnknownError when Redis is away."""
        known = await self._ask(lambda: self._redis.hgetall(workers_key(self._prefix)))
        found = [note for said in known.values() if (note := note_holds(said, now_ms)) is not None]
        return sorted(found, key=lambda note: note.address)

    async def rules(self, version: str) -> list[RuleNote]:
        """The rules of a version. Raises WorkersUnknownError when they are not there."""
        stored = await self._ask(lambda: self._redis.get(rules_key(self._prefix, version)))
        try:
            return _rules_decoder.decode(stored or b"")
        except msgspec.DecodeError as error:
            raise WorkersUnknownError(f"the rules of version {version} are not in the cache (yet)") from error

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call()
        except REDIS_FAILURES as error:
            REDIS_ERRORS.labels("workers").inc()
            raise WorkersUnknownError("the cache does not answer; the workers are not known at the moment") from error


def version_of(notes: list[WorkerNote]) -> str:
    """The version that most of the workers have in force. Raises WorkersUnknownError when there are none."""
    counted = Counter(note.version for note in notes if note.version)
    if not counted:
        raise WorkersUnknownError("no worker has said lately which rules it has in force")
    return counted.most_common(1)[0][0]
