"""Recorded events: how lines become events, what is refused, how they go out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.core.event import Event, parse_event
from streams.embedded.recorded_shop import OPTIONS, RECORDING
from streams.errors import BrokerUnavailableError
from streams.replay import (
    BadLine,
    Recording,
    ReplayError,
    ReplayOptions,
    epoch_ms,
    event_of_line,
    read_recording,
    replay,
    type_name,
)
from streams.settings import Settings

EXPECTED = json.loads((RECORDING.parent / "expected_sessions.json").read_text())
PLAIN = ReplayOptions()


def line(**columns: object) -> bytes:
    return json.dumps({"id": "1", "visitor": "v", "type": "search", "ts": 1_700_000_000_000} | columns).encode()


@pytest.mark.parametrize(
    ("given", "ms"),
    [
        ("2022-10-25 07:49:55.526000+00:00", 1666684195526),
        ("2022-10-25T07:49:55", 1666684195000),
        ("2022-10-25T09:49:55+02:00", 1666684195000),
        ("2022-10-25T07:49:55Z", 1666684195000),
        (1666684195, 1666684195000),
        (1666684195.526, 1666684195526),
        (1666684195526, 1666684195526),
        ("1666684195526", 1666684195526),
        ("1700011970000", 1700011970000),  # not a day of the year 1700
        ("1700011970.5", 1700011970500),
        ("20221025", 1666656000000),
        ("20221025T074955", 1666684195000),
    ],
)
def test_times(given: object, ms: int) -> None:
    assert epoch_ms(given) == ms


@pytest.mark.parametrize("given", ["yesterday", True, [], ""])
def test_what_is_not_a_time(given: object) -> None:
    with pytest.raises((ValueError, TypeError), match="is not a time"):
        epoch_ms(given)


@pytest.mark.parametrize(
    ("given", "name"),
    [("Product Viewed", "product_viewed"), ("a-b c", "a_b_c"), (" " + "x" * 90, "x" * 64), ("app.élan", "app._lan")],
)
def test_type_names_are_brought_into_the_alphabet(given: str, name: str) -> None:
    assert type_name(given) == name


def test_columns_are_mapped() -> None:
    options = ReplayOptions(
        columns={
            "id": "eid", "visitor": "user.id", "session": "sid", "type": "action", "ts": "when", "path": "extra.p",
        },
        props="extra",
    )
    raw = b'{"eid": 7, "user": {"id": "u"}, "sid": "s", "action": "Search", "when": 1700000000, "extra": {"p": "/a"}}'
    assert event_of_line(raw, 1, options) == Event(
        id="7", visitor="u", session="s", type="search", ts=1_700_000_000_000, page={"path": "/a"}, props={"p": "/a"}
    )


def test_type_that_is_null_is_named_by_the_default() -> None:
    assert event_of_line(line(type=None), 1, ReplayOptions(default_type="seen")).type == "seen"


def test_type_is_renamed_after_it_was_sanitised() -> None:
    options = ReplayOptions(rename={"order_placed": "purchase"})
    assert event_of_line(line(type="Order Placed"), 1, options).type == "purchase"


def test_line_without_an_id_gets_the_same_one_each_time() -> None:
    first, again = (event_of_line(line(id=None), number, PLAIN) for number in (1, 2))
    assert first.id == again.id != event_of_line(line(id=None, ts=1), 3, PLAIN).id


def test_personal_data_is_masked() -> None:
    assert event_of_line(line(props={"query": "me@example.com"}), 1, PLAIN).props == {"query": "[email]"}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"\xff\xff", "not JSON"),
        (line(visitor=None), "no visitor in column `visitor`"),
        (line(ts=None), "no time in column `ts`"),
        (line(ts="soon"), "'soon' is not a time"),
        (line(type="!!"), "has no letter or digit"),
        (line(props=[1]), "column `props` is not an object"),
        (line(visitor="v" * 129), "`visitor` has 129 characters"),
        (line(props={"a": "x" * 2049}), "`props.a` "),
        (line(props={str(n): "x" * 2000 for n in range(9)}), "more than 16384 bytes"),
        (b"[" * 100_000, "not JSON"),
        (b'"' + b"x" * 1024 * 1024 + b'"', "bytes; at most"),
    ],
)
def test_line_that_cannot_be_an_event(raw: bytes, why: str) -> None:
    refused = event_of_line(raw, 5, PLAIN)
    assert isinstance(refused, BadLine)
    assert refused.number == 5
    assert why in refused.why


def test_bad_lines_are_counted_and_stop_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join([line(id="1", ts=30), b"oops", b"", line(id="2", ts=20), *[b"?"] * 30]))
    recording = read_recording(path, PLAIN)
    assert [event.id for event in recording.events] == ["2", "1"]
    assert recording.bad_count == 31
    assert len(recording.bad_lines) == 20
    assert [bad.number for bad in recording.bad_lines][:2] == [2, 5]


def test_events_of_one_time_keep_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"\n".join(line(id=str(number)) for number in range(20)))
    assert [event.id for event in read_recording(path, PLAIN).events] == [str(number) for number in range(20)]


@pytest.mark.parametrize("content", [None, b"\x1f\x8b not gzip"])
def test_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "log.jsonl.gz"
    if content:
        path.write_bytes(content)
    with pytest.raises(ReplayError, match=r"log\.jsonl\.gz"):
        read_recording(path, PLAIN)


# --- the recorded shop -------------------------------------------------------------------------------------------


def test_recorded_shop_is_read_whole() -> None:
    recording = read_recording(RECORDING, OPTIONS)
    assert (len(recording.events), recording.bad_count, recording.left_out) == (833, 0, 1)
    assert {event.session for event in recording.events} == {row["domain_sessionid"] for row in EXPECTED}


def test_owners_rule_gives_the_owners_table() -> None:
    """The model itself, without an engine: fewer carts bought than created; null without any cart."""
    events = read_recording(RECORDING, OPTIONS).events
    for row in EXPECTED:
        session = [event for event in events if event.session == row["domain_sessionid"]]
        touched = any(event.type in ("add_to_cart", "remove_from_cart", "purchase") for event in session)
        created = sum(event.props.get("cart_created", False) for event in session)
        bought = sum(event.type == "purchase" for event in session)
        assert (bought < created if touched else None) == row["session_cart_abandoned"], row


# --- sending -----------------------------------------------------------------------------------------------------


async def consumed(broker: str, topic: str) -> list:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(3)])
    records = []
    while len(records) < sum(ends.values()):
        for batch in (await consumer.getmany(timeout_ms=500)).values():
            records += batch
    await consumer.stop()
    return records


async def sent(broker: str, unique: str, recording: Recording, **options: object) -> tuple[object, list]:
    settings = Settings(kafka_bootstrap=broker, topic_prefix=unique, partitions=3)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.create_topics([NewTopic(settings.topic("clickstream"), 3, 1)])
    await admin.close()
    result = await replay(recording, settings, ReplayOptions(**options))
    return result, await consumed(broker, settings.topic("clickstream"))


def visits(count: int, gap_ms: int = 10) -> Recording:
    start = 1_700_000_000_000
    events = [Event(id=str(n), visitor=f"v{n % 7}", type="search", ts=start + n * gap_ms) for n in range(count)]
    return Recording(events, [], 0, 0)


async def test_records_carry_the_events_own_time(broker: str, unique: str) -> None:
    recording = visits(100)
    result, records = await sent(broker, unique, recording)
    assert result.sent == 100
    logged = [record for record in records if record.headers == (("avert-clock", b"log"),)]
    assert sorted(int(parse_event(record.value).id) for record in logged) == list(range(100))
    assert all(record.timestamp == parse_event(record.value).ts for record in logged)
    assert all(record.key == parse_event(record.value).visitor.encode() for record in logged)


async def test_every_partition_is_told_that_the_recording_ended(broker: str, unique: str) -> None:
    recording = visits(10)
    _, records = await sent(broker, unique, recording)
    ends = [record for record in records if record.headers == (("avert-clock", b"advance"),)]
    assert sorted(record.partition for record in ends) == [0, 1, 2]
    assert {(record.key, record.value) for record in ends} == {(b"", b"")}
    assert {record.timestamp for record in ends} == {recording.events[-1].ts + 30 * 60_000 + 60_000}


async def test_chosen_speed_is_kept(broker: str, unique: str) -> None:
    result, _ = await sent(broker, unique, visits(11, gap_ms=1000), speed=20.0)
    assert result.seconds >= 0.5  # ten seconds, twenty times as fast


async def test_absent_broker_is_named() -> None:
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1"):
        await replay(visits(1), Settings(kafka_bootstrap="127.0.0.1:1"), PLAIN)
