"""PostHog's capture API, as posthog-js (also its older versions), posthog-python and posthog-node speak it.

1. One event, a list, or ``{"batch": [...]}``; JSON, gzip bytes, or a form with base64 in `data`.
2. The key is `api_key` or `token`, in the body or in an event.
3. The visitor is `$device_id`, which a browser keeps when somebody logs in; without one (servers) the `distinct_id`.
   Identifying and merging concern the anonymous id that they name.
4. Properties with a dollar are the client's own: those that rules can use are mapped, the others are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from streams.core.effects import Refusal
from streams.core.event import Refused
from streams.errors import RequestError
from streams.http.dialects.common import (
    campaign_of,
    device_of,
    event_id,
    first_text,
    given,
    link_of,
    list_of,
    number_of,
    object_of,
    page_of,
    selector_of,
    short,
    text_of,
    visitor_id,
)
from streams.http.dialects.names import named
from streams.http.dialects.segment import PERSONAL_TRAITS
from streams.http.dialects.shapes import Incoming, Letter, Translated, decode_json, open_list, open_object, unwrap


class Kind(NamedTuple):
    """What an event of PostHog's own becomes: our fields from its properties."""

    type: str
    fields: Mapping[str, str] = MappingProxyType({})


# Event -> ours. Any other name without a dollar is the site's own, and goes by the names of names.py.
KINDS: Mapping[str, Kind] = MappingProxyType({
    "$pageview": Kind("page_view"),
    "$pageleave": Kind("page_leave", {"scroll": "$prev_pageview_max_scroll_percentage"}),
    "$screen": Kind("screen_view", {"name": "$screen_name"}),
    "$rageclick": Kind("rage_click", {"text": "$el_text"}),
    "$dead_click": Kind("dead_click", {"text": "$el_text"}),
    "$identify": Kind("identify"),
    "$set": Kind("user_updated"),
    "$create_alias": Kind("alias"),
    "$merge_dangerously": Kind("alias"),
    "$groupidentify": Kind("group", {"group_type": "$group_type", "group": "$group_key"}),
    "$exception": Kind("js_error", {"message": "$exception_message", "name": "$exception_type"}),
    "$feature_flag_called": Kind("feature_flag_called", {"flag": "$feature_flag", "variant": "$feature_flag_response"}),
    "$opt_in": Kind("tracking_allowed"),
})
# `$autocapture`: its `$event_type` -> ours.
AUTOCAPTURED: Mapping[str, str] = MappingProxyType({"click": "click", "change": "form_input", "submit": "form_submit"})
# Not what a visitor did: pieces of recordings, measurements.
DROPPED = frozenset({"$snapshot", "$snapshot_items", "$performance_event", "$$heatmap", "$$client_ingestion_warning"})
_COOKIELESS = "$posthog_cookieless"
# Properties without a dollar that the client adds: the key, ids, and what the page's address says of campaigns.
_OWN_PROPERTIES = frozenset({
    "token", "distinct_id", "utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term",
    "gad_source", "mc_cid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "fbclid", "msclkid", "twclid", "li_fat_id",
    "igshid", "ttclid", "rdt_cid", "epik", "qclid", "sccid", "oppref", "bfcid", "irclid", "_kx",
})
_OF_PAGES = frozenset({"$pageview", "$pageleave"})
_OWN_OF = {**dict.fromkeys(_OF_PAGES, frozenset({"title"})), "$create_alias": frozenset({"alias"})}
_UTM = {"source": "utm_source", "medium": "utm_medium", "name": "utm_campaign", "term": "utm_term",
        "content": "utm_content"}
_SENT = ("sent_at", "offset", "api_key", "token")  # what differs when the same event is sent again, and keys


