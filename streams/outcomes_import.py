"""Outcomes that others know of, into the clickstream: a call centre's list of who rang, a shop's returns.

1. A row is a visitor, a time and what happened; its columns are mapped as those of any recording (JSON lines, CSV,
   Parquet). It becomes an event with the `context.source` ``report``: it counts for outcomes and for nothing else.
2. Refused, with its line: what cannot be an event; what no outcome of the rules listens to; what happened longer ago
   than AVERT_OUTCOME_DELAY_MS, since nobody could tell any more whether it has been counted; what lies in the future.
3. An event's id is made of the row's own id, or else of the row itself. A list that is imported again, whole or in
   part, by the same columns, therefore counts once. Two rows that are alike in everything are one.
4. Every row is read and looked at before the first is sent: a list that is interrupted is imported again.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.backtest.interest import Interest
from streams.backtest.lines import line_reader
from streams.backtest.recordings import kind_of
from streams.core.counted import REPORT
from streams.core.event import Event, encode_event
from streams.core.matcher import listens_to
from streams.core.ruleset import Ruleset
from streams.errors import BrokerUnavailableError
from streams.replay import BadLine, ReplayError, ReplayOptions
from streams.settings import Settings

ROWS_MAX = 2_000_000  # of one import; they are looked at before the first is sent
REFUSED_SHOWN_MAX = 100
AHEAD_MS_MAX = 60_000  # clocks differ a little; what is further ahead has a wrong time
_UNACKNOWLEDGED_MAX = 1_000


class ImportResult(msgspec.Struct, kw_only=True):
    """What became of the rows. `by_type`: of those that were (or would be) sent."""

    rows: int = 0
    sent: int = 0
    visitors: int = 0
    repeated: int = 0  # rows that are alike, or have one id
    refused: int = 0
    by_type: dict[str, int] = {}
    dry_run: bool = False
    lines: list[str] = []  # the first REFUSED_SHOWN_MAX of the refused, each with its file and line


def read_outcomes(
    paths: Sequence[Path], options: ReplayOptions, ruleset: Ruleset, now_ms: int
) -> tuple[list[Event], ImportResult]:
    """The events to send. Raises ReplayError when a file cannot be read or is too long."""
    result = ImportResult()
    events: dict[str, Event] = {}
    for path in paths:
        for number, made in _rows(path, options, Interest([ruleset])):
            result.rows += 1
            why = made.why if isinstance(made, BadLine) else _refusal(made, ruleset, now_ms)
            if why is not None:
                result.refused += 1
                if len(result.lines) < REFUSED_SHOWN_MAX:
                    result.lines.append(f"{path}:{number}: {why}")
            elif isinstance(made, Event):
                event = _reported(made)
                result.repeated += event.id in events
                events[event.id] = event
                if len(events) > ROWS_MAX:
                    raise ReplayError(f"more than {ROWS_MAX:,} outcomes; import the list in parts")
    found = list(events.values())
    result.by_type = dict(sorted(Counter(event.type for event in found).items()))
    result.visitors = len({event.visitor for event in found})
    return found, result


async def send_outcomes(events: Sequence[Event], settings: Settings, progress: Callable[[int], None]) -> None:
    """Send; return when all are acknowledged. Raises BrokerUnavailableError: import the list again then.

    `progress` is told how many have been acknowledged.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, client_id=settings.app_id, acks="all", linger_ms=5,
        request_timeout_ms=int(settings.send_timeout_s * 1000),
    )
    topic = settings.topic("clickstream")
    try:
        await producer.start()
        for start in range(0, len(events), _UNACKNOWLEDGED_MAX):
            some = events[start : start + _UNACKNOWLEDGED_MAX]
            for sent in [
                await producer.send(topic, encode_event(event), key=event.visitor.encode()) for event in some
            ]:
                await sent
            progress(start + len(some))
    except (KafkaError, OSError) as error:
        raise BrokerUnavailableError(
            f"{settings.kafka_bootstrap}: {error}; import the list again: what has arrived counts once"
        ) from error
    finally:
        await producer.stop()


def _rows(path: Path, options: ReplayOptions, interest: Interest) -> Iterator[tuple[int, Event | BadLine | None]]:
    """Each row with its line (of a Parquet file: its row), counted from 1."""
    kind = kind_of(path)
    if kind != "jsonl":
        from streams.backtest.tables import events_of_table  # noqa: PLC0415 - polars only where there is a table

        yield from enumerate(events_of_table(path, kind, options, interest), 2 if kind == "csv" else 1)
        return
    read = line_reader(options, interest)
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.isspace():
                    yield number, read(line, number)
    except (OSError, EOFError) as error:
        raise ReplayError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _refusal(event: Event | None, ruleset: Ruleset, now_ms: int) -> str | None:
    if event is None:
        return "left out by the format"
    heard = any(listens_to(matcher, event.type) for outcome in ruleset.outcomes for matcher, _ in outcome.direct)
    if not heard:
        return f"no outcome happens by an event `{event.type}` alone: see rules/outcomes.yaml, or map the type"
    if event.ts > now_ms + AHEAD_MS_MAX:
        return "its time lies in the future"
    delay_ms = ruleset.options.outcome_delay_ms
    if now_ms - event.ts > delay_ms:
        return f"it happened more than {delay_ms / 86_400_000:g} days ago (AVERT_OUTCOME_DELAY_MS)"
    return None


def _reported(event: Event) -> Event:
    """The event that tells of it. The id says from where: a site's own ids cannot meet it."""
    own = f"report\x1f{event.visitor}\x1f{event.type}\x1f{event.id}".encode("utf-8", "surrogatepass")
    return Event(
        id=f"report-{blake2b(own, digest_size=16).hexdigest()}",
        visitor=event.visitor,
        type=event.type,
        ts=event.ts,
        props=event.props,
        context={**event.context, "source": REPORT},
    )
