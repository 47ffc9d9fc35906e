"""A visitor's state made small for its row, and back; visitor.py has the row's versions and its bytes.

Most of a state are times, of nine bytes each in MessagePack, and most of them stand there several times: one event is
remembered by every condition that it concerns, and by the exposures that it led to. So do the names of rules. So a row
has tables, and what refers to them is small:

1. `near` and `far`, of the row: the large numbers (TIME_MIN and more, or -TIME_MIN and less), each once. One that lies
   about the visitor's clock is NEAR_BYTES bytes of `near`, from NEAR_START before the clock on; all lowest bytes come
   first, then the middle ones, then the highest. In place of any other stands there FAR, and in `far` its difference
   to the clock; or ITSELF, and in `far` the number: those beyond TIME_END are hashes of texts.
2. A number n in a state, or a time that stands alone: a large one is 2 * place + 1, any other 2 * n.
3. `texts`, of the row: names of rules, their variants and outcomes, each named by its place.
4. `codes`, of each session: the states of its conditions, one behind the other. A list of n items is -2 * n - 1 and its
   items. All else is as it is: texts, floats, booleans, None.
5. `keys`, of each session: those of the conditions with a state, in the order of `codes`; of what holds; of what has
   fired, in the order of `fired`; of what waits, in the order of `timers`. Four bytes each, the lowest first.
6. Exposures, suggestions and histories are flat lists of numbers. The versions of the exposures' rules and the ids of
   suggestions are bytes, one behind the other, if all are what they should be: so many hexadecimal digits. Else they
   are among the texts. So is the id of a session, if it is not the worker's own.

Nothing is lost or rounded: a number that only looks like a time comes back as the same number.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

import msgspec

from streams.core.session import MINUTE_MS, Exposure, History, LiveSuggestion, Session, State, Visitor

TIME_MIN: Final = 1 << 40  # ms: 2004. What a state counts or adds up is less
TIME_END: Final = 1 << 61  # the difference of two of them fits MessagePack's integers
NEAR_BYTES: Final = 3
NEAR_START: Final = 3 << 22  # ms: 3.5 hours before the clock; there are 70 minutes left for what is to come
FAR: Final = (1 << 24) - 2
ITSELF: Final = (1 << 24) - 1
KEY_BYTES: Final = 4
ID_DIGITS: Final = 20  # of a suggestion's id
VERSION_DIGITS: Final = 12  # of a rule's version
SESSION_DIGITS: Final = 16  # of a session's id, if the worker gave it
DEPTH_MAX: Final = 16  # lists in lists; conditions have three. A damaged row must not end in a full stack

_WORDS: Final = tuple(Struct(f"<{count}I") for count in range(129))  # what most rows need; made once


def _words(count: int) -> Struct:
    return _WORDS[count] if count < len(_WORDS) else Struct(f"<{count}I")


# --- to a row ------------------------------------------------------------------------------------------------------


def pack_visitor(state: Visitor) -> list[Any]:
    """The state in the order of a row's body. Its name, offset and due stand elsewhere in a record."""
    times: dict[Any, Any] = {}
    texts: dict[str, int] = {}
    sessions = [_pack_session(session, times) for session in state.sessions]
    exposures: list[int] = []
    versions = _digits([exposure.version for exposure in state.exposures], VERSION_DIGITS)
    for exposure in state.exposures:
        _pack_exposure(exposure, exposures, times, texts, not versions)
    programme: list[int] = []
    if state.programme is not None:
        _pack_exposure(state.programme, programme, times, texts, True)
    live: list[int] = []
    ids = _digits([one.id for one in state.live], ID_DIGITS)
    for one in state.live:
        live.append(_text(one.rule, texts))
        live.append(_number(one.expires, times))
        live.append(_maybe(one.variant, texts))
        live.append(one.answered)
        if not ids:
            live.append(_text(one.id, texts))
    history: list[int] = []
    for rule, known in state.history.items():
        history.append(_text(rule, texts))
        history.append(_number(known.dismissed, times))
        history.append(len(known.times))
        for time in known.times:
            history.append(_number(time, times))  # noqa: PERF401 - compiled, a generator would be an object more
    journeys: dict[int, list[Any]] = {}
    for key, journey in state.journeys.items():
        codes: list[Any] = []
        _pack(journey, codes, times)
        journeys[key] = codes
    clock = state.clock
    near, far = _near_and_far(times, clock)
    return [
        clock, state.visits, state.recent, list(texts), near, far, sessions, exposures, versions, programme, live, ids,
        history, state.reported, state.unmeasured, clock // MINUTE_MS - state.minute, state.taken, journeys,
    ]  # fmt: skip


