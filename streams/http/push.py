"""``GET /v1/suggestions/stream``: the visitor's whole list as a server-sent event, each time that it changes.

1. A message is the list as it is now, never a difference: whoever missed some has lost nothing, and for a slow reader
   nothing is queued but the newest list.
2. Its id is a hash of the list. A client that comes back with the id of what is still so (``Last-Event-ID``) is sent
   nothing until it changes, whichever process it comes to.
3. A stream ends when the token does, when the right to read is taken away (looked at with each heartbeat), when the
   client reads nothing for SEND_TIMEOUT_S, when the process stops. The client's own reconnecting does the rest.
4. Redis away: heartbeats go on; "not known" is never sent as "nothing". Once it is back, everybody looks again.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from streams.http.caller import Caller, Services
from streams.http.models import SuggestionsOut
from streams.http.places import Ending
from streams.http.suggestions import as_asked
from streams.telemetry import STREAM_UPDATES, SUGGESTIONS_READ

HEARTBEAT_S = 15.0  # proxies close what is silent for 30 s or more
RETRY_MS = 3000  # how long a browser waits before it connects again
_NAME_BYTES = 8
_NAMES = 1 << 8 * _NAME_BYTES
SEND_TIMEOUT_S = 10.0  # what the kernel's buffers do not take for so long is nobody's any more
LOOK_AGAIN_S = 1.0  # after Redis did not answer

_HEAD: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),  # nginx would hold small pieces back
    ],
}
_encoder = msgspec.json.Encoder()


class Stream(Response):
    """One connection. Made by `Push.get`, run by the framework."""

    def __init__(self, services: Services, caller: Caller, visitor: str) -> None:
        self.status_code = 200
        self.background = None
        self.visitor = visitor
        self._services = services
        self._caller = caller
        self._revision = caller.last_event_id or ""
        self._name = secrets.token_hex(_NAME_BYTES)  # among the visitor's streams, in all processes
        self._wake = asyncio.Event()
        self._ending: Ending | None = None
        settings = services.settings
        # A server key or a capability has no end of its own; a stream has, so that a load balancer can drain.
        token_end_s = services.access.token_end(visitor, caller.token)
        now_s = caller.now_ms // 1000
        self._ends_s = token_end_s if token_end_s > now_s else now_s + settings.token_ttl_s

    def end(self, why: Ending) -> None:
        """End it soon. The first reason counts."""
        self._ending = self._ending or why
        self._wake.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # ASGI's signature
        """Run until it ends. Raises TooManyRequestsError before anything is sent."""
        streams, places, changes = self._services.streams, self._services.places, self._services.reader.changes
        if places is not None and not await places.take(self.visitor, self._name):
            streams.refuse()
        streams.enter(self)
        changes.add(self.visitor, self._wake)
        watching = asyncio.create_task(self._watch(receive))
        try:
            await self._run(send)
        finally:
            watching.cancel()
            changes.remove(self.visitor, self._wake)
            streams.leave(self, self._ending or "client")
            if places is not None:
                await places.leave(self.visitor, self._name)

    async def _watch(self, receive: Receive) -> None:
        """Notice that the client has gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end("client")

    async def _run(self, send: Send) -> None:
        await self._send(send, _HEAD)
        await self._say(send, f"retry: {RETRY_MS}\n\n")
        # Pages that came together (a process ended) would all be heard in one moment, over and over.
        beat_s = time.monotonic() + HEARTBEAT_S * (0.5 + int(self._name, 16) / _NAMES / 2)
        look_s = time.monotonic()
        while self._ending is None:
            now_s = time.monotonic()
            if self._wake.is_set() or now_s >= look_s:
                self._wake.clear()
                look_s = await self._look(send)
            if now_s >= beat_s:
                beat_s = now_s + HEARTBEAT_S
                await self._beat(send)
            if time.time() >= self._ends_s:
                self.end("expired")
            left_s = self._ends_s - time.time()
            await self._sleep(min(beat_s, look_s) - time.monotonic(), left_s)
        await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _sleep(self, *seconds: float) -> None:
        """Until something happens, or the soonest of these."""
        try:
            async with asyncio.timeout(max(0.0, min(seconds))):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _look(self, send: Send) -> float:
        """Send the list if it is another one than before; when to look again at the latest, monotonic seconds."""
        now_ms = int(time.time() * 1000)
        found = await self._services.reader.read_known(self.visitor, now_ms)
        if found is None:
            return time.monotonic() + LOOK_AGAIN_S
        shown = as_asked(self._caller, found)
        data = _encoder.encode(SuggestionsOut(shown)).decode()
        revision = hashlib.sha256(data.encode()).hexdigest()[:16]
        if revision != self._revision:
            self._revision = revision
            SUGGESTIONS_READ.inc(len(shown))
            STREAM_UPDATES.inc()
            await self._say(send, f"event: suggestions\nid: {revision}\ndata: {data}\n\n")
        if not found:
            return float("inf")
        # One ms more: what expires at a moment is there until it is over.
        return time.monotonic() + (min(suggestion.expires for suggestion in found) + 1 - now_ms) / 1000

    async def _beat(self, send: Send) -> None:
        """Show that the connection lives, and look whether it still may."""
        if not self._caller.may_read(self.visitor, int(time.time())):
            self.end("expired")
            return
        if self._services.places is not None:
            await self._services.places.take(self.visitor, self._name)
        await self._say(send, ":\n\n")

    async def _say(self, send: Send, text: str) -> None:
        await self._send(send, {"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def _send(self, send: Send, message: Message) -> None:
        """Send, or end the stream when the client takes nothing."""
        if self._ending in ("slow", "client"):
            return
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send(message)
        except TimeoutError:
            self.end("slow")



class Push:
    """The route."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Response:
        """Answer ``GET /v1/suggestions/stream?visitor=...[&session=...&placement=...&lang=...]``."""
        caller = Caller(request, self._services)
        visitor = caller.visitor_asked()
        await caller.admit_reader(visitor)
        if caller.refuses_tracking:
            return Response(status_code=204)  # by the standard: and don't come back
        self._services.streams.check(visitor)
        return Stream(self._services, caller, visitor)
