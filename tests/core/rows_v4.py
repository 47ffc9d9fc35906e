"""The writer of rows of version 4, as it was: what it wrote is still to be read."""

from __future__ import annotations

from typing import Any

import msgspec

from streams.core.session import ID_BYTES, Exposure, Session, State, Visitor

TIME_MIN = 1 << 40
TIME_END = 1 << 61
ID_DIGITS = 20
ITSELF_BYTES = 9
TRIGGER = "e1"
REST = b"\xab\xcd"  # of an id's digest, which had eight bytes


def encode_visitor_v4(state: Visitor) -> bytes:
    """The visitor's row of version 4."""
    header = b"\x04" + state.offset.to_bytes(8, "big", signed=True) + state.due.to_bytes(8, "big", signed=True)
    return header + msgspec.msgpack.encode(pack_visitor(state))


def pack_visitor(state: Visitor) -> list[Any]:
    """The state in the order of a row's body. Its name, offset and due stand elsewhere in a record."""
    times: dict[int, int] = {}
    texts: dict[str, int] = {}
    sessions = [_pack_session(session, times) for session in state.sessions]
    exposures = [_pack_exposure(exposure, times, texts) for exposure in state.exposures]
    live = [
        [
            _shortened(one.id), _text(one.rule, texts), _number(one.expires, times), TRIGGER,
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
    recent = b"".join(state.recent[i : i + ID_BYTES] + REST for i in range(0, len(state.recent), ID_BYTES))
    reported = {hashed << 16 | int.from_bytes(REST, "big"): second for hashed, second in state.reported.items()}
    return [
        state.clock, state.visits, recent, list(texts), _differences(times), sessions, exposures, live, history,
        programme, reported, state.unmeasured, state.minute, state.taken, journeys,
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
