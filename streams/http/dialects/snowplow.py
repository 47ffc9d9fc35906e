"""Snowplow's tracker protocol (v2): flat fields of text, some of which hold JSON, plain or base64.

1. ``POST`` an envelope `payload_data` with a list `data`, to tp2 or to a path of the site's own; or ``GET /i?e=...``.
2. Trackers send no key: the app id `aid` stands for one (the keys file says for which).
3. The visitor is `duid`, else the network's id, else the session's own user id, else `uid`. An anonymous tracker that
   sends only a session id is a visitor for that session.
4. ``ts = received - (stm - dtm)``; a true timestamp `ttm` is the site's own word and stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from streams.core.effects import Refusal
from streams.core.event import Refused
from streams.errors import RequestError
from streams.http.dialects.common import (
    campaign_of,
    consent_of,
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
from streams.http.dialects.names import named, with_fields
from streams.http.dialects.shapes import (
    Incoming,
    Letter,
    Translated,
    decode_json,
    encode_json,
    from_base64,
    open_object,
    unwrap,
)

_PAYLOAD_SCHEMA = "iglu:com.snowplowanalytics.snowplow/payload_data/"
_RESENT = ("stm",)  # what differs when the same event is sent again
_CONTEXTS_MAX = 32  # trackers attach a handful

# `e` -> event type; `se` and `ue` are what their action or schema says.
KINDS: Mapping[str, str] = MappingProxyType({
    "pv": "page_view", "pp": "page_ping", "tr": "purchase", "ti": "purchase_item",
})
_PROPS: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "pp": {"scroll_x_min": "pp_mix", "scroll_x_max": "pp_max", "scroll_y_min": "pp_miy", "scroll_y_max": "pp_may"},
    "tr": {"order": "tr_id", "total": "tr_tt", "tax": "tr_tx", "shipping": "tr_sh", "currency": "tr_cu"},
    "ti": {
        "order": "ti_id", "sku": "ti_sk", "name": "ti_nm", "category": "ti_ca", "price": "ti_pr", "quantity": "ti_qu",
        "currency": "ti_cu",
    },
    "se": {"category": "se_ca", "action": "se_ac", "label": "se_la", "property": "se_pr", "value": "se_va"},
})


class Schema(NamedTuple):
    """What a self-describing event of Snowplow's own becomes: our fields from theirs; `kept` go along as they are."""

    type: str
    fields: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    kept: tuple[str, ...] = ()


_TEXT = {"text": ("elementContent", "label")}
_FORM = {"form": ("formId", "form_id"), "field": ("elementId", "name")}

# Name of the schema (vendor com.snowplowanalytics.*) -> ours. What people write into form fields is dropped.
SCHEMAS: Mapping[str, Schema] = MappingProxyType({
    "link_click": Schema("click", _TEXT),
    "button_click": Schema("click", _TEXT),
    "focus_form": Schema("form_focus", _FORM, ("nodeName", "elementType")),
    "change_form": Schema("form_input", _FORM, ("nodeName", "type")),
    "submit_form": Schema("form_submit", _FORM),
    "site_search": Schema("search", {"query": ("terms",), "results": ("totalResults",)}, ("pageResults",)),
    "add_to_cart": Schema(
        "add_to_cart", {"sku": ("sku",), "price": ("unitPrice",)}, ("name", "category", "quantity", "currency")
    ),
    "remove_from_cart": Schema(
        "remove_from_cart", {"sku": ("sku",), "price": ("unitPrice",)}, ("name", "category", "quantity", "currency")
    ),
    "application_error": Schema("js_error", {"message": ("message",)}, ("lineNumber", "className", "exceptionName")),
    "screen_view": Schema("screen_view", {}, ("name", "type")),
    "consent_preferences": Schema("consent_changed", {}, ("eventType", "consentScopes", "consentVersion")),
    "cmp_visible": Schema("consent_shown"),
})
# Of these the element is told from its tag, id and classes.
_TAGS = {"link_click": "a", "button_click": "button"}
# Schema `snowplow_ecommerce_action`: its `type` -> ours.
ECOMMERCE: Mapping[str, str] = MappingProxyType({
    "product_view": "product_view",
    "list_view": "product_list_view",
    "list_click": "result_click",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "checkout_step": "checkout_step",
    "transaction": "purchase",
    "refund": "refund",
    "transaction_error": "payment_failed",
    "promo_view": "promotion_view",
    "promo_click": "promotion_click",
})
# Event type of a choice in a consent tool -> what it says.
_CONSENT_SAID = {"allow_all": True, "deny_all": False, "withdrawn": False, "expired": False}


