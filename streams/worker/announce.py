"""A worker says in Redis where it is and what it has: an admin's question finds it, and the API knows the rules."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from streams.core.ruleset import Ruleset
from streams.delivery import Delivery, RuleNote, WorkerNote
from streams.worker.clock import wall_ms

EVERY_S = 5.0
LOOK_S = 0.5  # between two looks whether something is another: a question that comes sooner finds nobody
LIVES_MS = 15_000  # three times as long: one missed say is no absence
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared with, not bound to


class Announcer:
    """Says it every EVERY_S, and at once when something is another."""

    def __init__(
        self,
        delivery: Delivery,
        address: Callable[[], str],
        partitions: Callable[[], tuple[int, ...]],
        of: Callable[[], int],
        ruleset: Callable[[], Ruleset | None],
    ) -> None:
        """`address`: of the worker's own HTTP server; `partitions`: recovered; `of`: how many the clickstream has."""
        self._delivery = delivery
        self._address = address
        self._partitions = partitions
        self._of = of
        self._ruleset = ruleset
        self._version = ""
        self._since = 0

    async def run(self) -> None:
        """For ever."""
        said: object = None
        said_ms = 0
        while True:
            now_ms, having = wall_ms(), (self._partitions(), self._ruleset())
            if having != said or now_ms - said_ms >= EVERY_S * 1000 or now_ms < said_ms:
                said, said_ms = having, now_ms
                await self.say(now_ms)
            await asyncio.sleep(LOOK_S)

    async def say(self, now_ms: int) -> None:
        """Say it once."""
        ruleset = self._ruleset()
        version = "" if ruleset is None else ruleset.version
        if version != self._version:
            self._version, self._since = version, now_ms
        note = WorkerNote(
            reachable(self._address()), self._partitions(), self._of(), version, self._since, now_ms + LIVES_MS
        )
        await self._delivery.announce(note, [] if ruleset is None else notes_of(ruleset), now_ms)

    async def close(self) -> None:
        """The worker ends."""
        await self._delivery.withdraw(reachable(self._address()))


def notes_of(ruleset: Ruleset) -> list[RuleNote]:
    """The rules, of all modes, in the order of the files."""
    versions = {rule.id: rule.version for rule in ruleset.rules}
    return [
        RuleNote(
            rule.id, rule.title, rule.mode, versions.get(rule.id, ""), rule.prevents, rule.promotes,
            rule.suggest.placement,
        )
        for rule in ruleset.program.rules
    ]


def reachable(address: str) -> str:
    """The address as others reach it: a server that listens everywhere is known by the machine's name."""
    parts = urlsplit(address)
    if parts.hostname not in _EVERYWHERE:
        return address
    return urlunsplit((parts.scheme, f"{socket.gethostname()}:{parts.port}", "", "", ""))
