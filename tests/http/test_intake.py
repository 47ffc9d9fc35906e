from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from streams.core.effects import Refusal
from streams.core.event import EVENT_BYTES_MAX, Refused, parse_event
from streams.errors import PayloadTooLargeError, RequestError
from streams.http.intake import Accepted, Arrival, read_event, split_body

NOW = 1_795_000_000_000  # 2026-11-18T11:06:40Z
HOUR = 3_600_000


def arrival(**changes: Any) -> Arrival:
    fields: dict[str, Any] = {
        "received": NOW, "sent_at": None, "minted": "minted-id", "refuses_tracking": False,
        "query_allowed": frozenset({"utm_source"}),
    }
    return Arrival(**{**fields, **changes})


def read(event: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The event as it would stand in the log; it must be one that the worker accepts."""
    raw = msgspec.json.encode({"id": "e", "visitor": "v", "type": "page_view", **event})
    result = read_event(raw, arrival(**changes))
    assert isinstance(result, Accepted), result
    parsed = parse_event(result.value)
    assert not isinstance(parsed, Refused), parsed
    assert parsed.visitor == result.visitor
    return msgspec.json.decode(result.value)


def refusal(raw: bytes) -> Refusal:
    result = read_event(raw, arrival())
    assert isinstance(result, Refused), result
    return result.reason


# --- times


@pytest.mark.parametrize(
    ("ts", "sent_at", "corrected"),
    [
        (None, None, NOW),  # says nothing: when it came
        (NOW - 5, None, NOW - 5),  # no clock given: taken at its word
        (NOW, None, NOW),
        (NOW + 1, None, NOW),  # never after it came
        (-1, None, 0),  # never before the epoch
        (NOW - HOUR - 5, NOW - HOUR, NOW - 5),  # a client whose clock is an hour slow
        (NOW + HOUR - 5, NOW + HOUR, NOW - 5),  # ... an hour fast
        (NOW - 5, NOW, NOW - 5),  # right already
        (NOW - HOUR, NOW - HOUR, NOW),  # sent at once
        (NOW - HOUR + 1, NOW - HOUR, NOW),  # happened after it was sent: cannot be
        (5, NOW + HOUR, 0),  # corrected to before the epoch
        (float(NOW - 5), None, NOW - 5),
        ("2026-11-18T11:06:40Z", None, NOW),
        ("2026-11-18T12:06:39.500+01:00", None, NOW - 500),
        ("2026-11-18T11:06:39", None, NOW - 1000),  # without a zone: UTC
    ],
)
def test_the_clients_clock_is_corrected(ts: Any, sent_at: int | None, corrected: int) -> None:
    event = {} if ts is None else {"ts": ts}
    assert read(event, sent_at=sent_at)["ts"] == corrected


@pytest.mark.parametrize("ts", [True, "yesterday", [1], {"ms": 1}, ""])
def test_a_ts_that_is_no_time_is_refused(ts: Any) -> None:
    assert refusal(msgspec.json.encode({"id": "e", "type": "t", "ts": ts})) == Refusal.SCHEMA


def test_received_is_the_collectors_word() -> None:
    assert read({"received": 17})["received"] == NOW


@pytest.mark.parametrize("name", ["sentAt", "sent_at"])
@pytest.mark.parametrize("value", [NOW - HOUR, "2026-11-18T10:06:40Z"])
def test_sent_at_stands_beside_the_events_or_in_a_single_one(name: str, value: Any) -> None:
    assert split_body(msgspec.json.encode({"events": [{}], name: value}), 500).sent_at == NOW - HOUR
    assert split_body(msgspec.json.encode({"id": "e", name: value}), 500).sent_at == NOW - HOUR


def test_a_sent_at_that_is_no_time_corrects_nothing() -> None:
    assert split_body(b'{"events": [{}], "sentAt": "soon"}', 500).sent_at is None


# --- who


def test_an_event_without_visitor_gets_the_minted_one() -> None:
    for event in ({"visitor": None}, {}):
        result = read_event(msgspec.json.encode({"id": "e", "type": "t", **event}), arrival())
        assert isinstance(result, Accepted)
        assert result.visitor == "minted-id"


def test_an_empty_visitor_is_not_a_missing_one() -> None:
    assert refusal(b'{"id":"e","type":"t","visitor":""}') == Refusal.SCHEMA


def test_a_browser_that_refuses_tracking_overrules_the_sites_consent() -> None:
    kept = read({"context": {"consent": "granted", "device": "mobile"}}, refuses_tracking=True)
    assert kept["context"] == {"consent": False}


# --- what is kept


def test_unknown_fields_are_kept() -> None:
    assert read({"experiment": {"a": [1, "x"]}, "n": None})["experiment"] == {"a": [1, "x"]}


def test_personal_data_is_masked_everywhere() -> None:
    kept = read({
        "page": {"url": "https://shop.example/a?email=jo@example.com&utm_source=mail#top"},
        "props": {"query": "refund for jo@example.com"},
        "note": {"deep": ["call +49 30 123456"]},
    })
    assert kept["page"]["url"] == "https://shop.example/a?utm_source=mail"
    assert kept["props"]["query"] == "refund for [email]"
    assert kept["note"]["deep"] == ["call [phone]"]


def test_the_clock_fields_are_used_up() -> None:
    assert not read({"sentAt": NOW, "sent_at": NOW}).keys() & {"sentAt", "sent_at"}


# --- refusals


def nested(depth: int) -> bytes:
    return b'{"id":"e","type":"t","visitor":"v","props":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Refusal.NOT_JSON),
        (b"NaN", Refusal.NOT_JSON),
        (b'{"id":"e","type":"t","props":{"x":NaN}}', Refusal.NOT_JSON),
        (b'{"id":"e","type":"t","props":{"x":"\xff"}}', Refusal.NOT_UTF8),
        (b"[]", Refusal.SCHEMA),
        (b'"text"', Refusal.SCHEMA),
        (b"null", Refusal.SCHEMA),
        (b"{}", Refusal.SCHEMA),
        (b'{"type":"t"}', Refusal.SCHEMA),
        (b'{"id":"e"}', Refusal.SCHEMA),
        (b'{"id":7,"type":"t"}', Refusal.SCHEMA),
        (b'{"id":"","type":"t"}', Refusal.SCHEMA),
        (b'{"id":"' + b"x" * 65 + b'","type":"t"}', Refusal.SCHEMA),
        (b'{"id":"e","type":"t","props":[]}', Refusal.SCHEMA),
        (b'{"id":"e","type":"Page View"}', Refusal.BAD_TYPE),
        (b'{"id":"e","type":"t","props":{"x":"' + b"x" * 2049 + b'"}}', Refusal.STRING_TOO_LONG),
        (b'{"id":"e","type":"t","unknown":"' + b"x" * 2049 + b'"}', Refusal.STRING_TOO_LONG),
        (nested(8), Refusal.TOO_DEEP),
        (nested(2500), Refusal.TOO_DEEP),
        (nested(7).replace(b"props", b"other"), Refusal.TOO_DEEP),
    ],
)
def test_each_defect_has_its_reason(raw: bytes, reason: Refusal) -> None:
    assert refusal(raw) == reason


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_the_size_limit_holds_for_what_arrives(excess: int) -> None:
    frame = b'{"id":"e","type":"t","visitor":"v","ts":1,"props":{}}'
    raw = frame + b" " * (EVENT_BYTES_MAX - len(frame) + excess)
    assert isinstance(read_event(raw, arrival()), Accepted if excess <= 0 else Refused)


def test_the_size_limit_holds_for_what_is_kept_too() -> None:
    frame = b'{"id":"e","type":"t","visitor":"v","ts":1,"p":{}}'
    filling = ",".join(f'"{n}":"{"x" * 2000}"' for n in range(8)).encode()
    rest = b',"r":"' + b"x" * (EVENT_BYTES_MAX - len(frame) - len(filling) - 7) + b'"'
    raw = frame.replace(b"{}", b"{" + filling + rest + b"}")
    assert len(raw) == EVENT_BYTES_MAX
    assert refusal(raw) == Refusal.TOO_LARGE


# --- bodies


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b'{"id":"e"}', 1), (b' [ {"id":"e"}, 2 ]', 2), (b'{"events":[]}', 0), (b"[]", 0),
        (b'{"batch":"x","events":[{"id":"e"},null,"x"]}', 3),
    ],
)
def test_the_three_forms_of_a_body(body: bytes, count: int) -> None:
    assert len(split_body(body, 500).events) == count


@pytest.mark.parametrize(
    "body", [b"", b"x", b'"x"', b"7", b'{"events":{}}', b'{"events":7}', b"[1", b"\xff\xfe", b"{" * 9]
)
def test_other_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        split_body(body, 500)


@pytest.mark.parametrize(("count", "allowed"), [(2, True), (3, True), (4, False)])
def test_the_number_of_events_is_limited(count: int, allowed: bool) -> None:
    body = msgspec.json.encode([{}] * count)
    if allowed:
        assert len(split_body(body, 3).events) == count
    else:
        with pytest.raises(PayloadTooLargeError):
            split_body(body, 3)


def test_one_broken_event_does_not_take_the_list_with_it() -> None:
    deep = b"[" * 5000 + b"]" * 5000
    body = b'{"events":[{"id":"a"}, {"id":"b","x":NaN}, ' + deep + b', {"id":"c","t":"],}{\\"["}],"sentAt":1}'
    split = split_body(body, 500)
    assert split.events == [b'{"id":"a"}', b'{"id":"b","x":NaN}', deep, b'{"id":"c","t":"],}{\\"["}']
    assert split.sent_at == 1


def test_a_list_inside_a_broken_event_is_not_the_bodys_list() -> None:
    with pytest.raises(RequestError):
        split_body(b'{"id":"e","props":{"events":[NaN]}}', 500)


def test_infinity_is_not_a_number_here() -> None:
    assert math.isinf(float("1e999"))
    assert refusal(b'{"id":"e","type":"t","ts":1e999}') in (Refusal.NOT_JSON, Refusal.SCHEMA)
