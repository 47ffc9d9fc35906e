"""How much is under way at a time: the bound that keeps memory flat when more comes than can be served.

1. A request is under way from the moment that it has arrived whole: one that trickles in holds up nobody else.
2. Bytes of bodies count as soon as they come, and once more for what comes out of them.
3. Above the bounds the answer is 503 with Retry-After, at once and for next to nothing; below them, everybody is
   served again. Nothing is remembered, so recovery takes no time.
4. A body that is not whole within its time is given up. (The head's time is the server's business, see main.py.)
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.errors import OverloadedError, SlowRequestError
from streams.http.answers import on_avert_error
from streams.telemetry import OVERLOADED, REQUESTS_UNDER_WAY

HELD = "avert.held"  # where a request's `Held` stands in its scope
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """Wraps the application. `uncounted`: paths that have bounds of their own, or none."""

    def __init__(
        self, app: ASGIApp, *, requests_max: int, bytes_max: int, body_timeout_s: float, uncounted: frozenset[str]
    ) -> None:
        self._app = app
        self._requests_max = requests_max
        self._bytes_max = bytes_max
        self._body_timeout_s = body_timeout_s
        self._uncounted = uncounted
        self.requests = 0
        self.bytes = 0
        REQUESTS_UNDER_WAY.set_function(lambda: self.requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] in self._uncounted:
            await self._app(scope, receive, send)
            return
        if self.requests >= self._requests_max:
            await (await on_avert_error(None, self.overloaded("requests")))(scope, receive, send)
            return
        if scope["method"] in _BODILESS:  # whole already: there is nothing to count but itself
            self.requests += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self.requests -= 1
            return
        held = Held(self)
        try:
            scope[HELD] = held
            await self._app(scope, self._counting(held, receive), send)
        finally:
            held.release()

    def _counting(self, held: Held, receive: Receive) -> Receive:
        deadline_s = asyncio.get_running_loop().time() + self._body_timeout_s

        async def receive_counting() -> Message:
            if held.whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline_s):
                    message = await receive()
            except TimeoutError as error:
                raise SlowRequestError(f"the body was not whole within {self._body_timeout_s:g} s") from error
            held.add(len(message.get("body", b"")))
            if not message.get("more_body", False):
                held.arrived()
            return message

        return receive_counting

    def admit_one(self) -> None:
        """A request has arrived whole. Raises OverloadedError."""
        if self.requests >= self._requests_max:
            raise self.overloaded("requests")
        self.requests += 1

    def admit_bytes(self, count: int) -> None:
        """So many bytes more are held. Raises OverloadedError."""
        if self.bytes + count > self._bytes_max:
            raise self.overloaded("bytes")
        self.bytes += count

    def release(self, requests: int, count: int) -> None:
        """A request is over."""
        self.requests -= requests
        self.bytes -= count

    @staticmethod
    def overloaded(what: str) -> OverloadedError:
        """The refusal, metered."""
        OVERLOADED.labels(what).inc()
        return OverloadedError("too much is under way here; come back in a second", retry_after_s=1)


class Held:
    """What one request holds of the bounds."""

    __slots__ = ("_bytes", "_gate", "whole")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._bytes = 0
        self.whole = False

    def add(self, count: int) -> None:
        """Hold `count` bytes more. Raises OverloadedError."""
        self._gate.admit_bytes(count)
        self._bytes += count

    def arrived(self) -> None:
        """All of the request is here. Raises OverloadedError."""
        self._gate.admit_one()
        self.whole = True

    def release(self) -> None:
        """Give everything back."""
        self._gate.release(int(self.whole), self._bytes)
        self._bytes, self.whole = 0, False
