"""``GET /v1/rules``: what is in force, since when, in how many workers; by what the workers themselves say."""

from __future__ import annotations

import time

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streams.delivery import RuleNote
from streams.http.answers import answer
from streams.http.caller import Caller, Services
from streams.http.workers import Workers, version_of


class VersionOut(msgspec.Struct):
    """A version of the rules that workers have in force, since when (ms, the earliest of them), and how many."""

    version: str
    since: int
    age_s: int
    workers: int
    partitions: int


class RulesOut(msgspec.Struct):
    """The rules of the version that most workers have; `versions` has two while new ones come into force."""

    version: str
    versions: list[VersionOut]
    rules: list[RuleNote]


class Rules:
    """The answer, for whoever was let in."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    async def answer(self, _request: Request) -> Response:
        """Raises WorkersUnknownError when no worker has said anything lately, or the cache is away."""
        now_ms = int(time.time() * 1000)
        notes = await self._workers.notes(now_ms)
        version = version_of(notes)
        versions = []
        for name in sorted({note.version for note in notes if note.version}):
            having = [note for note in notes if note.version == name]
            since = min(note.since for note in having)
            versions.append(VersionOut(
                name, since, max(0, now_ms - since) // 1000, len(having),
                len({partition for note in having for partition in note.partitions}),
            ))
        return answer(RulesOut(version, versions, await self._workers.rules(version)))


class PublicRules:
    """The route of the public port: for the site's own servers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rules = Rules(
            Workers(services.reader.client, services.settings.redis_timeout_ms, services.settings.cache_prefix)
        )

    async def get(self, request: Request) -> Response:
        """Answer ``GET /v1/rules`` (server key)."""
        caller = Caller(request, self._services)
        await caller.admit()
        caller.require_server("rules")
        return await self._rules.answer(request)
