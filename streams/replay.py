"""Recorded events into Kafka: JSON lines in (plain or .gz), the clickstream out, at a chosen speed.

1. Every line is read and mapped to an event; what cannot be one is counted with its line number and left out.
2. The events are put in the order of their time.
3. They are sent with their own time as the record's timestamp and the header ``avert-clock: log``, so that a
   partition's clock follows the recording and not the wall.
4. One ``avert-clock: advance`` record a partition moves its clock past the last session's end.

A partition's clock never goes back: replay into a pipeline of its own (`app_id`, `topic_prefix`), or before any
live event.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.core.event import EVENT_BYTES_MAX, Event, Refused, check_event, encode_event, scrub_event
from streams.errors import AvertError, BrokerUnavailableError
from streams.settings import Settings

EVENTS_MAX = 2_000_000  # kept in memory to be put in order: about 1 GB; longer recordings are replayed in parts
BAD_LINES_SHOWN_MAX = 20
LINE_BYTES_MAX = 1024 * 1024
UNACKNOWLEDGED_MAX = 5_000  # sends in flight: enough for whole record batches, little enough to stop soon
ADVANCE_BEYOND_MS = 60_000  # past the last session's timeout, so that also a tick at its very end is due
SECONDS_BELOW = 100_000_000_000  # a number below is seconds since the epoch (to the year 5138), else milliseconds
_TIME_MS_MAX = 1 << 62  # what a record's timestamp and a state row can hold
CLOCK_HEADER = "avert-clock"

TARGETS = ("id", "visitor", "session", "type", "ts", "path", "url", "referrer", "title")
# Python reads "1700011970000" as 19 January 1700; a date without dashes has eight digits and then a T.
_LONG_NUMBER = re.compile(r"\s*\d{9,}(\.\d*)?\s*\Z")
_NOT_IN_TYPE_NAMES = re.compile(r"[^a-z0-9_.]+")

Row = dict[str, Any]


class ReplayError(AvertError):
    """The recording cannot be read, or an option makes no sense for it."""

    reason = "replay"
    exit_code = 8


class ReplayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a recording's lines become events.

    `columns`: our field (one of TARGETS) -> their column, which may be a dotted path into objects (``props.path``).
    """

    columns: Mapping[str, str] = msgspec.field(default_factory=lambda: dict(zip(TARGETS, TARGETS, strict=True)))
    props: str = "props"  # the column that holds the object of props
    default_type: str = "page_view"  # of lines whose type is null
    rename: Mapping[str, str] = {}  # their type name, sanitised -> ours
    adapt: Callable[[Row], Row | None] | None = None  # a known recording's own peculiarities; None leaves the line out
    speed: float = 0.0  # times real time; 0: as fast as possible


def with_columns(
    options: ReplayOptions,
    columns: Mapping[str, str],
    rename: Mapping[str, str],
    props: str | None,
    default_type: str,
    speed: float,
) -> ReplayOptions:
    """`options` with what was said on the command line. Raises ReplayError for a field that an event does not have."""
    for name in columns:
        if name not in TARGETS:
            raise ReplayError(f"an event has no field {name!r}; a column can be mapped to: {', '.join(TARGETS)}")
    if speed < 0:
        raise ReplayError("the speed cannot be negative")
    return msgspec.structs.replace(
        options,
        columns={**options.columns, **columns},
        rename={**options.rename, **rename},
        props=props or options.props,
        default_type=type_name(default_type),
        speed=speed,
    )


class BadLine(NamedTuple):
    """A line that cannot be an event, counted from 1, and why."""

    number: int
    why: str


