"""Journeys through funnels: what a visitor has reached, as a function of his events in the order of their times.

1. A journey begins with the first event that is the funnel's first step. It is over when its last step is reached, when
   `within` has passed since it began, or (without `within`) when the visit ends. The next first step begins another.
2. A step is reached by the first event of the journey that is it. Steps may be reached in any order: what lies between,
   and what was skipped or done in reverse, follows from the order of reaching (funnel_totals.py).
3. Events count in the order of their times, in whatever order they come: those that are young enough to have one put
   before them (`max_lateness`) wait in a buffer, sorted; the older ones are folded into the journey, a few numbers.
4. What is known is told at once, as a `Journey` effect: the steps as they are now, and as they were told before. When
   a late event changes what was told, the difference takes it back. Sums over effects are therefore those of the
   sorted log.
5. Where the visitor went instead is the first page or outcome after the step that was reached last. It is told when the
   journey is over and nothing can come before it any more.
6. State of a funnel: ``[arm, journey, buffer, told]``; of the visit among the session's states, else the visitor's. The
   arm is empty until something is told: most visitors begin no journey.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any, Final, NamedTuple

from streams.core.decide import Moment
from streams.core.effects import Effect, Journey
from streams.core.event import Event
from streams.core.funnel import PAGE, Funnel
from streams.core.ruleset import Ruleset
from streams.core.session import NEVER, Session, State, Visitor
from streams.core.suggestion import effect_id

# Events of one visitor and funnel within `max_lateness`; beyond, the oldest are taken to be in order.
BUFFER_MAX: Final = 48
PLACE_CHARS_MAX: Final = 96
OUTCOME: Final = "outcome:"

# Indices of a funnel's state, of a journey, of an entry of the buffer.
_ARM, _JOURNEY, _BUFFER, _TOLD = range(4)
_START, _CLICKS, _PLACE, _STEPS = range(4)  # _STEPS: step, ms since the start, clicks since the start; again and again
_NOTHING: Final = -1  # the step of an entry that is none


class _Place(NamedTuple):
    """Where a journey is told from."""

    state: Visitor
    funnel: Funnel
    scope: str  # of the ids
    session: str
    effects: list[Effect]


def follow(
    state: Visitor, session: Session, event: Event, at: int, ruleset: Ruleset, effects: list[Effect]
) -> None:
    """Take in an event of time `at`."""
    if not ruleset.funnels.all:
        return
    if state.unmeasured:
        _forget(state, session, ruleset)
        return
    hearing = ruleset.funnels.hearing(event.type)
    if not hearing:
        return
    page = _page_of(event) if event.type == PAGE else ""
    for heard in hearing:
        step = heard.step_of(event, session)
        if step != _NOTHING or heard.click or page:
            told = _note(state, session, heard.funnel, [at, step, heard.click, page], ruleset, effects)
            if told is not None:
                _tell(told, Moment(state, session, event, event.id, at, ruleset, effects), heard.funnel)


def follow_outcomes(moment: Moment, names: list[str]) -> None:
    """Take in that these outcomes have happened."""
    state, session = moment.state, moment.session
    if state.unmeasured:
        return
    for funnel in moment.ruleset.funnels.all:
        for name in names:
            entry = [moment.at, _NOTHING, 0, OUTCOME + name]
            told = _note(state, session, funnel, entry, moment.ruleset, moment.effects)
            if told is not None:
                _tell(told, moment, funnel)


def end_visit(state: Visitor, session: Session, at: int, ruleset: Ruleset, effects: list[Effect]) -> None:
    """The session ends at `at`, and with it its journeys."""
    for funnel in ruleset.funnels.visits:
        known = session.states.pop(funnel.key, None)
        if known is not None and not state.unmeasured:
            place = _place(state, session, funnel, effects)
            _settle(known, NEVER, place)
            if known[_JOURNEY]:
                _end(known, at, place)


def journeys_due(state: Visitor, ruleset: Ruleset) -> int:
    """When the next journey that outlives visits is over for good, ms; NEVER when there is none."""
    due = NEVER
    for key, known in state.journeys.items():
        funnel = ruleset.funnels.by_key.get(key)
        if funnel is not None and known[_TOLD]:
            due = min(due, known[_TOLD][0][0] + funnel.within + ruleset.options.max_lateness_ms)
    return due


def end_journeys(state: Visitor, at: int, ruleset: Ruleset, effects: list[Effect]) -> None:
    """End those that are due at `at`."""
    horizon = at - ruleset.options.max_lateness_ms
    if state.unmeasured:
        state.journeys.clear()
    for key, known in list(state.journeys.items()):
        funnel = ruleset.funnels.by_key.get(key)
        if funnel is not None:
            _settle(known, horizon, _place(state, None, funnel, effects))
        if funnel is None or not (known[_JOURNEY] or known[_BUFFER]):
            del state.journeys[key]  # finished, or of a funnel that was edited since


def _forget(state: Visitor, session: Session, ruleset: Ruleset) -> None:
    """The visitor is not to be counted any more: what was told stays, nothing is added."""
    state.journeys.clear()
    for funnel in ruleset.funnels.visits:
        session.states.pop(funnel.key, None)


# --- one entry -------------------------------------------------------------------------------------------------


def _note(
    state: Visitor, session: Session, funnel: Funnel, entry: list[Any], ruleset: Ruleset, effects: list[Effect]
) -> State | None:  # fmt: skip
    """Take in an entry; returns the funnel's state when it has to be told what is known now."""
    states = state.journeys if funnel.within else session.states
    known = states.get(funnel.key)
    if known is None:
        known = states[funnel.key] = ["", [], [], []]
    buffer, journey = known[_BUFFER], known[_JOURNEY]
    in_order = not buffer or buffer[-1] <= entry
    if in_order:
        buffer.append(entry)
    else:
        insort(buffer, entry)
    horizon = state.clock - ruleset.options.max_lateness_ms
    if (
        buffer[0][0] < horizon or len(buffer) > BUFFER_MAX
        or (journey and funnel.within and horizon - journey[_START] >= funnel.within)
    ):  # fmt: skip
        _settle(known, horizon, _place(state, session, funnel, effects))
    # Clicks and pages change nothing that was told, unless they come before it.
    return known if entry[1] != _NOTHING or (known[_TOLD] and not in_order) else None