def open_post(incoming: Incoming) -> Letter:
    """An envelope. Raises RequestError when it is none."""
    envelope, events = open_object(unwrap(incoming), listed="data")
    if events is None or not str(envelope.get("schema")).startswith(_PAYLOAD_SCHEMA):
        raise RequestError(f"the body is no envelope of schema {_PAYLOAD_SCHEMA}jsonschema/1-0-4 with a list `data`")
    return Letter(_app(events), None, events, {"user_agent": incoming.headers.get("user-agent")})


def open_get(incoming: Incoming) -> Letter:
    """One event, in the query."""
    if "e" not in incoming.query:
        raise RequestError("`e` is missing: pv, pp, se, ue, tr or ti")
    agent = {"user_agent": incoming.headers.get("user-agent")}
    return Letter(incoming.query.get("aid", ""), None, [encode_json(dict(incoming.query))], agent)


def _app(events: list[bytes]) -> str:
    """The app id; a tracker has one for all its events."""
    for raw in events:
        app = object_of(decode_json(raw)).get("aid")
        if isinstance(app, str):
            return app
    return ""


def translate(event: dict[str, Any], letter: Letter) -> Translated | Refused:
    """One event of the protocol."""
    contexts = _contexts(event)
    found = _kind_and_props(event, contexts)
    if isinstance(found, Refused):
        return found
    kind, props, consent = found
    session = contexts.get("client_session", {})
    happened = event.get("ttm") or event.get("dtm")
    screen = contexts.get("screen", {})
    fields = given(
        id=event_id(event.get("eid"), event, _RESENT, dated=happened is not None),
        visitor=visitor_id(
            event.get("duid"), event.get("nuid"), event.get("tnuid"), session.get("userId"), event.get("uid"),
            event.get("sid"), session.get("sessionId"),
        ),
        session=visitor_id(event.get("sid"), session.get("sessionId")),
        type=kind,
        ts=number_of(happened),
        page=page_of(
            url=event.get("url"), title=event.get("page") or screen.get("name"), referrer=event.get("refr"),
        ),
        props=props,
        context=_context(event, letter, consent),
    )
    return Translated(fields, None if event.get("ttm") else number_of(event.get("stm")))


def _kind_and_props(
    event: dict[str, Any], contexts: dict[str, dict[str, Any]]
) -> tuple[str, dict[str, Any], Any] | Refused:
    sign = text_of(event.get("e")) or ""
    flat = {name: number_of(event.get(source)) for name, source in _PROPS.get(sign, {}).items()}
    if sign in KINDS:
        return KINDS[sign], given(**flat), None
    if sign == "se":
        kind, props = named(text_of(event.get("se_ac")) or text_of(event.get("se_ca")) or "", given(**flat))
        return (kind, props, None) if kind else Refused(Refusal.SCHEMA, "a structured event without `se_ac`")
    if sign == "ue":
        return _self_describing(event, contexts)
    return Refused(Refusal.SCHEMA, f"`e` is pv, pp, se, ue, tr or ti, and not {sign[:20]!r}")


