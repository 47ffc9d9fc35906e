"""``POST /v1/events``: events in. A 2xx says that the broker has acknowledged every event counted as accepted."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from streams.core.effects import Refusal
from streams.core.event import Refused
from streams.errors import RequestError
from streams.http.access import mint_visitor
from streams.http.answers import answer
from streams.http.body import read_body
from streams.http.caller import Caller, Services
from streams.http.intake import Accepted, Arrival, Split, read_event, split_body
from streams.http.keeping import Judged, Keeper
from streams.http.models import EventsOut, SuggestionOut
from streams.http.suggestions import Suggestions


class Collector:
    """Takes events in."""

    def __init__(self, services: Services, suggestions: Suggestions) -> None:
        self._services = services
        self._suggestions = suggestions
        settings = services.settings
        self._clickstream = settings.topic("clickstream")
        self._waiting = 0  # requests that wait for the worker
        self._keeper = Keeper(settings, services.log, services.refusals)
        self._query_allowed = frozenset(settings.url_query_allowed)

    async def post(self, request: Request) -> Response:
        """Answer ``POST /v1/events[?wait=ms]``, in this order.

        1. who sends, and how often; 2. the body, bounded; 3. each event on its own; 4. how often each visitor;
        5. into the log, acknowledged; 6. only then metrics, token, waiting, and a 202.
        """
        caller = Caller(request, self._services)
        trusted = await caller.admit_writer()  # 1
        wait_ms = self._wait_ms(caller)
        body = await read_body(request, self._services.settings.request_bytes_max)  # 2
        minted = mint_visitor()
        split = await self._split(body, caller)
        judged = self._judge(split, caller, minted)  # 3
        visitors = {event.visitor for event in judged.accepted}
        if wait_ms is not None and len(visitors) > 1:
            raise RequestError("`wait` is for the events of one visitor")
        if not trusted:  # 4
            await caller.admit_visitors(visitors - {minted})
        written = await self._keeper.append(judged, caller.now_ms)  # 5
        out = EventsOut(len(judged.accepted), judged.rejected)  # 6
        self._give_token(out, caller, visitors, minted, split)
        if wait_ms is not None:
            await self._wait(out, caller, visitors, minted, written, wait_ms)
        return answer(out, 202)

    def _wait_ms(self, caller: Caller) -> int | None:
        text = caller.query.get("wait")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit()):
            raise RequestError("`wait` is a whole number of milliseconds")
        return min(int(text[:9]), self._services.settings.wait_ms_max)

    async def _split(self, body: bytes, caller: Caller) -> Split:
        try:
            return split_body(body, self._services.settings.request_events_max)
        except RequestError as error:
            # Nothing in it can be told apart; whoever looks for lost events finds the whole.
            refused = Refused(Refusal.NOT_JSON, str(error))
            whole = Judged([], [], [])
            self._keeper.refuse(
                whole, 0, body, refused, caller.now_ms, refuses_tracking=caller.refuses_tracking
            )
            await self._keeper.append(whole, caller.now_ms)
            raise

    def _judge(self, split: Split, caller: Caller, minted: str) -> Judged:
        arrival = Arrival(
            caller.now_ms, split.sent_at, minted, caller.refuses_tracking, self._query_allowed,
            self._services.settings.consent_default == "granted",
        )
        judged = Judged([], [], [])
        for index, raw in enumerate(split.events):
            event = read_event(raw, arrival)
            if isinstance(event, Accepted):
                judged.accepted.append(event)
            else:
                self._keeper.refuse(
                    judged, index, raw, event, caller.now_ms, refuses_tracking=caller.refuses_tracking
                )
        return judged

    def _give_token(self, out: EventsOut, caller: Caller, visitors: set[str], minted: str, split: Split) -> None:
        """A token goes out only with an id minted here, or to whoever holds a token or a renewal of the same visitor.

        A renewal goes out only with the id: what once leaked would otherwise renew itself for ever.
        """
        access, now_s = self._services.access, caller.now_ms // 1000
        if minted in visitors:
            out.visitor = minted
            out.token = access.issue_token(minted, now_s)[0]
            out.renewal = access.issue_renewal(minted, now_s)
            return
        named = visitors or ({split.visitor} if split.visitor and split.renewal else set())
        if len(named) == 1:
            (out.visitor,) = named
            if access.renewal_holds(out.visitor, split.renewal, now_s):
                out.token = access.issue_token(out.visitor, now_s)[0]
            else:
                out.token = access.renewed_token(out.visitor, caller.token, now_s)

    async def _wait(
        self, out: EventsOut, caller: Caller, visitors: set[str], minted: str,
        written: dict[tuple[str, int], int], wait_ms: int,
    ) -> None:
        """Wait for the worker and read. Sending under somebody's id does not open his suggestions: then it is []."""
        if self._waiting >= self._services.settings.waits_max:
            wait_ms = 0  # one more is answered without waiting: its events are in the log all the same
        until_s = time.monotonic() + wait_ms / 1000
        out.processed = True
        self._waiting += 1
        try:
            for (topic, partition), offset in written.items():
                if topic == self._clickstream:
                    left_ms = max(0, int((until_s - time.monotonic()) * 1000))
                    out.processed &= await self._services.reader.wait_for(partition, offset, left_ms)
        finally:
            self._waiting -= 1
        out.suggestions = list[SuggestionOut]()
        for visitor in visitors:
            if visitor == minted or caller.may_read(visitor):
                out.suggestions = await self._suggestions.read(caller, visitor)
