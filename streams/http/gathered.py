"""What requests ask the cache, gathered: one call for dozens of them under load, none added when idle.

1. A question is: count one more for each of these fields; read a visitor's hash; or both, and then the hash is read
   only when each count is within its limit.
2. Questions of one turn of the loop go out together, and so do those that come while calls are under way. Two calls
   overlap: the next is filled while the answer of the one before is on its way.
3. A call is one script, so it costs one command and one answer however many questions it carries; redis-py's own
   pipelines cost a command and an answer each. Redis' clock cuts the seconds: processes on several machines agree.
4. Redis away: `None`, at once for a moment. One call that fails is no word on what was counted or stored.

The suggestions themselves have one writer only (delivery.py); nothing here touches them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

import redis.asyncio as redis

from streams.delivery import REDIS_FAILURES
from streams.telemetry import REDIS_ERRORS, log

FIELD_BYTES = 9  # 72 bits of a hash: in one second nobody meets another's
_REST_AFTER_FAILURE_S = 0.2  # each further question would only cost the page its patience
_CALLS_MAX = 2
# Of one call: each hash or count some 1 to 5 µs of Redis' time, in which it answers nobody else.
_QUESTIONS_MAX = 256
_FIELDS_MAX = 2048
# In place of a hash: what was counted with it is over its limit.
_OVER = 0

# KEYS[1]: the prefix of a second's counts; KEYS[2..]: visitors' hashes. ARGV[1]: the fields to count one more for;
# ARGV[2]: how many of the hashes, the last ones, are read within limits only; ARGV[3..]: those limits. The last fields
# belong to these hashes, one for each limit. The counts of a second go after two.
_SCRIPT = f"""
local fields, limited, each = ARGV[1], tonumber(ARGV[2]), #ARGV - 2
local counts, read = {{}}, {{}}
if #fields > 0 then
  local key = KEYS[1] .. redis.call('TIME')[1]
  for at = 1, #fields, {FIELD_BYTES} do
    counts[#counts + 1] = redis.call('HINCRBY', key, string.sub(fields, at, at + {FIELD_BYTES - 1}), 1)
  end
  redis.call('PEXPIRE', key, 2000)
end
local at = #counts - limited * each
for k = 2, #KEYS do
  local within = true
  if k > #KEYS - limited then
    for limit = 3, #ARGV do
      at = at + 1
      within = within and counts[at] <= tonumber(ARGV[limit])
    end
  end
  if within then
    local stored = redis.pcall('HGETALL', KEYS[k])
    read[k - 1] = not stored.err and stored
  else
    read[k - 1] = {_OVER}
  end
end
return {{counts, read}}
"""

T = TypeVar("T")
Stored = list[bytes]  # a visitor's hash: field, value, field, value


class Told(NamedTuple):
    """What the cache said to one question; None for what it did not say."""

    counts: list[int] | None
    stored: Stored | None


class _Question(NamedTuple):
    fields: bytes
    key: str  # "": nothing is read
    answer: asyncio.Future[Told]


_NOTHING = Told(None, None)


def field_of(scope: str, who: str) -> bytes:
    """What somebody is counted under: a hash, so that nobody can be read out of the cache."""
    return blake2b(f"{scope}\0{who}".encode("utf-8", "surrogatepass"), digest_size=FIELD_BYTES).digest()


class Gathered:
    """The calls; one per process. Failures are None and a metric, never an exception."""

    def __init__(
        self, client: redis.Redis, timeout_ms: int, prefix: str = "avert", limits: tuple[int, ...] = ()
    ) -> None:
        """`limits`: of the fields of a question that also reads, in their order."""
        self._redis = client
        self._script: Any = client.register_script(_SCRIPT)
        self._timeout_s = timeout_ms / 1000
        self._counts_key = f"{prefix}:rate:"
        self._limits = limits
        self._asked: list[_Question] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._filling = False  # a call stands at the end of this turn
        self._rest_until_s = 0.0
        self._failing = False

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._calls:
            await asyncio.gather(*self._calls)

    async def ask(self, fields: bytes = b"", key: str = "") -> Told:
        """Count one more for each of `fields` (`field_of`, joined); read the hash `key` if they are within limits.

        What is over a limit has an empty hash. With a key there are no fields, or as many as there are limits.
        """
        if time.monotonic() < self._rest_until_s:
            if key:
                REDIS_ERRORS.labels("read").inc()
            return _NOTHING
        answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._asked.append(_Question(fields, key, answer))
        self._send_next()
        return await answer

    def _send_next(self) -> None:
        if self._filling or not self._asked or len(self._calls) >= _CALLS_MAX:
            return
        self._filling = True
        task = asyncio.create_task(self._call())
        self._calls.add(task)
        task.add_done_callback(self._called)

    def _called(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._send_next()

    def _next_batch(self) -> list[_Question]:
        """The oldest questions, at least one."""
        size, room = 0, _FIELDS_MAX * FIELD_BYTES
        for question in self._asked[:_QUESTIONS_MAX]:
            room -= len(question.fields)
            if room < 0 and size:
                break
            size += 1
        batch, self._asked = self._asked[:size], self._asked[size:]
        return batch

    async def _call(self) -> None:
        """One call for all that were asked by now; each then gets what is its own."""
        self._filling = False
        batch = self._next_batch()
        self._send_next()  # what had no room
        # The script's order: counted only, read only, both.
        batch.sort(key=lambda question: (bool(question.key), bool(question.fields)))
        keys = [question.key for question in batch if question.key]
        fields = b"".join([question.fields for question in batch])
        limited = sum([1 for question in batch if question.key and question.fields])
        arguments = [fields, limited, *self._limits]
        answer = await self._bounded("read", lambda: self._script(keys=[self._counts_key, *keys], args=arguments))
        if answer is None:
            REDIS_ERRORS.labels("read").inc(len(keys))
            REDIS_ERRORS.labels("limits").inc(1 if fields else 0)
            for question in batch:
                if not question.answer.done():
                    question.answer.set_result(_NOTHING)
            return
        counts, read = answer
        at, hashes = 0, iter(read)
        for question in batch:
            end = at + len(question.fields) // FIELD_BYTES
            stored = self._stored(next(hashes)) if question.key else None
            if not question.answer.done():  # a caller that gave up has cancelled it
                question.answer.set_result(Told(counts[at:end], stored))
            at = end

    @staticmethod
    def _stored(given: Any) -> Stored | None:
        if given is None:  # somebody else wrote there what is no hash
            REDIS_ERRORS.labels("read").inc()
        return [] if given == _OVER else given

    async def ping(self) -> bool:
        """Whether the cache answers now."""
        if await self._bounded("ping", self._redis.ping) is None:
            REDIS_ERRORS.labels("ping").inc()
            return False
        return True

    async def _bounded(self, operation: str, call: Callable[[], Awaitable[T]]) -> T | None:
        """What `call` answers; None when it does not in time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await call()
        except REDIS_FAILURES as error:
            self._rest_until_s = time.monotonic() + _REST_AFTER_FAILURE_S
            if not self._failing:  # one line an outage, not one a request
                self._failing = True
                log.warning(
                    "redis_unavailable", operation=operation, error=f"{type(error).__name__}: {error}",
                    now="pages get no suggestions, and each process counts for itself",
                )
            return None
        if self._failing:
            self._failing = False
            log.info("redis_back")
        return answer
