"""Outcomes from lists: what becomes an event, what is refused where, the same list twice."""

from __future__ import annotations

import asyncio
import csv
import gzip
from pathlib import Path
from typing import Any

import msgspec
import polars
import pytest

from streams.backtest.command import Columns
from streams.cli import main
from streams.core.definition import Amount
from streams.core.effects import EventResult
from streams.core.event import encode_event, parse_event
from streams.embedded.topics import create_topics
from streams.errors import BrokerUnavailableError
from streams.outcomes_import import read_outcomes, send_outcomes
from streams.replay import ReplayError
from streams.settings import Settings
from tests.core.build import DAY, HOUR, T0, Log, compiled, count, event, outcome, rule
from tests.http.support import read_topic

NOW = T0 + 2 * DAY
RULES = compiled(
    rule(event("a"), prevents="call"),
    outcomes=[
        outcome("call", event("phone_call"), amount=Amount(of="props.minutes", times=1.5)),
        outcome("often", count("chat_opened", at_least=2)),
    ],
)
CALLS: list[dict[str, Any]] = [
    {"id": "c1", "visitor": "v", "type": "phone_call", "ts": T0 + HOUR, "props": {"minutes": 7}},
    {"id": "c2", "visitor": "w", "type": "phone_call", "ts": T0 + DAY, "props": {"minutes": 2}},
]


def listed(path: Path, *rows: Any) -> Path:
    path.write_bytes(b"".join((row if isinstance(row, bytes) else msgspec.json.encode(row)) + b"\n" for row in rows))
    return path


def read(*paths: Path, columns: Columns | None = None, now: int = NOW) -> Any:
    return read_outcomes(paths, (columns or Columns()).options(), RULES, now)


def test_rows_become_reports(tmp_path: Path) -> None:
    events, result = read(listed(tmp_path / "calls.jsonl", *CALLS))
    assert [(one.visitor, one.type, one.ts, one.session) for one in events] == [
        ("v", "phone_call", T0 + HOUR, None), ("w", "phone_call", T0 + DAY, None),
    ]  # fmt: skip
    assert all(one.context == {"source": "report"} for one in events)
    assert [type(parse_event(encode_event(one))).__name__ for one in events] == ["Event", "Event"]
    assert (result.rows, result.visitors, result.by_type, result.refused) == (2, 2, {"phone_call": 2}, 0)


def test_what_is_refused_is_said_with_its_line_and_the_others_go_on(tmp_path: Path) -> None:
    call = CALLS[0]
    path = listed(
        tmp_path / "calls.jsonl", call, b"", b"{", {**call, "visitor": None}, {**call, "type": "chat_opened"},
        {**call, "ts": NOW - 3 * DAY - 1}, {**call, "ts": NOW + DAY}, CALLS[1],
    )  # fmt: skip
    events, result = read(path)
    assert [one.visitor for one in events] == ["v", "w"]
    assert result.refused == 5
    said = [line.removeprefix(f"{path}:").partition(": ") for line in result.lines]
    assert [number for number, _, _ in said] == ["3", "4", "5", "6", "7"]
    assert [word in why for word, (_, _, why) in zip(
        ("JSON", "visitor", "no outcome happens by an event `chat_opened` alone", "AVERT_OUTCOME_DELAY_MS", "future"),
        said, strict=True,
    )] == [True] * 5  # fmt: skip


@pytest.mark.parametrize(("age_ms", "refused"), [(3 * DAY - 1, 0), (3 * DAY, 0), (3 * DAY + 1, 1)])
def test_the_oldest_that_is_counted(tmp_path: Path, age_ms: int, refused: int) -> None:
    assert read(listed(tmp_path / "c.jsonl", {**CALLS[0], "ts": NOW - age_ms}))[1].refused == refused


def test_ids_are_the_rows_own_or_the_row_itself(tmp_path: Path) -> None:
    nameless = {name: value for name, value in CALLS[0].items() if name != "id"}
    first, _ = read(listed(tmp_path / "a.jsonl", CALLS[0], nameless))
    again, _ = read(listed(tmp_path / "b.jsonl", nameless, {**CALLS[0], "props": {"minutes": 8}}))
    assert {one.id for one in again} == {one.id for one in first}
    assert len({one.id for one in first}) == 2
    assert all(one.id.startswith("report-") and len(one.id) <= 64 for one in first)