def open_capture(incoming: Incoming) -> Letter:
    """Events in any of the wrappings. Raises RequestError."""
    if incoming.query.get("compression") == "lz64":
        raise RequestError("compression lz64 is not spoken here; gzip-js and base64 are")
    body = unwrap(incoming)
    sent_at: Any = number_of(incoming.query.get("_"))  # older browsers say so in the address
    if body.startswith(b"["):
        events = open_list(body)
        return Letter(_key_of_events(events), sent_at, events)
    envelope, events_listed = open_object(body, listed="batch")
    sent_at = envelope.get("sent_at") or sent_at
    key = first_text(envelope.get("api_key"), envelope.get("token"))
    if events_listed is None:
        key = key or text_of(object_of(envelope.get("properties")).get("token"))
        return Letter(key, sent_at, [body])
    return Letter(key or _key_of_events(events_listed), sent_at, events_listed)


def open_pixel(incoming: Incoming) -> Letter:
    """``GET /e/?data=BASE64``: the same, in the query."""
    data = incoming.query.get("data", "").encode("utf-8", "surrogatepass")
    return open_capture(incoming._replace(body=data))


def _key_of_events(events: list[bytes]) -> str | None:
    """The first that can be found: of events that came as a bare list, each has it."""
    for raw in events:
        event = object_of(decode_json(raw))
        properties = object_of(event.get("properties"))
        key = first_text(event.get("api_key"), event.get("token"), properties.get("token"), properties.get("api_key"))
        if key is not None:
            return key
    return None


def translate(event: dict[str, Any], _letter: Letter) -> Translated | Refused | None:
    """One event; None for what is not one."""
    name = text_of(event.get("event")) or ""
    if name in DROPPED:
        return None
    properties = object_of(event.get("properties"))
    kind, props = _kind_and_props(name, event, properties)
    if not kind:
        return Refused(Refusal.SCHEMA, "`event` is the event's name: a text that is not empty")
    of_page = name in _OF_PAGES
    visitor, user = _who(name, event, properties)
    happened, sent = event.get("timestamp"), None
    offset = number_of(event.get("offset"))
    if happened is None and type(offset) is int:
        happened, sent = -offset, 0  # so many ms before it was sent: the clock does not matter
    fields = given(
        id=event_id(
            first_text(event.get("uuid"), properties.get("$insert_id")), event, _SENT, dated=happened is not None
        ),
        visitor=visitor,
        session=visitor_id(properties.get("$session_id")),
        type=kind,
        ts=happened,
        page=page_of(
            url=properties.get("$current_url"), path=properties.get("$pathname"),
            title=first_text(properties.get("title") if of_page else None, properties.get("$screen_name")),
            referrer=None if properties.get("$referrer") == "$direct" else properties.get("$referrer"),
        ),
        props=props,
        context=_context(name, properties, user),
    )
    return Translated(fields, sent)


