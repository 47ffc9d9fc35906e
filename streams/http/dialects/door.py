"""The way in for all dialects: what they translate is judged, limited, kept and refused like any other event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from streams.core.effects import Refusal
from streams.core.event import Refused, parse_event
from streams.errors import AvertError, PayloadTooLargeError, RequestError
from streams.http.access import mint_visitor
from streams.http.answers import answer
from streams.http.body import read_body
from streams.http.caller import Caller, Services
from streams.http.dialects.configs import Config
from streams.http.dialects.shapes import BROKEN_JSON, Incoming, Letter, Opener, Translator, key_hint
from streams.http.edge import ROUTE
from streams.http.intake import Accepted, Arrival, judge_fields, to_ms
from streams.http.keeping import Judged, Keeper
from streams.http.models import EventsOut

_object_decoder = msgspec.json.Decoder(dict[str, Any])


class Reply(NamedTuple):
    """What a client expects to hear when its events have been kept.

    The body may be made of the numbers of accepted and of rejected events; without one: counts and refusals as JSON.
    """

    status: int = 200
    body: bytes | Callable[[int, int], bytes] | None = b""
    content_type: str = "application/json"


class Dialect(NamedTuple):
    """One way of sending events: how a request is opened, how an event is translated, what is answered."""

    open: Opener
    translate: Translator
    reply: Reply
    keyless: bool = False  # its letters name an app, for which the keys file has the key


class _Endpoint:
    """An ASGI application that tells the outermost layer by which path it is metered."""

    def __init__(self, services: Services, route: str) -> None:
        self._services = services
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        scope[ROUTE] = self._route
        response = await self.respond(Request(scope, receive))
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        """The answer."""
        raise NotImplementedError

    async def incoming(self, request: Request, caller: Caller) -> Incoming:
        """The request as dialects see it. Raises what `read_body` raises."""
        bytes_max = self._services.settings.request_bytes_max
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
        body = await read_body(request, bytes_max) if request.method == "POST" else b""
        return Incoming(
            request.method, request.scope["path"], request.path_params, caller.query, headers, body, bytes_max
        )


class DialectEndpoint(_Endpoint):
    """Takes events of one dialect."""

    def __init__(self, services: Services, route: str, dialect: Dialect) -> None:
        super().__init__(services, route)
        self._dialect = dialect
        self._keeper = Keeper(services.settings, services.log, services.refusals)
        self._query_allowed = frozenset(services.settings.url_query_allowed)

    async def respond(self, request: Request) -> Response:
        """Take the events in, in this order.

        1. the body, bounded, since most clients' key stands in it; 2. who sends, and how often; 3. each event on its
        own; 4. how often each visitor; 5. into the log, acknowledged; 6. only then the answer.
        """
        caller = Caller(request, self._services)
        try:
            incoming = await self.incoming(request, caller)  # 1
        except AvertError:
            await caller.admit()
            raise
        letter = await self._open(incoming, caller)
        trusted = await self._admit(caller, letter)  # 2
        events_max = self._services.settings.request_events_max
        if len(letter.events) > events_max:
            raise PayloadTooLargeError(f"{len(letter.events)} events in one request; at most {events_max}")
        minted = mint_visitor()
        judged = self._judge(letter, caller, minted)  # 3
        if not trusted:  # 4
            await caller.admit_visitors({event.visitor for event in judged.accepted} - {minted})
        await self._keeper.append(judged, caller.now_ms)  # 5
        reply = self._dialect.reply  # 6
        if reply.body is None:
            return answer(EventsOut(len(judged.accepted), judged.rejected), reply.status)
        body = reply.body if isinstance(reply.body, bytes) else reply.body(len(judged.accepted), len(judged.rejected))
        return Response(body, reply.status, {"cache-control": "no-store"}, reply.content_type)

    async def _open(self, incoming: Incoming, caller: Caller) -> Letter:
        try:
            return self._dialect.open(incoming)
        except PayloadTooLargeError:
            await caller.admit()
            raise
        except RequestError as error:
            # Whoever looks for lost events finds the whole of it, when its sender may send at all.
            await self._admit(caller, Letter(key_hint(incoming.body), None, []))
            whole = Judged([], [], [])
            refused = Refused(Refusal.NOT_JSON, str(error))
            self._keeper.refuse(
                whole, 0, incoming.body, refused, caller.now_ms, refuses_tracking=caller.refuses_tracking
            )
            await self._keeper.append(whole, caller.now_ms)
            raise

    async def _admit(self, caller: Caller, letter: Letter) -> bool:
        if self._dialect.keyless:
            caller.key = caller.key or self._services.access.key_of_app(letter.key or "")
        elif letter.key is not None:
            caller.key = letter.key
        return await caller.admit_writer()

    def _judge(self, letter: Letter, caller: Caller, minted: str) -> Judged:
        arrival = Arrival(
            caller.now_ms, _sent_ms(letter.sent_at), minted, caller.refuses_tracking, self._query_allowed,
            self._services.settings.consent_default == "granted",
        )
        judged = Judged([], [], [])
        for index, raw in enumerate(letter.events):
            event = self._read(raw, letter, arrival, index)
            if isinstance(event, Accepted):
                judged.accepted.append(event)
            elif event is not None:
                self._keeper.refuse(
                    judged, index, raw, event, caller.now_ms, refuses_tracking=caller.refuses_tracking
                )
        return judged

    def _read(self, raw: bytes, letter: Letter, arrival: Arrival, index: int) -> Accepted | Refused | None:
        try:
            event = _object_decoder.decode(raw)
        except BROKEN_JSON as error:
            refused = parse_event(raw)  # the core has a word for what is wrong
            return refused if isinstance(refused, Refused) else Refused(Refusal.NOT_JSON, str(error))
        translated = self._dialect.translate(event, letter)
        if translated is None or isinstance(translated, Refused):
            return translated
        fields = translated.fields
        # Nothing tells it from another one that looks the same: sent twice, it will count twice.
        fields.setdefault("id", f"{arrival.minted}-{index}")
        if translated.sent_at is not None:
            arrival = arrival._replace(sent_at=_sent_ms(translated.sent_at))
        return judge_fields(fields, arrival)


class AnyPathEndpoint(DialectEndpoint):
    """For a path of the site's own: whatever is not of the dialect was meant for nobody here."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; one that is not ours is metered with all the others that nobody knows."""
        try:
            await super().__call__(scope, receive, send)
        except HTTPException:
            del scope[ROUTE]
            raise

    async def respond(self, request: Request) -> Response:
        """Like any other, if it is a POST."""
        if request.method != "POST":
            raise HTTPException(404)
        return await super().respond(request)

    async def _open(self, incoming: Incoming, caller: Caller) -> Letter:
        try:
            return self._dialect.open(incoming)
        except RequestError as error:
            await caller.admit()
            raise HTTPException(404) from error


class ConfigEndpoint(_Endpoint):
    """Answers what a client asks before and beside sending events. Public: it says nothing that is not known."""

    def __init__(self, services: Services, route: str, config: Config, content_type: str) -> None:
        super().__init__(services, route)
        self._config = config
        self._content_type = content_type

    async def respond(self, request: Request) -> Response:
        """Count the caller, answer; a body is read, so that the connection can go on, and not looked at."""
        caller = Caller(request, self._services)
        await caller.admit()
        body = self._config(await self.incoming(request, caller))
        return Response(body, 200, {"cache-control": "no-store"}, self._content_type)


def _sent_ms(said: Any) -> int | None:
    return None if said is None else to_ms(said)
