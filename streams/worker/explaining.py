"""`GET /v1/explain?visitor=ID[&rule=NAME]` of a worker: why, and why not, for the visitors of its partitions.

1. An admin key of the keys file, as ``Authorization: Bearer``; without a keys file nobody has one.
2. The answer is of the state after the last batch, by the rules in force, at the partition's clock: exactly what the
   next event will find.
3. A visitor of a partition that is with another worker: 421, for the caller to ask there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path

import msgspec
from aiohttp import web
from aiokafka.partitioner import DefaultPartitioner

from streams.core.explain import RuleNow, explain
from streams.core.ruleset import Ruleset
from streams.core.visitor import decode_visitor
from streams.errors import SettingsError
from streams.keys import AdminKey, AdminScope, Keys
from streams.telemetry import log
from streams.worker.partition import PartitionMemory

_partition_of = DefaultPartitioner()


class _AdminKeys(msgspec.Struct, frozen=True):
    admin_keys: tuple[str | AdminKey, ...] = ()


class ExplainedNow(msgspec.Struct, frozen=True):
    """The answer. `at`: the partition's clock, ms."""

    visitor: str
    partition: int
    at: int
    version: str
    rules: tuple[RuleNow, ...]


def load_admin_keys(path: Path | None, scope: AdminScope = "explain") -> tuple[str, ...]:
    """The admin keys of the keys file that have `scope`; none without a file.

    Raises SettingsError, which never shows a key.
    """
    if path is None:
        return ()
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_AdminKeys)
        return tuple(key.key for key in Keys(admin_keys=file.admin_keys).admins() if scope in key.scopes)
    except OSError as error:
        raise SettingsError(f"keys file {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise SettingsError(f"keys file {path}: {error}") from error


class AdminKeysNow:
    """The admin keys as the file has them now: looked at with each question, of which there are few."""

    def __init__(self, path: Path | None, scope: AdminScope = "explain") -> None:
        """Raises SettingsError for a file that cannot be used; later ones leave the keys from before."""
        self._path = path
        self._scope: AdminScope = scope
        self._keys = load_admin_keys(path, scope)

    def __call__(self) -> tuple[str, ...]:
        """The keys."""
        try:
            self._keys = load_admin_keys(self._path, self._scope)
        except SettingsError as error:
            log.error("keys_broken", error=str(error), in_force="the keys from before")
        return self._keys


class VisitorRoute(ABC):
    """Answers about one visitor from what the worker has in memory; everything in its event loop."""

    def __init__(
        self,
        keys: Callable[[], tuple[str, ...]],
        memories: Callable[[], list[PartitionMemory]],
        partitions: Callable[[], int],
    ) -> None:
        """`memories`: the recovered partitions; `partitions`: how many the clickstream has."""
        self._keys = keys
        self._memories = memories
        self._partitions = partitions

    async def handle(self, request: web.Request) -> web.Response:
        """One request."""
        if not admitted(request, self._keys()):
            return refused(401, "an admin key is needed")
        visitor = request.query.get("visitor")
        if not visitor:
            return refused(400, "`visitor` is needed")
        refusal = self.refusal(request)
        if refusal is not None:
            return refusal
        partition = partition_of(visitor, self._partitions())
        memory = next((memory for memory in self._memories() if memory.partition == partition), None)
        if memory is None:
            return refused(421, f"partition {partition} is with another worker, or not recovered yet")
        answer = self.answer(request, visitor, memory, memory.rows.get(visitor))
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    def refusal(self, _request: web.Request) -> web.Response | None:
        """Why this request has no answer, whoever the visitor is."""
        return None

    @abstractmethod
    def answer(
        self, request: web.Request, visitor: str, memory: PartitionMemory, row: bytes | None
    ) -> msgspec.Struct:
        """What is said of the visitor; `row` is what is kept of them."""


class Explainer(VisitorRoute):
    """Why, and why not."""

    def __init__(
        self,
        keys: Callable[[], tuple[str, ...]],
        memories: Callable[[], list[PartitionMemory]],
        partitions: Callable[[], int],
        ruleset: Callable[[], Ruleset | None],
    ) -> None:
        """Of the rules in force."""
        super().__init__(keys, memories, partitions)
        self._ruleset = ruleset

    def refusal(self, request: web.Request) -> web.Response | None:
        """Without rules, or of a rule that there is not."""
        rule, ruleset = request.query.get("rule"), self._ruleset()
        if ruleset is None:
            return refused(503, "not ready")
        if rule is not None and all(rule != known.id for known in ruleset.program.rules):
            return refused(404, "there is no such rule")
        return None

    def answer(
        self, request: web.Request, visitor: str, memory: PartitionMemory, row: bytes | None
    ) -> ExplainedNow:
        """Each rule's conditions."""
        ruleset = self._ruleset()
        assert ruleset is not None  # noqa: S101  # see refusal(); nothing runs in between
        state = None if row is None else decode_visitor(visitor, row)
        rules = tuple(explain(state, ruleset, memory.clock, request.query.get("rule")))
        return ExplainedNow(visitor, memory.partition, memory.clock, ruleset.version, rules)


def admitted(request: web.Request, keys: tuple[str, ...]) -> bool:
    """Whether one of `keys` came along. All of them are looked at, however early one fits."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    known = [compare_digest(key.encode("utf-8", "surrogateescape"), one.encode()) for one in keys]
    return scheme.lower() == "bearer" and any(known)


def partition_of(visitor: str, count: int) -> int:
    """The visitor's partition among `count`."""
    partition: int = _partition_of(visitor.encode(), list(range(count)), list(range(count)))
    return partition


def refused(status: int, why: str) -> web.Response:
    """A refusal, in the form of all."""
    return web.json_response({"error": why}, status=status)
