"""The private port: metrics, and what an admin may ask. Nothing of it can be reached through the public one.

1. An admin call needs an admin key of the keys file, as Bearer, whose scopes have the call.
2. Each is one line of the log and one count, whatever becomes of it: who (the key's id), what, of whom (the visitor
   under a name that only the token secret makes), and how it ended. A refused one is told without a key.
3. To add one: a `Call` in `calls` of `private_app`, and its scope in keys.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streams.errors import AvertError
from streams.http.access import Access, credentials, unauthorized
from streams.http.answers import Answer, Endpoint, on_avert_error, on_defect, on_http_exception
from streams.http.asking import ask_worker, visitor_named
from streams.http.caller import Services
from streams.http.rules import Rules
from streams.http.visitors import Visitors
from streams.http.workers import Workers
from streams.http.worth import Worth
from streams.keys import AdminScope, key_name
from streams.telemetry import ADMIN_CALLS, log

_VISITOR = "/v1/visitors/{visitor:path}"  # an id may have a slash


def _visitor_of(request: Request) -> str:
    return str(request.path_params["visitor"])


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
        visitor, rule = visitor_named(request.query_params.get("visitor", "")), request.query_params.get("rule")
        status, body = await ask_worker(
            self._workers, "/v1/explain", visitor, request.headers["authorization"], {"rule": rule} if rule else {}
        )
        return Answer(body, status, {})


def private_app(services: Services, more: Sequence[Call] = (), worth: Worth | None = None) -> Starlette:
    """The application of the private port. `worth` shows the metrics; whoever gives it closes it."""
    worth = worth or Worth(services.totals, services.settings.worth_every_s)
    workers = Workers(services.reader.client, services.settings.redis_timeout_ms, services.settings.cache_prefix)
    visitors = Visitors(services, workers)
    calls = [
        Call("explain", "GET", "/v1/explain", "explain", Explain(workers).get,
             lambda request: request.query_params.get("visitor")),
        Call("visitor_export", "GET", _VISITOR, "visitors_read", visitors.get, _visitor_of),
        Call("visitor_erase", "DELETE", _VISITOR, "visitors_erase", visitors.delete, _visitor_of),
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
