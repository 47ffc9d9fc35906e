"""What passes between the door and a dialect, and how a body is taken out of its wrapping."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs

import msgspec

from streams.core.event import Refused
from streams.errors import RequestError
from streams.http.body import GZIP_MAGIC, gunzip
from streams.http.salvage import salvage_list

T = TypeVar("T")

BROKEN_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_JSON_SIGNS = (b"{", b"[")
_BODY_FIELD = "data"  # of a form that carries a body
_FORM_FIELDS_MAX = 64  # clients send two to four


class Incoming(NamedTuple):
    """One request: header names in lower case; `body` as it arrived, decompressed."""

    method: str
    path: str
    parameters: Mapping[str, str]  # of the path
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    body_bytes_max: int


class Letter(NamedTuple):
    """A request opened: the key it carries, when it was sent by the client's clock, and its events' bytes."""

    key: str | None
    sent_at: Any  # ms, ISO 8601, or None
    events: list[bytes]
    shared: Mapping[str, Any] = {}  # what holds for all its events


class Translated(NamedTuple):
    """One event's native fields (`id` and `visitor` may be missing), and when it was sent if it says so itself."""

    fields: dict[str, Any]
    sent_at: Any = None


Opener = Callable[[Incoming], Letter]
# None: nothing that a visitor did (a probe, a recording's piece), and therefore no event.
Translator = Callable[[dict[str, Any], Letter], Translated | Refused | None]

_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_any_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def unwrap(incoming: Incoming) -> bytes:
    """The JSON inside a body: itself, or the field `data` of a form, as text or base64, perhaps gzip within.

    Raises RequestError when there is none.
    """
    body = incoming.body.lstrip()
    if body.startswith(_JSON_SIGNS):
        return body
    return _decoded(_form_field(body), incoming.body_bytes_max)


def _form_field(body: bytes) -> bytes:
    if not body.startswith(b"data=") and b"&data=" not in body:
        return body
    try:
        found = parse_qs(body.decode("latin-1"), max_num_fields=_FORM_FIELDS_MAX).get(_BODY_FIELD)
    except ValueError as error:
        raise RequestError(f"the form has more than {_FORM_FIELDS_MAX} fields") from error
    return found[0].encode("utf-8", "surrogatepass") if found else b""


def _decoded(text: bytes, bytes_max: int) -> bytes:
    text = text.strip()
    if text.startswith(_JSON_SIGNS):
        return text
    found = from_base64(text)
    if found is not None and found.startswith(GZIP_MAGIC):
        found = gunzip(found, bytes_max)
    if found is None or not found.lstrip().startswith(_JSON_SIGNS):
        raise RequestError("the body is neither JSON nor a form with JSON or base64 in `data`")
    return found


def from_base64(text: bytes | str) -> bytes | None:
    """Standard or URL-safe base64, padded or not, a plus that became a space mended; None when it is none."""
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    raw = raw.strip().translate(_URL_SAFE, b"\r\n").rstrip(b"=")
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except binascii.Error:
        return None


_URL_SAFE = bytes.maketrans(b"-_ ", b"+/+")


def open_object(body: bytes, *, listed: str) -> tuple[dict[str, Any], list[bytes] | None]:
    """A JSON object: its fields other than `listed`, and the elements of that list (None: there is none).

    An element that breaks the whole body's JSON is found, and judged alone. Raises RequestError.
    """
    try:
        fields = _object_decoder.decode(body)
        elements = _elements(fields.pop(listed, None))
        return {name: _any_decoder.decode(raw) for name, raw in fields.items()}, elements
    except msgspec.ValidationError as error:
        raise RequestError(f"the body is not an object with a list `{listed}`: {error}") from error
    except BROKEN_JSON as error:
        salvaged = salvage_list(body, listed)
        if salvaged is None:
            raise RequestError(f"the body is not JSON: {error}") from error
        try:
            rest = _any_decoder.decode(salvaged.rest)
        except BROKEN_JSON:
            rest = None
        if not isinstance(rest, dict) or rest.pop(listed, None) != []:
            raise RequestError(f"the body is not JSON: {error}") from error
        return rest, salvaged.elements


def open_list(body: bytes) -> list[bytes]:
    """The elements of a JSON list, an element that breaks it included. Raises RequestError."""
    try:
        return [bytes(raw) for raw in _list_decoder.decode(body)]
    except BROKEN_JSON as error:
        salvaged = salvage_list(body)
        if salvaged is None:
            raise RequestError(f"the body is not JSON: {error}") from error
        return salvaged.elements


def _elements(raw: msgspec.Raw | None) -> list[bytes] | None:
    return None if raw is None else [bytes(element) for element in _list_decoder.decode(raw)]


def decode_json(text: bytes | str) -> Any:
    """Any JSON, or None when it is none."""
    try:
        return _any_decoder.decode(text)
    except (*BROKEN_JSON, UnicodeEncodeError):
        return None


def key_hint(body: bytes) -> str | None:
    """The key in a body that cannot be read otherwise, so that its sender can be told from a stranger."""
    found = _KEY_HINT.search(body[:_KEY_HINT_BYTES_MAX]) or _KEY_HINT.search(body[-_KEY_HINT_BYTES_MAX:])
    return found.group(1).decode("ascii") if found else None


# Clients put it first or last.
_KEY_HINT_BYTES_MAX = 8 * 1024
_KEY_HINT = re.compile(rb'"(?:api_key|token|writeKey|aid)"\s*:\s*"([!-~]{1,200}?)"')


def encode_json(value: Any) -> bytes:
    """`value` as JSON."""
    return _encoder.encode(value)
