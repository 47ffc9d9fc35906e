"""``GET /v1/suggestions``: what may be shown to a visitor now. A page never breaks of it."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response

from streams.core.effects import Suggestion
from streams.http.answers import answer
from streams.http.caller import Caller, Services
from streams.http.language import in_language, wanted_languages
from streams.http.models import SuggestionOut, SuggestionsOut
from streams.telemetry import SUGGESTIONS_READ


class Suggestions:
    """Reading suggestions, for the route of their own and for ``?wait``."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Response:
        """Answer ``GET /v1/suggestions?visitor=...[&session=...&placement=...&lang=...]``."""
        caller = Caller(request, self._services)
        visitor = caller.visitor_asked()
        if caller.refuses_tracking:
            await caller.admit_reader(visitor)
            return answer(SuggestionsOut([]))
        return answer(SuggestionsOut(_metered(as_asked(caller, await caller.read_as_admitted(visitor)))))

    async def read(self, caller: Caller, visitor: str) -> list[SuggestionOut]:
        """The visitor's suggestions for this caller; [] also when Redis is away or the browser refuses tracking."""
        if caller.refuses_tracking:
            return []
        return _metered(as_asked(caller, await self._services.reader.read(visitor, caller.now_ms)))


def as_asked(caller: Caller, suggestions: Iterable[Suggestion]) -> list[SuggestionOut]:
    """Those of the session and for the placement that the caller's query names, in its language."""
    session, placement = caller.query.get("session"), caller.query.get("placement")
    wanted = wanted_languages(caller.query.get("lang"), caller.accept_language)
    return [
        in_language(suggestion, wanted)
        for suggestion in suggestions
        if (session is None or suggestion.session == session)
        and (placement is None or suggestion.placement == placement)
    ]


def _metered(found: list[SuggestionOut]) -> list[SuggestionOut]:
    if found:
        SUGGESTIONS_READ.inc(len(found))
    return found