def _pack_exposure(
    exposure: Exposure, packed: list[int], times: dict[Any, Any], texts: dict[str, int], spelled: bool
) -> None:
    credited = exposure.credits
    code = 4 * _maybe(exposure.variant, texts)
    if credited:
        code += 2
    if exposure.arm == "control":
        code += 1
    packed.append(code)
    packed.append(_text(exposure.rule, texts))
    if spelled:
        packed.append(_text(exposure.version, texts))
    packed.append(_number(exposure.at, times))
    packed.append(_text(exposure.target, texts))
    if credited:
        packed.append(len(credited))
        for outcome, earned in credited.items():
            packed.append(_text(outcome, texts))
            packed.append(earned[0])
            packed.append(earned[1])


def _digits(names: list[str], digits: int) -> bytes:
    """All of them as bytes; none if one of them is anything but so many lower-case hexadecimal digits."""
    for name in names:
        if len(name) != digits:
            return b""
    digested = "".join(names)
    try:
        short = bytes.fromhex(digested)
    except ValueError:
        return b""
    return short if short.hex() == digested else b""


def _text(text: str, texts: dict[str, int]) -> int:
    return texts.setdefault(text, len(texts))


def _maybe(text: str | None, texts: dict[str, int]) -> int:
    return 0 if text is None else _text(text, texts) + 1


def _pack_session(session: Session, times: dict[Any, Any]) -> list[Any]:
    codes: list[Any] = []
    for state in list(session.states.values()):  # compiled, a list is gone through faster than a dict
        _pack(state, codes, times)
    keys: list[Any] = list(session.states)
    fired: list[Any] = []
    timers: list[int] = []
    if session.holding:
        keys += session.holding
    if session.fired:
        keys += session.fired
        fired += session.fired.values()
    if session.timers:
        keys += session.timers
        timers += [_number(due, times) for due in session.timers.values()]
    return [
        _digits([session.id], SESSION_DIGITS) or session.id, _number(session.start, times),
        _number(session.last, times), session.explicit, session.events, session.page_views, session.returning,
        session.entry_path, session.referrer_host, session.device, session.country, session.locale, session.campaign,
        _words(len(keys)).pack(*keys), codes, len(session.holding), fired, timers, _number(session.due, times),
    ]  # fmt: skip


def _number(number: int, times: dict[Any, Any]) -> int:
    if -TIME_MIN < number < TIME_MIN:
        return number + number
    place: int = times.setdefault(number, len(times) + len(times) + 1)
    return place


def _pack(items: State, codes: list[Any], times: dict[Any, Any]) -> None:
    # Sums: a product by or of a negative number is made by Python in compiled code, and takes five times as long.
    codes.append(~(len(items) + len(items)))
    for item in items:
        entry: Any = item  # objects in, objects out: compiled code would make new ones of typed numbers
        if isinstance(item, list):
            _pack(item, codes, times)
        elif isinstance(entry, int) and not isinstance(entry, bool):
            number: int = entry
            if -TIME_MIN < number < TIME_MIN:
                codes.append(number + number)
            else:
                place = times.get(item)
                if place is None:
                    place = times[item] = len(times) + len(times) + 1
                codes.append(place)
        else:
            codes.append(item)


def _near_and_far(times: dict[Any, Any], clock: int) -> tuple[bytes, list[int]]:
    start = clock - NEAR_START
    far: list[int] = []
    words: list[int] = []
    for key in list(times):  # compiled, a list is gone through faster than a dict
        time: int = key
        word = time - start
        if not 0 <= word < FAR:
            if TIME_MIN <= time < TIME_END:
                far.append(time - clock)
                word = FAR
            else:
                far.append(time)
                word = ITSELF
        words.append(word)
    lowest_first: bytes = _words(len(words)).pack(*words)
    return lowest_first[::4] + lowest_first[1::4] + lowest_first[2::4], far


# --- and back ------------------------------------------------------------------------------------------------------


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
    words: tuple[Any, ...] = _words(count).unpack(lowest_first)
    start = clock - NEAR_START
    found: list[Any] = []
    distant = 0
    for entry in words:
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
    keys: tuple[Any, ...] = _words(len(packed) // KEY_BYTES).unpack(packed)
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
