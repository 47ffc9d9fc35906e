"""Who calls: what a request presents, gathered in one place, and the limits that hold for every call."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from streams.core.event import VISITOR_CHARS_MAX
from streams.errors import RequestError
from streams.http.access import Access, credentials, unauthorized
from streams.http.broker import EventLog
from streams.http.rates import Rates, client_address, network_of
from streams.http.reading import SuggestionReader
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers work with; one of each per process."""

    settings: Settings
    access: Access
    rates: Rates
    log: EventLog
    reader: SuggestionReader


class Caller:
    """One request's caller: where from, with which key, with which token; and when."""

    __slots__ = (
        "_presented", "_services", "accept_language", "address", "key", "now_ms", "origin", "query",
        "refuses_tracking", "token",
    )

    def __init__(self, request: Request, services: Services) -> None:
        # Read once into plain dictionaries: the framework's own walk all headers at each question.
        headers = {name: value.decode("latin-1") for name, value in request.scope["headers"]}
        query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
        presented = credentials(headers.get(b"authorization"))
        self._services = services
        self._presented = presented
        self.query: dict[str, str] = query
        self.accept_language: str | None = headers.get(b"accept-language")
        self.now_ms = int(time.time() * 1000)
        peer = request.client.host if request.client else ""
        forwarded = headers.get(b"x-forwarded-for", "")
        self.address = network_of(client_address(peer, forwarded, services.settings.proxy_hops))
        self.origin: str | None = headers.get(b"origin")
        # A beacon can set no header: key and token may stand in the query.
        self.key: str | None = headers.get(b"x-write-key") or query.get("key") or presented
        self.token: str | None = headers.get(b"x-visitor-token") or query.get("token") or presented
        self.refuses_tracking: bool = headers.get(b"sec-gpc", "").strip() == "1"

    def admit(self) -> None:
        """Count the request against its address. Raises TooManyRequestsError."""
        self._services.rates.take("address", self.address, time.monotonic())

    def admit_writer(self) -> bool:
        """Let a sender of events in and count it. True when it holds a server key. Raises UnauthorizedError."""
        self.admit()
        trusted = self._services.access.check_writer(self.key, self.origin)
        self._services.rates.take("key", self.key or "", time.monotonic())
        return trusted

    def admit_visitor(self, visitor: str) -> None:
        """Count the request against a visitor. Raises TooManyRequestsError."""
        self._services.rates.take("visitor", visitor, time.monotonic())

    def may_read(self, visitor: str) -> bool:
        """Whether the caller may see what belongs to `visitor`."""
        access = self._services.access
        return access.may_read(visitor, self.token, self.now_ms // 1000) or self.holds_server_key()

    def holds_server_key(self) -> bool:
        """Whether a server key came along, also beside a write key of its own."""
        access = self._services.access
        return access.is_server_key(self.key) or (self._presented != self.key and access.is_server_key(self._presented))

    def require_reader(self, visitor: str) -> None:
        """Raises UnauthorizedError unless the caller may see what belongs to `visitor`."""
        if not self.may_read(visitor):
            raise unauthorized()

    def require_server(self) -> None:
        """Raises UnauthorizedError unless the caller holds a server key."""
        if not self.holds_server_key():
            raise unauthorized()

    def visitor_asked(self) -> str:
        """The `visitor` of the query. Raises RequestError when it is missing or too long."""
        visitor = self.query.get("visitor", "")
        if not 1 <= len(visitor) <= VISITOR_CHARS_MAX:
            raise RequestError(f"`visitor` is needed: 1 to {VISITOR_CHARS_MAX} characters")
        return visitor
