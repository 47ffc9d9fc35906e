"""A visitor's state made small for its row, and back; visitor.py has the row's versions and its bytes.

Most of a session's state are times, of nine bytes each in MessagePack, and most of them stand there several times: one
event is remembered by every condition that it concerns. So a session has two tables, and what refers to them is small:

1. `keys`: those of the conditions with a state, in the order of `states`; then the others that are named. A key is
   named by its place.
2. `times`: the large numbers (TIME_MIN and more, or -TIME_MIN and less), each once. Those that look like times, as the
   difference to the one before them: consecutive events are seconds apart, which is three bytes. Those beyond TIME_END,
   which are hashes of texts, as ITSELF_BYTES bytes.
3. A number n in a state, or when a timer is due: a large one is 2 * place + 1, any other 2 * n.
4. All else is as it is: texts, floats, booleans, None; a list is packed item by item.

Nothing is lost or rounded: a number that only looks like a time comes back as the same number.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streams.core.session import Session, State, Visitor

TIME_MIN: Final = 1 << 40  # ms: 2004. What a state counts or adds up is less
TIME_END: Final = 1 << 61  # the difference of two of them fits MessagePack's integers
ITSELF_BYTES: Final = 9  # signed: from a hash of 64 bits to the least that a value may be


def pack_visitor(state: Visitor) -> list[Any]:
    """The state in the order of a row's body. Its name, offset and due stand elsewhere in a record."""
    return [
        state.clock, state.visits, state.recent, [_pack_session(session) for session in state.sessions],
        state.exposures, state.live, state.history, state.programme, state.reported, state.unmeasured, state.minute,
        state.taken,
    ]  # fmt: skip


def _pack_session(session: Session) -> list[Any]:
    times: dict[int, int] = {}
    states = [_pack(state, times) for state in session.states.values()]
    named: list[int] = list(session.states)
    holding: list[int] = []
    fired: list[int] = []
    timers: list[int] = []
    if session.holding or session.fired or session.timers:
        places = {key: place for place, key in enumerate(named)}
        holding = [_place(key, places) for key in session.holding]
        for key, count in session.fired.items():
            fired.append(_place(key, places))
            fired.append(count)
        for key, due in session.timers.items():
            timers.append(_place(key, places))
            timers.append(_number(due, times))
        named = list(places)
    return [
        session.id, session.start, session.last, session.explicit, session.events, session.page_views,
        session.returning, session.entry_path, session.referrer_host, session.device, session.country, session.locale,
        session.campaign, named, _differences(times), states, holding, fired, timers, session.due,
    ]  # fmt: skip


def _place(key: int, places: dict[int, int]) -> int:
    return places.setdefault(key, len(places))


def _number(number: int, times: dict[int, int]) -> int:
    if -TIME_MIN < number < TIME_MIN:
        return 2 * number
    return 2 * times.setdefault(number, len(times)) + 1


def _pack(items: State, times: dict[int, int]) -> list[Any]:
    packed: list[Any] = []
    for item in items:
        if isinstance(item, list):
            packed.append(_pack(item, times))
        elif isinstance(item, int) and not isinstance(item, bool):
            packed.append(_number(item, times))
        else:
            packed.append(item)
    return packed


def _differences(times: dict[int, int]) -> list[int | bytes]:
    before = 0
    found: list[int | bytes] = []
    for time in times:
        if TIME_MIN <= time < TIME_END:
            found.append(time - before)
            before = time
        else:
            found.append(time.to_bytes(ITSELF_BYTES, "big", signed=True))
    return found


class Tables:
    """What a session's packed state refers to. Reading by a place that is not there raises msgspec.DecodeError."""

    __slots__ = ("_keys", "_times")

    def __init__(self, keys: list[int], differences: list[int | bytes]) -> None:
        self._keys = keys
        self._times: list[int] = []
        time = 0
        for difference in differences:
            if isinstance(difference, bytes):
                self._times.append(int.from_bytes(difference, "big", signed=True))
            else:
                time += difference
                self._times.append(time)

    def states(self, packed: list[list[Any]]) -> dict[int, State]:
        """The conditions' states, by key."""
        return {self.key(place): self._unpack(state) for place, state in enumerate(packed)}

    def key(self, place: int) -> int:
        """The key at a place."""
        return _at(self._keys, place)

    def keyed(self, flat: list[int]) -> dict[int, int]:
        """``[place, count, place, count, ...]`` by key."""
        return {self.key(flat[i]): flat[i + 1] for i in range(0, len(flat) - 1, 2)}

    def timers(self, flat: list[int]) -> dict[int, int]:
        """``[place, packed time, ...]`` by key."""
        return {self.key(flat[i]): self.number(flat[i + 1]) for i in range(0, len(flat) - 1, 2)}

    def number(self, packed: int) -> int:
        """A number that was packed."""
        return _at(self._times, packed >> 1) if packed & 1 else packed >> 1

    def _unpack(self, packed: list[Any]) -> State:
        found: State = []
        for item in packed:
            if isinstance(item, list):
                found.append(self._unpack(item))
            elif isinstance(item, int) and not isinstance(item, bool):
                found.append(self.number(item))
            else:
                found.append(item)
        return found


def _at(table: list[int], place: int) -> int:
    if not 0 <= place < len(table):
        raise msgspec.DecodeError(f"place {place} of a table of {len(table)}")
    return table[place]
