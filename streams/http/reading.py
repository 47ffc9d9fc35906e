"""Suggestions from Redis, for the API: many visitors in one pipeline, and waiting for the worker's progress."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import redis.asyncio as redis

from streams.core.effects import Suggestion
from streams.delivery import (
    REDIS_FAILURES,
    REFUSED_FIELD,
    changes_channel,
    progress_key,
    refused_at,
    visitor_key,
)
from streams.http.changes import ChangeListener
from streams.http.progress import ProgressListener
from streams.telemetry import REDIS_ERRORS, log

# While Redis is away each further question would only cost the page its patience: answer [] at once for this long.
_REST_AFTER_FAILURE_MS = 200
# One pipeline asks for at most this many visitors: about 2 ms of Redis' time.
_PIPELINE_MAX = 256
# Two pipelines overlap: the next is filled while the answer of the one before is on its way.
_PIPELINES_MAX = 2

T = TypeVar("T")
_REFUSED = REFUSED_FIELD.encode()
_Stored = dict[bytes, bytes]  # a visitor's hash
_Question = tuple[str, asyncio.Future[_Stored | None]]

_decoder = msgspec.json.Decoder(Suggestion)


class SuggestionReader:
    """Reads suggestions; one per API process. A failing Redis is an empty answer and a metric, never an exception.

    Reads that arrive while a pipeline is under way go out together in the next one: one round trip for hundreds of
    visitors under load, and none added when idle.
    """

    def __init__(self, redis_url: str, timeout_ms: int, prefix: str = "avert") -> None:
        self._redis: redis.Redis = redis.Redis.from_url(
            redis_url, socket_connect_timeout=timeout_ms / 1000, socket_timeout=timeout_ms / 1000
        )
        self.client = self._redis  # for what else this process asks the cache
        self._timeout_s = timeout_ms / 1000
        self._prefix = prefix
        self._asked: list[_Question] = []
        self._pipelines: set[asyncio.Task[None]] = set()
        self._rest_until_s = 0.0
        self._failing = False
        self._progress = ProgressListener(self._redis, progress_key(prefix))
        self.changes = ChangeListener(self._redis, changes_channel(prefix))

    async def close(self) -> None:
        """Stop listening and close the connections."""
        await self._progress.close()
        await self.changes.close()
        for task in tuple(self._pipelines):
            await asyncio.wait([task])
        await self._redis.aclose()

    async def ping(self) -> bool:
        """Whether Redis answers now."""
        return await self._bounded("ping", self._redis.ping) is not None

    async def read(self, visitor: str, now_ms: int) -> list[Suggestion]:
        """What may be shown to `visitor` at `now_ms`, highest priority first; [] when Redis does not answer in time."""
        return await self.read_known(visitor, now_ms) or []

    async def read_known(self, visitor: str, now_ms: int) -> list[Suggestion] | None:
        """The same, but None when Redis does not answer in time: for whoever must not take that for "nothing"."""
        if time.monotonic() < self._rest_until_s:
            REDIS_ERRORS.labels("read").inc()
            return None
        answer: asyncio.Future[_Stored | None] = asyncio.get_running_loop().create_future()
        self._asked.append((visitor, answer))
        self._send_next()
        stored = await answer
        if not stored:
            return None if stored is None else []
        refusal = stored.pop(_REFUSED, None)
        refused = -1 if refusal is None else refused_at(refusal)
        found = [suggestion for suggestion in map(_decode, stored.values()) if suggestion is not None]
        live = [suggestion for suggestion in found if suggestion.expires > now_ms and suggestion.created > refused]
        live.sort(key=lambda suggestion: (-suggestion.priority, suggestion.created, suggestion.id))
        return live

    async def wait_for(self, partition: int, offset: int, timeout_ms: int) -> bool:
        """Wait until the worker has done `offset` of `partition`; False when it has not within `timeout_ms`."""
        return await self._progress.wait_for(partition, offset, timeout_ms)

    def _send_next(self) -> None:
        if not self._asked or len(self._pipelines) >= _PIPELINES_MAX:
            return
        asked, self._asked = self._asked[:_PIPELINE_MAX], self._asked[_PIPELINE_MAX:]
        task = asyncio.create_task(self._ask(asked))
        self._pipelines.add(task)
        task.add_done_callback(self._asked_one)

    def _asked_one(self, task: asyncio.Task[None]) -> None:
        self._pipelines.discard(task)
        self._send_next()

    async def _ask(self, asked: list[_Question]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for visitor, _ in asked:
            pipe.hgetall(visitor_key(self._prefix, visitor))
        answers = await self._bounded("read", pipe.execute, weight=len(asked))
        for index, (_, future) in enumerate(asked):
            if not future.done():  # a caller that gave up has cancelled it
                future.set_result(answers[index] if answers is not None else None)

    async def _bounded(self, operation: str, call: Callable[[], Awaitable[T]], weight: int = 1) -> T | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await call()
        except REDIS_FAILURES as error:
            REDIS_ERRORS.labels(operation).inc(weight)
            self._rest_until_s = time.monotonic() + _REST_AFTER_FAILURE_MS / 1000
            if not self._failing:  # one line an outage, not one a request
                self._failing = True
                log.warning("redis_unavailable", operation=operation, error=f"{type(error).__name__}: {error}")
            return None
        if self._failing:
            self._failing = False
            log.info("redis_back")
        return answer


def _decode(stored: bytes) -> Suggestion | None:
    try:
        return _decoder.decode(stored)
    except msgspec.DecodeError as error:  # somebody else wrote there, or a worker of another version
        REDIS_ERRORS.labels("decode").inc()
        log.warning("suggestion_unreadable", error=str(error))
        return None