def _self_describing(
    event: dict[str, Any], contexts: dict[str, dict[str, Any]]
) -> tuple[str, dict[str, Any], Any] | Refused:
    inner = object_of(object_of(_packed(event, "ue_pr", "ue_px")).get("data"))
    vendor, name = _schema_name(inner.get("schema"))
    data = object_of(inner.get("data"))
    if not name:
        return Refused(Refusal.SCHEMA, "`ue_pr` or `ue_px` is JSON that names its schema: iglu:VENDOR/NAME/FORMAT/V")
    if not vendor.startswith("com.snowplowanalytics."):
        kind, props = named(name, data)
        return kind, props, None
    if name == "snowplow_ecommerce_action":
        return _ecommerce(data, contexts)
    schema = SCHEMAS.get(name)
    if schema is None:
        kind, props = named(name, data)
        return kind, props, None
    kept = {field: data.get(field) for field in schema.kept}
    mapped = {field: value for field, value in with_fields(schema.fields, data).items() if field in schema.fields}
    if isinstance(mapped.get("query"), list):
        mapped["query"] = " ".join(str(word) for word in mapped["query"])
    if name in _TAGS:
        named_id = first_text(data.get("elementId"), data.get("id"))
        classes = list_of(data.get("elementClasses") or data.get("classes"))
        mapped |= given(element=selector_of(_TAGS[name], named_id, classes), href=link_of(data.get("targetUrl")))
    return schema.type, given(**kept, **mapped), _consent(name, data)


def _ecommerce(
    data: dict[str, Any], contexts: dict[str, dict[str, Any]]
) -> tuple[str, dict[str, Any], Any] | Refused:
    action = text_of(data.get("type")) or ""
    product, cart = contexts.get("product", {}), contexts.get("cart", {})
    order, step = contexts.get("transaction", {}), contexts.get("checkout_step", {})
    props = given(
        sku=product.get("id"), price=product.get("price"), name=product.get("name"), category=product.get("category"),
        quantity=product.get("quantity"), cart_total=cart.get("total_value"), step=step.get("step"),
        total=order.get("revenue"), order=order.get("transaction_id"), list=data.get("name"),
        currency=first_text(order.get("currency"), cart.get("currency"), product.get("currency")),
    )
    kind = ECOMMERCE.get(action)
    if kind is None:
        kind, _ = named(action, props)
    return (kind, props, None) if kind else Refused(Refusal.SCHEMA, "an e-commerce action without `type`")


def _consent(name: str, data: dict[str, Any]) -> Any:
    if name != "consent_preferences":
        return None
    choice = data.get("eventType")
    if choice == "allow_selected":
        return consent_of({scope: True for scope in list_of(data.get("consentScopes")) if isinstance(scope, str)})
    return _CONSENT_SAID.get(choice) if isinstance(choice, str) else None


def _contexts(event: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The attached entities by their schema's name; of several of one kind the first."""
    found: dict[str, dict[str, Any]] = {}
    for entity in list_of(object_of(_packed(event, "co", "cx")).get("data"))[:_CONTEXTS_MAX]:
        _, name = _schema_name(object_of(entity).get("schema"))
        if name:
            found.setdefault(name, object_of(object_of(entity).get("data")))
    return found


def _packed(event: dict[str, Any], plain: str, packed: str) -> Any:
    """JSON that stands in a field as text, or in another as base64."""
    text = event.get(plain)
    if isinstance(text, str):
        return decode_json(text)
    text = event.get(packed)
    raw = from_base64(text) if isinstance(text, str) else None
    return None if raw is None else decode_json(raw)


def _schema_name(schema: Any) -> tuple[str, str]:
    """Vendor and name of ``iglu:VENDOR/NAME/FORMAT/VERSION``; empty when it is no such text."""
    parts = schema.removeprefix("iglu:").split("/") if isinstance(schema, str) else []
    return (parts[0], parts[1]) if len(parts) >= 2 else ("", "")


def _context(event: dict[str, Any], letter: Letter, consent: Any) -> dict[str, Any]:
    action = event.get("se_ac") if event.get("e") == "se" else None
    agent = event.get("ua") or letter.shared.get("user_agent")
    return given(
        source="snowplow",
        library=short(event.get("tv")),
        event=short(action),
        app=short(event.get("aid")),
        user=visitor_id(event.get("uid")),
        locale=short(event.get("lang")),
        device="mobile" if event.get("p") == "mob" else device_of(agent),
        country=short(event.get("geo_country")),
        campaign=campaign_of(None, event.get("url")),
        consent=consent,
    )
