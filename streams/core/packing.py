"""A visitor's state made small for its row; unpacking.py reads it, visitor.py has the row's versions and its bytes.

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

from streams.core.session import MINUTE_MS, Exposure, Session, State, Visitor

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

_WORDS: Final = tuple(Struct(f"<{count}I") for count in range(129))  # what most rows need; made once


def words(count: int) -> Struct:
    """So many numbers of four bytes, the lowest first."""
    return _WORDS[count] if count < len(_WORDS) else Struct(f"<{count}I")


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
        words(len(keys)).pack(*keys), codes, len(session.holding), fired, timers, _number(session.due, times),
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
    packed: list[int] = []
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
        packed.append(word)
    lowest_first: bytes = words(len(packed)).pack(*packed)
    return lowest_first[::4] + lowest_first[1::4] + lowest_first[2::4], far
