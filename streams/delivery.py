"""Suggestions to Redis, so that a website can read them: the only module that writes there.

Layout (Redis 7 or later, Valkey; `avert` is `Settings.cache_prefix`, the site's):

- hash ``avert:s:{visitor}``: field = suggestion id, value = its JSON; the key goes with the latest expiry. The field
  ``!`` is a refusal: nothing that was made before it may be shown;
- hash ``avert:progress``: field = partition of the clickstream, value = last offset done, for whoever comes late;
- channel ``avert:progress``: the same as JSON ``{"partition": offset}``, after the writes that it speaks of;
- channel ``avert:changes``: the visitors whose hash was just written, as a JSON list, after the writes. One message a
  batch, to whoever has pages open that want to be told; what they are told they read from the hash.
- hash ``avert:workers``: field = a worker's private address, value = a `WorkerNote` as JSON, good until it says;
- key ``avert:rules:{version}``: the rules of that version, a JSON list of `RuleNote`, while a worker has them in force.

One script writes the keys of many visitors, so this is for one Redis (with replicas), not for a sharded cluster.
Nothing here is the truth: the truth is in Kafka. A write that fails is metered and left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec
import redis.asyncio as redis
from redis.exceptions import RedisError

from streams.core.effects import Suggestion, Withdrawal
from streams.telemetry import REDIS_ERRORS, log

# The engine keeps at most 8 live suggestions of a visitor; what expired stays in the hash until the whole key goes,
# or until there is twice as much as can be alive.
_FIELDS_MAX = 16

REFUSED_FIELD = "!"  # no suggestion's id: those are hashes
# The worker withdraws what a refusal concerns, within its lag. A refusal outlives all lag in which suggestions, most of
# which live for minutes, would still be in time; it is a trace of a visitor itself, so no longer than that.
REFUSAL_LIVES_MS = 3_600_000
# Header of a record of the clickstream without a value: drop all that is kept of the visitor who is its key.
ERASE_HEADER = "avert-erase"

# What a Redis call may end with when Redis is away, slow, or not a Redis. A bug of ours is none of these.
REDIS_FAILURES = (RedisError, OSError, TimeoutError)


def visitor_key(prefix: str, visitor: str) -> str:
    """The key of the hash that holds a visitor's suggestions."""
    return f"{prefix}:s:{visitor}"


def progress_key(prefix: str) -> str:
    """The name of the progress hash, and of the channel that says the same."""
    return f"{prefix}:progress"


def workers_key(prefix: str) -> str:
    """The hash of the workers there are."""
    return f"{prefix}:workers"


def rules_key(prefix: str, version: str) -> str:
    """The key of the rules of one version."""
    return f"{prefix}:rules:{version}"


class _Refusal(msgspec.Struct):
    refused: int


class RuleNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule in force, as far as others have to know it. `prevents` or `promotes`: an outcome."""

    id: str
    title: str
    mode: str
    version: str = ""
    prevents: str | None = None
    promotes: str | None = None
    placement: str = ""


class WorkerNote(msgspec.Struct, frozen=True):
    """What a worker says of itself. `of`: partitions of the clickstream; `since`, `until`: ms.

    `version`: of the rules that are in force there since `since`.
    """

    address: str
    partitions: tuple[int, ...]
    of: int
    version: str
    since: int
    until: int


def note_holds(said: bytes | str, now_ms: int) -> WorkerNote | None:
    """A worker's note that is still good; None for one whose time is over, or that is none."""
    try:
        note = _note_decoder.decode(said)
    except (msgspec.DecodeError, UnicodeDecodeError):  # a stranger's, or of an Avert to come
        return None
    return note if note.until >= now_ms else None


def changes_channel(prefix: str) -> str:
    """The name of the channel that says whose suggestions changed."""
    return f"{prefix}:changes"


