"""How the API answers: JSON, and one table from errors to answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from streams.errors import AvertError, BrokerUnavailableError, OverloadedError, TooManyRequestsError
from streams.telemetry import log

_encoder = msgspec.json.Encoder()

# Suggestions and tokens are one visitor's: no cache may keep them.
_FIXED_HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
# The broker is probed every second: sooner makes no sense.
_BROKER_RETRY_S = 1
# Of an error that the framework raised itself: the code in the answer.
_FRAMEWORK_REASONS = {404: "not_found", 405: "method_not_allowed"}


Handler = Callable[[Request], Awaitable[Response]]


class ErrorAnswer(msgspec.Struct):
    """What every answer that is not a success carries."""

    error: str
    message: str


class Answer(Response):
    """A JSON body with fixed headers. A `Response` as far as the framework is concerned, at a fifth of its cost."""

    def __init__(self, body: bytes, status: int, headers: dict[str, str]) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [
            *_FIXED_HEADERS,
            (b"content-length", b"%d" % len(body)),
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # ASGI's signature
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


class Endpoint:
    """A handler as an ASGI application. A plain function would be wrapped twice more by the framework's router."""

    __slots__ = ("handler",)

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; what it raises is answered by the application's exception handlers."""
        response = await self.handler(Request(scope, receive))
        await response(scope, receive, send)


class Direct:
    """The busiest endpoints by method and path, without the framework's router and its layers of error handling.

    Everything else goes to the framework. Only for endpoints whose answer cannot fail once it is made: a stream can.
    """

    def __init__(self, app: ASGIApp, handlers: Mapping[tuple[str, str], Handler]) -> None:
        self._app = app
        self._handlers = dict(handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        handler = self._handlers.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if handler is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await handler(request)
        except AvertError as error:
            response = await on_avert_error(request, error)
        except ClientDisconnect as error:
            response = await on_disconnect(request, error)
        except Exception as error:  # the server logs it too
            await (await on_defect(request, error))(scope, receive, send)
            raise
        await response(scope, receive, send)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`value` as JSON."""
    return Answer(_encoder.encode(value), status, headers or {})


async def on_avert_error(_request: Request | None, error: Exception) -> Response:
    """An expected failure: its own class knows reason and status."""
    assert isinstance(error, AvertError)  # noqa: S101  # registered for this class only
    headers: dict[str, str] = {}
    if isinstance(error, TooManyRequestsError | OverloadedError):
        headers["retry-after"] = str(error.retry_after_s)
    elif isinstance(error, BrokerUnavailableError):
        headers["retry-after"] = str(_BROKER_RETRY_S)
    if error.status == 500:
        log.error("request_failed", reason=error.reason, error=str(error))
    return answer(ErrorAnswer(error.reason, str(error)), error.status, headers)


async def on_http_exception(_request: Request, error: Exception) -> Response:
    """What the framework refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class only
    reason = _FRAMEWORK_REASONS.get(error.status_code, "bad_request")
    return answer(ErrorAnswer(reason, error.detail), error.status_code, dict(error.headers or {}))


async def on_defect(request: Request, error: Exception) -> Response:
    """A defect of ours: the client learns that, and nothing else; the log has the rest."""
    log.error("request_crashed", path=request.url.path, error=repr(error), exc_info=error)
    return answer(ErrorAnswer("internal", "this is our fault; it has been logged"), 500)


async def on_disconnect(_request: Request, _error: Exception) -> Response:
    """Nobody is there to read it; the status is for the metrics."""
    return Response(status_code=400)
