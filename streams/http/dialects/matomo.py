"""Matomo's tracking API: one event in a query, or many of them in the list `requests`.

1. Trackers send no key: the site id `idsite` stands for one (the keys file says for which).
2. The visitor is `cid` or `_id`, else `uid`. An event has no id; one that has a random number or a date is known by its
   content when it is sent again.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from streams.core.effects import Refusal
from streams.core.event import Refused
from streams.errors import RequestError
from streams.http.dialects.common import (
    campaign_of,
    device_of,
    event_id,
    given,
    link_of,
    list_of,
    number_of,
    page_of,
    short,
    text_of,
    visitor_id,
)
from streams.http.dialects.names import named
from streams.http.dialects.shapes import Incoming, Letter, Translated, decode_json, encode_json, unwrap

_FIELDS_MAX = 200


def open_get(incoming: Incoming) -> Letter:
    """One event, in the query."""
    return _letter([dict(incoming.query)], incoming)


def open_post(incoming: Incoming) -> Letter:
    """Many events, each the query of one; or one, as a form. Raises RequestError."""
    if "idsite" in incoming.query or incoming.body.lstrip()[:1] != b"{":
        form = _fields(incoming.body.decode("latin-1"))
        return _letter([{**incoming.query, **form}], incoming)
    content = decode_json(unwrap(incoming))
    if not isinstance(content, dict) or not isinstance(content.get("requests"), list):
        raise RequestError("the body is not an object with a list `requests`")
    events = [
        _fields(item.lstrip("?")) if isinstance(item, str) else {str(name): value for name, value in item.items()}
        for item in list_of(content["requests"]) if isinstance(item, str | dict)
    ]
    return _letter(events, incoming)


def _fields(text: str) -> dict[str, Any]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS_MAX))
    except ValueError as error:
        raise RequestError(f"more than {_FIELDS_MAX} fields in one event") from error


def _letter(events: list[dict[str, Any]], incoming: Incoming) -> Letter:
    site = next((text_of(event.get("idsite")) for event in events if text_of(event.get("idsite"))), "")
    return Letter(site, None, [encode_json(event) for event in events], {"agent": incoming.headers.get("user-agent")})


def translate(event: dict[str, Any], letter: Letter) -> Translated | Refused:
    """One event. What it is, is told by the fields that it has."""
    kind, props = _kind_and_props(event)
    if not kind:
        return Refused(Refusal.SCHEMA, "an event (`e_c`, `e_a`) without a name")
    fields = given(
        id=event_id(None, event, (), dated="rand" in event or "cdt" in event),
        visitor=visitor_id(event.get("cid"), event.get("_id"), event.get("uid")),
        type=kind,
        ts=text_of(event.get("cdt")) and number_of(event.get("cdt")),
        page=page_of(url=event.get("url"), title=event.get("action_name"), referrer=event.get("urlref")),
        props=props,
        context=given(
            source="matomo", user=visitor_id(event.get("uid")), locale=short(event.get("lang")),
            device=device_of(event.get("ua") or letter.shared.get("agent")), country=short(event.get("country")),
            campaign=campaign_of(None, event.get("url")),
        ),
    )
    if isinstance(fields.get("ts"), int):
        fields["ts"] *= 1000  # seconds; a text is a date
    return Translated(fields)


def _kind_and_props(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if "search" in event:
        results = number_of(event.get("search_count"))
        return "search", given(query=text_of(event["search"]), category=short(event.get("search_cat")), results=results)
    if "e_a" in event or "e_c" in event:
        return named(
            text_of(event.get("e_a")) or text_of(event.get("e_c")) or "",
            given(category=short(event.get("e_c")), action=short(event.get("e_a")), label=short(event.get("e_n")),
                  value=number_of(event.get("e_v"))),
        )
    if "ec_id" in event:
        return "purchase", given(order=text_of(event["ec_id"]), total=number_of(event.get("revenue")))
    if "idgoal" in event and event["idgoal"] not in ("0", 0):
        return "goal", given(goal=text_of(event["idgoal"]), value=number_of(event.get("revenue")))
    for name in ("download", "link"):
        if name in event:
            return "click", given(href=link_of(event[name]), kind=name)
    return ("page_ping", {}) if "ping" in event else ("page_view", {})
