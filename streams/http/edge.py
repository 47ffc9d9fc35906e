"""The outermost layer: CORS by exact allow-list, and the metrics of every answer. Plain ASGI: it is on every path."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.telemetry import HTTP_REQUESTS, HTTP_SECONDS

_PREFLIGHT_AGE_S = 600  # a browser asks again after this; an origin that is taken off the list is out by then
ROUTE = "avert.route"  # where a route whose path has parameters leaves the name it is metered by, in the scope
_OTHER = "other"  # label of every path that is not ours: paths are data, labels are a closed set

_PREFLIGHT_HEADERS = [
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-max-age", str(_PREFLIGHT_AGE_S).encode()),
]
# Trackers send headers of their own (AnonymousId, SentAt, SP-Anonymous): an allowed page may send what it asks for.
_ASKED_HEADERS = b"access-control-request-headers"
_OUR_HEADERS = b"Authorization, Content-Type, Content-Encoding, X-Write-Key, X-Visitor-Token"
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9_-]{1,64}(\s*,\s*[A-Za-z0-9_-]{1,64}){0,31}")


class Edge:
    """Wraps the application. `origin_allowed` decides which pages may read answers."""

    def __init__(self, app: ASGIApp, origin_allowed: Callable[[str], bool], paths: frozenset[str]) -> None:
        self._app = app
        self._origin_allowed = origin_allowed
        self._paths = paths
        self._seconds = {path: HTTP_SECONDS.labels(path) for path in (*paths, _OTHER)}
        self._requests = {(path, 200): HTTP_REQUESTS.labels(path, "200") for path in (*paths, _OTHER)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        status = 500
        cors = self._cors_headers(scope)

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # A copy: an endpoint may send the same message to everybody.
                message = {**message, "headers": [*message["headers"], *cors]}
            await send(message)

        try:
            if scope["method"] == "OPTIONS":
                await _preflight(scope, send_noting, allowed=len(cors) > 1)
            else:
                await self._app(scope, receive, send_noting)
        finally:
            path = scope["path"]
            self._note(path if path in self._paths else scope.get(ROUTE, _OTHER), status, time.perf_counter() - began_s)

    def _cors_headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        for name, value in scope["headers"]:
            if name == b"origin":
                if self._origin_allowed(value.decode("latin-1")):
                    return [
                        (b"vary", b"Origin"),
                        (b"access-control-allow-origin", value),
                        # Snowplow's trackers and beacons send cookies along, whatever they hold. None is read here:
                        # what a page may do hangs on its key and its origin alone.
                        (b"access-control-allow-credentials", b"true"),
                        (b"access-control-expose-headers", b"Retry-After"),
                    ]
                break
        return [(b"vary", b"Origin")]

    def _note(self, path: str, status: int, seconds: float) -> None:
        counter = self._requests.get((path, status))
        if counter is None:
            counter = self._requests[path, status] = HTTP_REQUESTS.labels(path, str(status))
        counter.inc()
        histogram = self._seconds.get(path)
        if histogram is None:
            histogram = self._seconds[path] = HTTP_SECONDS.labels(path)
        histogram.observe(seconds)


async def _preflight(scope: Scope, send: Send, *, allowed: bool) -> None:
    """204 for everybody; what a page may do stands in the headers, and an origin that is not listed gets none."""
    headers = []
    if allowed:
        asked = next((value for name, value in scope["headers"] if name == _ASKED_HEADERS), b"")
        names = asked if _HEADER_NAMES.fullmatch(asked) else _OUR_HEADERS
        headers = [*_PREFLIGHT_HEADERS, (b"access-control-allow-headers", names)]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
