"""CloudEvents 1.0 over HTTP: the neutral format, in its three modes (structured, binary, batch).

1. `id` is the event's id, `type` its type, `subject` the visitor, `time` when.
2. `data` is an object. Its `page`, `context` and `props`, when they are objects, are ours; whatever else stands in it
   is a property too. Data that is no object is the property `data`.
3. Two extensions mean something here: `visitor` (instead of `subject`) and `session`. Others go to
   `context.extensions`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from streams.core.effects import Refusal
from streams.core.event import Refused
from streams.http.dialects.common import event_id, first_text, given, object_of, short, text_of, visitor_id
from streams.http.dialects.names import event_type
from streams.http.dialects.shapes import (
    Incoming,
    Letter,
    Translated,
    decode_json,
    encode_json,
    from_base64,
    open_list,
    unwrap,
)

_SPEC_VERSION_1 = "1."
_HEADER = "ce-"
_ATTRIBUTES = frozenset({
    "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64",
    "visitor", "session",
})
_NATIVE_TYPE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.")


def open_request(incoming: Incoming) -> Letter:
    """One event (binary or structured) or a batch. Raises RequestError."""
    if _HEADER + "specversion" in incoming.headers:
        return Letter(None, None, [_from_binary(incoming)])
    body = unwrap(incoming)
    return Letter(None, None, open_list(body) if body.startswith(b"[") else [body])


def _from_binary(incoming: Incoming) -> bytes:
    """Binary mode: the attributes stand in headers, percent-encoded; the body is the data."""
    event: dict[str, Any] = {
        name.removeprefix(_HEADER): unquote(value) for name, value in incoming.headers.items()
        if name.startswith(_HEADER)
    }
    if incoming.body:
        data = decode_json(incoming.body)
        event["data"] = incoming.body.decode("utf-8", "replace") if data is None else data
    return encode_json(event)


def translate(event: dict[str, Any], _letter: Letter) -> Translated | Refused:
    """One event with all its attributes."""
    if not str(event.get("specversion")).startswith(_SPEC_VERSION_1):
        return Refused(Refusal.SCHEMA, f"`specversion` is 1.0 and not {short(event.get('specversion'))!r}")
    missing = [name for name in ("id", "source", "type") if text_of(event.get(name)) is None]
    if missing:
        return Refused(Refusal.SCHEMA, f"a CloudEvent needs {' and '.join(f'`{name}`' for name in missing)}")
    data = _data(event)
    page, context, props = (object_of(data.get(name)) for name in ("page", "context", "props"))
    rest = {
        name: value for name, value in data.items()
        if not (name in ("page", "context", "props") and isinstance(value, dict))
    }
    extensions = {name: value for name, value in event.items() if name not in _ATTRIBUTES}
    name = str(event["type"])
    fields = given(
        id=event_id(event["id"], event, (), dated=True),
        visitor=visitor_id(event.get("visitor"), event.get("subject")),
        session=visitor_id(event.get("session")),
        type=name if _NATIVE_TYPE.issuperset(name) else event_type(name),
        ts=event.get("time"),
        page=page,
        props={**rest, **props},
        context={
            **context,
            **given(source="cloudevents", origin=first_text(event.get("source")), extensions=extensions),
        },
    )
    return Translated(fields)


def _data(event: dict[str, Any]) -> dict[str, Any]:
    data = event.get("data")
    packed = event.get("data_base64")
    if data is None and isinstance(packed, str):
        raw = from_base64(packed)
        data = None if raw is None else decode_json(raw)
    if data is None:
        return {}
    return data if isinstance(data, dict) else {"data": data}
