"""The application: services, routes, and what becomes of errors."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from streams.delivery import Refusals
from streams.errors import AvertError
from streams.http.access import Access
from streams.http.answers import Direct, Endpoint, on_avert_error, on_defect, on_disconnect, on_http_exception
from streams.http.broker import EventLog
from streams.http.caller import Services
from streams.http.collector import Collector
from streams.http.dialects.routes import dialect_routes
from streams.http.edge import Edge
from streams.http.gate import Gate
from streams.http.impact import Impact
from streams.http.openapi import openapi_document
from streams.http.operations import Operations
from streams.http.places import Streams
from streams.http.push import Push
from streams.http.rates import Rates
from streams.http.reading import SuggestionReader
from streams.http.receipts import Receipts, Tokens
from streams.http.rules import PublicRules
from streams.http.shared import CountsInRedis, PlacesInRedis
from streams.http.snippet.serve import Snippet
from streams.http.suggestions import Suggestions
from streams.http.totals import TotalsReader
from streams.keys import Keys
from streams.settings import Settings

# Probes have to be answered under load above all; streams are counted by themselves.
_UNCOUNTED = frozenset({"/healthz", "/readyz", "/v1/suggestions/stream"})
# Without the framework around them: more than nine of ten requests are one of these.
_BUSIEST = frozenset({("POST", "/v1/events"), ("GET", "/v1/suggestions")})


def build_services(settings: Settings, keys: Keys, *, development: bool = False) -> Services:
    """Make what the handlers need. Nothing is connected yet: see `EventLog.start`."""
    reader = SuggestionReader(
        settings.redis_url, settings.redis_timeout_ms, settings.cache_prefix,
        limits=(settings.rate_per_address_per_s, settings.rate_per_visitor_per_s),
    )
    counts, places, prefix = None, None, settings.cache_prefix
    if settings.limits_in == "redis":
        counts = CountsInRedis(reader.calls)
        places = PlacesInRedis(reader.client, settings.redis_timeout_ms, settings.streams_per_visitor_max, prefix)
    return Services(
        settings=settings,
        access=Access(
            keys, settings.visitor_ids, settings.token_ttl_s, settings.renewal_ttl_s, development=development
        ),
        rates=Rates(
            settings.rate_per_key_per_s, settings.rate_per_address_per_s, settings.rate_per_visitor_per_s, counts
        ),
        log=EventLog(settings),
        reader=reader,
        streams=Streams(settings.streams_per_visitor_max, settings.streams_max),
        places=places,
        totals=TotalsReader(settings),
        refusals=Refusals(reader.client, settings.redis_timeout_ms, settings.cache_prefix),
    )


def build_routes(services: Services) -> list[Route]:
    """The public routes of our own: they are tried in this order, before those of the dialects."""
    suggestions = Suggestions(services)
    collector = Collector(services, suggestions)
    operations = Operations(services)
    document = openapi_document()

    async def openapi(_request: Request) -> Response:
        return Response(document, media_type="application/json")

    return [
        Route("/v1/events", Endpoint(collector.post), methods=["POST"]),
        Route("/v1/suggestions", Endpoint(suggestions.get), methods=["GET"]),
        Route("/v1/suggestions/stream", Endpoint(Push(services).get), methods=["GET"]),
        Route("/v1/receipts", Endpoint(Receipts(services).post), methods=["POST"]),
        Route("/v1/tokens", Endpoint(Tokens(services).post), methods=["POST"]),
        Route("/v1/impact", Endpoint(Impact(services, services.totals).get), methods=["GET"]),
        Route("/avert.js", Endpoint(Snippet().get), methods=["GET"]),
        Route("/v1/rules", Endpoint(PublicRules(services).get), methods=["GET"]),
        Route("/healthz", Endpoint(operations.healthz), methods=["GET"]),
        Route("/readyz", Endpoint(operations.readyz), methods=["GET"]),
        Route("/openapi.json", Endpoint(openapi), methods=["GET"]),
    ]


def build_app(services: Services) -> ASGIApp:
    """The application of the public port."""
    routes = build_routes(services)
    app = Starlette(
        routes=[*routes, *dialect_routes(services)],
        exception_handlers={
            AvertError: on_avert_error,
            HTTPException: on_http_exception,
            ClientDisconnect: on_disconnect,
            Exception: on_defect,
        },
    )
    app.router.redirect_slashes = False  # a redirected POST loses its body in many clients
    settings = services.settings
    direct = Direct(app, {
        (method, route.path): route.endpoint.handler
        for route in routes
        for method in route.methods or ()
        if (method, route.path) in _BUSIEST and isinstance(route.endpoint, Endpoint)
    })
    gate = Gate(
        direct, requests_max=settings.requests_max, bytes_max=settings.bodies_bytes_max,
        body_timeout_s=settings.body_timeout_s, uncounted=_UNCOUNTED,
    )
    return Edge(gate, services.access.origin_allowed, frozenset(route.path for route in routes))