class Recording(NamedTuple):
    """The events in the order of their time, and what was wrong with the other lines."""

    events: list[Event]
    bad_lines: list[BadLine]  # the first BAD_LINES_SHOWN_MAX
    bad_count: int
    left_out: int


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent."""

    sent: int
    visitors: int
    bad: int
    left_out: int
    first_ts: int | None
    last_ts: int | None
    seconds: float
    bad_lines: list[str]


# --- reading ---------------------------------------------------------------------------------------------------


def read_recording(path: Path, options: ReplayOptions) -> Recording:
    """Read and order the whole recording. Raises ReplayError when the file itself cannot be read."""
    events: list[Event] = []
    bad_lines: list[BadLine] = []
    bad_count = left_out = 0
    for number, line in _lines(path):
        made = event_of_line(line, number, options)
        if made is None:
            left_out += 1
        elif isinstance(made, BadLine):
            bad_count += 1
            if len(bad_lines) < BAD_LINES_SHOWN_MAX:
                bad_lines.append(made)
        else:
            events.append(made)
            if len(events) > EVENTS_MAX:
                raise ReplayError(f"{path}: more than {EVENTS_MAX:,} events; split the file by time")
    events.sort(key=lambda event: event.ts)  # stable: equal times keep the file's order
    return Recording(events, bad_lines, bad_count, left_out)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError) as error:
        raise ReplayError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def event_of_line(line: bytes, number: int, options: ReplayOptions) -> Event | BadLine | None:
    """One line as an event; None when the recording's adapter leaves it out."""
    if len(line) > LINE_BYTES_MAX:
        return BadLine(number, f"{len(line)} bytes; at most {LINE_BYTES_MAX}")
    try:
        # Python's own reader: it alone takes the NaN that pandas writes, read here as null.
        row = json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        return BadLine(number, f"not JSON: {error}")
    if not isinstance(row, dict):
        return BadLine(number, "not a JSON object")
    return event_of_row(row, line, number, options)


def event_of_row(row: Row, line: bytes, number: int, options: ReplayOptions) -> Event | BadLine | None:
    """One row as an event; `line` is what an id is made from where there is none. None: the adapter leaves it out."""
    adapted = options.adapt(row) if options.adapt else row
    if adapted is None:
        return None
    try:
        event = _event_of_row(adapted, line, options)
        refused = check_event(event)
        # Half a surrogate pair, or an integer beyond 64 bits, shows when it is written.
        too_large = refused is None and len(encode_event(event)) > EVENT_BYTES_MAX
    except (ValueError, TypeError, OverflowError) as error:
        return BadLine(number, str(error))
    if too_large:
        return BadLine(number, f"more than {EVENT_BYTES_MAX} bytes as an event")
    return BadLine(number, refused.detail) if isinstance(refused, Refused) else scrub_event(event, frozenset())


def _event_of_row(row: Row, line: bytes, options: ReplayOptions) -> Event:
    found = {target: column_of(row, options.columns[target]) for target in TARGETS if target in options.columns}
    if found.get("visitor") is None:
        raise ValueError(f"no visitor in column `{options.columns.get('visitor', 'visitor')}`")
    if found.get("ts") is None:
        raise ValueError(f"no time in column `{options.columns.get('ts', 'ts')}`")
    props = column_of(row, options.props)
    if props is not None and not isinstance(props, dict):
        raise TypeError(f"column `{options.props}` is not an object")
    name = type_name(found["type"]) if found.get("type") is not None else options.default_type
    page = dict(_object(row, "page"))  # an exported event of ours has it as an object
    page.update((key, str(found[key])) for key in ("path", "url", "referrer", "title") if found.get(key) is not None)
    session = found.get("session")
    return Event(
        # Without an id of its own a line gets one from its bytes: replayed twice, it is a duplicate.
        id=str(found["id"]) if found.get("id") is not None else hashlib.blake2b(line, digest_size=16).hexdigest(),
        visitor=str(found["visitor"]),
        type=options.rename.get(name, name),
        ts=epoch_ms(found["ts"]),
        session=None if session is None else str(session),
        page=page,
        props=props or {},
        context=_object(row, "context"),  # consent stands in it
    )


