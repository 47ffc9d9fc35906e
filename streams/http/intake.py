"""A request's bytes -> events ready for the log, or a refusal each. Pure: the time is an argument.

1. The body is one event, a list of them, or ``{"events": [...]}``.
2. Each is judged on its own: what is wrong with one never hinders its neighbours.
3. A client's clock is corrected by what it says the time was when it sent: ``ts := received - (sentAt - ts)``, never
   before the epoch, never after `received`.
4. Of an event without any consent only that it was goes on (core/consent.py).
5. Personal data is masked in all of it, fields unknown to us included, before any of it is kept.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from streams.core.consent import NOTHING, Permit, bare, permitted_by, speaks_for_visitor, without_personalization
from streams.core.effects import Refusal
from streams.core.event import (
    EVENT_BYTES_MAX,
    Event,
    Refused,
    check_event,
    clamp_ts,
    encode_event,
    parse_event,
    scrub_event,
)
from streams.errors import PayloadTooLargeError, RequestError
from streams.http.salvage import salvage_list

_KNOWN = frozenset({*Event.__struct_fields__, "sentAt", "sent_at", "renewal"})


class _Envelope(msgspec.Struct):
    events: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    sentAt: Any = None  # the name on the wire
    sent_at: Any = None
    visitor: Any = None
    renewal: Any = None


class Arrival(NamedTuple):
    """What holds for all events of one request. Times in ms."""

    received: int
    sent_at: int | None
    minted: str  # the visitor of events that name none
    refuses_tracking: bool  # the browser said so (Sec-GPC)
    query_allowed: frozenset[str]
    consent_default: bool = True  # of an event that says nothing


class Accepted(NamedTuple):
    """An event for the log: whose it is, its bytes, and whether its visitor refuses to be shown anything."""

    visitor: str
    value: bytes
    refuses: bool = False


_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_envelope_decoder = msgspec.json.Decoder(_Envelope)
_object_decoder = msgspec.json.Decoder(dict[str, Any])
_encoder = msgspec.json.Encoder()


class Split(NamedTuple):
    """A body taken apart: the events' bytes, the client's clock when it sent them, and whom it wants a token for."""

    events: list[bytes]
    sent_at: int | None = None
    visitor: str | None = None
    renewal: str | None = None


_BROKEN_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def split_body(body: bytes, events_max: int) -> Split:
    """Take a body apart. Raises RequestError when it is not of one of the three forms, PayloadTooLargeError."""
    try:
        split = _split(body)
    except _BROKEN_JSON as error:
        if isinstance(error, msgspec.ValidationError):
            raise RequestError(f"the body is not an event, a list, or an object with `events`: {error}") from error
        salvaged = salvage_list(body)
        if salvaged is None:
            raise RequestError(f"the body is not JSON: {error}") from error
        try:
            rest = _split(salvaged.rest)
        except _BROKEN_JSON:
            rest = None
        if rest is None or rest.events:  # broken elsewhere too, or the list found was some event's own
            raise RequestError(f"the body is not JSON: {error}") from error
        split = rest._replace(events=salvaged.elements)
    if len(split.events) > events_max:
        raise PayloadTooLargeError(f"{len(split.events)} events in one request; at most {events_max}")
    return split


def _split(body: bytes) -> Split:
    if body.lstrip()[:1] == b"[":
        return Split([bytes(raw) for raw in _list_decoder.decode(body)])
    envelope = _envelope_decoder.decode(body)
    said = envelope.sentAt if envelope.sentAt is not None else envelope.sent_at
    sent_at = None if said is None else to_ms(said)
    asked = (_text(envelope.visitor), _text(envelope.renewal))
    if isinstance(envelope.events, msgspec.UnsetType):
        return Split([body], sent_at, *asked)
    return Split([bytes(raw) for raw in envelope.events], sent_at, *asked)


def _text(said: Any) -> str | None:
    return said if isinstance(said, str) else None


def read_event(raw: bytes, arrival: Arrival) -> Accepted | Refused:
    """One event's bytes, made ready for the log."""
    if len(raw) > EVENT_BYTES_MAX:
        return Refused(Refusal.TOO_LARGE, f"{len(raw)} bytes; at most {EVENT_BYTES_MAX}")
    try:
        fields = _object_decoder.decode(raw)
    except _BROKEN_JSON as error:
        # The core has a word for each of these; it is asked only now, when speed no longer matters.
        refused = parse_event(raw)
        return refused if isinstance(refused, Refused) else Refused(Refusal.NOT_JSON, str(error))
    return judge_fields(fields, arrival)


def judge_fields(fields: dict[str, Any], arrival: Arrival) -> Accepted | Refused:
    """One event's fields, as a client or a dialect gives them, made ready for the log. `fields` is filled in."""
    corrected = corrected_ts(fields.get("ts"), arrival)
    if corrected is None:
        return Refused(Refusal.SCHEMA, "`ts` is milliseconds since the epoch, or ISO 8601")
    fields["ts"] = corrected
    fields["received"] = arrival.received
    if fields.get("visitor") is None:
        fields["visitor"] = arrival.minted
    try:
        event = msgspec.convert(fields, Event)
    except msgspec.ValidationError as error:
        return Refused(Refusal.SCHEMA, str(error))
    return check_event(event) or _finish(event, fields, arrival)


def _finish(event: Event, fields: dict[str, Any], arrival: Arrival) -> Accepted | Refused:
    context = event.context
    if arrival.refuses_tracking:
        event.context = context = {**context, "consent": without_personalization(context.get("consent"))}
    said = context.get("consent")
    if said is not None or (not arrival.consent_default and speaks_for_visitor(event)):
        permits = NOTHING if said is None else permitted_by(said)
        if not permits & Permit.LOG:
            return Accepted(event.visitor, encode_event(scrub_event(bare(event))), refuses=said is not None)
        refuses = not permits & Permit.SHOW
    else:
        refuses = False
    value = encode_event(scrub_event(event, arrival.query_allowed))
    if not fields.keys() <= _KNOWN:
        unknown = {key: item for key, item in fields.items() if key not in _KNOWN}
        # They obey the limits and the masking of `props`, whose place they take for a moment.
        carrier = Event(id=event.id, visitor=event.visitor, type=event.type, ts=event.ts, props=unknown)
        refused = check_event(carrier)
        if refused:
            return Refused(refused.reason, refused.detail.replace("`props.", "`", 1).replace("`props`", "the event", 1))
        rest = scrub_event(carrier, arrival.query_allowed).props
        value = value[:-1] + b"," + _encoder.encode(rest)[1:] if rest else value
    if len(value) > EVENT_BYTES_MAX:  # it grew by what is filled in: the worker would refuse it
        return Refused(Refusal.TOO_LARGE, f"{len(value)} bytes with what is filled in; at most {EVENT_BYTES_MAX}")
    return Accepted(event.visitor, value, refuses)


def corrected_ts(said: Any, arrival: Arrival) -> int | None:
    """When the event happened by our clock, ms. `said` is its `ts` as sent; None when that is no point in time."""
    if said is None:
        return arrival.received
    ts = to_ms(said)
    if ts is None:
        return None
    if arrival.sent_at is not None:
        ts = arrival.received - (arrival.sent_at - ts)
    return clamp_ts(ts, arrival.received)


def to_ms(said: Any) -> int | None:
    """Milliseconds since the epoch (a number) or ISO 8601 (text; UTC unless it says otherwise) -> ms; else None."""
    kind = type(said)
    if kind is int:
        return int(said)
    if kind is float:
        return int(said)
    if kind is not str:
        return None
    try:
        moment = datetime.fromisoformat(said)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
