"""The paths on which other trackers' clients expect something, and what is there."""

from __future__ import annotations

from typing import NamedTuple

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.routing import Route

from streams.http.caller import Services
from streams.http.dialects import cloudevents, configs, ga4, matomo, mixpanel, posthog, segment, snowplow
from streams.http.dialects.configs import Config
from streams.http.dialects.door import AnyPathEndpoint, ConfigEndpoint, Dialect, DialectEndpoint, Reply

_SEGMENT_REPLY = Reply(200, b'{"success":true}')  # RudderStack's clients take nothing but a 200 for a yes
_POSTHOG_REPLY = Reply(200, b'{"status":1}')
# The smallest transparent GIF there is.
_PIXEL = Reply(200, bytes.fromhex("47494638396101000100f00000000000000000"
                                  "21f90401000000002c00000000010001000002024401003b"), "image/gif")


def _matomo_counts(accepted: int, rejected: int) -> bytes:
    return b'{"status":"success","tracked":%d,"invalid":%d}' % (accepted, rejected)


SEGMENT = Dialect(segment.open_call, segment.translate, _SEGMENT_REPLY)
SEGMENT_PIXEL = Dialect(segment.open_pixel, segment.translate, _PIXEL)
SNOWPLOW = Dialect(snowplow.open_post, snowplow.translate, Reply(200, b"ok", "text/plain"), keyless=True)
SNOWPLOW_PIXEL = Dialect(snowplow.open_get, snowplow.translate, _PIXEL, keyless=True)
POSTHOG = Dialect(posthog.open_capture, posthog.translate, _POSTHOG_REPLY)
POSTHOG_PIXEL = Dialect(posthog.open_pixel, posthog.translate, _POSTHOG_REPLY)
CLOUDEVENTS = Dialect(cloudevents.open_request, cloudevents.translate, Reply(202, None))

_MIXPANEL_REPLY = Reply(200, b'{"error":null,"status":1}')
MIXPANEL = Dialect(mixpanel.open_track, mixpanel.translate, _MIXPANEL_REPLY)
MIXPANEL_PIXEL = Dialect(posthog.open_pixel, mixpanel.translate, _MIXPANEL_REPLY)
MATOMO = Dialect(matomo.open_post, matomo.translate, Reply(200, _matomo_counts), keyless=True)
MATOMO_PIXEL = Dialect(matomo.open_get, matomo.translate, _PIXEL, keyless=True)
GA4 = Dialect(ga4.open_protocol, ga4.translate, Reply(204))
GTAG = Dialect(ga4.open_gtag, ga4.translate, Reply(204))

_SEGMENT_CALLS = (
    "track", "page", "screen", "identify", "group", "alias", "merge", "t", "p", "s", "i", "g", "a",
)
_SEGMENT_BATCHES = ("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch")
_POSTHOG_CAPTURES = ("/batch", "/capture", "/e", "/i/v0/e")


class Path(NamedTuple):
    """A path, and what sends events there, by POST and by GET."""

    path: str
    post: Dialect | None = None
    get: Dialect | None = None


EVENTS: tuple[Path, ...] = (
    *(Path(path, SEGMENT) for path in _SEGMENT_BATCHES),
    *(Path(f"/v1/{kind}", SEGMENT) for kind in _SEGMENT_CALLS),
    Path("/com.snowplowanalytics.snowplow/tp2", SNOWPLOW),
    Path("/i", None, SNOWPLOW_PIXEL),
    *(Path(path + slash, POSTHOG, POSTHOG_PIXEL) for path in _POSTHOG_CAPTURES for slash in ("/", "")),
    Path("/v1/cloudevents", CLOUDEVENTS),
    *(Path(path, MIXPANEL, MIXPANEL_PIXEL) for path in ("/track", "/track/")),
    Path("/import", MIXPANEL),
    *(Path(path, MATOMO, MATOMO_PIXEL) for path in ("/matomo.php", "/piwik.php")),
    Path("/mp/collect", GA4),
    Path("/g/collect", GTAG, GTAG),
    Path("/v1/pixel/{kind}", None, SEGMENT_PIXEL),
    Path("/pixel/v1/{kind}", None, SEGMENT_PIXEL),
    Path("/api/s/{kind}", SEGMENT),
)
# A path of the site's own for Snowplow's trackers (`postPath`): tried last, and never taken for one of ours.
_ANY_PATH = "/{vendor:foreign}/{version}"


class _Foreign(StringConvertor):
    regex = "(?!v1/)[^/]{1,100}"


register_url_convertor("foreign", _Foreign())

_JSON, _SCRIPT = "application/json", "text/javascript"


def _done(_incoming: object) -> bytes:
    return b'{"success":true}'


# (path, methods, answer, content type)
CONFIGS: tuple[tuple[str, tuple[str, ...], Config, str], ...] = (
    ("/v1/projects/{key}/settings", ("GET",), configs.segment_settings, _JSON),
    ("/v1/m", ("POST",), _done, _JSON),  # measurements of analytics.js itself
    ("/sourceConfig", ("GET",), configs.rudder_source, _JSON),
    ("/sourceConfig/", ("GET",), configs.rudder_source, _JSON),
    ("/array/{key}/config.js", ("GET",), configs.posthog_config_script, _SCRIPT),
    ("/array/{key}/config", ("GET",), configs.posthog_config, _JSON),
    *((path, ("POST", "GET"), configs.posthog_flags, _JSON) for path in ("/flags/", "/flags", "/decide/", "/decide")),
    ("/api/feature_flag/local_evaluation", ("GET",), configs.posthog_local_flags, _JSON),
    ("/api/feature_flag/local_evaluation/", ("GET",), configs.posthog_local_flags, _JSON),
    ("/api/surveys/", ("GET",), lambda _: b'{"surveys":[]}', _JSON),
    # Mixpanel's profiles: a rule sees what a visitor does.
    *((path, ("POST",), lambda _: b'{"error":null,"status":1}', _JSON) for path in ("/engage", "/engage/", "/groups/")),
    ("/s/", ("POST",), lambda _: b'{"status":1}', _JSON),  # pieces of recordings, from a client told not to make any
)


def dialect_routes(services: Services) -> list[Route]:
    """All routes of all dialects, those with parameters last."""
    routes = [
        Route(path, ConfigEndpoint(services, path, config, content_type), methods=methods)
        for path, methods, config, content_type in CONFIGS
    ]
    routes += [
        Route(entry.path, DialectEndpoint(services, entry.path, dialect), methods=[method])
        for entry in EVENTS for method, dialect in (("POST", entry.post), ("GET", entry.get)) if dialect is not None
    ]
    routes.sort(key=lambda route: "{" in route.path)
    return [*routes, Route(_ANY_PATH, AnyPathEndpoint(services, _ANY_PATH, SNOWPLOW))]
