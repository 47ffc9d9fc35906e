"""However a recording is stored, and however many processes read it: the same result."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.backtest.interest import Interest
from streams.backtest.lines import event_maker
from streams.backtest.recordings import parts_of
from streams.backtest.run import Result
from streams.backtest.tables import quick_rows, rows_of
from streams.core.event import Event
from streams.embedded.recorded_shop import OPTIONS, RECORDING
from streams.replay import ReplayError, ReplayOptions, event_of_row
from tests.backtest.support import MINUTE, T0, result_of, rule, rules_dir
from tests.core import build

TYPES = ("search", "page_view", "help", "chat_opened", "purchase", "add_to_cart", "noise", "noise2")


def rows(number: int = 1500, seed: int = 1) -> list[dict[str, Any]]:
    """A shop's log with ties, several sessions a visitor, e-mail addresses, and lines that cannot be events."""
    chance = random.Random(seed)
    made: list[dict[str, Any]] = []
    for index in range(number):
        kind = chance.choice(TYPES)
        props = {"results": chance.randrange(3), "query": chance.choice(["refund", "a@b.co", "007"]), "total": 12.5}
        row = {
            "id": f"e{index}", "visitor": f"v{chance.randrange(40)}", "type": kind,
            "ts": T0 + chance.randrange(600) * MINUTE // 2, "path": f"/p/{chance.randrange(3)}?x=1",
            "props": {name: value for name, value in props.items() if chance.random() < 0.7},
        }  # fmt: skip
        if index % 100 == 7:
            row["visitor"] = None  # cannot be an event
        made.append(row)
    return made


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return rules_dir(
        tmp_path / "rules",
        rule("dead-end", "{count: {event: search, where: {results: 0}}, at_least: 2, within: 1h}"),
        rule("buyer", "{sequence: [{event: search}, {event: add_to_cart}], within: 2h}", target="promotes: purchase"),
        rule("silent", "{missing: {event: purchase}, after: {event: help}, for: 10m}", limit=1),
        rule("typed", '{event: search, where: {query: "007"}}', mode="shadow"),
    )


def write_jsonl(path: Path, lines: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def write_csv(path: Path, lines: list[dict[str, Any]]) -> Path:
    frame = pl.DataFrame([{**row, "props": json.dumps(row["props"])} for row in lines], infer_schema_length=None)
    text = frame.write_csv().encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def flat(lines: list[dict[str, Any]]) -> pl.DataFrame:
    made = []
    for row in lines:
        props = {f"props.{name}": row["props"].get(name) for name in ("results", "query", "total")}
        made.append({**{name: value for name, value in row.items() if name != "props"}, **props})
    return pl.DataFrame(made, infer_schema_length=None)


def write_flat_csv(path: Path, lines: list[dict[str, Any]]) -> Path:
    flat(lines).write_csv(path)
    return path


def write_flat_parquet(path: Path, lines: list[dict[str, Any]]) -> Path:
    flat(lines).with_columns(pl.from_epoch("ts", time_unit="ms")).write_parquet(path)
    return path


def write_zoned_parquet(path: Path, lines: list[dict[str, Any]]) -> Path:
    time = pl.from_epoch("ts", time_unit="ms").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Rome")
    flat(lines).with_columns(time).write_parquet(path)
    return path


def write_parquet(path: Path, lines: list[dict[str, Any]]) -> Path:
    pl.DataFrame(lines, infer_schema_length=None).write_parquet(path)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def numbers(result: Result) -> Any:
    """Everything but the names of the files, and the numbers of bad lines (a CSV's head is its line 1)."""
    bad = [(file.bad, file.lines, [why for _, why in file.bad_lines]) for file in result.files]
    return bad, msgspec.to_builtins(result.tallies), result.first_ts, result.last_ts


FORMATS = {
    "log.jsonl.gz": write_jsonl, "log.csv": write_csv, "log.csv.gz": write_csv, "log.parquet": write_parquet,
    "log.parquet.gz": write_parquet, "flat.csv": write_flat_csv, "flat.parquet": write_flat_parquet,
    "zoned.parquet": write_zoned_parquet,
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same(tmp_path: Path, rules: Path, name: str) -> None:
    lines = rows()
    expected = result_of(rules, write_jsonl(tmp_path / "log.jsonl", lines))
    assert expected.files[0].bad == 15
    assert all(found.alarms for found in expected.tallies[0].rules.values())
    assert numbers(result_of(rules, FORMATS[name](tmp_path / name, lines))) == numbers(expected)


CELLS = st.none() | st.sampled_from(
    ["", "v", "a b", "007", "1.5", "true", "null", '{"n": 1}', '{"q": "a@b.co"}', "{", "[1]", '{"n": 1e400}', "x" * 800,
     "1700000000000", "1700000000", "2022-10-25T07:49:55Z", "+39 333 1234567", "/p?x=1", "?a=", "#a", "?",
     '{"consent": false}',
     '{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}', "!!"]
)  # fmt: skip
COLUMNS = [
    "visitor", "ts", "type", "id", "session", "path", "props", "page", "context", "props.n", "page.q", "more.n",
    "props.ip", "page.url", "context.clientIp",
]  # fmt: skip

USUAL = {
    "visitor": st.just("v") | CELLS, "type": st.just("search") | CELLS, "id": st.none() | st.just("i") | CELLS,
    "ts": st.sampled_from(["1700000000000", "1700000000"]) | CELLS,
}  # fmt: skip


@pytest.mark.parametrize("cell", ["", "{", "[1]", "x"])
def test_a_column_props_that_is_not_asked_for_may_hold_anything(cell: str) -> None:
    frame = pl.DataFrame([{"visitor": "v", "ts": "1700000000000", "type": "a", "props": cell, "more": '{"n": 1}'}])
    (row,) = rows_of(frame, ReplayOptions(props="more"), text=True)
    assert not isinstance(row, str)
    made = event_of_row(row, b"id", 1, ReplayOptions(props="more"))
    assert isinstance(made, Event)
    assert made.props == {"n": 1}


@given(
    st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, CELLS) | USUAL), min_size=1, max_size=4),
    st.sets(st.sampled_from(COLUMNS[2:])),
    st.sampled_from(["props", "more"]),
    st.booleans(),
)
def test_quick_rows_are_those_of_the_long_way(
    cells: list[dict[str, Any]], absent: set[str], props: str, text: bool
) -> None:
    kept = {name: pl.String for name in COLUMNS if name not in absent}
    frame = pl.DataFrame([{name: row[name] for name in kept} for row in cells], schema=kept)
    options = ReplayOptions(props=props)
    everything = Interest([build.compiled(build.event("*", build.where("page.path", "eq", "context.")))])
    make = event_maker(options, everything)
    quick = quick_rows(frame, options, text=text)
    assert quick is not None
    for line, row in zip(quick, rows_of(frame, options, text=text), strict=True):
        made = make(line, b"id") if line is not None else None
        if made is not None:
            assert not isinstance(row, str)
            assert made == event_of_row(row, b"id", 1, options)


