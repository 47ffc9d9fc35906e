"""Who calls: what a request presents, gathered in one place, and the limits that hold for every call."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from streams.core.effects import Suggestion
from streams.core.event import VISITOR_CHARS_MAX
from streams.delivery import Refusals
from streams.errors import RequestError, UnauthorizedError
from streams.http.access import Access, credentials, unauthorized
from streams.http.broker import EventLog
from streams.http.places import Streams
from streams.http.rates import Counted, Rates, client_address, network_of
from streams.http.reading import SuggestionReader
from streams.http.shared import PlacesInRedis
from streams.http.totals import TotalsReader
from streams.keys import ServerScope
from streams.settings import Settings

# More than a page or a pixel sends; a query of a thousand fields costs more than it is worth.
_QUERY_FIELDS_MAX = 200
# Headers of which a second one would leave open which of them counts, here or at a proxy in front.
_ONCE = frozenset({
    b"authorization", b"content-encoding", b"content-type", b"origin", b"sec-gpc", b"x-visitor-token", b"x-write-key",
})


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers work with; one of each per process."""

    settings: Settings
    access: Access
    rates: Rates
    log: EventLog
    reader: SuggestionReader
    streams: Streams
    totals: TotalsReader
    refusals: Refusals
    places: PlacesInRedis | None  # of streams, where several processes serve


class Caller:
    """One request's caller: where from, with which key, with which token; and when."""

    __slots__ = (
        "_headers", "_presented", "_services", "address", "key", "now_ms", "query", "refuses_tracking", "token",
    )

    def __init__(self, request: Request, services: Services) -> None:
        # Read once, and only what is asked for: the framework's own walk all headers at each question.
        scope = request.scope
        given = scope["headers"]
        headers: dict[bytes, bytes] = dict(given)
        if len(headers) != len(given):
            headers |= _repeated(given)
        query = _query(scope["query_string"])
        presented = credentials(_text(headers.get(b"authorization")))
        settings = services.settings
        self._services = services
        self._headers = headers
        self._presented = presented
        self.query: dict[str, str] = query
        self.now_ms = int(time.time() * 1000)
        peer = scope.get("client")
        forwarded = headers.get(b"x-forwarded-for", b"").decode("latin-1")
        self.address = network_of(client_address(peer[0] if peer else "", forwarded, settings.proxy_hops))
        # A beacon can set no header: key and token may stand in the query.
        self.key: str | None = _text(headers.get(b"x-write-key")) or query.get("key") or presented
        self.token: str | None = _text(headers.get(b"x-visitor-token")) or query.get("token") or presented
        self.refuses_tracking: bool = headers.get(b"sec-gpc", b"").strip() == b"1" or (
            settings.honour_dnt and headers.get(b"dnt", b"").strip() == b"1"
        )

    @property
    def accept_language(self) -> str | None:
        """The header of that name."""
        return _text(self._headers.get(b"accept-language"))

    @property
    def last_event_id(self) -> str | None:
        """The header of that name: what a stream's client saw last."""
        return _text(self._headers.get(b"last-event-id"))

    @property
    def origin(self) -> str | None:
        """The header of that name: the page that a browser speaks for."""
        return _text(self._headers.get(b"origin"))

    async def admit(self) -> None:
        """Count the request against its address. Raises TooManyRequestsError."""
        await self._services.rates.admit(("address", self.address))

    async def admit_reader(self, visitor: str) -> None:
        """Let in who may see what belongs to `visitor`, and count it. Raises UnauthorizedError, TooManyRequestsError.

        Whoever guesses is counted against the address alone: nobody can use up another visitor's share.
        """
        await self._check_reader(visitor)
        await self._services.rates.admit(("address", self.address), ("visitor", visitor))

    async def read_as_admitted(self, visitor: str) -> list[Suggestion]:
        """The same, and what may be shown to `visitor` (see `SuggestionReader.read`): in one call, if both need one."""
        await self._check_reader(visitor)
        rates, reader = self._services.rates, self._services.reader
        wanted: tuple[Counted, Counted] = (("address", self.address), ("visitor", visitor))
        if not rates.shared:
            rates.judge(wanted, None)
            return await reader.read(visitor, self.now_ms)
        found, counts = await reader.read_counted(visitor, self.now_ms, wanted)
        rates.judge(wanted, counts)
        return found

    async def _check_reader(self, visitor: str) -> None:
        if not self.may_read(visitor):
            await self.admit()
            raise unauthorized()

    async def admit_writer(self) -> bool:
        """Let a sender of events in and count it. True when it holds a server key.

        Raises UnauthorizedError, TooManyRequestsError.
        """
        try:
            trusted = self._services.access.check_writer(self.key, self.origin)
        except UnauthorizedError:
            await self.admit()
            raise
        await self._services.rates.admit(("address", self.address), ("key", self.key or ""))
        return trusted

    async def admit_visitors(self, visitors: Iterable[str]) -> None:
        """Count the request against each of these visitors. Raises TooManyRequestsError."""
        await self._services.rates.admit(*(("visitor", visitor) for visitor in visitors))

    def may_read(self, visitor: str, now_s: int | None = None) -> bool:
        """Whether the caller may see what belongs to `visitor`: when it came, or at `now_s`."""
        access, at_s = self._services.access, self.now_ms // 1000 if now_s is None else now_s
        return access.may_read(visitor, self.token, at_s) or self.holds_server_key("read")

    def holds_server_key(self, scope: ServerScope) -> bool:
        """Whether a server key that may do `scope` came along, also beside a write key of its own."""
        access = self._services.access
        return access.is_server_key(self.key, scope) or (
            self._presented != self.key and access.is_server_key(self._presented, scope)
        )

    def require_server(self, scope: ServerScope) -> None:
        """Raises UnauthorizedError unless the caller holds a server key that may do `scope`."""
        if not self.holds_server_key(scope):
            raise unauthorized()

    def visitor_asked(self) -> str:
        """The `visitor` of the query. Raises RequestError when it is missing or too long."""
        visitor = self.query.get("visitor", "")
        if not 1 <= len(visitor) <= VISITOR_CHARS_MAX:
            raise RequestError(f"`visitor` is needed: 1 to {VISITOR_CHARS_MAX} characters")
        return visitor


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _query(text: bytes) -> dict[str, str]:
    """The query's fields; of a repeated one the last. Raises RequestError for too many."""
    if not text:
        return {}
    if b"%" not in text and b"+" not in text and text.count(b"&") < _QUERY_FIELDS_MAX:
        # Nothing is escaped: the same without the library's general way, which costs six times as much.
        pairs = [field.partition("=") for field in text.decode("latin-1").split("&") if field]
        return {name: value for name, _, value in pairs}
    try:
        return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=_QUERY_FIELDS_MAX))
    except ValueError as error:
        raise RequestError(f"the query has more than {_QUERY_FIELDS_MAX} fields") from error


def _repeated(given: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers that came more than once, as one (RFC 9110, 5.3). Raises RequestError for those that stand alone."""
    values: dict[bytes, list[bytes]] = defaultdict(list)
    for name, value in given:
        values[name].append(value)
    for name in _ONCE & values.keys():
        if len(values[name]) > 1:
            raise RequestError(f"the header {name.decode()} was sent {len(values[name])} times; once is clear")
    return {name: b", ".join(texts) for name, texts in values.items() if len(texts) > 1}
