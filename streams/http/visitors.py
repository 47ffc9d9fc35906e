"""`GET` and `DELETE /v1/visitors/ID` of the private port: what is kept of a visitor, and its end.

An erasure goes this way; each step may be repeated, and a call that failed is to be repeated:

1. What may be shown now goes from the cache, and what is still being made of earlier events is hidden.
2. A record without a value goes into the clickstream under the visitor's key: the worker drops the state in its place
   among the events, writes a tombstone, withdraws what lives, and clears the cache again. Once this record is
   acknowledged the erasure will be done, whoever crashes.
3. A request goes onto the compacted topic `erasures`, for whoever keeps copies of the topics: up to which offset of
   which partition the visitor's records are to be deleted there.
4. With `wait` the answer comes when the worker has done 2, or when the time is over.

What the visitor does afterwards begins a new state: also an event that was under way behind the erasure.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streams.core.effects import Suggestion
from streams.delivery import ERASE_HEADER
from streams.errors import CacheUnavailableError, RequestError
from streams.http.answers import Answer
from streams.http.asking import ask_worker, visitor_named
from streams.http.broker import Record
from streams.http.caller import Services
from streams.http.workers import Workers
from streams.retention import KEPT_BY_TIME

ERASE_WAIT_MS_MAX = 60_000  # a rebalance after a crash takes a quarter of it
_encoder = msgspec.json.Encoder()


class KeptHow(msgspec.Struct, frozen=True):
    """Records of a visitor on one topic: those with `key` on `partition`. -1 keeps for ever."""

    topic: str
    partition: int
    key: str
    kept_ms: int


class VisitorOut(msgspec.Struct, frozen=True):
    """All that is kept of a visitor, or where it is. `state` as the worker says it (worker/exporting.py)."""

    visitor: str
    at: int
    state: Any
    suggestions: list[Suggestion]
    log: list[KeptHow]


class ErasedOut(msgspec.Struct, frozen=True):
    """`erased`: the worker has done it. It reaches what is before `offset` of the clickstream's partition."""

    erased: bool
    topic: str
    partition: int
    offset: int


class ErasureRequest(msgspec.Struct, frozen=True):
    """A record of the topic `erasures`: delete what there is of `visitor` up to this place of the clickstream.

    Records on the topics of effects are of before `requested` (ms), and have the visitor as their key.
    """

    visitor: str
    requested: int
    topic: str
    partition: int
    offset: int


class Visitors:
    """The calls."""

    def __init__(self, services: Services, workers: Workers) -> None:
        self._services = services
        self._workers = workers

    async def get(self, request: Request) -> Response:
        """Answer `GET /v1/visitors/ID`. Raises WorkersUnknownError: without the state it would be half of it."""
        visitor = visitor_named(request.path_params["visitor"])
        status, body = await ask_worker(self._workers, "/v1/visitors", visitor, request.headers["authorization"])
        if status != 200:
            return Answer(body, status, {})
        now_ms = int(time.time() * 1000)
        suggestions = await self._services.reader.read_known(visitor, now_ms)
        if suggestions is None:
            raise CacheUnavailableError("the cache does not say which suggestions there are; ask again")
        kept = msgspec.json.decode(body)
        settings = self._services.settings
        records = [
            KeptHow(settings.topic(name), kept["partition"], visitor, getattr(settings, by))
            for name, by in KEPT_BY_TIME.items()
        ]
        out = VisitorOut(visitor, now_ms, kept["state"], suggestions, records)
        return Answer(_encoder.encode(out), 200, {})

    async def delete(self, request: Request) -> Response:
        """Answer `DELETE /v1/visitors/ID[?wait=ms]`: 200 when it is done, 202 when it will be.

        Raises CacheUnavailableError, BrokerUnavailableError: repeat it.
        """
        visitor = visitor_named(request.path_params["visitor"])
        wait_ms = _wait_ms(request.query_params.get("wait", "0"))
        settings, now_ms = self._services.settings, int(time.time() * 1000)
        if not await self._services.refusals.refuse([visitor], now_ms):  # 1
            raise CacheUnavailableError("the cache does not answer, and suggestions may be left in it; repeat the call")
        key, topic = visitor.encode(), settings.topic("clickstream")
        control = Record(topic, key, None, now_ms, ((ERASE_HEADER, b"1"),))
        ((_, partition), offset), = (await self._services.log.append([control])).items()  # 2
        asked = ErasureRequest(visitor, now_ms, topic, partition, offset)
        await self._services.log.append([Record(settings.topic("erasures"), key, _encoder.encode(asked), now_ms)])  # 3
        erased = wait_ms > 0 and await self._services.reader.wait_for(partition, offset, wait_ms)  # 4
        return Answer(_encoder.encode(ErasedOut(erased, topic, partition, offset)), 200 if erased else 202, {})


def _wait_ms(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise RequestError("`wait` is a whole number of milliseconds")
    return min(int(text[:9]), ERASE_WAIT_MS_MAX)