# One call a batch: of a pipeline's commands each would cost its own answer, ten times what the writing costs.
# KEYS: a hash a visitor, then the channel of changes and the progress hash. ARGV: now, the most fields of a hash, the
# visitors as the channel is told; for each visitor the number of changes, the latest expiry (0: none), and id, JSON of
# each change ('' withdraws); last the progress message and its fields, if there are any.
_SCRIPT = """
local now, most, at = tonumber(ARGV[1]), tonumber(ARGV[2]), 4
for k = 1, #KEYS - 2 do
  local key, changes, expires = KEYS[k], tonumber(ARGV[at]), ARGV[at + 1]
  at = at + 2
  for _ = 1, changes do
    if ARGV[at + 1] == '' then
      redis.call('HDEL', key, ARGV[at])
    else
      redis.call('HSET', key, ARGV[at], ARGV[at + 1])
    end
    at = at + 2
  end
  if expires ~= '0' then
    -- GT never sets an expiry where there is none, NX only there: together, "the later one".
    redis.call('PEXPIREAT', key, expires, 'NX')
    redis.call('PEXPIREAT', key, expires, 'GT')
    if redis.call('HLEN', key) > most then
      local stored = redis.call('HGETALL', key)
      for field = 1, #stored, 2 do
        if cjson.decode(stored[field + 1]).expires <= now then
          redis.call('HDEL', key, stored[field])
        end
      end
    end
  end
end
if #KEYS > 2 then
  redis.call('PUBLISH', KEYS[#KEYS - 1], ARGV[3])
end
if at <= #ARGV then
  for field = at + 1, #ARGV, 2 do
    redis.call('HSET', KEYS[#KEYS], ARGV[field], ARGV[field + 1])
  end
  redis.call('PUBLISH', KEYS[#KEYS], ARGV[at])
end
"""

_encoder = msgspec.json.Encoder()
_refusal_decoder = msgspec.json.Decoder(_Refusal)
_note_decoder = msgspec.json.Decoder(WorkerNote)


class Erasure(NamedTuple):
    """Among changes: nothing is to be left of what came before of this visitor."""

    visitor: str


Change = Suggestion | Withdrawal | Erasure


class Refusals:
    """The API's own word to the cache: a visitor has refused to be shown anything. One per API process.

    The worker says the same a moment later, by withdrawing; this holds until then, and while no worker runs.
    """

    def __init__(self, client: redis.Redis, timeout_ms: int, prefix: str = "avert") -> None:
        self._redis = client
        self._timeout_s = timeout_ms / 1000
        self._prefix = prefix

    async def refuse(self, visitors: Collection[str], now_ms: int) -> bool:
        """Drop what may be shown to these visitors, and hide what is made of events from before `now_ms`.

        Returns False, and counts it, when Redis did not take it within the timeout.
        """
        if not visitors:
            return True
        note = _encoder.encode({"refused": now_ms, "expires": now_ms + REFUSAL_LIVES_MS})
        try:
            async with asyncio.timeout(self._timeout_s):
                pipe = self._redis.pipeline(transaction=True)  # nobody reads between the two
                for visitor in visitors:
                    key = visitor_key(self._prefix, visitor)
                    pipe.delete(key)
                    pipe.hset(key, REFUSED_FIELD, note)
                    pipe.pexpireat(key, now_ms + REFUSAL_LIVES_MS)
                pipe.publish(changes_channel(self._prefix), _encoder.encode(list(visitors)))
                await pipe.execute()
        except REDIS_FAILURES as error:
            REDIS_ERRORS.labels("refuse").inc()
            log.warning("redis_unavailable", operation="refuse", error=f"{type(error).__name__}: {error}")
            return False
        return True


def refused_at(stored: bytes) -> int:
    """When the visitor refused, ms, by the value of REFUSED_FIELD."""
    try:
        return _refusal_decoder.decode(stored).refused
    except msgspec.DecodeError:  # of another version: then it is still one
        return 1 << 62


class _Call:
    """What is gathered for one call of the script: changes in their order, the last progress of each partition."""

    __slots__ = ("changes", "progress", "taken")

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.progress: dict[int, int] = {}
        self.taken: bool | None = None  # whether Redis took it, once that is known


