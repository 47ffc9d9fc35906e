"""A visitor's state from its row: packing.py says what stands there.

A row may be damaged: what does not fit together raises, and nothing is read twice or without end.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streams.core.packing import (
    FAR,
    ID_DIGITS,
    KEY_BYTES,
    NEAR_BYTES,
    NEAR_START,
    VERSION_DIGITS,
    words,
)
from streams.core.session import MINUTE_MS, Exposure, History, LiveSuggestion, Session, State, Visitor

DEPTH_MAX: Final = 16  # lists in lists; conditions have three. A damaged row must not end in a full stack


def unpack_visitor(visitor: str, offset: int, due: int, read: Any) -> Visitor:
    """The state of what was packed; `read` has visitor.py's fields of a row.

    Raises msgspec.DecodeError, IndexError or struct.error when they do not fit together.
    """
    clock: int = read.clock
    texts: list[str] = read.texts
    reader = _Reader(_times(read.near, read.far, clock), texts)
    programme = reader.exposures(read.programme, b"")
    return Visitor(
        visitor, offset, due, clock, read.visits, read.recent,
        [_session(session, reader) for session in read.sessions],
        reader.exposures(read.exposures, read.versions),
        reader.live(read.live, read.ids),
        reader.history(read.history),
        programme[0] if programme else None,
        read.reported, read.unmeasured, clock // MINUTE_MS - read.minute, read.taken,
        {key: reader.states(codes, (key,))[key] for key, codes in read.journeys.items()},
    )  # fmt: skip


def _times(near: bytes, far: list[int], clock: int) -> list[Any]:
    count = len(near) // NEAR_BYTES
    if count * NEAR_BYTES != len(near):
        raise msgspec.DecodeError(f"{len(near)} bytes of times")
    lowest_first = bytearray(4 * count)
    lowest_first[::4] = near[:count]
    lowest_first[1::4] = near[count : 2 * count]
    lowest_first[2::4] = near[2 * count : 3 * count]
    unpacked: tuple[Any, ...] = words(count).unpack(lowest_first)
    start = clock - NEAR_START
    found: list[Any] = []
    distant = 0
    for entry in unpacked:
        word: int = entry
        if word < FAR:
            found.append(word + start)
        else:
            found.append(far[distant] + (clock if word == FAR else 0))
            distant += 1
    return found


def _session(read: Any, reader: _Reader) -> Session:
    fired: list[int] = read.fired
    timers: list[int] = read.timers
    packed: bytes = read.keys
    keys: tuple[Any, ...] = words(len(packed) // KEY_BYTES).unpack(packed)
    waiting = len(keys) - len(timers)
    counted = waiting - len(fired)
    holding = counted - read.holding
    if not 0 <= holding <= counted:
        raise msgspec.DecodeError(f"{len(keys)} keys of a session")
    name: Any = read.id
    if isinstance(name, bytes):
        name = name.hex()
    elif not isinstance(name, str):
        raise msgspec.DecodeError(f"an id of kind {type(name).__name__}")
    return Session(
        name, reader.number(read.start), reader.number(read.last),
        read.explicit, read.events, read.page_views, read.returning, read.entry_path, read.referrer_host, read.device,
        read.country, read.locale, read.campaign, reader.states(read.codes, keys[:holding]),
        list(keys[holding:counted]), dict(zip(keys[counted:waiting], fired, strict=True)),
        {keys[waiting + i]: reader.number(timers[i]) for i in range(len(timers))}, reader.number(read.due),
    )  # fmt: skip


class _Reader:
    """What refers to a row's tables, and where in a list of codes one is."""

    __slots__ = ("_at", "_codes", "_texts", "_times")

    def __init__(self, times: list[Any], texts: list[str]) -> None:
        self._times = times
        self._texts = texts
        self._codes: list[Any] = []
        self._at = 0

    def number(self, packed: int) -> int:
        """A number that was packed."""
        if not packed & 1:
            return packed >> 1
        place = packed >> 1
        if place < 0:
            raise msgspec.DecodeError(f"place {place} of a table of {len(self._times)}")
        time: int = self._times[place]
        return time

    def text(self, place: int) -> str:
        """The text at a place."""
        if place < 0:
            raise msgspec.DecodeError(f"place {place} of a table of {len(self._texts)}")
        return self._texts[place]

    def maybe(self, packed: int) -> str | None:
        """The same, where there may be none."""
        return self.text(packed - 1) if packed else None

    def states(self, codes: list[Any], keys: tuple[Any, ...]) -> dict[int, State]:
        """One state a key, of which the codes are."""
        self._codes = codes
        self._at = 0
        found: dict[Any, State] = {}
        for key in keys:
            code: Any = codes[self._at]
            self._at += 1
            if not isinstance(code, int) or code >= 0 or not code & 1:
                raise msgspec.DecodeError("a condition's state that is no list")
            found[key] = self._items(-code >> 1, 1)
        if self._at != len(codes):
            raise msgspec.DecodeError(f"{len(codes)} codes, of which {self._at} are states")
        return found

    def _items(self, count: int, depth: int) -> State:
        if depth > DEPTH_MAX:
            raise msgspec.DecodeError(f"lists in lists, {depth} deep")
        found: State = []
        codes = self._codes
        times = self._times
        at = self._at
        for _ in range(count):
            entry: Any = codes[at]  # an object, whatever is known of it: compiled code would make another of a bool
            at += 1
            if not isinstance(entry, int) or isinstance(entry, bool):
                found.append(entry)
                continue
            code: int = entry
            if not code & 1:
                found.append(code >> 1)
            elif code > 0:
                found.append(times[code >> 1])
            else:
                self._at = at
                found.append(self._items(-code >> 1, depth + 1))
                at = self._at
        self._at = at
        return found

    def exposures(self, packed: list[int], versions: bytes) -> list[Exposure]:
        """Exposures with their rules' versions; those are among the texts if `versions` is empty."""
        found: list[Exposure] = []
        at = 0
        begins = 0
        while at < len(packed):
            code = packed[at]
            rule = self.text(packed[at + 1])
            if versions:
                version = versions[begins : begins + VERSION_DIGITS // 2].hex()
                begins += VERSION_DIGITS // 2
                at -= 1
            else:
                version = self.text(packed[at + 2])
            credited: dict[str, list[int]] = {}
            exposure = Exposure(
                rule, version, "control" if code & 1 else "treated", self.number(packed[at + 3]),
                self.maybe(code >> 2), self.text(packed[at + 4]), credited,
            )  # fmt: skip
            at += 5
            if code & 2:
                for _ in range(packed[at]):
                    credited[self.text(packed[at + 1])] = [packed[at + 2], packed[at + 3]]
                    at += 3
                at += 1
            found.append(exposure)
        if begins != len(versions):
            raise msgspec.DecodeError(f"{len(versions)} bytes of {len(found)} versions")
        return found

    def live(self, packed: list[int], ids: bytes) -> list[LiveSuggestion]:
        """Suggestions with their ids; those are among the texts if `ids` is empty."""
        found: list[LiveSuggestion] = []
        at = 0
        begins = 0
        while at < len(packed):
            if ids:
                name = ids[begins : begins + ID_DIGITS // 2].hex()
                begins += ID_DIGITS // 2
            else:
                name = self.text(packed[at + 4])
            found.append(
                LiveSuggestion(
                    name, self.text(packed[at]), self.number(packed[at + 1]), self.maybe(packed[at + 2]), packed[at + 3]
                )
            )
            at += 4 if ids else 5
        if begins != len(ids):
            raise msgspec.DecodeError(f"{len(ids)} bytes of {len(found)} ids")
        return found

    def history(self, packed: list[int]) -> dict[str, History]:
        """What is remembered of each rule."""
        found: dict[str, History] = {}
        at = 0
        while at < len(packed):
            dismissed = self.number(packed[at + 1])
            rule = self.text(packed[at])
            first = at + 3
            at = first + packed[at + 2]
            if not first <= at <= len(packed):
                raise msgspec.DecodeError(f"{at - first} times of a rule")
            found[rule] = History([self.number(packed[i]) for i in range(first, at)], dismissed)
        return found
