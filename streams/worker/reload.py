"""The rules of a running worker: which are in force, and how others come into force without a restart.

1. What the topic `rules` says last is in force, in every worker, the one that published it too.
2. A worker publishes what its directory holds when that has *changed* since the worker's start, has come to rest, and
   compiles; a restart with an old checkout therefore changes nothing. On an empty topic the first one publishes.
3. A directory that only catches up (its new contents have been on the topic before, and what it held until now was
   not what is in force) is not published: a slow checkout does not roll the others back on its way.
4. What does not compile never replaces anything: the version in force stays, and a metric and the log say so.
5. Compiling runs in a thread; the swap is one assignment in the event loop, so it falls between two batches.
6. At the start, what the topic says counts; the directory only when the topic is empty or this program cannot use
   what stands there. With neither usable, the worker ends.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import get_args

from streams.core.definition import Mode
from streams.core.ruleset import EngineOptions, Ruleset
from streams.errors import BrokerUnavailableError, RuleFileError
from streams.rulefiles.load import compile_files
from streams.rulefiles.watch import Snapshot, Watcher
from streams.settings import Settings
from streams.telemetry import (
    RULES_BROKEN,
    RULES_DIRECTORY_DIFFERS,
    RULES_INFO,
    RULES_LOADED,
    RULES_LOADED_AT,
    RULES_RELOADS,
    log,
)
from streams.worker.apply import EngineFailure, guarded
from streams.worker.reload_topic import Publication, RulesTopic, publication_of

SUPERSEDED_MAX = 64  # earlier publications that are told from new contents: a day of busy editing
ERROR_CHARS_MAX = 2_000  # of the findings, in one line of the log


class Rules:
    """The rules in force. `use` is called in the event loop, with each compiled set that comes into force."""

    def __init__(self, settings: Settings, options: EngineOptions, use: Callable[[Ruleset], None]) -> None:
        self._settings = settings
        self._options = options
        self._use = use
        self._topic = RulesTopic(settings)
        self._watcher: Watcher
        self.ruleset: Ruleset | None = None
        self.digest = ""  # of the files in force
        self._agreed = ""  # of the topic's last record, usable here or not
        self._superseded: deque[str] = deque(maxlen=SUPERSEDED_MAX)
        self._offered: tuple[Snapshot, str] | None = None  # to be published, and what the directory held before
        self._compiled: tuple[str, Ruleset] | None = None  # the last compiled set, by digest

    async def start(self) -> None:
        """Put the first rules into force. Raises RuleFileError, BrokerUnavailableError."""
        self._watcher = await asyncio.to_thread(Watcher, self._settings.rules_dir)
        await self._topic.start()
        published = await self._topic.current()
        if published is not None:
            await self._accept(published)
        if self.ruleset is not None:
            if self._compare():
                log.warning(
                    "rules_directory_differs", in_force=self.digest,
                    hint="what was published last is in force; `avert rules publish` puts this directory into force",
                )
            return
        own = self._watcher.last
        if own is None:
            raise RuleFileError(f"{self._settings.rules_dir}: there is no such directory")
        ruleset = await self._compile(own)
        self._swap(ruleset, own.digest, "directory")
        if published is None:
            await self._topic.publish(publication_of(own, ruleset.version, _now_ms()))
            self._agreed = own.digest
        self._compare()

    async def close(self) -> None:
        """Leave the broker."""
        await self._topic.close()

    # --- the directory ----------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Publish what changes in the directory; for ever."""
        while True:
            await asyncio.sleep(self._settings.rules_poll_ms / 1000)
            before = self._watcher.last.digest if self._watcher.last else ""
            found = await asyncio.to_thread(self._watcher.look)
            if found is not None:
                self._offered = found, before
            if self._offered is not None:
                await self._offer(*self._offered)
                self._compare()

    async def _offer(self, found: Snapshot, before: str) -> None:
        """Publish `found` unless there is a reason not to. It stays offered only while the broker does not answer."""
        self._offered = None
        if found.digest == self._agreed:
            self._fine("directory")
        elif found.digest in self._superseded and before != self._agreed:
            log.info("rules_directory_catches_up", digest=found.digest, in_force=self.digest)
        else:
            try:
                ruleset = await self._compile(found)
            except RuleFileError as error:
                self._broken("directory", found.digest, error)
                return
            self._fine("directory")
            try:
                await self._topic.publish(publication_of(found, ruleset.version, _now_ms()))
            except BrokerUnavailableError as error:
                RULES_RELOADS.labels("unpublished").inc()
                log.warning("rules_not_published", version=ruleset.version, error=str(error))
                self._offered = found, before
                return
            log.info("rules_published", version=ruleset.version, digest=found.digest)

    # --- the topic --------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Put into force what the topic says; for ever."""
        while True:
            await self._accept(await self._topic.next())
            self._compare()

    async def _accept(self, published: Publication) -> None:
        if self._agreed and self._agreed != published.digest:
            self._superseded.append(self._agreed)
        self._agreed = published.digest
        if published.digest == self.digest:
            self._fine("topic")
            return
        try:
            ruleset = await self._compile(Snapshot(published.contents(), published.digest))
        except RuleFileError as error:
            self._broken("topic", published.digest, error)
            return
        self._fine("topic")
        self._swap(ruleset, published.digest, f"topic, by {published.by}")

    # --- both -------------------------------------------------------------------------------------------------

    async def _compile(self, snapshot: Snapshot) -> Ruleset:
        if self._compiled is not None and self._compiled[0] == snapshot.digest:
            return self._compiled[1]
        if snapshot.problem is not None:
            raise RuleFileError(snapshot.problem)
        made = await asyncio.to_thread(
            guarded, compile_files, snapshot.files, self._settings.rules_dir, self._options
        )
        if isinstance(made, EngineFailure):  # a defect of the loader; it must not cost the rules that work
            raise RuleFileError(f"the rule files cannot be compiled: {made.error!r}") from made.error
        ruleset: Ruleset = made
        self._compiled = snapshot.digest, ruleset
        return ruleset

    def _swap(self, ruleset: Ruleset, digest: str, source: str) -> None:
        previous, self.ruleset, self.digest = self.ruleset, ruleset, digest
        self._use(ruleset)
        announce(ruleset, previous)
        RULES_RELOADS.labels("applied").inc()
        log.info(
            "rules_loaded", version=ruleset.version, digest=digest, source=source, rules=len(ruleset.rules),
            before=previous.version if previous else None,
        )

    def _broken(self, source: str, digest: str, error: RuleFileError) -> None:
        RULES_BROKEN.labels(source).set(1)
        RULES_RELOADS.labels("broken").inc()
        log.error(
            "rules_broken", source=source, digest=digest, error=str(error)[:ERROR_CHARS_MAX],
            in_force=self.ruleset.version if self.ruleset else None,
        )

    @staticmethod
    def _fine(source: str) -> None:
        RULES_BROKEN.labels(source).set(0)

    def _compare(self) -> bool:
        """Meter whether the directory holds something else than what is in force."""
        own = self._watcher.last
        differs = own is None or own.digest != self.digest
        RULES_DIRECTORY_DIFFERS.set(differs)
        return differs


def announce(ruleset: Ruleset, previous: Ruleset | None) -> None:
    """Show in the metrics which rules are in force now, and no longer the previous ones."""
    if previous is not None and previous.version != ruleset.version:
        RULES_INFO.remove(previous.version)
    RULES_INFO.labels(ruleset.version).set(1)
    for mode in get_args(Mode):
        RULES_LOADED.labels(mode).set(sum(rule.mode == mode for rule in ruleset.program.rules))
    RULES_LOADED_AT.set(time.time())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
