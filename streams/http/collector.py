"""``POST /v1/events``: events in. A 2xx says that the broker has acknowledged every event counted as accepted."""

from __future__ import annotations

import time
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streams.core.effects import DeadLetter, Refusal
from streams.core.event import Refused, dead_letter_text, scrub_text
from streams.errors import RequestError
from streams.http.access import mint_visitor
from streams.http.answers import answer
from streams.http.body import read_body
from streams.http.broker import Record
from streams.http.caller import Caller, Services
from streams.http.intake import Accepted, Arrival, read_event, split_body
from streams.http.models import EventsOut, Rejected, SuggestionOut
from streams.http.suggestions import Suggestions
from streams.telemetry import ACCEPTED_EVENTS, DEAD_LETTERS

_encoder = msgspec.json.Encoder()


class _Judged(NamedTuple):
    accepted: list[Accepted]
    rejected: list[Rejected]
    dead: list[Record]


class Collector:
    """Takes events in."""

    def __init__(self, services: Services, suggestions: Suggestions) -> None:
        self._services = services
        self._suggestions = suggestions
        settings = services.settings
        self._clickstream = settings.topic("clickstream")
        self._deadletter = settings.topic("deadletter")
        self._query_allowed = frozenset(settings.url_query_allowed)

    async def post(self, request: Request) -> Response:
        """Answer ``POST /v1/events[?wait=ms]``, in this order.

        1. who sends, and how often; 2. the body, bounded; 3. each event on its own; 4. how often each visitor;
        5. into the log, acknowledged; 6. only then metrics, token, waiting, and a 202.
        """
        caller = Caller(request, self._services)
        trusted = caller.admit_writer()  # 1
        wait_ms = self._wait_ms(caller)
        body = await read_body(request, self._services.settings.request_bytes_max)  # 2
        minted = mint_visitor()
        judged = await self._judge(body, caller, minted)  # 3
        visitors = {event.visitor for event in judged.accepted}
        if wait_ms is not None and len(visitors) > 1:
            raise RequestError("`wait` is for the events of one visitor")
        if not trusted:  # 4
            for visitor in visitors - {minted}:
                caller.admit_visitor(visitor)
        written = await self._append(judged, caller.now_ms)  # 5
        out = EventsOut(len(judged.accepted), judged.rejected)  # 6
        self._give_token(out, caller, visitors, minted)
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

    async def _judge(self, body: bytes, caller: Caller, minted: str) -> _Judged:
        try:
            split = split_body(body, self._services.settings.request_events_max)
        except RequestError as error:
            # Nothing in it can be told apart; whoever looks for lost events finds the whole.
            refused = Refused(Refusal.NOT_JSON, str(error))
            letter = self._dead_letter(body, refused, caller.now_ms)
            await self._append(_Judged([], [Rejected(0, refused.reason, refused.detail)], [letter]), caller.now_ms)
            raise
        arrival = Arrival(caller.now_ms, split.sent_at, minted, caller.refuses_tracking, self._query_allowed)
        judged = _Judged([], [], [])
        for index, raw in enumerate(split.events):
            event = read_event(raw, arrival)
            if isinstance(event, Accepted):
                judged.accepted.append(event)
            else:
                judged.rejected.append(Rejected(index, event.reason, event.detail))
                judged.dead.append(self._dead_letter(raw, event, caller.now_ms))
        return judged

    def _dead_letter(self, raw: bytes, refused: Refused, now_ms: int) -> Record:
        text, truncated = dead_letter_text(raw)
        letter = DeadLetter(refused.reason, scrub_text(refused.detail), "http", now_ms, text, truncated)
        return Record(self._deadletter, None, _encoder.encode(letter), now_ms)

    async def _append(self, judged: _Judged, now_ms: int) -> dict[tuple[str, int], int]:
        records = [
            Record(self._clickstream, event.visitor.encode("utf-8"), event.value, now_ms) for event in judged.accepted
        ]
        written = await self._services.log.append(records + judged.dead)
        ACCEPTED_EVENTS.labels("accepted").inc(len(records))
        for rejected in judged.rejected:
            ACCEPTED_EVENTS.labels("rejected").inc()
            DEAD_LETTERS.labels(rejected.reason.value).inc()
        return written

    def _give_token(self, out: EventsOut, caller: Caller, visitors: set[str], minted: str) -> None:
        """A token goes out only with an id minted here, or to whoever holds one for the same visitor already."""
        access, now_s = self._services.access, caller.now_ms // 1000
        if minted in visitors:
            out.visitor = minted
            out.token = access.issue_token(minted, now_s)[0]
        elif len(visitors) == 1:
            (out.visitor,) = visitors
            out.token = access.renewed_token(out.visitor, caller.token, now_s)

    async def _wait(
        self, out: EventsOut, caller: Caller, visitors: set[str], minted: str,
        written: dict[tuple[str, int], int], wait_ms: int,
    ) -> None:
        """Wait for the worker and read. Sending under somebody's id does not open his suggestions: then it is []."""
        until_s = time.monotonic() + wait_ms / 1000
        out.processed = True
        for (topic, partition), offset in written.items():
            if topic == self._clickstream:
                left_ms = max(0, int((until_s - time.monotonic()) * 1000))
                out.processed &= await self._services.reader.wait_for(partition, offset, left_ms)
        out.suggestions = list[SuggestionOut]()
        for visitor in visitors:
            if visitor == minted or caller.may_read(visitor):
                out.suggestions = await self._suggestions.read(caller, visitor)