def _object(row: Row, name: str) -> Row:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def column_of(row: Row, path: str) -> Any:
    """The value of a column, or at a dotted path into objects; None when there is none."""
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def type_name(text: object) -> str:
    """An event type within the alphabet: ``Product Viewed`` is ``product_viewed``. ValueError when nothing is left."""
    name = _NOT_IN_TYPE_NAMES.sub("_", str(text).strip().lower()).strip("_")[:64]
    if not name:
        raise ValueError(f"{str(text)[:40]!r} has no letter or digit that an event type may have")
    return name


def epoch_ms(value: object) -> int:
    """Milliseconds since the epoch of an ISO 8601 text (without a zone: UTC), or of seconds or milliseconds."""
    if isinstance(value, str):
        if _LONG_NUMBER.match(value):
            return _number_ms(_number(value))
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return _number_ms(_number(value))
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number_ms(value)
    raise TypeError(f"{value!r} is not a time")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a time (ISO 8601, or seconds or milliseconds)") from None


def _number_ms(number: float) -> int:
    if abs(number) >= _TIME_MS_MAX:
        raise ValueError(f"{number} is not a time (ISO 8601, or seconds or milliseconds)")
    return round(number * 1000 if abs(number) < SECONDS_BELOW else number)


# --- sending ---------------------------------------------------------------------------------------------------


async def replay(
    recording: Recording, settings: Settings, options: ReplayOptions, progress: Callable[[int], None] = lambda _: None
) -> ReplayResult:
    """Send the recording to the clickstream and await every acknowledgement. Raises BrokerUnavailableError.

    `progress` is told how many events have been handed over so far.
    """
    started = time.monotonic()
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, client_id=settings.app_id, acks="all", linger_ms=5,
        request_timeout_ms=int(settings.send_timeout_s * 1000),
    )
    try:
        await producer.start()
        await _send_all(producer, recording.events, settings, options.speed, progress)
        if recording.events:
            end = recording.events[-1].ts + settings.session_timeout_ms + ADVANCE_BEYOND_MS
            await advance_clocks(producer, settings.topic("clickstream"), end)
    except (KafkaError, OSError) as error:
        raise BrokerUnavailableError(f"{settings.kafka_bootstrap}: {error}") from error
    finally:
        await producer.stop()
    return ReplayResult(
        sent=len(recording.events),
        visitors=len({event.visitor for event in recording.events}),
        bad=recording.bad_count,
        left_out=recording.left_out,
        first_ts=recording.events[0].ts if recording.events else None,
        last_ts=recording.events[-1].ts if recording.events else None,
        seconds=round(time.monotonic() - started, 3),
        bad_lines=[f"line {bad.number}: {bad.why}" for bad in recording.bad_lines],
    )


async def _send_all(
    producer: AIOKafkaProducer,
    events: Sequence[Event],
    settings: Settings,
    speed: float,
    progress: Callable[[int], None],
) -> None:
    topic = settings.topic("clickstream")
    loop = asyncio.get_running_loop()
    started, waiting = loop.time(), deque[asyncio.Future[Any]]()
    for number, event in enumerate(events, 1):
        if speed > 0:
            due = started + (event.ts - events[0].ts) / 1000 / speed
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
        waiting.append(await producer.send(
            topic, encode_event(event), key=event.visitor.encode(), timestamp_ms=event.ts,
            headers=[(CLOCK_HEADER, b"log")],
        ))
        while len(waiting) >= UNACKNOWLEDGED_MAX:
            await waiting.popleft()
        progress(number)
    while waiting:
        await waiting.popleft()


async def advance_clocks(producer: AIOKafkaProducer, topic: str, to_ms: int) -> None:
    """Move the clock of every partition of `topic` to `to_ms`: what is due by then, a session's end too, happens."""
    partitions = await producer.partitions_for(topic)
    for partition in sorted(partitions):
        await producer.send_and_wait(
            topic, b"", key=b"", partition=partition, timestamp_ms=to_ms, headers=[(CLOCK_HEADER, b"advance")]
        )
