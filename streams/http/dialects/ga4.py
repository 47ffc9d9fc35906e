"""Google Analytics 4: the Measurement Protocol (``/mp/collect``) and what gtag.js sends (``/g/collect``).

1. The key is `api_secret`, else the measurement id. The visitor is the client id, else the user id.
2. An event has no id: what is sent twice counts twice.
3. Written by the published protocol; Google's clients cannot be pointed elsewhere without a proxy, so none was run.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from streams.core.effects import Refusal
from streams.core.event import Refused
from streams.errors import RequestError
from streams.http.dialects.common import (
    campaign_of,
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
from streams.http.dialects.shapes import Incoming, Letter, Translated, encode_json, open_object, unwrap

_PAGE = frozenset({"page_location", "page_title", "page_referrer", "page_path"})
_OWN = _PAGE | {"session_id", "ga_session_id", "ga_session_number", "engagement_time_msec", "debug_mode"}
_FIELDS_MAX = 200


def open_protocol(incoming: Incoming) -> Letter:
    """The Measurement Protocol. Raises RequestError."""
    envelope, events = open_object(unwrap(incoming), listed="events")
    if events is None:
        raise RequestError("the body is not an object with a list `events`")
    key = first_text(incoming.query.get("api_secret"), incoming.query.get("measurement_id"))
    return Letter(key, None, events, envelope)


def open_gtag(incoming: Incoming) -> Letter:
    """gtag.js: what all events share stands in the query; each line of the body is one more event's fields."""
    lines = [line for line in incoming.body.decode("utf-8", "replace").splitlines() if line] or [""]
    try:
        calls = [{**incoming.query, **dict(parse_qsl(line, max_num_fields=_FIELDS_MAX))} for line in lines]
    except ValueError as error:
        raise RequestError(f"more than {_FIELDS_MAX} fields in one event") from error
    shared = {"client_id": incoming.query.get("cid"), "user_id": incoming.query.get("uid")}
    return Letter(incoming.query.get("tid"), None, [encode_json(_event(call)) for call in calls], shared)


def _event(call: dict[str, str]) -> dict[str, Any]:
    params: dict[str, Any] = {name[3:]: value for name, value in call.items() if name.startswith("ep.")}
    params |= {name[4:]: number_of(value) for name, value in call.items() if name.startswith("epn.")}
    params |= given(
        session_id=call.get("sid"), page_location=call.get("dl"), page_title=call.get("dt"),
        page_referrer=call.get("dr"),
    )
    return {"name": call.get("en"), "params": params, "language": call.get("ul")}


def translate(event: dict[str, Any], letter: Letter) -> Translated | Refused:
    """One event."""
    name = text_of(event.get("name")) or ""
    params = object_of(event.get("params"))
    kind, props = named(name, {key: value for key, value in params.items() if key not in _OWN})
    if not kind:
        return Refused(Refusal.SCHEMA, "`name` is the event's name: a text that is not empty")
    micros = number_of(first_text(event.get("timestamp_micros"), letter.shared.get("timestamp_micros")))
    user = text_of(letter.shared.get("user_id"))
    fields = given(
        visitor=visitor_id(letter.shared.get("client_id"), letter.shared.get("app_instance_id"), user),
        session=visitor_id(params.get("session_id"), params.get("ga_session_id")),
        type=kind,
        ts=micros // 1000 if type(micros) is int else None,
        page=page_of(
            url=params.get("page_location"), path=params.get("page_path"), title=params.get("page_title"),
            referrer=params.get("page_referrer"),
        ),
        props=props,
        context=given(
            source="ga4", event=short(name), user=visitor_id(user), locale=short(event.get("language")),
            campaign=campaign_of(None, params.get("page_location")), consent=_consent(letter.shared.get("consent")),
        ),
    )
    return Translated(fields)


def _consent(said: Any) -> bool | None:
    """Google's `ad_personalization`, where the sender states it."""
    choice = object_of(said).get("ad_personalization")
    return None if choice is None else choice == "GRANTED"
