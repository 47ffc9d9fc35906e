"""Shards: all events of a visitor in one, in the order in which they were recorded."""

from __future__ import annotations

from pathlib import Path

from streams.backtest.shards import ShardFiles, group
from streams.core.event import Event

EVENTS = [Event(id=f"e{number}", visitor=f"v{number % 7}", type="a", ts=number) for number in range(100)]
SHARDS = 3


def test_the_shards_have_every_visitor_once_with_its_events_in_order(tmp_path: Path) -> None:
    ShardFiles(tmp_path, SHARDS).write(1, EVENTS[50:])
    ShardFiles(tmp_path, SHARDS).write(0, EVENTS[:50])
    read = [ShardFiles(tmp_path, SHARDS).read(shard) for shard in range(SHARDS)]
    visitors: dict[str, list[Event]] = {}
    group(EVENTS, visitors)
    assert sum(map(len, read)) == len(visitors)
    assert {name: events for shard in read for name, events in shard.items()} == visitors


def test_what_is_written_in_several_frames_is_read_as_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("streams.backtest.shards._HELD_EVENTS_MAX", 10)
    files = ShardFiles(tmp_path, 1)
    files.write(0, EVENTS)
    assert sum(map(len, files.read(0).values())) == len(EVENTS)


def test_a_shard_that_is_forgotten_takes_no_room_and_the_others_stay(tmp_path: Path) -> None:
    files = ShardFiles(tmp_path, SHARDS)
    files.write(0, EVENTS)
    kept = files.read(1)
    files.forget(0)
    assert (files.read(0), files.read(1)) == ({}, kept)
    assert kept
