"""A visitor's state made small for its row, and back; visitor.py has the row's versions and its bytes.

Most of a state are times, of nine bytes each in MessagePack, and most of them stand there several times: one event is
remembered by every condition that it concerns, and by the exposures that it led to. So do the names of rules. So a row
has tables, and what refers to them is small:

1. `keys`, of each session: those of the conditions with a state, in the order of `states`; then the others that are
   named. A key is named by its place.
2. `times`, of the row: the large numbers (TIME_MIN and more, or -TIME_MIN and less), each once. Those that look like
   times, as the difference to the one before them: consecutive events are seconds apart, which is three bytes. Those
   beyond TIME_END, which are hashes of texts, as ITSELF_BYTES bytes.
3. A number n in a state, or a time that stands alone: a large one is 2 * place + 1, any other 2 * n.
4. `texts`, of the row: names of rules, their versions, variants and outcomes, each named by its place. The ids of
   suggestions are bytes, if they are what they should be: hexadecimal digits.
5. All else is as it is: texts, floats, booleans, None; a list is packed item by item.

Nothing is lost or rounded: a number that only looks like a time comes back as the same number.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from streams.core.session import Exposure, Session, State, Visitor

Item = TypeVar("Item")

TIME_MIN: Final = 1 << 40  # ms: 2004. What a state counts or adds up is less
TIME_END: Final = 1 << 61  # the difference of two of them fits MessagePack's integers
ID_DIGITS: Final = 20  # of a suggestion's id
ITSELF_BYTES: Final = 9  # signed: from a hash of 64 bits to the least that a value may be


def pack_visitor(state: Visitor) -> list[Any]:
    """The state in the order of a row's body. Its name, offset and due stand elsewhere in a record."""
    times: dict[int, int] = {}
    texts: dict[str, int] = {}
    sessions = [_pack_session(session, times) for session in state.sessions]
    exposures = [_pack_exposure(exposure, times, texts) for exposure in state.exposures]
    live = [
        [
            _shortened(one.id), _text(one.rule, texts), _number(one.expires, times), "",
            None if one.variant is None else _text(one.variant, texts), one.answered,
        ]
        for one in state.live
    ]  # fmt: skip
    history = [
        [_text(rule, texts), _number(known.dismissed, times), *[_number(at, times) for at in known.times]]
        for rule, known in state.history.items()
    ]
    journeys = {key: _pack(journey, times) for key, journey in state.journeys.items()}
    programme = None if state.programme is None else _pack_exposure(state.programme, times, texts)
    return [
        state.clock, state.visits, state.recent, list(texts), _differences(times), sessions, exposures, live, history,
        programme, state.reported, state.unmeasured, state.minute, state.taken, journeys,
    ]  # fmt: skip


def _pack_exposure(exposure: Exposure, times: dict[int, int], texts: dict[str, int]) -> list[Any]:
    variant = exposure.variant
    packed: list[Any] = [
        _text(exposure.rule, texts), _text(exposure.version, texts), exposure.arm == "control",
        _number(exposure.at, times), None if variant is None else _text(variant, texts), _text(exposure.target, texts),
    ]  # fmt: skip
    if exposure.credits:
        packed.append(exposure.credits)
    return packed


def _text(text: str, texts: dict[str, int]) -> int:
    return texts.setdefault(text, len(texts))


def _shortened(name: str) -> str | bytes:
    if len(name) == ID_DIGITS:
        try:
            short = bytes.fromhex(name)
        except ValueError:
            return name
        if short.hex() == name:
            return short
    return name


def _pack_session(session: Session, times: dict[int, int]) -> list[Any]:
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
        session.id, _number(session.start, times), _number(session.last, times), session.explicit, session.events,
        session.page_views, session.returning, session.entry_path, session.referrer_host, session.device,
        session.country, session.locale, session.campaign, named, states, holding, fired, timers,
        _number(session.due, times),
    ]  # fmt: skip


def _place(key: int, places: dict[int, int]) -> int:
    return places.setdefault(key, len(places))


def _number(number: int, times: dict[int, int]) -> int:
    if -TIME_MIN < number < TIME_MIN:
        return 2 * number
    return times.setdefault(number, 2 * len(times) + 1)


def _pack(items: State, times: dict[int, int]) -> list[Any]:
    packed: list[Any] = []
    known: dict[Any, Any] = times  # objects in, objects out: compiled code would make new ones of typed numbers
    for item in items:
        entry: Any = item
        if isinstance(entry, bool):
            packed.append(entry)
        elif isinstance(item, int):
            if -TIME_MIN < item < TIME_MIN:
                packed.append(2 * item)
            else:
                named = known.get(entry)
                if named is None:
                    named = known[entry] = 2 * len(known) + 1
                packed.append(named)
        elif isinstance(item, list):
            packed.append(_pack(item, times))
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
    """What a packed state refers to. Reading by a place that is not there raises msgspec.DecodeError."""

    __slots__ = ("_texts", "_times")

    def __init__(self, texts: list[str], differences: list[int | bytes]) -> None:
        self._texts = texts
        self._times: list[int] = []
        time = 0
        for difference in differences:
            if isinstance(difference, bytes):
                self._times.append(int.from_bytes(difference, "big", signed=True))
            else:
                time += difference
                self._times.append(time)

    def states(self, keys: list[int], packed: list[list[Any]]) -> dict[int, State]:
        """The conditions' states, by key."""
        return {at(keys, place): self.state(state) for place, state in enumerate(packed)}

    def timers(self, keys: list[int], flat: list[int]) -> dict[int, int]:
        """``[place, packed time, ...]`` by key."""
        return {at(keys, flat[i]): self.number(flat[i + 1]) for i in range(0, len(flat) - 1, 2)}

    def number(self, packed: int) -> int:
        """A number that was packed."""
        return at(self._times, packed >> 1) if packed & 1 else packed >> 1

    def text(self, place: int) -> str:
        """The text at a place."""
        return at(self._texts, place)

    def name(self, packed: Any) -> str:
        """The id that was shortened, or left as it is."""
        if isinstance(packed, bytes):
            return packed.hex()
        if not isinstance(packed, str):
            raise msgspec.DecodeError(f"an id of kind {type(packed).__name__}")
        return packed

    def variant(self, place: int | None) -> str | None:
        """The same, where there may be none."""
        return None if place is None else self.text(place)

    def state(self, packed: list[Any]) -> State:
        """A state that was packed."""
        found: State = []
        for item in packed:
            entry: Any = item  # an object, whatever is known of it: compiled code would make another of a bool
            if isinstance(entry, bool):
                found.append(entry)
            elif isinstance(item, list):
                found.append(self.state(item))
            elif isinstance(item, int):
                found.append(self.number(item))
            else:
                found.append(entry)
        return found


def keyed(keys: list[int], flat: list[int]) -> dict[int, int]:
    """``[place, count, place, count, ...]`` by key."""
    return {at(keys, flat[i]): flat[i + 1] for i in range(0, len(flat) - 1, 2)}


def at(table: list[Item], place: int) -> Item:
    """What stands at a place. Raises msgspec.DecodeError."""
    if not 0 <= place < len(table):
        raise msgspec.DecodeError(f"place {place} of a table of {len(table)}")
    return table[place]
