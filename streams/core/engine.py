"""step() and tick(): the one place where the order of things is written.

Both are pure in what they see: same inputs, same outputs, to the byte. They consume the state that they are
given: it is changed and returned, so nobody else may keep it.

An event goes this way (`step`):

1. An offset at or below the state's has been applied already.
2. Timers due at or before `now` fire, each at its own deadline, in the order of time.
3. Consent: without it nothing is kept, and what was kept is forgotten.
4. An event that is one too many of its visitor in its minute is shed. It leaves no trace, not even its offset, so that
   the row need not be written for it: read again, it is shed again, by the count that let the others in.
   A repeated id is a duplicate.
5. An event older than `max_lateness`, or one that is reported, counts for outcomes only (counted.py).
6. The event's session: found or begun. Whom the event concerns is asked before anything is changed by it.
7. What holds no more is noticed before the event is taken in, so that a later hold is a new edge.
8. The session's facts; journeys through funnels (journey.py); the event is fed to the conditions that listen to it, and
   to no others.
9. Outcomes of the touched conditions; they withdraw the suggestions that meant to prevent them.
10. Rules of the touched conditions: firings become decisions.
11. The next deadline.

A timer goes through 7 (for its own leaf), 9, 10 and 11.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b
from operator import attrgetter
from typing import Final

from streams.core.conditions import FRESH, Key
from streams.core.consent import Permit, forget, permitted
from streams.core.counted import RECEIPTS, happen, is_report, receive, told
from streams.core.decide import Moment, decide, withdraw
from streams.core.due import matters_until, reschedule, session_due, set_timer
from streams.core.effects import Effect, EventResult
from streams.core.event import Event, clamp_ts
from streams.core.journey import end_journeys, end_visit, follow, follow_outcomes, journeys_due
from streams.core.nodes import NONE, Keys
from streams.core.ruleset import Awarding, Fires, Listening, Outcome, Rule, Ruleset, withdrawn_by
from streams.core.session import Session, Visitor, id_digest, knows_id, remember_id, take
from streams.core.session_fields import note_facts
from streams.core.touched import touch
from streams.core.visitor import SESSIONS_MAX, history_of
from streams.core.wire import Placed, Position

__all__ = ["Position", "step", "tick"]

_NOBODY: Final[frozenset[str]] = frozenset()
_GONE: Final[tuple[None, tuple[Fires, ...]]] = (None, ())
# The results that nearly all events have, and what the engine sorts by: named once, as looking up a member of an enum
# and making a closure cost as much as the comparison itself.
_APPLIED: Final = EventResult.APPLIED
_LATE: Final = EventResult.LATE
_REPLAYED: Final = EventResult.REPLAYED
_REPORTED: Final = EventResult.REPORTED
_DUPLICATE: Final = EventResult.DUPLICATE
_SHED: Final = EventResult.SHED
_last_of = attrgetter("last")
_STATE: Final = Permit.STATE
_COUNT: Final = Permit.COUNT
_due_of = attrgetter("due")


def step(
    state: Visitor | None, event: Event, position: Placed, ruleset: Ruleset, now: int
) -> tuple[Visitor | None, EventResult, list[Effect]]:
    """Apply one event to its visitor. `now` is the partition's clock, ms, not before the record's timestamp.

    Returns the state to keep (None: keep nothing, forget what was kept), what became of the event, and the effects
    in their order.
    """
    effects: list[Effect] = []
    options = ruleset.options
    # Read once each: of a record, of an event and of whatever else is not compiled, an attribute is looked up by name.
    offset: int = position.offset
    timestamp: int = position.timestamp
    if state is not None and offset <= state.offset:  # 1
        return state, _REPLAYED, effects
    traced = state is not None and state.due <= now
    if state is not None and traced:  # 2
        state = _after_timers(state, ruleset, now, effects)
    permits = permitted(state, event, options.consent_default)  # 3
    if not permits & _STATE:
        if state is not None:
            forget(state, now, "no_consent", effects)
        return None, EventResult.NO_CONSENT, effects
    if state is None:
        state = Visitor(event.visitor)
    unmeasured = not permits & _COUNT
    traced = traced or state.unmeasured != unmeasured  # a change of consent stays, also that of a shed event
    state.unmeasured = unmeasured
    reported = is_report(event)
    most = options.visitor_events_per_minute_max  # 4
    # What others report of a visitor is not of his making: a bot must not keep a call centre's word out.
    shed = most > 0 and not reported and not take(state, timestamp, most)
    if shed and not traced:
        return state, _SHED, effects
    state.offset = offset
    if now > state.clock:
        state.clock = now
    if shed:  # but there is a trace
        reschedule(state, ruleset)
        return state, _SHED, effects
    digest = id_digest(event.id)
    # The first question is the quick one: nearly no digest lies anywhere in the ring.
    known = digest in state.recent and knows_id(state.recent, digest)
    if known or (state.reported and int.from_bytes(digest, "big") in state.reported):
        reschedule(state, ruleset)
        return state, _DUPLICATE, effects
    ts = clamp_ts(event.ts, timestamp)
    if event.type in RECEIPTS:
        receive(state, event, ts, ruleset, effects)
    if reported or now - ts > options.max_lateness_ms:  # 5
        result = _REPORTED if reported else _LATE
        _late(state, event, ts, ruleset, effects, digest)
    else:
        result = _APPLIED
        remember_id(state, digest)
        _apply(state, event, ts, ruleset, effects)
    reschedule(state, ruleset)  # 11
    return state, result, effects


def tick(state: Visitor, ruleset: Ruleset, now: int) -> tuple[Visitor | None, list[Effect]]:
    """Fire what is due at or before `now`. None: nothing in the state can matter any more, the row may go."""
    effects: list[Effect] = []
    _fire_due(state, ruleset, now, effects)
    reschedule(state, ruleset)
    if not state.sessions and state.due <= now:
        return None, effects
    return state, effects


def _after_timers(state: Visitor, ruleset: Ruleset, now: int, effects: list[Effect]) -> Visitor | None:
    _fire_due(state, ruleset, now, effects)
    if not state.sessions and matters_until(state, ruleset) <= now:
        # tick() would have said that the row may go; whether it was asked in between must make no difference.
        return None
    return state


# --- an event ------------------------------------------------------------------------------------------------


def _apply(state: Visitor, event: Event, ts: int, ruleset: Ruleset, effects: list[Effect]) -> None:
    kind = event.type
    if kind == "suggestion_shown":
        return  # the site's act, not the visitor's: it neither counts nor ends an idleness
    session = _session_for(state, event, ts, ruleset, effects)  # 6
    fed: list[Listening] = []
    masks: list[int] = []
    for heard in ruleset.audience(kind).of(event):
        mask = heard.mask(event, session)
        if mask:
            fed.append(heard)
            masks.append(mask)
    if session.holding and fed:
        _release(session, ruleset, ts, _concerned(session.holding, fed))  # 7
    withdrawn = _withdrawn(state, session, event, ruleset) if state.live else _NOBODY
    begins = not session.events
    note_facts(session, event, ts)  # 8
    follow(state, session, event, ts, ruleset, effects)
    if not fed and not begins and not withdrawn:
        return  # most events: they concern no rule
    touched: list[Fires] = list(ruleset.initial) if begins else []
    hits: Keys = NONE
    for index in range(len(fed)):
        heard = fed[index]
        change = heard.leaf.feed(session, masks[index], ts, event)
        if change:
            touch(touched, heard.triggers)
            if change & FRESH:
                hits = hits | {heard.leaf.key}  # seldom more than one
        if heard.timed:
            set_timer(session.timers, heard.leaf, session)
    if touched or withdrawn:
        moment = Moment(state, session, event, event.id, ts, ruleset, effects)
        _judge(moment, touched, session.last, hits)  # 9, 10
        if withdrawn:
            _withdraw(moment, event, withdrawn)


def _concerned(holding: list[Key], fed: list[Listening]) -> list[Key]:
    """Of the keys of triggers that hold, those that look at one of the leaves."""
    found: list[Key] = []
    for key in holding:
        for heard in fed:
            if key in heard.keys:
                found.append(key)
                break
    return found


def _late(state: Visitor, event: Event, ts: int, ruleset: Ruleset, effects: list[Effect], digest: bytes) -> None:
    if not is_report(event):
        remember_id(state, digest)
    session = _find_session(state, event, ts, ruleset) or Session(id=event.session or "", start=ts, last=ts)
    moment = Moment(state, session, event, event.id, ts, ruleset, effects)
    told(moment, event, int.from_bytes(digest, "big"))
    if event.type == "suggestion_dismissed":  # a "no" counts whenever it comes
        _withdraw(moment, event, _withdrawn(state, session, event, ruleset))


def _find_session(state: Visitor, event: Event, ts: int, ruleset: Ruleset) -> Session | None:
    timeout = ruleset.options.session_timeout_ms
    name = event.session
    explicit = name is not None
    for session in state.sessions:
        if session.explicit != explicit or (explicit and session.id != name):
            continue
        if session.start - timeout < ts < session.last + timeout:
            return session
    return None


def _session_for(state: Visitor, event: Event, ts: int, ruleset: Ruleset, effects: list[Effect]) -> Session:
    found = _find_session(state, event, ts, ruleset)
    if found is None and event.type in RECEIPTS and event.session is None:
        # The site's answer need not know the session's id: it belongs to the visit that goes on.
        found = max(state.sessions, key=_last_of, default=None)
    if found is not None:
        return found
    if len(state.sessions) >= SESSIONS_MAX:
        oldest = min(state.sessions, key=_last_of)
        _end_session(state, oldest, ruleset, oldest.last, effects)  # before its time, but at one that never varies
    name = event.session or blake2b(f"{state.visitor}\x1f{event.id}".encode(), digest_size=8).hexdigest()
    explicit = event.session is not None
    session = Session(id=name, start=ts, last=ts, explicit=explicit, returning=state.visits > 0)
    state.visits += 1
    state.sessions.append(session)
    return session


def _release(session: Session, ruleset: Ruleset, before: int, concerned: Collection[Key]) -> None:
    """Notice which of the triggers that held have stopped to, as of `before`, ahead of what changes that."""
    if not concerned:
        return
    session.holding = [
        key
        for key in session.holding
        if key not in concerned or ruleset.by_key[key].tree.holds(session, before, NONE, NONE)
    ]


def _judge(moment: Moment, touched: list[Fires], at: int, hits: Keys) -> None:
    """Which of the touched triggers fire. Awards come first, as they change scores; then outcomes, then rules."""
    session = moment.session
    rules: list[Rule] = []
    happened: list[Outcome] = []
    holding: list[Key] = session.holding
    for trigger in touched:
        tree = trigger.tree
        root = tree.root
        holds = root.holds(session, at, hits, NONE)
        held = bool(holding) and trigger.key in holding
        if not holds and not held:
            continue
        fresh = bool(hits) and not tree.pulses.isdisjoint(hits)
        # A new match is a new edge, unless the tree holds without it as well.
        if holds and (not held or (fresh and not root.holds(session, at, hits, hits))):
            if isinstance(trigger, Rule):
                rules.append(trigger)
            elif isinstance(trigger, Outcome):
                happened.append(trigger)
            else:
                _award(session, trigger, moment)
        steady = holds and ((not tree.momentary and not fresh) or root.holds(session, at, NONE, NONE))
        if steady and not held:
            holding.append(trigger.key)
        elif held and not steady:
            holding.remove(trigger.key)
    for outcome in happened:
        happen(moment, outcome)
    if happened and moment.ruleset.funnels.all:
        follow_outcomes(moment, [outcome.name for outcome in happened])
    if rules:
        decide(moment, rules, frozenset(outcome.name for outcome in happened))


def _award(session: Session, awarding: Awarding, moment: Moment) -> None:
    leaf = awarding.leaf
    leaf.add(session, awarding.entry, awarding.points, moment.at)
    if leaf.key in moment.ruleset.timed:
        set_timer(session.timers, leaf, session)


def _withdrawn(state: Visitor, session: Session, event: Event, ruleset: Ruleset) -> frozenset[str]:
    """What this event withdraws; asked before it has changed what `changed` looks at.

    A "no" means all suggestions of its rule: the rule's name. Else it is the ids of those that were there before the
    event: what it leads to itself is not withdrawn by it.
    """
    if event.type == "suggestion_dismissed":
        return frozenset(live.rule for live in state.live if live.id == event.props.get("suggestion"))
    rules = ruleset.withdrawing
    if not rules:
        return _NOBODY
    return frozenset(
        live.id for live in state.live if live.rule in rules and withdrawn_by(rules[live.rule], event, session)
    )


def _withdraw(moment: Moment, event: Event, withdrawn: frozenset[str]) -> None:
    state, at = moment.state, moment.at
    if event.type == "suggestion_dismissed":
        for rule in withdrawn:
            history_of(state, rule).dismissed = at
        withdraw(state, at, "dismissed", moment.effects, lambda live: live.rule in withdrawn)
    else:
        withdraw(state, at, "withdraw", moment.effects, lambda live: live.id in withdrawn)


# --- time ----------------------------------------------------------------------------------------------------


def _fire_due(state: Visitor, ruleset: Ruleset, now: int, effects: list[Effect]) -> None:
    """Fire every timer due at or before `now`, each as of its own deadline, earliest first."""
    sessions = state.sessions
    while sessions or state.journeys:
        session = sessions[0] if len(sessions) == 1 else min(sessions, key=_due_of, default=None)
        if state.journeys:
            due = journeys_due(state, ruleset)
            if due <= now and (session is None or due <= session.due):
                end_journeys(state, due, ruleset, effects)
                continue
        if session is None or session.due > now:
            return
        at = session.due
        if session.last + ruleset.options.session_timeout_ms <= at:
            _end_session(state, session, ruleset, at, effects)
        else:
            _wake(state, session, ruleset, at, effects, ending=False)
            session.due = session_due(session, ruleset)


def _wake(state: Visitor, session: Session, ruleset: Ruleset, at: int, effects: list[Effect], ending: bool) -> None:
    hits: set[int] = set()
    touched: list[Fires] = []
    waking: list[Key] = [key for key, due in session.timers.items() if due <= at]
    waking += [leaf.key for leaf in ruleset.idle if leaf.next_change(session) <= at]
    if ending:
        waking += [leaf.key for leaf in ruleset.ending]
    if session.holding:
        woken = {trigger.key for key in waking for trigger in ruleset.timed.get(key, _GONE)[1]}
        _release(session, ruleset, at - 1, woken)
    for key in waking:
        leaf, triggers = ruleset.timed.get(key, _GONE)
        if leaf is None:  # the condition of a rule that was edited since
            del session.timers[key]
            continue
        change = leaf.wake(session, at, ending)
        if change:
            touch(touched, triggers)
            if change & FRESH:
                hits.add(key)
        if key in session.timers:
            set_timer(session.timers, leaf, session)
    if touched:
        _judge(Moment(state, session, None, f"@{at}", at, ruleset, effects), touched, at, hits)


def _end_session(state: Visitor, session: Session, ruleset: Ruleset, at: int, effects: list[Effect]) -> None:
    _wake(state, session, ruleset, at, effects, ending=True)
    if ruleset.funnels.visits:
        end_visit(state, session, at, ruleset, effects)
    state.sessions.remove(session)
