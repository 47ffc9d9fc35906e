"""Segment's HTTP tracking API, as its SDKs, RudderStack's and Jitsu's speak it: a family with small differences.

1. One call a request (``/v1/track``, ``/v1/t``), its kind in the body or in the path, or ``{"batch": [...]}``.
2. The key is the Basic user name, `writeKey` in the body or in the query, or (Jitsu) the part of ``X-Write-Key``
   before the colon.
3. The visitor is `anonymousId`; an alias without one concerns `previousId`; whoever has only a `userId` is that.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from streams.core.effects import Refusal
from streams.core.event import Refused
from streams.errors import RequestError
from streams.http.access import credentials
from streams.http.dialects.common import (
    campaign_of,
    consent_of,
    device_of,
    event_id,
    first_text,
    given,
    list_of,
    object_of,
    page_of,
    short,
    text_of,
    visitor_id,
)
from streams.http.dialects.names import named
from streams.http.dialects.shapes import (
    Incoming,
    Letter,
    Translated,
    encode_json,
    from_base64,
    open_object,
    unwrap,
)

# Kind of call -> event type. `track` is what its event's name says.
KINDS: Mapping[str, str] = MappingProxyType({
    "page": "page_view",
    "screen": "screen_view",
    "identify": "identify",
    "group": "group",
    "alias": "alias",
    "merge": "merge",
})
# The browser's SDK calls ``/v1/t`` what the servers' call ``/v1/track``.
PATH_KINDS: Mapping[str, str] = MappingProxyType({
    "t": "track", "p": "page", "s": "screen", "i": "identify", "g": "group", "a": "alias",
})
# Traits that the specification reserves for what tells who somebody is. Rules have no use for them.
PERSONAL_TRAITS = frozenset({
    "address", "avatar", "birthday", "email", "firstName", "first_name", "lastName", "last_name", "name", "phone",
    "username",
})
# Of a page's properties: these are `page`, or say the same again with the query string, which is not kept.
_PAGE_PROPERTIES = frozenset({
    "url", "path", "title", "referrer", "search", "tab_url", "initial_referrer", "referring_domain",
    "initial_referring_domain",
})
_JITSU_PATH = "/api/s/"
_RESENT = ("sentAt", "_metadata", "writeKey")  # what differs when the same event is sent again


def open_call(incoming: Incoming) -> Letter:
    """A body with one call, or with a batch of them. Raises RequestError."""
    body = unwrap(incoming)
    envelope, batch = open_object(body, listed="batch")
    return Letter(
        key=_key(incoming) or text_of(envelope.get("writeKey")),
        sent_at=envelope.get("sentAt") or incoming.headers.get("sentat"),
        events=[body] if batch is None else batch,
        shared={
            "kind": _kind(incoming) if batch is None else None, "context": object_of(envelope.get("context")),
            "source": "jitsu" if incoming.path.startswith(_JITSU_PATH) else "segment",
        },
    )


def open_pixel(incoming: Incoming) -> Letter:
    """``GET /v1/pixel/track?data=BASE64``: the call stands in the query; so does what it says, with some clients."""
    packed = incoming.query.get("data")
    body = from_base64(packed) if packed else None
    if packed and not body:
        raise RequestError("`data` is not base64")
    call = body or _flat_call(incoming.query)
    envelope, _ = open_object(call, listed="batch")
    key = _key(incoming) or text_of(envelope.get("writeKey"))
    return Letter(key, envelope.get("sentAt"), [call], {"kind": _kind(incoming), "source": "segment"})


def _flat_call(query: Mapping[str, str]) -> bytes:
    return encode_json({name: value for name, value in query.items() if name not in ("key", "writeKey")})


def _key(incoming: Incoming) -> str | None:
    """The key outside of the body. It comes first: what stands in Jitsu's bodies is masked."""
    header = incoming.headers.get("x-write-key", "").partition(":")[0]
    return header or incoming.query.get("writeKey") or credentials(incoming.headers.get("authorization"))


def _kind(incoming: Incoming) -> str | None:
    kind = incoming.parameters.get("kind")
    return PATH_KINDS.get(kind, kind) if kind else None


