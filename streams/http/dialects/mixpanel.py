"""Mixpanel's ingestion API, as mixpanel-browser and its SDKs for servers speak it.

1. One event or a list, as JSON, or in the field `data` of a form, as text or base64. The key is `properties.token`.
2. The visitor is `$device_id`, else the `distinct_id` (without its ``$device:``); the user is `$user_id`.
3. `time` is in seconds; when it was sent stands in the query (`_`, ms) of browsers only.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from streams.core.effects import Refusal
from streams.core.event import Refused
from streams.http.dialects.common import (
    campaign_of,
    event_id,
    first_text,
    given,
    number_of,
    object_of,
    page_of,
    short,
    text_of,
    visitor_id,
)
from streams.http.dialects.names import named
from streams.http.dialects.posthog import open_capture
from streams.http.dialects.shapes import Incoming, Letter, Translated

# Mixpanel's own events -> ours.
KINDS: Mapping[str, str] = MappingProxyType({
    "$mp_web_page_view": "page_view",
    "$mp_page_leave": "page_leave",
    "$mp_click": "click",
    "$mp_rage_click": "rage_click",
    "$mp_dead_click": "dead_click",
    "$mp_submit": "form_submit",
    "$mp_input_change": "form_input",
    "$mp_scroll": "scroll",
    "$identify": "identify",
    "$create_alias": "alias",
    "$merge": "alias",
})
_ANONYMOUS = "$device:"
_SECONDS_MAX = 10**11  # a larger `time` is in milliseconds already (it would be the year 5138)
_OWN_PROPERTIES = frozenset({
    "token", "distinct_id", "time", "alias", "current_page_title", "current_domain", "current_url_path",
    "current_url_protocol", "current_url_search", "utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term",
})
_RESENT = ("offset",)


def open_track(incoming: Incoming) -> Letter:
    """Events in any of the wrappings. Raises RequestError."""
    return open_capture(incoming)


def translate(event: dict[str, Any], _letter: Letter) -> Translated | Refused:
    """One event."""
    name = text_of(event.get("event")) or ""
    properties = object_of(event.get("properties"))
    own = {
        key: value for key, value in properties.items()
        if not key.startswith(("$", "mp_")) and key not in _OWN_PROPERTIES
    }
    kind, props = (KINDS[name], own) if name in KINDS else named(name.lstrip("$"), own)
    if not kind:
        return Refused(Refusal.SCHEMA, "`event` is the event's name: a text that is not empty")
    distinct = text_of(properties.get("distinct_id"))
    user = text_of(properties.get("$user_id")) or text_of(properties.get("$identified_id"))
    if name == "$create_alias":
        user = text_of(properties.get("alias"))
    if kind in ("identify", "alias"):
        props = {**props, **given(previous=first_text(properties.get("$anon_id"), distinct), user=user)}
    elif kind == "click":
        props = {**props, **given(text=short(properties.get("$el_text")), element=short(properties.get("$el_id")))}
    happened = number_of(properties.get("time"))
    if isinstance(happened, int | float) and 0 <= happened < _SECONDS_MAX:
        happened = int(happened * 1000)
    fields = given(
        id=event_id(properties.get("$insert_id"), event, _RESENT, dated=happened is not None),
        visitor=visitor_id(
            properties.get("$device_id"), properties.get("$anon_id"), (distinct or "").removeprefix(_ANONYMOUS)
        ),
        type=kind,
        ts=happened,
        page=page_of(
            url=properties.get("$current_url"), path=properties.get("current_url_path"),
            title=properties.get("current_page_title"),
            referrer=None if properties.get("$referrer") == "$direct" else properties.get("$referrer"),
        ),
        props=props,
        context=given(
            source="mixpanel", library=short(properties.get("mp_lib")), user=visitor_id(user),
            event=None if name.startswith("$") else short(name), country=short(properties.get("mp_country_code")),
            campaign=campaign_of(None, properties.get("$current_url")),
        ),
    )
    return Translated(fields)
