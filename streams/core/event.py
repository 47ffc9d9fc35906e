"""Bytes -> Event, or a typed refusal. Every limit of the event, its clamping, and the scrubbing of personal data.

1. An event is one JSON object; unknown fields are ignored here and stay in the log.
2. What breaks a limit or the schema is a `Refused` value, never an exception.
3. Limits are checked before anything is kept, cheapest first.
4. `ts` never lies in the future of the record that carried it.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from streams.core.effects import Refusal
from streams.core.wire import Event, Refused

EVENT_BYTES_MAX: Final = 16 * 1024  # a click with its page fits in 1 KiB; above 16 it is not a click
DEPTH_MAX: Final = 8  # the event object itself is depth 1
KEYS_MAX: Final = 64  # in one object
STRING_BYTES_MAX: Final = 2 * 1024  # as UTF-8
ID_CHARS_MAX: Final = 64
VISITOR_CHARS_MAX: Final = 128
TYPE_CHARS_MAX: Final = 64
DEAD_LETTER_BYTES_MAX: Final = 2 * 1024  # enough to recognise the sender's mistake, too little to fill a disk

__all__ = [
    "DEAD_LETTER_BYTES_MAX",
    "DEPTH_MAX",
    "EVENT_BYTES_MAX",
    "ID_CHARS_MAX",
    "KEYS_MAX",
    "MISSING",
    "STRING_BYTES_MAX",
    "VISITOR_CHARS_MAX",
    "Event",
    "Refused",
    "check_event",
    "clamp_ts",
    "dead_letter_text",
    "encode_event",
    "field_value",
    "parse_event",
    "scrub_event",
    "scrub_text",
    "scrub_url",
]  # fmt: skip

_TYPE_NAME = re.compile(r"[a-z0-9_.]{1,64}\Z")
_TYPE_NAMES_REMEMBERED_MAX: Final = 4096
_known_type_names: set[str] = set()  # a memo of names that passed; no input changes an answer through it


_decoder = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()


def encode_event(event: Event) -> bytes:
    """The event as it stands in Kafka: UTF-8 JSON without the fields that are empty."""
    return _encoder.encode(event)


def parse_event(raw: bytes | None) -> Event | Refused:
    """Read one event. Returns `Refused` for everything that is not one; never raises.

    `raw` is UTF-8 JSON of at most EVENT_BYTES_MAX bytes. Costs about 2 µs for an event of 200 bytes.
    """
    if raw is None:
        return Refused(Refusal.NOT_JSON, "the record has no value")
    if len(raw) > EVENT_BYTES_MAX:
        return Refused(Refusal.TOO_LARGE, f"{len(raw)} bytes; at most {EVENT_BYTES_MAX}")
    try:
        event = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        return Refused(Refusal.SCHEMA, str(error))
    except msgspec.DecodeError as error:
        return _why_not_json(raw, error)
    except RecursionError:
        return Refused(Refusal.TOO_DEEP, f"nested deeper than {DEPTH_MAX}")
    except UnicodeDecodeError as error:
        return Refused(Refusal.NOT_UTF8, f"byte {error.start} is not UTF-8")
    if (
        len(raw) <= STRING_BYTES_MAX
        and event.type in _known_type_names
        and event.session is None
        and 0 < len(event.id) <= ID_CHARS_MAX
        and 0 < len(event.visitor) <= VISITOR_CHARS_MAX
        and _is_flat(event.page)
        and _is_flat(event.props)
        and _is_flat(event.context)
    ):
        return event  # nearly all of them; the limits, looked at one by one, would say the same
    return check_event(event) or event


def _is_flat(value: dict[str, Any]) -> bool:
    """Whether an object of an event no longer than a string may be is within all limits at a glance: none is nested."""
    if len(value) > KEYS_MAX:
        return False
    for item in value.values():
        kind = type(item)
        if kind is dict or kind is list:
            return False
    return True


def _why_not_json(raw: bytes, error: msgspec.DecodeError) -> Refused:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as bad:
        return Refused(Refusal.NOT_UTF8, f"byte {bad.start} is not UTF-8")
    return Refused(Refusal.NOT_JSON, str(error))


def check_event(event: Event) -> Refused | None:
    """The limits that the JSON schema cannot say. None when the event is within all of them."""
    if not 1 <= len(event.id) <= ID_CHARS_MAX:
        return Refused(Refusal.SCHEMA, f"`id` has {len(event.id)} characters; 1 to {ID_CHARS_MAX}")
    if not 1 <= len(event.visitor) <= VISITOR_CHARS_MAX:
        return Refused(Refusal.SCHEMA, f"`visitor` has {len(event.visitor)} characters; 1 to {VISITOR_CHARS_MAX}")
    if event.session is not None and not 1 <= len(event.session) <= VISITOR_CHARS_MAX:
        return Refused(Refusal.SCHEMA, f"`session` has {len(event.session)} characters; 1 to {VISITOR_CHARS_MAX}")
    if event.type not in _known_type_names:
        if not _TYPE_NAME.match(event.type):
            return Refused(
                Refusal.BAD_TYPE, f"`type` is 1 to {TYPE_CHARS_MAX} of a-z 0-9 _ . and not {event.type[:80]!r}"
            )
        if len(_known_type_names) < _TYPE_NAMES_REMEMBERED_MAX:
            _known_type_names.add(event.type)
    for where, value in (("props", event.props), ("page", event.page), ("context", event.context)):
        refused = _check_object(value, where, 2)
        if refused:
            return refused
    return None


def _too_long(text: str) -> bool:
    return len(text) > STRING_BYTES_MAX or (
        len(text) * 4 > STRING_BYTES_MAX and not text.isascii() and len(text.encode()) > STRING_BYTES_MAX
    )


def _check_object(value: dict[str, Any], where: str, depth: int) -> Refused | None:
    if len(value) > KEYS_MAX:
        return Refused(Refusal.TOO_MANY_KEYS, f"`{where}` has {len(value)} keys; at most {KEYS_MAX}")
    for key, item in value.items():
        kind = type(item)
        if kind is str:
            if _too_long(item):
                return Refused(Refusal.STRING_TOO_LONG, f"`{where}.{key}` is longer than {STRING_BYTES_MAX} bytes")
        elif kind is dict or kind is list:
            refused = _check_nested(item, f"{where}.{key}", depth + 1)
            if refused:
                return refused
        if _too_long(key):
            return Refused(Refusal.STRING_TOO_LONG, f"a key in `{where}` is longer than {STRING_BYTES_MAX} bytes")
    return None


def _check_nested(value: dict[str, Any] | list[Any], where: str, depth: int) -> Refused | None:
    if depth > DEPTH_MAX:
        return Refused(Refusal.TOO_DEEP, f"`{where}` is nested deeper than {DEPTH_MAX}")
    if isinstance(value, dict):
        return _check_object(value, where, depth)
    for index, item in enumerate(value):
        kind = type(item)
        if kind is str and _too_long(item):
            return Refused(Refusal.STRING_TOO_LONG, f"`{where}[{index}]` is longer than {STRING_BYTES_MAX} bytes")
        if kind is dict or kind is list:
            refused = _check_nested(item, f"{where}[{index}]", depth + 1)
            if refused:
                return refused
    return None


def clamp_ts(ts: int, record_timestamp: int) -> int:
    """When it happened, as far as it can be true: not before the epoch, not after the record that carried it."""
    return 0 if ts < 0 else min(ts, record_timestamp)


# --- fields ------------------------------------------------------------------------------------------------

MISSING: Final = object()  # what a path finds when there is nothing


def field_value(event: Event, path: tuple[str, ...]) -> Any:
    """The value at a dotted path, already split (``("props", "results")``), or MISSING."""
    head = path[0]
    value: Any
    if head == "props":
        value = event.props
    elif head == "page":
        value = event.page
    elif head == "context":
        value = event.context
    elif head in ("type", "id", "visitor", "session", "ts"):
        named = getattr(event, head) if len(path) == 1 else None
        return MISSING if named is None else named
    else:
        return MISSING
    if len(path) == 2 and type(value) is dict:  # nearly all of them
        return value.get(path[1], MISSING)
    for name in path[1:]:
        if type(value) is dict:
            value = value.get(name, MISSING)
        elif type(value) is list and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return MISSING
    return value


# --- scrubbing of personal data ------------------------------------------------------------------------------

_DIGIT = re.compile(r"[0-9]")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}(?:@|%40)[A-Za-z0-9.-]{1,128}\.[A-Za-z]{2,24}")
# Runs of 7 to 19 digits with the separators that people write in phone and card numbers.
_NUMBER = re.compile(r"(?<![\w.-])\+?\(?\d(?:[ ().\-/]{0,2}\d){6,18}(?![\w-])")
_URL_FIELDS = ("url", "path", "referrer")
# What trackers and sites call an internet address. It is left out with its name, as nothing here has a use for it.
ADDRESS_FIELDS = frozenset({
    "ip", "IP", "$ip", "ip_address", "ipAddress", "ip_addr", "client_ip", "clientIp", "clientIP", "user_ip", "userIp",
    "user_ipaddress", "remote_addr", "remoteAddr", "remote_ip", "x_forwarded_for", "x-forwarded-for", "X-Forwarded-For",
})


def scrub_text(text: str) -> str:
    """Mask e-mail addresses, card numbers (Luhn-valid, 13 to 19 digits) and phone numbers in `text`."""
    if "@" in text or "%40" in text:
        text = _EMAIL.sub("[email]", text)
    if _DIGIT.search(text):
        text = _NUMBER.sub(_mask_number, text)
    return text


def _mask_number(match: re.Match[str]) -> str:
    written = match.group()
    digits = [int(character) for character in written if character.isdigit()]
    if _is_card(digits):
        return "[card]"
    # A bare run of digits is an order or product number far more often than a phone number; a phone number
    # is written with a plus, or with separators between its groups.
    separated = any(character in " ()-/" for character in written)
    if 7 <= len(digits) <= 15 and (written.startswith("+") or (separated and not _ISO_DATE.match(written))):
        return "[phone]"
    return written


# A whole text that is a URL with a query, or a query alone. A sentence that ends in a question mark is neither.
_URL = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]{0,20}://[^\s?]*|/[^\s?]*)?\?[^\s=]{1,200}=")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def _is_card(digits: list[int]) -> bool:
    """A card number: 13 to 19 digits of an issuer range that banks have (ISO/IEC 7812-1: 2 to 6), Luhn-valid.

    Times in milliseconds or microseconds begin with 1, so they are none.
    """
    return 13 <= len(digits) <= 19 and 2 <= digits[0] <= 6 and _luhn(digits)


def _luhn(digits: list[int]) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if index % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def scrub_url(url: str, query_allowed: frozenset[str]) -> str:
    """Drop the fragment and every query parameter whose name is not in `query_allowed`; mask what is left."""
    base, _, _ = url.partition("#")
    base, _, query = base.partition("?")
    kept = [pair for pair in query.split("&") if pair and pair.partition("=")[0] in query_allowed]
    return scrub_text(base + ("?" + "&".join(kept) if kept else ""))


def scrub_event(event: Event, query_allowed: frozenset[str] = frozenset()) -> Event:
    """The event without personal data in any string of `page`, `props` and `context`. Ids are not touched.

    Masked: e-mail addresses, phone and card numbers. Left out: internet addresses by their fields' names, and of every
    URL, whatever its field is called, the parameters that are not in `query_allowed`.
    """
    page = {
        key: scrub_url(value, query_allowed)
        if key in _URL_FIELDS and isinstance(value, str)
        else _scrub(value, query_allowed)
        for key, value in event.page.items()
        if key not in ADDRESS_FIELDS
    }
    props, context = _scrub(event.props, query_allowed), _scrub(event.context, query_allowed)
    return msgspec.structs.replace(event, page=page, props=props, context=context)


def _scrub(value: Any, query_allowed: frozenset[str]) -> Any:
    if type(value) is str:
        return scrub_url(value, query_allowed) if "?" in value and _URL.match(value) else scrub_text(value)
    if type(value) is dict:
        return {key: _scrub(item, query_allowed) for key, item in value.items() if key not in ADDRESS_FIELDS}
    if type(value) is list:
        return [_scrub(item, query_allowed) for item in value]
    if type(value) is int and value > _SMALLEST_CARD and _is_card([int(digit) for digit in str(value)]):
        return "[card]"
    return value


_SMALLEST_CARD: Final = 10**12


_HEX = "[0-9A-Fa-f]{1,4}"
_ADDRESS = re.compile(
    rf"(?<![\w./:-])(?:(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}|(?:{_HEX}:){{7}}{_HEX}"
    rf"|(?:{_HEX}:){{1,6}}:(?:{_HEX}:){{0,5}}(?:{_HEX})?|::(?:{_HEX}:){{0,6}}{_HEX})(?![\w:])"
)


def dead_letter_text(raw: bytes | None) -> tuple[str, bool]:
    """The original bytes as text that may be kept: capped, undecodable bytes shown as such, personal data masked.

    Internet addresses too, wherever they stand: it is no event, so no field tells them from a version.
    """
    if raw is None:
        return "", False
    text = raw[:DEAD_LETTER_BYTES_MAX].decode("utf-8", errors="backslashreplace")
    return scrub_text(_ADDRESS.sub("[address]", text)), len(raw) > DEAD_LETTER_BYTES_MAX