@pytest.mark.parametrize(
    "resources",
    [{"processes": 2}, {"processes": 2, "part_bytes": 5000}, {"in_memory_bytes": 0, "part_bytes": 777}],
    ids=["two processes", "two processes and many parts", "one process through files"],
)
def test_resources_change_nothing(tmp_path: Path, rules: Path, resources: dict[str, Any]) -> None:
    one, other = (write_jsonl(tmp_path / f"{seed}.jsonl", rows(seed=seed)) for seed in (1, 2))
    expected = result_of(rules, one, other)
    found = result_of(rules, one, other, **resources)
    assert msgspec.to_builtins(found) == msgspec.to_builtins(expected)


def test_two_files_are_one_recording(tmp_path: Path, rules: Path) -> None:
    lines = rows()
    whole = result_of(rules, write_jsonl(tmp_path / "whole.jsonl", lines))
    halves = [write_jsonl(tmp_path / f"{n}.jsonl", lines[n * 750 : (n + 1) * 750]) for n in range(2)]
    assert numbers(result_of(rules, *halves))[1:] == numbers(whole)[1:]


@pytest.mark.parametrize("part_bytes", [1, 64, 200, 10_000])
def test_parts_have_every_line_once(tmp_path: Path, rules: Path, part_bytes: int) -> None:
    path = write_jsonl(tmp_path / "log.jsonl", rows(40))
    whole = result_of(rules, path)
    assert len(parts_of([path], part_bytes)) >= (1 if part_bytes >= path.stat().st_size else 2)
    found = result_of(rules, path, part_bytes=part_bytes)
    assert numbers(found) == numbers(whole)
    assert found.files[0].bad_lines == whole.files[0].bad_lines == [(8, "no visitor in column `visitor`")]


def test_the_recorded_shop(tmp_path: Path) -> None:
    """Snowplow's own count of abandoned carts, through the backtest: 63 sessions, 11 with one."""
    result = result_of(RECORDING.parent / "rules", RECORDING, mapping=OPTIONS)
    tally = result.tallies[0]
    expected = json.loads((RECORDING.parent / "expected_sessions.json").read_text())
    abandoned = sum(row["session_cart_abandoned"] is True for row in expected)
    assert tally.sessions == len(expected)
    assert tally.outcomes["session_cart_abandoned"].sessions == abandoned


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("log.txt", b"", "is .jsonl, .csv or .parquet"),
        ("log.jsonl.gz", b"no gzip", "log.jsonl.gz"),
        ("log.csv.gz", b"no gzip", "log.csv.gz"),
        ("log.parquet", b"no parquet", "log.parquet"),
        ("log.csv", b"", "log.csv"),
    ],
)
def test_a_file_that_is_no_recording(tmp_path: Path, rules: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReplayError, match=says):
        result_of(rules, tmp_path / name)


def test_a_file_that_is_not_there(tmp_path: Path, rules: Path) -> None:
    with pytest.raises(ReplayError, match="No such file"):
        result_of(rules, tmp_path / "log.jsonl")
