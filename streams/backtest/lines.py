"""JSON lines to events, fast: what is certainly well formed takes a short way, everything else `streams.replay`'s own.

The short way, which tables take too, gives what `streams.replay.event_of_line` gives, less what nobody looks at (see
`interest`). It may be taken only where these hold, each of them read off the bytes:

1. The line is at most SHORT_BYTES_MAX long: so is each string in it, and the event made of it stays in its limits.
2. At most KEYS_MAX colons and less than DEPTH_MAX opening brackets: no object has more keys, none is nested deeper.
3. Every column that is mapped stands at the top level, has a name of its own, and holds the plain kind of value.
4. What is skipped unread is ASCII without escapes, so that it cannot be ill formed as text.
5. An object in which something could be personal data (an ``@``, seven digits, a query, a field with an internet
   address) is scrubbed as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec

from streams.backtest.interest import Interest
from streams.core.event import (
    ADDRESS_FIELDS,
    DEPTH_MAX,
    ID_CHARS_MAX,
    KEYS_MAX,
    VISITOR_CHARS_MAX,
    Event,
    Refused,
    check_event,
    scrub_event,
)
from streams.replay import SECONDS_BELOW, TARGETS, BadLine, ReplayOptions, epoch_ms, event_of_line, type_name

# Five copies of a number written short ("1e15") as it is written out in full (18 bytes) still fit in an event's 16 KiB.
SHORT_BYTES_MAX = 700
_PLAIN_TIME_BELOW = 1 << 60  # milliseconds, and no question about it
_TYPES_REMEMBERED_MAX = 4096  # event types come from data
_PERSONAL = re.compile(r"[@?#]|\d(?:[ ().\-/]{0,2}\d){6}").search
_CARD_MIN = 10**12
_PAGE_FIELDS = ("path", "url", "referrer", "title")

LineReader = Callable[[bytes, int], Event | BadLine | None]
Maker = Callable[[Any, bytes], Event | None]


def line_reader(options: ReplayOptions, interest: Interest) -> LineReader:
    """A function that makes an event of a line and its number, as `event_of_line` does."""
    lean = _decoder(options, page=interest.pages, context=interest.contexts)
    full = _decoder(options, page=True, context=True)
    if lean is None or full is None:
        return lambda line, number: event_of_line(line, number, options)
    decode_lean, decode_full = lean.decode, full.decode
    make = event_maker(options, interest)

    def read(line: bytes, number: int) -> Event | BadLine | None:
        opened = line.count(b"{") + line.count(b"[")
        if len(line) <= SHORT_BYTES_MAX and opened < DEPTH_MAX and line.count(b":") <= KEYS_MAX:
            lean_is_enough = line.isascii() and b"\\" not in line and b'"consent"' not in line
            try:
                event = make(decode_lean(line) if lean_is_enough else decode_full(line), line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                event = None
            if event is not None:
                return event
        return event_of_line(line, number, options)

    return read


def event_maker(options: ReplayOptions, interest: Interest) -> Maker:
    """A function that makes an event of a row with an attribute for each field, or None: the long way has to judge.

    The row is short (1, 2); its objects are its own, and may be kept. The bytes are what an id is made from.
    """
    pages, contexts = interest.pages, interest.contexts
    types: dict[str | None, tuple[str, bool]] = {}

    def make(row: Any, identity: bytes) -> Event | None:
        known = types.get(row.type) or _learn(row.type, types, options, interest)
        visitor, ts, session, id_ = row.visitor, row.ts, row.session, row.id
        if known is None or not 0 < len(visitor) <= VISITOR_CHARS_MAX:
            return None
        if session is not None and not 0 < len(session) <= VISITOR_CHARS_MAX:
            return None
        if type(ts) is not int or not SECONDS_BELOW <= ts < _PLAIN_TIME_BELOW:
            try:
                ts = epoch_ms(ts)
            except (ValueError, TypeError, OverflowError):
                return None
        if id_ is None:
            id_ = blake2b(identity, digest_size=16).hexdigest()
        elif not 0 < len(id_) <= ID_CHARS_MAX:
            return None
        event = Event(id_, visitor, known[0], ts, session)
        if known[1] and row.props:
            event.props = row.props if _clean(row.props) else _scrubbed("props", row.props)
        if pages:
            _set_page(event, row)
        if row.context and (contexts or "consent" in row.context):
            event.context = row.context if _clean(row.context) else _scrubbed("context", row.context)
        return event

    return make


def _learn(
    written: str | None, types: dict[str | None, tuple[str, bool]], options: ReplayOptions, interest: Interest
) -> tuple[str, bool] | None:
    """Our name of a type, and whether anybody hears it; None when it cannot be one."""
    try:
        name = options.default_type if written is None else type_name(written)
    except ValueError:
        return None
    name = options.rename.get(name, name)
    if isinstance(check_event(Event("-", "-", name, 0)), Refused):
        return None
    known = name, interest.hears(name)
    if len(types) < _TYPES_REMEMBERED_MAX:
        types[written] = known
    return known


def _set_page(event: Event, row: Any) -> None:
    page: dict[str, Any] = row.page or {}
    for name in _PAGE_FIELDS:
        value = getattr(row, name)
        if value is not None:
            page[name] = value
    if page:
        event.page = page if _clean(page) else _scrubbed("page", page)


def _clean(values: dict[str, Any]) -> bool:
    """Whether there is certainly nothing to scrub."""
    if not ADDRESS_FIELDS.isdisjoint(values):
        return False
    for value in values.values():
        kind = type(value)
        if kind is str:
            if _PERSONAL(value):
                return False
        elif kind is dict or kind is list or (kind is int and value > _CARD_MIN):
            return False
    return True


def _scrubbed(name: str, values: dict[str, Any]) -> dict[str, Any]:
    alone = Event("-", "-", "-", 0)
    setattr(alone, name, values)
    found: dict[str, Any] = getattr(scrub_event(alone), name)
    return found


def _decoder(options: ReplayOptions, *, page: bool, context: bool) -> msgspec.json.Decoder[Any] | None:
    """A decoder of the mapped columns; None when the mapping is not of plain columns. What is not wanted is skipped."""
    columns = {name: options.columns[name] for name in TARGETS if name in options.columns}
    objects = {"props": options.props, "page": "page", "context": "context"}
    names = [*columns.values(), *objects.values()]
    if options.adapt is not None or len(set(names)) < len(names) or any("." in name for name in names):
        return None
    if "visitor" not in columns or "ts" not in columns:
        return None
    wanted = {name: column for name, column in columns.items() if page or name not in _PAGE_FIELDS}
    wanted |= {name: column for name, column in objects.items() if {"page": page, "context": context}.get(name, True)}
    kinds = {"visitor": str, "ts": int | float | str} | dict.fromkeys(objects, dict[str, Any] | None)
    fields: list[Any] = [(name, kinds[name]) for name in ("visitor", "ts")]
    fields += [(name, kinds.get(name, str | None), None) for name in wanted if name not in ("visitor", "ts")]
    # What is not wanted is always absent, and skipped by the decoder.
    absent = dict.fromkeys(name for name in (*TARGETS, *objects) if name not in wanted)
    return msgspec.json.Decoder(msgspec.defstruct("Line", fields, rename=wanted, namespace=absent, gc=False))