def _place(state: Visitor, session: Session | None, funnel: Funnel, effects: list[Effect]) -> _Place:
    if funnel.within or session is None:
        return _Place(state, funnel, "", "", effects)
    # An implicit session's id hangs on the first event that the state has seen: no part of an effect's id.
    return _Place(state, funnel, session.id if session.explicit else "", session.id, effects)


def _page_of(event: Event) -> str:
    path = event.page.get("path")
    if not isinstance(path, str) or not path or not path.isprintable():
        return ""
    parts = path.removeprefix("/").split("/")
    # The slash in front tells pages from outcomes, whatever a site sends as a path.
    return ("/" + "/".join("*" if any(map(str.isdigit, part)) else part for part in parts))[:PLACE_CHARS_MAX]


# --- journeys --------------------------------------------------------------------------------------------------


def _is_complete(journey: State, funnel: Funnel) -> bool:
    return len(funnel.steps) - 1 in journey[_STEPS][::3]


def _is_over(journey: State, funnel: Funnel, at: int) -> bool:
    return _is_complete(journey, funnel) or bool(funnel.within and at - journey[_START] >= funnel.within)


def _advance(journey: State, entry: list[Any]) -> State:
    """The journey with the entry; empty as long as none has begun. The given one is changed."""
    at, step, click, place = entry
    if not journey:
        return [at, 0, "", [0, 0, 0]] if step == 0 else journey
    journey[_CLICKS] += click
    steps = journey[_STEPS]
    if step != _NOTHING and step not in steps[::3]:
        # Only an overflown buffer lets an entry come before the start.
        steps += [step, max(at - journey[_START], 0), journey[_CLICKS]]
        journey[_PLACE] = ""
    elif place and not journey[_PLACE]:
        journey[_PLACE] = place
    return journey


def _settle(known: State, horizon: int, place: _Place) -> None:
    """Fold the entries of before `horizon` into the journey: nothing can come before them any more."""
    buffer, funnel = known[_BUFFER], place.funnel
    cut = max(bisect_left(buffer, [horizon]), len(buffer) - BUFFER_MAX)
    for entry in buffer[:cut]:
        if known[_JOURNEY] and _is_over(known[_JOURNEY], funnel, entry[0]):
            _end(known, known[_JOURNEY][_START] + funnel.within, place)
        known[_JOURNEY] = _advance(known[_JOURNEY], entry)
    del buffer[:cut]
    if known[_JOURNEY] and _is_over(known[_JOURNEY], funnel, horizon):
        _end(known, known[_JOURNEY][_START] + funnel.within, place)


def _journeys(known: State, funnel: Funnel) -> list[State]:
    """The journey, and those that the buffer's entries make of it."""
    journey: State = known[_JOURNEY]
    if journey:
        journey = [*journey[:_STEPS], [*journey[_STEPS]]]
    found: list[State] = []
    for entry in known[_BUFFER]:
        if journey and _is_over(journey, funnel, entry[0]):
            found.append(journey)
            journey = []
        journey = _advance(journey, entry)
    return [*found, journey] if journey else found


def _tell(known: State, moment: Moment, funnel: Funnel) -> None:
    told, place = known[_TOLD], _place(moment.state, moment.session, funnel, moment.effects)
    now = [[journey[_START], *journey[_STEPS]] for journey in _journeys(known, place.funnel)]
    for index in range(max(len(now), len(told))):
        before = told[index] if index < len(told) else []
        after = now[index] if index < len(now) else []
        if before[1:] != after[1:]:
            name = effect_id("journey", place.state.visitor, str(place.funnel.key), moment.identity, str(index))
            place.effects.append(_effect(name, known, moment.at, before, after, place))
    known[_TOLD] = now


def _end(known: State, at: int, place: _Place) -> None:
    journey, told = known[_JOURNEY], known[_TOLD]
    known[_JOURNEY] = []
    before = told.pop(0) if told else []
    after = [journey[_START], *journey[_STEPS]]
    complete = _is_complete(journey, place.funnel)
    # Not by what was at hand: after a crash another event, or a timer, may be the first to notice.
    name = effect_id("journey", place.state.visitor, str(place.funnel.key), place.scope, f"ended {journey[_START]}")
    moment = journey[_START] + journey[_STEPS][-2] if complete else at
    place.effects.append(
        _effect(name, known, moment, before, after, place, "" if complete else journey[_PLACE], True)
    )


def _effect(  # noqa: PLR0913, PLR0917 - it has so many fields
    name: str, known: State, at: int, before: list[int], after: list[int], place: _Place, instead: str = "",
    ended: bool = False,
) -> Journey:  # fmt: skip
    funnel = place.funnel
    if not known[_ARM]:
        known[_ARM] = funnel.arm(place.state.visitor)
    return Journey(
        id=name, visitor=place.state.visitor, session=place.session, funnel=funnel.name, version=funnel.version,
        arm=known[_ARM], at=at, size=len(funnel.steps), steps=tuple(after[1:]), before=tuple(before[1:]), ended=ended,
        instead=instead,
    )  # fmt: skip
