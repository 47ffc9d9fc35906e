"""What the dialects share: ids, pages, contexts, consent. A client's value is taken or left out; nothing is raised."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from streams.core.event import ID_CHARS_MAX, VISITOR_CHARS_MAX

_URL_CHARS_MAX = 1500  # without its query, which is dropped later anyway; long ones come from click ids
_TITLE_CHARS_MAX = 500
_NAME_CHARS_MAX = 200  # of an event, a library, an element
_CAMPAIGN_VALUE_CHARS_MAX = 100
_CAMPAIGN_FIELDS_MAX = 10
_URL_FIELDS_MAX = 200
_CLASSES_MAX = 5  # of an element, in its name
_ID_HASH_CHARS = 40

_PAGE_TEXTS = (("title", _TITLE_CHARS_MAX), ("path", _URL_CHARS_MAX))
_encoder = msgspec.json.Encoder(order="sorted")


def text_of(value: Any) -> str | None:
    """A non-empty text, or a number as text; None for anything else."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def first_text(*values: Any) -> str | None:
    """The first of `values` that is a text (see `text_of`)."""
    for value in values:
        text = text_of(value)
        if text is not None:
            return text
    return None


def object_of(value: Any) -> dict[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def number_of(value: Any) -> Any:
    """A number that a client wrote as text, as a number; anything else as it is."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return value
    return int(value) if _INTEGER.fullmatch(value) else float(value)


_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")
_INTEGER = re.compile(r"-?\d{1,15}")


def given(**fields: Any) -> dict[str, Any]:
    """The fields that there are: without None, empty texts and empty objects."""
    return {name: value for name, value in fields.items() if value is not None and value not in ("", {}, [])}


# --- ids


def event_id(made: Any, event: Mapping[str, Any], unstable: Iterable[str], *, dated: bool) -> str | None:
    """The client's own id; a hash of it when it is longer than ours may be; without one a hash of the event.

    `unstable` are the fields that differ when the same event is sent again. An event that is not `dated` either could
    be another one that looks the same: None, and the door makes an id up.
    """
    text = text_of(made)
    if text is None:
        return content_id(event, unstable) if dated else None
    return text if len(text) <= ID_CHARS_MAX else _hash(text.encode("utf-8", "surrogatepass"))


def content_id(event: Mapping[str, Any], unstable: Iterable[str]) -> str:
    """The same for the same event sent twice: a hash of all that does not change in between."""
    left = {name: value for name, value in event.items() if name not in frozenset(unstable)}
    return _hash(_encoder.encode(left))


def visitor_id(*candidates: Any) -> str | None:
    """The first candidate that names somebody; a hash of it when it is longer than ours may be."""
    text = first_text(*candidates)
    if text is None or len(text) <= VISITOR_CHARS_MAX:
        return text
    return _hash(text.encode("utf-8", "surrogatepass"))


def _hash(data: bytes) -> str:
    return "h." + hashlib.sha256(data).hexdigest()[:_ID_HASH_CHARS]


# --- where it happened


def page_of(*, url: Any = None, path: Any = None, title: Any = None, referrer: Any = None) -> dict[str, Any]:
    """The native `page`. Long URLs lose their query (it is dropped later but for what is allow-listed)."""
    url_text = _short_url(text_of(url))
    return given(
        url=url_text,
        path=_cut(text_of(path), _URL_CHARS_MAX) or path_of(url_text),
        title=_cut(text_of(title), _TITLE_CHARS_MAX),
        referrer=_short_url(text_of(referrer)),
    )


def path_of(url: str | None) -> str | None:
    """The path of an absolute URL, ``/`` when it has none; None for what is not one."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return (parts.path or "/") if parts.netloc else None


def _short_url(url: str | None) -> str | None:
    if url is None or len(url) <= _URL_CHARS_MAX:
        return url
    return path_part(url)[:_URL_CHARS_MAX]


def _cut(text: str | None, chars_max: int) -> str | None:
    return None if text is None else text[:chars_max]


def link_of(value: Any) -> str | None:
    """Where a link leads, without its query: nobody looks through it for what must not be kept."""
    text = text_of(value)
    return None if text is None else _cut(text if text.startswith("#") else path_part(text), _URL_CHARS_MAX)


def path_part(url: str) -> str:
    """A URL without query and fragment."""
    return url.partition("#")[0].partition("?")[0]


def selector_of(tag: str, named_id: str | None, classes: Iterable[Any]) -> str | None:
    """An element as ``button#pay``, or ``a.more.big`` when it has no id."""
    if named_id:
        return short(f"{tag}#{named_id}")
    return short(tag + "".join(f".{name}" for name in list(classes)[:_CLASSES_MAX] if isinstance(name, str) and name))


def short(value: Any) -> str | None:
    """A name or label, cut to a length that no honest one has."""
    return _cut(text_of(value), _NAME_CHARS_MAX)


# --- who and how


def device_of(user_agent: Any) -> str | None:
    """`mobile`, `tablet` or `desktop`. The user agent itself is not kept: it helps to recognise people."""
    agent = text_of(user_agent)
    if agent is None or not agent.startswith("Mozilla/"):
        return None
    for pattern, device in _DEVICES:
        if pattern.search(agent):
            return device
    return "desktop"


# In this order: an Android tablet is an Android without "Mobile".
_DEVICES = (
    (re.compile(r"iPad|Tablet|Kindle|Silk/|Android(?!.*Mobile)"), "tablet"),
    (re.compile(r"Mobi|iPhone|iPod|Android"), "mobile"),
)


def campaign_of(stated: Any, url: Any) -> dict[str, str]:
    """`source`, `medium`, `name`, ...: as the client says, or from the address's ``utm_*``."""
    found = {
        str(name)[:_CAMPAIGN_VALUE_CHARS_MAX]: value[:_CAMPAIGN_VALUE_CHARS_MAX]
        for name, value in object_of(stated).items()
        if isinstance(value, str) and value
    }
    if not found:
        found = _utm(text_of(url))
    return dict(list(found.items())[:_CAMPAIGN_FIELDS_MAX])


def _utm(url: str | None) -> dict[str, str]:
    if url is None or "utm_" not in url:
        return {}
    try:
        pairs = parse_qsl(urlsplit(url).query, max_num_fields=_URL_FIELDS_MAX)
    except ValueError:
        return {}
    named = ((name.removeprefix("utm_"), value) for name, value in pairs if name.startswith("utm_") and value)
    return {
        "name" if name == "campaign" else name[:_CAMPAIGN_VALUE_CHARS_MAX]: value[:_CAMPAIGN_VALUE_CHARS_MAX]
        for name, value in named
    }


# --- consent

PERSONALIZATION = "personalization"  # the purpose that the engine asks for
# What sites call the category under which a suggestion falls, best first; C0003 is OneTrust's "functional".
_CATEGORIES = (PERSONALIZATION, "personalisation", "functional", "functionality", "preferences", "c0003")


def consent_of(purposes: Mapping[Any, Any]) -> dict[str, bool] | None:
    """A consent tool's categories -> purposes, `personalization` among them. None when it says nothing.

    It is the first of the usual categories that is named; when none is, it takes a yes to all of them.
    """
    said = {str(name)[:64].lower(): value is True for name, value in list(purposes.items())[:32]}
    if not said:
        return None
    personal = next((said[name] for name in _CATEGORIES if name in said), all(said.values()))
    return {**said, PERSONALIZATION: personal}
