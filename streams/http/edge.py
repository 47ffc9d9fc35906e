"""The outermost layer: CORS by exact allow-list, and the metrics of every answer. Plain ASGI: it is on every path."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.telemetry import HTTP_REQUESTS, HTTP_SECONDS

_PREFLIGHT_AGE_S = 600  # a browser asks again after this; an origin that is taken off the list is out by then
_OTHER = "other"  # label of every path that is not ours: paths are data, labels are a closed set

_PREFLIGHT_HEADERS = [
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Content-Encoding, X-Write-Key, X-Visitor-Token",
    ),
    (b"access-control-max-age", str(_PREFLIGHT_AGE_S).encode()),
]


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
        path = scope["path"] if scope["path"] in self._paths else _OTHER
        status = 500
        cors = self._cors_headers(scope)

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *cors]
            await send(message)

        try:
            if scope["method"] == "OPTIONS":
                await _preflight(send_noting, allowed=len(cors) > 1)
            else:
                await self._app(scope, receive, send_noting)
        finally:
            self._note(path, status, time.perf_counter() - began_s)

    def _cors_headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        for name, value in scope["headers"]:
            if name == b"origin":
                if self._origin_allowed(value.decode("latin-1")):
                    return [
                        (b"vary", b"Origin"),
                        (b"access-control-allow-origin", value),
                        (b"access-control-expose-headers", b"Retry-After"),
                    ]
                break
        return [(b"vary", b"Origin")]

    def _note(self, path: str, status: int, seconds: float) -> None:
        counter = self._requests.get((path, status))
        if counter is None:
            counter = self._requests[path, status] = HTTP_REQUESTS.labels(path, str(status))
        counter.inc()
        self._seconds[path].observe(seconds)


async def _preflight(send: Send, *, allowed: bool) -> None:
    """204 for everybody; what a page may do stands in the headers, and an origin that is not listed gets none."""
    headers = _PREFLIGHT_HEADERS if allowed else []
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
