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

from streams.backtest.recordings import parts_of
from streams.backtest.run import Result
from streams.embedded.recorded_shop import OPTIONS, RECORDING
from streams.replay import ReplayError
from tests.backtest.support import MINUTE, T0, result_of, rule, rules_dir

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


def write_jsonl(path: Path, given: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in given).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def write_csv(path: Path, given: list[dict[str, Any]]) -> Path:
    frame = pl.DataFrame([{**row, "props": json.dumps(row["props"])} for row in given], infer_schema_length=None)
    text = frame.write_csv().encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def flat(given: list[dict[str, Any]]) -> pl.DataFrame:
    made = []
    for row in given:
        props = {f"props.{name}": row["props"].get(name) for name in ("results", "query", "total")}
        made.append({**{name: value for name, value in row.items() if name != "props"}, **props})
    return pl.DataFrame(made, infer_schema_length=None)


def write_flat_csv(path: Path, given: list[dict[str, Any]]) -> Path:
    flat(given).write_csv(path)
    return path


def write_flat_parquet(path: Path, given: list[dict[str, Any]]) -> Path:
    flat(given).with_columns(pl.from_epoch("ts", time_unit="ms")).write_parquet(path)
    return path


def write_parquet(path: Path, given: list[dict[str, Any]]) -> Path:
    pl.DataFrame(given, infer_schema_length=None).write_parquet(path)
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
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same(tmp_path: Path, rules: Path, name: str) -> None:
    given = rows()
    expected = result_of(rules, write_jsonl(tmp_path / "log.jsonl", given))
    assert expected.files[0].bad == 15
    assert all(found.alarms for found in expected.tallies[0].rules.values())
    assert numbers(result_of(rules, FORMATS[name](tmp_path / name, given))) == numbers(expected)


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
    given = rows()
    whole = result_of(rules, write_jsonl(tmp_path / "whole.jsonl", given))
    halves = [write_jsonl(tmp_path / f"{n}.jsonl", given[n * 750 : (n + 1) * 750]) for n in range(2)]
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