def translate(call: dict[str, Any], letter: Letter) -> Translated | Refused:
    """One call."""
    kind = text_of(call.get("type")) or text_of(letter.shared.get("kind")) or ""
    name: str | None = None
    if kind == "track":
        name = text_of(call.get("event"))
        kind, props = named(name or "", object_of(call.get("properties")))
        if not kind:
            return Refused(Refusal.SCHEMA, "`event` is the name of what is tracked: a text that is not empty")
    elif kind in KINDS:
        props, kind = _props(kind, call), KINDS[kind]
    else:
        return Refused(Refusal.SCHEMA, f"`type` is track, {', '.join(KINDS)}, and not {short(kind)!r}")
    context = {**object_of(letter.shared.get("context")), **object_of(call.get("context"))}
    anonymous, user = text_of(call.get("anonymousId")), text_of(call.get("userId"))
    happened = call.get("originalTimestamp") or call.get("timestamp")
    fields = given(
        id=event_id(call.get("messageId"), call, _RESENT, dated=happened is not None),
        visitor=visitor_id(anonymous, call.get("previousId"), user),
        session=visitor_id(context.get("sessionId")),
        type=kind,
        ts=happened,
        page=_page(call, context, of_page=kind in ("page_view", "screen_view")),
        props=props,
        context=_context(context, _source(call, letter), user, name),
    )
    return Translated(fields, call.get("sentAt"))


def _props(kind: str, call: dict[str, Any]) -> dict[str, Any]:
    properties = object_of(call.get("properties"))
    if kind in ("page", "screen"):
        kept = {name: value for name, value in properties.items() if name not in _PAGE_PROPERTIES}
        return {**kept, **given(name=short(call.get("name")), category=short(call.get("category")))}
    traits = object_of(call.get("traits")) or object_of(object_of(call.get("context")).get("traits"))
    user = text_of(call.get("userId"))
    if kind == "identify":
        return {**{name: value for name, value in traits.items() if name not in PERSONAL_TRAITS}, **given(user=user)}
    if kind == "group":
        return {**traits, **given(group=first_text(call.get("groupId")), user=user)}
    if kind == "alias":
        return given(previous=first_text(call.get("previousId")), user=user)
    return object_of(call.get("mergeProperties")) or properties


def _page(call: dict[str, Any], context: dict[str, Any], *, of_page: bool) -> dict[str, Any]:
    page = object_of(context.get("page"))
    own = object_of(call.get("properties")) if of_page else {}
    if own.get("url") and own.get("url") != page.get("url"):
        page = {}  # the call speaks of another page than the one it was made on: its fields don't mix
    return page_of(
        url=own.get("url") or page.get("url"),
        path=own.get("path") or page.get("path"),
        title=own.get("title") or page.get("title") or (call.get("name") if of_page else None),
        referrer=own.get("referrer") or page.get("referrer"),
    )


def _source(call: dict[str, Any], letter: Letter) -> str:
    """Which of the family it is: only RudderStack's SDKs name a channel and an original timestamp."""
    return "rudderstack" if "channel" in call or "originalTimestamp" in call else str(letter.shared.get("source"))


def _context(context: dict[str, Any], source: str, user: str | None, name: str | None) -> dict[str, Any]:
    library = object_of(context.get("library"))
    return given(
        source=source,
        library=short("/".join(filter(None, (text_of(library.get("name")), text_of(library.get("version")))))),
        event=short(name),
        user=visitor_id(user),
        locale=short(context.get("locale")),
        device=_device(context),
        country=short(object_of(context.get("location")).get("country")),
        campaign=campaign_of(context.get("campaign"), object_of(context.get("page")).get("url")),
        consent=_consent(context),
    )


def _device(context: dict[str, Any]) -> str | None:
    mobile = object_of(context.get("userAgentData")).get("mobile")
    kind = text_of(object_of(context.get("device")).get("type"))
    if kind is not None and kind.lower() in ("ios", "android"):
        return "mobile"
    return "mobile" if mobile is True else device_of(context.get("userAgent"))


def _consent(context: dict[str, Any]) -> dict[str, bool] | None:
    categories = object_of(context.get("consent")).get("categoryPreferences")
    if isinstance(categories, dict):
        return consent_of(categories)
    management = object_of(context.get("consentManagement"))
    purposes = {short(name): True for name in list_of(management.get("allowedConsentIds"))}
    purposes |= {short(name): False for name in list_of(management.get("deniedConsentIds"))}
    return consent_of(purposes)