def _kind_and_props(name: str, event: dict[str, Any], properties: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    added = _OWN_PROPERTIES | _OWN_OF.get(name, frozenset())
    own = {key: value for key, value in properties.items() if not key.startswith("$") and key not in added}
    if name == "$autocapture":
        kind = AUTOCAPTURED.get(text_of(properties.get("$event_type")) or "click", "click")
        return kind, {**own, **_element(properties)}
    known = KINDS.get(name)
    if known is None:
        return named(name.lstrip("$"), own)
    props = {**own, **given(**{field: properties.get(source) for field, source in known.fields.items()})}
    if known.type in ("rage_click", "dead_click"):
        props |= _element(properties)
    elif known.type == "js_error":
        props |= _error(properties)
    elif known.type in ("identify", "user_updated"):
        props |= _traits(event, properties)
    elif known.type == "group":
        props |= object_of(properties.get("$group_set"))
    if known.type in ("identify", "alias"):
        props |= _link(name, event, properties)
    return known.type, props


def _traits(event: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """What is set of a user, without what tells who that is and what the client adds by itself."""
    traits = {**object_of(event.get("$set_once")), **object_of(properties.get("$set")), **object_of(event.get("$set"))}
    return {
        key: value for key, value in traits.items()
        if not key.startswith("$") and key not in _OWN_PROPERTIES and key not in PERSONAL_TRAITS
    }


def _link(name: str, event: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """Whom an identify or an alias makes one: the id before, and the user's."""
    distinct = first_text(event.get("distinct_id"), properties.get("distinct_id"))
    if name == "$identify":
        return given(previous=text_of(properties.get("$anon_distinct_id")), user=distinct)
    return given(previous=distinct, user=text_of(properties.get("alias")))


def _who(name: str, event: dict[str, Any], properties: dict[str, Any]) -> tuple[str | None, str | None]:
    """The visitor, and the user as far as the event says that somebody is one."""
    distinct = first_text(event.get("distinct_id"), properties.get("distinct_id"), event.get("$distinct_id"))
    if distinct == _COOKIELESS:
        return None, None
    device = text_of(properties.get("$device_id"))
    anonymous = text_of(properties.get("$anon_distinct_id")) if name == "$identify" else None
    user = text_of(properties.get("$user_id"))
    if user is None and (name in ("$identify", "$set") or properties.get("$is_identified") is True):
        user = distinct
    elif name == "$create_alias":
        user = text_of(properties.get("alias"))
    return visitor_id(device, anonymous, distinct), visitor_id(user)


def _context(name: str, properties: dict[str, Any], user: str | None) -> dict[str, Any]:
    library = filter(None, (text_of(properties.get("$lib")), text_of(properties.get("$lib_version"))))
    device = text_of(properties.get("$device_type"))
    cookieless = properties.get("$cookieless_mode") is True or properties.get("distinct_id") == _COOKIELESS
    return given(
        source="posthog",
        library=short("/".join(library)),
        event=None if name.startswith("$") else short(name),
        user=user,
        locale=first_text(properties.get("$browser_language"), properties.get("$locale")),
        device=device.lower()[:64] if device else device_of(properties.get("$raw_user_agent")),
        country=short(properties.get("$geoip_country_code")),
        campaign=campaign_of({ours: properties.get(theirs) for ours, theirs in _UTM.items()}, None)
        or campaign_of(None, properties.get("$current_url")),
        # Without a cookie there is nobody whose state could be kept: the site's word that it may not be.
        consent={"personalization": False, "measurement": True} if cookieless else None,
    )


_CHAIN_END = re.compile(r"(?<!\\);")
_CHAIN_TAG = re.compile(r"^([a-zA-Z][\w-]*)((?:\.[^:;.\"]+)*)")
_CHAIN_ID = re.compile(r'attr_id="([^"]{1,200})"')
_CHAIN_HREF = re.compile(r'(?<![\w_])href="([^"]{1,1500})"')
_CHAIN_CHARS_MAX = 4000  # of the innermost element: what is clicked stands first


def _element(properties: dict[str, Any]) -> dict[str, Any]:
    """What was clicked, as ``button#pay`` or ``a.more``; from the chain of elements, as text or (older) as a list."""
    text = short(properties.get("$el_text"))
    chain = properties.get("$elements_chain")
    if isinstance(chain, str):
        first = _CHAIN_END.split(chain[:_CHAIN_CHARS_MAX], 1)[0]
        tag = _CHAIN_TAG.match(first)
        named_id, href = _CHAIN_ID.search(first), _CHAIN_HREF.search(first)
        classes = tag.group(2).replace(" ", ".").split(".") if tag else []
        return given(
            element=selector_of(tag.group(1) if tag else "", named_id.group(1) if named_id else None, classes),
            text=text, href=link_of(href.group(1)) if href else None,
        )
    first_listed = object_of(next(iter(list_of(properties.get("$elements"))), None))
    classes = list_of(first_listed.get("classes") or first_listed.get("attr__class"))
    return given(
        element=selector_of(
            first_text(first_listed.get("tag_name")) or "", first_text(first_listed.get("attr__id")), classes
        ),
        text=text or short(first_listed.get("$el_text")),
        href=link_of(first_listed.get("attr__href")),
    )


def _error(properties: dict[str, Any]) -> dict[str, Any]:
    first = object_of(next(iter(list_of(properties.get("$exception_list"))), None))
    return given(message=short(first.get("value")), name=short(first.get("type")))
