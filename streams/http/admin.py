"""The private port: metrics, and what an admin may ask. Nothing of it can be reached through the public one.

1. An admin call needs an admin key of the keys file, as Bearer, whose scopes have the call.
2. Each is one line of the log and one count, whatever becomes of it: who (the key's id), what, of whom (the visitor
   under a name that only the token secret makes), and how it ended. A refused one is told without a key.
3. To add one: a `Call` in `calls` of `private_app`, and its scope in keys.py.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import aiohttp
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streams.core.event import VISITOR_CHARS_MAX
from streams.errors import AvertError, RequestError
from streams.http.access import Access, credentials, unauthorized
from streams.http.answers import Answer, Endpoint, on_avert_error, on_defect, on_http_exception
from streams.http.broker import partition_of
from streams.http.caller import Services
from streams.http.rules import Rules
from streams.http.workers import Workers, WorkersUnknownError
from streams.http.worth import Worth
from streams.keys import AdminScope, key_name
from streams.telemetry import ADMIN_CALLS, log

_WORKER_TIMEOUT_S = 5.0
_WORKER_BYTES_MAX = 4 * 1024 * 1024  # of an answer: a thousand rules with all their conditions


class Call(NamedTuple):
    """One admin call. `visitor_of`: whom it is about, for the audit log; None when about nobody."""

    name: str
    method: str
    path: str
    scope: AdminScope
    handler: Callable[[Request], Awaitable[Response]]
    visitor_of: Callable[[Request], str | None] = lambda _request: None


class Audited:
    """A call behind its key, with its line in the log."""

    def __init__(self, call: Call, access: Access) -> None:
        self._call = call
        self._access = access

    async def handle(self, request: Request) -> Response:
        """Check, do, tell."""
        who, result, visitor = None, "failed", self._call.visitor_of(request)
        try:
            key = self._access.admin_key(credentials(request.headers.get("authorization")))
            if key is None or self._call.scope not in key.scopes:
                result = "refused"
                who = None if key is None else key_name(key)
                raise unauthorized()
            who = key_name(key)
            response = await self._call.handler(request)
            result = "ok" if response.status_code < 400 else "failed"
            return response
        finally:
            ADMIN_CALLS.labels(self._call.name, result).inc()
            log.info(
                "admin_call", call=self._call.name, key=who, result=result,
                visitor=None if visitor is None else self._access.disguised(visitor),
                client=request.client.host if request.client else None,
            )


class Explain:
    """`GET /v1/explain?visitor=...[&rule=...]`: asks the worker that has the visitor."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    async def get(self, request: Request) -> Response:
        """The worker's answer as it is. Raises WorkersUnknownError when nobody says that he has the visitor."""
        visitor, rule = request.query_params.get("visitor", ""), request.query_params.get("rule")
        if not 1 <= len(visitor) <= VISITOR_CHARS_MAX:
            raise RequestError(f"`visitor` is needed: 1 to {VISITOR_CHARS_MAX} characters")
        notes = await self._workers.notes(int(time.time() * 1000))
        key = visitor.encode("utf-8", "surrogatepass")
        having = [note for note in notes if note.of and partition_of(key, note.of) in note.partitions]
        if not having:
            raise WorkersUnknownError(f"none of {len(notes)} workers has the partition of this visitor at the moment")
        # While a partition moves two may say so; the one that said it last is asked first.
        refusals = []
        for note in sorted(having, key=lambda note: -note.until):
            try:
                answer = await self._ask(note.address, visitor, rule, request.headers["authorization"])
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                refusals.append(f"{note.address}: {type(error).__name__}")
                continue
            if answer.status_code != 421:  # it has moved on
                return answer
            refusals.append(f"{note.address}: moved on")
        raise WorkersUnknownError("; ".join(refusals))

    async def _ask(self, address: str, visitor: str, rule: str | None, authorization: str) -> Response:
        query = {"visitor": visitor} | ({"rule": rule} if rule else {})
        timeout = aiohttp.ClientTimeout(total=_WORKER_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,  # no proxy of the environment: the port is private
            session.get(f"{address}/v1/explain", params=query, headers={"Authorization": authorization}) as answer,
        ):
            body = await answer.content.read(_WORKER_BYTES_MAX)
            return Answer(body if answer.status < 400 else _refusal(answer.status, body), answer.status, {})


class _Refusal(msgspec.Struct):
    error: str


def _refusal(status: int, body: bytes) -> bytes:
    """A worker's refusal in the form of ours."""
    try:
        why = msgspec.json.decode(body, type=_Refusal).error
    except msgspec.DecodeError:
        why = "the worker refused"
    reasons = {400: "bad_request", 401: "unauthorized", 404: "not_found", 421: "moved"}
    return msgspec.json.encode({"error": reasons.get(status, "worker"), "message": why})


def private_app(services: Services, more: Sequence[Call] = (), worth: Worth | None = None) -> Starlette:
    """The application of the private port. `worth` shows the metrics; whoever gives it closes it."""
    worth = worth or Worth(services.totals, services.settings.worth_every_s)
    workers = Workers(services.reader.client, services.settings.redis_timeout_ms)
    calls = [
        Call("explain", "GET", "/v1/explain", "explain", Explain(workers).get,
             lambda request: request.query_params.get("visitor")),
        Call("rules", "GET", "/v1/rules", "rules", Rules(workers).answer),
        *more,
    ]
    return Starlette(
        routes=[
            Route("/metrics", worth.metrics),
            *(
                Route(call.path, Endpoint(Audited(call, services.access).handle), methods=[call.method])
                for call in calls
            ),
        ],
        exception_handlers={AvertError: on_avert_error, HTTPException: on_http_exception, Exception: on_defect},
    )
