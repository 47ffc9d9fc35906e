"""Bytes -> event, limits, clamping, scrubbing. Boundaries in threes."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.core import build
from streams.core.effects import Refusal
from streams.core.event import (
    DEAD_LETTER_BYTES_MAX,
    MISSING,
    Event,
    Refused,
    check_event,
    clamp_ts,
    dead_letter_text,
    encode_event,
    field_value,
    parse_event,
    scrub_event,
    scrub_text,
    scrub_url,
)


def wire(**fields) -> bytes:
    given = {"id": "e1", "visitor": "v1", "type": "page_view", "ts": 1_700_000_000_000, **fields}
    return json.dumps({name: value for name, value in given.items() if value is not ...}).encode()


def reason(raw: bytes | None) -> Refusal | None:
    parsed = parse_event(raw)
    return parsed.reason if isinstance(parsed, Refused) else None


def nested(levels: int, kind=dict):
    """A value of `levels` objects (or lists) within each other."""
    value = 1
    for _ in range(levels):
        value = {"a": value} if kind is dict else [value]
    return value


# --- reading


def test_an_event_is_read_with_everything_in_it():
    raw = wire(session="s1", received=5, page={"path": "/"}, props={"n": 1}, context={"device": "mobile"})
    assert parse_event(raw) == Event(
        id="e1", visitor="v1", type="page_view", ts=1_700_000_000_000, session="s1", received=5,
        page={"path": "/"}, props={"n": 1}, context={"device": "mobile"},
    )  # fmt: skip


def test_unknown_fields_are_ignored():
    assert reason(wire(extra={"a": 1})) is None


def test_an_event_survives_its_own_encoding():
    event = parse_event(wire(props={"n": 1}))
    assert parse_event(encode_event(event)) == event


def test_empty_parts_are_not_written():
    assert msgspec.json.decode(encode_event(parse_event(wire()))) == msgspec.json.decode(wire())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, Refusal.NOT_JSON),
        (b"", Refusal.NOT_JSON),
        (b"{", Refusal.NOT_JSON),
        (b"nonsense", Refusal.NOT_JSON),
        (b"[]", Refusal.SCHEMA),
        (b"null", Refusal.SCHEMA),
        (b'{"id": "\xff\xfe"}', Refusal.NOT_UTF8),
        (b"\xff\xfe{}", Refusal.NOT_UTF8),
        (wire(id=...), Refusal.SCHEMA),
        (wire(visitor=...), Refusal.SCHEMA),
        (wire(type=...), Refusal.SCHEMA),
        (wire(ts=...), Refusal.SCHEMA),
        (wire(id=7), Refusal.SCHEMA),
        (wire(visitor=None), Refusal.SCHEMA),
        (wire(ts="now"), Refusal.SCHEMA),
        (wire(ts=1.5), Refusal.SCHEMA),
        (wire(props=[]), Refusal.SCHEMA),
        (wire(page="x"), Refusal.SCHEMA),
        (wire(session=7), Refusal.SCHEMA),
        (b'{"id":"e","visitor":"v","type":"a","ts":1,"props":{"x":NaN}}', Refusal.NOT_JSON),
        (b'{"id":"e","visitor":"v","type":"a","ts":1,"props":{"x":Infinity}}', Refusal.NOT_JSON),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(raw, expected):
    assert reason(raw) is expected


def test_a_refusal_says_what_was_wrong():
    assert "visitor" in parse_event(wire(visitor=...)).detail


@pytest.mark.parametrize("number", [b"1e400", b"9" * 400, b"-" + b"9" * 30, b"18446744073709551616"])
def test_a_number_beyond_64_bits_never_raises(number):
    raw = b'{"id":"e","visitor":"v","type":"a","ts":1,"props":{"x":' + number + b"}}"
    assert isinstance(parse_event(raw), Event | Refused)


@given(st.binary(max_size=300))
@example(b"[" * 100_000)
@example(b'{"a":' * 5_000)
@example(b'{"id":"e","visitor":"v","type":"a","ts":1,"props":{"a":' + b"[" * 8_000 + b"]" * 8_000 + b"}}")
@example(b'{"id":"e","visitor":"v","type":"a","ts":1,"zzz":' + b"[" * 8_000 + b"]" * 8_000 + b"}")
@example(b'{"id":"\\ud800","visitor":"v","type":"a","ts":1}')
@example(b"\x00" * 200)
def test_no_bytes_ever_raise(raw):
    assert isinstance(parse_event(raw), Event | Refused)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(["id", "visitor", "type", "ts", "session", "received", "page", "props", "context", "other"])


@given(st.dictionaries(names, values) | values)
def test_no_json_ever_raises(value):
    assert isinstance(parse_event(json.dumps(value).encode()), Event | Refused)


@given(
    st.dictionaries(st.text(max_size=8), values, max_size=5), st.dictionaries(st.text(max_size=8), values, max_size=5)
)
def test_whatever_is_read_can_be_scrubbed_and_written_again(props, page):
    event = parse_event(wire(props=props, page=page))
    if isinstance(event, Event):
        scrubbed = scrub_event(event)
        assert isinstance(parse_event(encode_event(scrubbed)), Event)


# --- limits


@pytest.mark.parametrize(("size", "expected"), [(-1, None), (0, None), (1, Refusal.TOO_LARGE)])
def test_at_most_16_kib(size, expected):
    filler = 16 * 1024 + size - len(wire(x=""))
    raw = wire(x="y" * filler)
    assert len(raw) == 16 * 1024 + size
    assert reason(raw) is expected


@pytest.mark.parametrize("field", ["id", "visitor", "session"])
def test_names_are_not_empty(field):
    assert reason(wire(**{field: ""})) is Refusal.SCHEMA


@pytest.mark.parametrize(("field", "most"), [("id", 64), ("visitor", 128), ("session", 128)])
def test_names_have_a_limit(field, most):
    assert [reason(wire(**{field: "x" * length})) for length in (1, most, most + 1)] == [None, None, Refusal.SCHEMA]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", None),
        ("cart.item_2", None),
        ("x" * 64, None),
        ("x" * 65, Refusal.BAD_TYPE),
        ("", Refusal.BAD_TYPE),
        ("Page", Refusal.BAD_TYPE),
        ("page-view", Refusal.BAD_TYPE),
        ("page view", Refusal.BAD_TYPE),
        ("page\n", Refusal.BAD_TYPE),
        ("é", Refusal.BAD_TYPE),
        ("\u0661", Refusal.BAD_TYPE),
    ],
)
def test_the_type_is_a_plain_name(name, expected):
    assert reason(wire(type=name)) is expected


def test_a_good_type_name_is_good_the_second_time_too():
    assert [reason(wire(type="seen_twice")) for _ in range(2)] == [None, None]


@pytest.mark.skipif(build() == "compiled", reason="a compiled module's constant cannot be another one for a test")
def test_type_names_from_data_are_not_remembered_without_bound(monkeypatch):
    known: set[str] = set()
    monkeypatch.setattr("streams.core.event._known_type_names", known)
    monkeypatch.setattr("streams.core.event._TYPE_NAMES_REMEMBERED_MAX", 2)
    assert [reason(wire(type=f"t{index}")) for index in range(4)] == [None] * 4
    assert len(known) == 2


@pytest.mark.parametrize("part", ["props", "page", "context"])
@pytest.mark.parametrize("kind", [dict, list])
@pytest.mark.parametrize(("levels", "expected"), [(6, None), (7, None), (8, Refusal.TOO_DEEP)])
def test_depth_8_with_the_event_itself_as_1(part, kind, levels, expected):
    """The event is depth 1, `props` depth 2: six more may follow within it."""
    value = {"a": nested(levels - 1, kind)}
    assert reason(wire(**{part: value})) is expected


@pytest.mark.parametrize(("keys", "expected"), [(63, None), (64, None), (65, Refusal.TOO_MANY_KEYS)])
@pytest.mark.parametrize("deep", [False, True])
def test_64_keys_an_object(keys, expected, deep):
    value = {f"k{index}": 1 for index in range(keys)}
    assert reason(wire(props={"a": [value]} if deep else value)) is expected


@pytest.mark.parametrize(("length", "expected"), [(2047, None), (2048, None), (2049, Refusal.STRING_TOO_LONG)])
@pytest.mark.parametrize(
    "shape", [lambda s: {"a": s}, lambda s: {"a": {"b": s}}, lambda s: {"a": [s]}, lambda s: {s: 1}]
)
def test_2048_characters_a_string(length, expected, shape):
    assert reason(wire(props=shape("x" * length))) is expected


def test_check_event_is_for_events_that_were_built_elsewhere():
    event = Event(id="e", visitor="v", type="a", ts=1, props={"a": "x" * 3000})
    assert check_event(event).reason is Refusal.STRING_TOO_LONG
    assert check_event(Event(id="e", visitor="v", type="a", ts=1)) is None


# --- clamping


@pytest.mark.parametrize(("ts", "expected"), [(-1, 0), (0, 0), (1, 1), (99, 99), (100, 100), (101, 100)])
def test_an_event_happened_between_the_epoch_and_its_record(ts, expected):
    assert clamp_ts(ts, 100) == expected


# --- fields

EVENT = Event(
    id="e", visitor="v", type="a", ts=7, session="s", page={"path": "/x"},
    props={"n": 0, "cart": [{"sku": "A"}, "B"], "o": {"p": None}}, context={"device": "mobile"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("props.n", 0),
        ("props.cart.0.sku", "A"),
        ("props.cart.1", "B"),
        ("props.cart.2", MISSING),
        ("props.cart.-1", MISSING),
        ("props.cart.x", MISSING),
        ("props.cart.\u00b2", MISSING),
        ("props.o.p", None),
        ("props.o.p.q", MISSING),
        ("props.none", MISSING),
        ("props", EVENT.props),
        ("page.path", "/x"),
        ("context.device", "mobile"),
        ("type", "a"),
        ("id", "e"),
        ("visitor", "v"),
        ("session", "s"),
        ("ts", 7),
        ("type.x", MISSING),
        ("other.x", MISSING),
        ("", MISSING),
    ],
)
def test_a_dotted_path_finds_its_value(path, expected):
    assert field_value(EVENT, tuple(path.split("."))) == expected


def test_an_event_without_a_session_has_no_such_field():
    assert field_value(Event(id="e", visitor="v", type="a", ts=1), ("session",)) is MISSING


# --- scrubbing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to jo.doe+x@mail.example.com now", "write to [email] now"),
        ("a@b.de,c@d.org", "[email],[email]"),
        ("a@b", "a@b"),
        ("@home and me@", "@home and me@"),
        ("4111 1111 1111 1111", "[card]"),
        ("4111111111111111", "[card]"),
        ("5500-0055-5555-5559.", "[card]."),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),  # not Luhn-valid, and too long for a phone
        ("order 123456789", "order 123456789"),
        ("call +49 30 901820", "call [phone]"),
        ("call +4930901820", "call [phone]"),
        ("call 030 901 820", "call [phone]"),
        ("call (030) 901-820", "call [phone]"),
        ("+12 345 6", "+12 345 6"),
        ("on 2024-05-17", "on 2024-05-17"),
        ("version 1.2.3", "version 1.2.3"),
        ("item-1234567", "item-1234567"),
        ("sku A1234567", "sku A1234567"),
        ("12.50 for 3", "12.50 for 3"),
        ("\u00b2\u00b3", "\u00b2\u00b3"),
        ("nothing", "nothing"),
        ("", ""),
    ],
)
def test_personal_data_is_masked(text, expected):
    assert scrub_text(text) == expected


@given(st.text(max_size=200))
def test_scrubbing_twice_is_scrubbing_once(text):
    assert scrub_text(scrub_text(text)) == scrub_text(text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example/a?email=x&utm_source=n#top", "https://shop.example/a?utm_source=n"),
        ("https://shop.example/a?token=1", "https://shop.example/a"),
        ("https://shop.example/a", "https://shop.example/a"),
        ("https://shop.example/a?&utm_source=n&&x", "https://shop.example/a?utm_source=n"),
        ("https://shop.example/a?utm_source", "https://shop.example/a?utm_source"),
        ("https://shop.example/me@mail.example.com/a", "https://shop.example/[email]/a"),
        ("https://shop.example/#access_token=1?utm_source=n", "https://shop.example/"),
        ("", ""),
    ],
)
def test_only_allowed_parameters_of_a_url_are_kept(url, expected):
    assert scrub_url(url, frozenset({"utm_source"})) == expected


def test_every_string_of_an_event_is_scrubbed():
    event = Event(
        id="a@b.de", visitor="a@b.de", type="a", ts=1,
        page={"url": "/x?a=1", "referrer": "https://o.example/?q=a@b.de", "title": "a@b.de", "n": 1},
        props={"list": ["a@b.de", {"deep": "a@b.de"}], "n": 1, "yes": True, "none": None},
        context={"source": "a@b.de"},
    )  # fmt: skip
    scrubbed = scrub_event(event)
    assert scrubbed.page == {"url": "/x", "referrer": "https://o.example/", "title": "[email]", "n": 1}
    assert scrubbed.props == {"list": ["[email]", {"deep": "[email]"}], "n": 1, "yes": True, "none": None}
    assert scrubbed.context == {"source": "[email]"}


def test_ids_are_left_alone_by_scrubbing():
    event = Event(id="a@b.de", visitor="c@d.de", session="e@f.de", type="a", ts=1)
    scrubbed = scrub_event(event)
    assert (scrubbed.id, scrubbed.visitor, scrubbed.session) == ("a@b.de", "c@d.de", "e@f.de")


def test_a_url_that_is_no_text_is_kept_as_it_is():
    assert scrub_event(Event(id="e", visitor="v", type="a", ts=1, page={"url": 7})).page == {"url": 7}


def test_a_path_loses_its_query_like_a_url():
    assert scrub_event(Event(id="e", visitor="v", type="a", ts=1, page={"path": "/x?token=abc"})).page == {"path": "/x"}


def test_a_card_number_written_as_a_number_is_masked():
    assert scrub_event(Event(id="e", visitor="v", type="a", ts=1, props={"card": 4111111111111111})).props != {
        "card": 4111111111111111
    }


# --- dead letters


@pytest.mark.parametrize(
    ("extra", "truncated"), [(-1, False), (0, False), (1, True)], ids=["inside", "exactly", "outside"]
)
def test_the_original_is_kept_up_to_a_limit(extra, truncated):
    text, cut = dead_letter_text(b"x" * (DEAD_LETTER_BYTES_MAX + extra))
    assert (len(text) <= DEAD_LETTER_BYTES_MAX, cut) == (True, truncated)


def test_undecodable_bytes_are_shown():
    assert dead_letter_text(b"a\xff") == ("a\\xff", False)


def test_a_dead_letter_is_scrubbed():
    assert dead_letter_text(b'{"mail": "a@b.de"}') == ('{"mail": "[email]"}', False)


def test_no_value_is_an_empty_dead_letter():
    assert dead_letter_text(None) == ("", False)


@pytest.mark.parametrize("text", ["anna%40example.com", "a=anna.rossi%40example.co.uk&b"])
def test_an_address_that_is_encoded_for_a_url_is_masked(text):
    assert "[email]" in scrub_text(text)
    assert "example" not in scrub_text(text)


def test_internet_addresses_are_left_out_wherever_they_stand():
    event = Event(
        "e", "v", "a", 1, page={"ip": "203.0.113.7", "path": "/"}, props={"$ip": "203.0.113.7", "of": [{"ip": "::1"}]},
        context={"ip_address": "203.0.113.7", "device": "tv"},
    )
    scrubbed = scrub_event(event)
    assert (scrubbed.page, scrubbed.props, scrubbed.context) == ({"path": "/"}, {"of": [{}]}, {"device": "tv"})


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://shop.example/p?token=secret&utm_source=mail#x", "https://shop.example/p?utm_source=mail"),
        ("/account?name=anna", "/account"),
        ("?name=anna&utm_source=mail", "?utm_source=mail"),
        ("where is my order? status=late", "where is my order? status=late"),
        ("why?", "why?"),
        ("https://shop.example/p", "https://shop.example/p"),
        ("is /a?b=c a path", "is /a?b=c a path"),
    ],
)
def test_urls_lose_their_queries_whatever_their_field_is_called(text, left):
    scrubbed = scrub_event(Event("e", "v", "a", 1, props={"href": text, "more": [text]}), frozenset({"utm_source"}))
    assert scrubbed.props == {"href": left, "more": [left]}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('"ip":"203.0.113.7"', '"ip":"[address]"'),
        ("from 2001:db8:1:2:3:4:5:6,", "from [address],"),
        ("2001:db8::7 ::1 fe80::", "[address] [address] [address]"),
        ("Chrome/120.0.0.0 at 12:30:45 a::b", "Chrome/120.0.0.0 at 12:30:45 [address]"),
    ],
)
def test_a_dead_letter_has_no_internet_address(text, left):
    assert dead_letter_text(text.encode()) == (left, False)