class Delivery:
    """Writes suggestions, withdrawals and progress. One per worker.

    One call at a time is under way, and what comes meanwhile goes out together with the next: with little to do nothing
    waits, under load the small batches of many partitions cost one call. (Calls that overlap may change places on their
    connections, and progress would go back.) `timeout_ms` bounds a call, so `deliver` takes two of it at most.
    """

    def __init__(self, redis_url: str, timeout_ms: int, prefix: str = "avert") -> None:
        self._redis: redis.Redis = redis.Redis.from_url(
            redis_url, socket_connect_timeout=timeout_ms / 1000, socket_timeout=timeout_ms / 1000
        )
        self._timeout_s = timeout_ms / 1000
        self._prefix = prefix
        self._progress = progress_key(prefix)
        self._changes = changes_channel(prefix)
        self._script = self._redis.register_script(_SCRIPT)
        self._failing = False
        self._gathered: _Call | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Try the connection once, so that the log tells early of a wrong address. Never fails."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._redis.ping()
        except REDIS_FAILURES as error:
            self._failed("ping", error)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def deliver(self, changes: Sequence[Change], progress: Mapping[int, int]) -> bool:
        """Write `changes` in their order, then publish `progress` ({partition: last offset done}).

        Returns False, and counts it, when Redis did not take it within the timeout; never raises because of Redis.
        Repeating a call is harmless: ids are deterministic.
        """
        if not changes and not progress:
            return True
        call = self._gathered
        if call is None:
            call = self._gathered = _Call()
        call.changes.extend(changes)
        call.progress.update(progress)
        async with self._turn:
            # Whoever comes first of those whose changes are in a call makes it, for all of them.
            if call.taken is None:
                if self._gathered is call:  # else somebody was cancelled in the midst of it
                    self._gathered = None
                call.taken = await self._call(call)
        return call.taken

    async def _call(self, call: _Call) -> bool:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._write(call.changes, call.progress)
        except REDIS_FAILURES as error:
            self._failed("deliver", error)
            return False
        if self._failing:
            self._failing = False
            log.info("redis_back")
        return True

    async def announce(self, note: WorkerNote, rules: Sequence[RuleNote], now_ms: int) -> bool:
        """Say where this worker is and what it has, until `note.until`; forget those whose time is over.

        Returns False, and counts it, when Redis did not take it within the timeout.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._announce(note, rules, now_ms)
        except REDIS_FAILURES as error:
            self._failed("announce", error)
            return False
        return True

    async def _announce(self, note: WorkerNote, rules: Sequence[RuleNote], now_ms: int) -> None:
        key, lives_ms = workers_key(self._prefix), max(1, note.until - now_ms)
        pipe = self._redis.pipeline(transaction=False)
        pipe.hset(key, note.address, _encoder.encode(note))
        pipe.pexpire(key, lives_ms)
        pipe.hgetall(key)
        pipe.pexpire(rules_key(self._prefix, note.version), lives_ms)
        *_, known, kept = await pipe.execute()
        over = [address for address, said in known.items() if not note_holds(said, now_ms)]
        if over:
            await self._redis.hdel(key, *over)
        if not kept:
            await self._redis.set(rules_key(self._prefix, note.version), _encoder.encode(rules), px=lives_ms)

    async def withdraw(self, address: str) -> None:
        """The worker at `address` ends. Never fails: what it said ends by itself."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._redis.hdel(workers_key(self._prefix), address)
        except REDIS_FAILURES as error:
            self._failed("announce", error)

    async def _write(self, changes: Sequence[Change], progress: Mapping[int, int]) -> None:
        """One script, in this order: 1. suggestions, withdrawals, expiry; 2. whose; 3. progress, which tells of 1.

        What is erased goes before it: nothing that came before an erasure is written.
        """
        latest: dict[str, int] = {}
        written: dict[str, list[str | bytes]] = {}
        erased: set[str] = set()
        for change in changes:
            key = visitor_key(self._prefix, change.visitor)
            if isinstance(change, Erasure):
                erased.add(key)
                written.pop(key, None)
                latest.pop(key, None)
                continue
            if isinstance(change, Suggestion):
                written.setdefault(key, []).extend((change.id, _encoder.encode(change)))
                latest[key] = max(latest.get(key, 0), change.expires)
            else:
                written.setdefault(key, []).extend((change.suggestion, b""))
        visitors = _encoder.encode(list({change.visitor: None for change in changes}))
        if erased:
            pipe = self._redis.pipeline(transaction=False)
            pipe.delete(*erased)
            pipe.publish(self._changes, visitors)
            await pipe.execute()
        arguments: list[str | bytes | int] = [int(time.time() * 1000), _FIELDS_MAX, visitors]
        for key, pairs in written.items():
            arguments += [len(pairs) // 2, latest.get(key, 0), *pairs]
        if progress:
            as_text = {str(partition): offset for partition, offset in progress.items()}
            arguments.append(_encoder.encode(as_text))
            for partition, offset in as_text.items():
                arguments += [partition, offset]
        await self._script(keys=[*written, self._changes, self._progress], args=arguments)

    def _failed(self, operation: str, error: BaseException) -> None:
        REDIS_ERRORS.labels(operation).inc()
        if not self._failing:  # one line an outage, not one a batch
            self._failing = True
            log.warning("redis_unavailable", operation=operation, error=f"{type(error).__name__}: {error}")
