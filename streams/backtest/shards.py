"""Events in shards by their visitor: in memory, or in a folder's files, each shard small enough to be held.

A file has the events of one shard and of one writer, in frames: the length in 4 bytes (big endian), then a list of
events in MessagePack. Whoever reads a shard takes the writers' files in the order of their numbers: what comes at the
same moment keeps the order in which it was recorded, however many processes wrote.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import msgspec

from streams.core.event import Event

SHARDS_MAX = 512
_HELD_EVENTS_MAX = 50_000  # held before they are written
_FRAME_BYTES = 4


def group(events: Iterable[Event], visitors: dict[str, list[Event]]) -> None:
    """Put events with their visitors."""
    for event in events:
        found = visitors.get(event.visitor)
        if found is None:
            visitors[event.visitor] = [event]
        else:
            found.append(event)


class ShardFiles:
    """Events in `shards` shards, in files of `folder`."""

    def __init__(self, folder: Path, shards: int) -> None:
        self._folder = folder
        self._shards = shards
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[Event]).decode

    def write(self, writer: int, events: Iterable[Event]) -> None:
        """Add events to the files of this writer; nobody else has its number at the same time."""
        shards: list[list[Event]] = [[] for _ in range(self._shards)]
        held = 0
        for event in events:
            shards[crc32(event.visitor.encode()) % self._shards].append(event)
            held += 1
            if held >= _HELD_EVENTS_MAX:
                self._write(writer, shards)
                held = 0
        self._write(writer, shards)

    def _write(self, writer: int, shards: list[list[Event]]) -> None:
        for shard, events in enumerate(shards):
            if events:
                frame = self._encode(events)
                with (self._folder / f"{shard:04}-{writer:06}").open("ab") as file:
                    file.write(len(frame).to_bytes(_FRAME_BYTES, "big") + frame)
                events.clear()

    def read(self, shard: int) -> dict[str, list[Event]]:
        """The shard's visitors with their events."""
        visitors: dict[str, list[Event]] = {}
        for path in self._files(shard):
            with path.open("rb") as file:
                while head := file.read(_FRAME_BYTES):
                    group(self._decode(file.read(int.from_bytes(head, "big"))), visitors)
        return visitors

    def forget(self, shard: int) -> None:
        """Delete the shard's files."""
        for path in self._files(shard):
            path.unlink()

    def _files(self, shard: int) -> list[Path]:
        return sorted(self._folder.glob(f"{shard:04}-*"))