def test_rows_that_are_alike_are_one(tmp_path: Path) -> None:
    events, result = read(listed(tmp_path / "a.jsonl", CALLS[0], CALLS[0]), listed(tmp_path / "b.jsonl", CALLS[0]))
    assert (len(events), result.repeated) == (1, 2)


def test_csv_and_parquet_with_columns_of_their_own(tmp_path: Path) -> None:
    rows = [{"who": "v", "when": "2023-11-14T23:13:20Z", "min": 7}, {"who": "w", "when": "no time", "min": 2}]
    with (tmp_path / "calls.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["who", "when", "min"])
        writer.writeheader()
        writer.writerows(rows)
    polars.DataFrame(rows).write_parquet(tmp_path / "calls.parquet")
    columns = Columns(
        columns={"visitor": "who", "ts": "when", "props.minutes": "min"}, default_type="phone_call"
    )
    for name, line in (("calls.csv", 3), ("calls.parquet", 2)):
        events, result = read(tmp_path / name, columns=columns)
        assert [(one.visitor, one.type, one.ts, one.props) for one in events] == [
            ("v", "phone_call", T0 + HOUR, {"minutes": 7})
        ]
        assert result.lines[0].startswith(f"{tmp_path / name}:{line}: ")


def test_a_packed_list_is_read_and_a_torn_one_refused(tmp_path: Path) -> None:
    packed = gzip.compress(msgspec.json.encode(CALLS[0]) + b"\n")
    (tmp_path / "calls.jsonl.gz").write_bytes(packed)
    assert len(read(tmp_path / "calls.jsonl.gz")[0]) == 1
    (tmp_path / "torn.jsonl.gz").write_bytes(packed[:-9])
    with pytest.raises(ReplayError, match="torn"):
        read(tmp_path / "torn.jsonl.gz")


def test_a_list_that_is_imported_twice_counts_once(tmp_path: Path) -> None:
    (call, *_), _ = read(listed(tmp_path / "calls.jsonl", *CALLS))
    log = Log(RULES).add(0, "a")
    for at in (2 * DAY, 2 * DAY + HOUR):
        log.add(at, call.type, name=call.id, ts=call.ts - T0, props=call.props, context=call.context)
    assert log.results[1:] == [EventResult.REPORTED, EventResult.DUPLICATE]
    assert [(record.amount, len(record.exposures)) for record in log.outcomes] == [(10.5, 1)]


async def test_events_arrive_by_visitor(broker: str, unique: str, tmp_path: Path) -> None:
    settings = Settings(kafka_bootstrap=broker, app_id=unique, topic_prefix=unique + "-", partitions=2)
    await create_topics(settings)
    events, _ = read(listed(tmp_path / "calls.jsonl", *CALLS))
    told: list[int] = []
    await send_outcomes(events, settings, told.append)
    records = await read_topic(settings, "clickstream")
    assert {record.key for record in records} == {b"v", b"w"}
    assert {parse_event(record.value).id for record in records} == {one.id for one in events}
    assert told == [2]


async def test_without_a_broker_it_says_that_the_list_may_come_again(tmp_path: Path) -> None:
    events, _ = read(listed(tmp_path / "calls.jsonl", *CALLS))
    with pytest.raises(BrokerUnavailableError, match="again"):
        await asyncio.wait_for(send_outcomes(events, Settings(kafka_bootstrap="127.0.0.1:1"), lambda _: None), 30)


def test_the_command_looks_without_sending(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = listed(tmp_path / "calls.jsonl", CALLS[0])
    code = main(["outcomes", "import", str(old), "--rules", "rules", "--dry-run", "--json"])
    said = msgspec.json.decode(capsys.readouterr().out)
    assert (code, said["rows"], said["sent"], said["refused"], said["dry_run"]) == (1, 1, 0, 1, True)
