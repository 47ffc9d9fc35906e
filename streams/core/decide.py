"""From firing to suggestion: what one step's firings lead to, as decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streams.core.effects import (
    Arm,
    Decision,
    DecisionKind,
    Effect,
    Suggestion,
    Suppression,
    Withdrawal,
    WithdrawalReason,
)
from streams.core.event import MISSING, Event, field_value
from streams.core.experiment import arm_of, bucket, share_of
from streams.core.matcher import split_path
from streams.core.outcome import PROGRAMME
from streams.core.ruleset import Rule, Ruleset, Texts, Trigger
from streams.core.schedule import is_open
from streams.core.session_fields import session_reader
from streams.core.suggestion import count_firing, effect_id, is_dismissed, limited, render_text
from streams.core.visitor import (
    SUGGESTIONS_MAX,
    WITHDRAWN,
    Exposure,
    LiveSuggestion,
    Session,
    Visitor,
    history_of,
    remember_exposure,
)


# Plain classes rather than dataclasses: compiled (see setup.py), a dataclass's __init__ would still be interpreted.
class Moment:
    """One step for one session: an event at hand (or none, when a timer fired), and where its effects go."""

    __slots__ = ("at", "effects", "event", "ruleset", "session", "state", "trigger")

    def __init__(
        self, state: Visitor, session: Session, event: Event | None, trigger: str, at: int, ruleset: Ruleset,
        effects: list[Effect],
    ) -> None:  # fmt: skip
        self.state = state
        self.session = session
        self.event = event
        self.trigger = trigger
        self.at = at
        self.ruleset = ruleset
        self.effects = effects

    @property
    def identity(self) -> str:
        """What tells this moment from every other of the visitor, whatever is read again after a crash.

        An event belongs to one session; a deadline may be that of two, whose explicit ids tell them apart. An implicit
        session's id hangs on the first event that the state has seen, so it is not part of it.
        """
        if self.event is None and self.session.explicit:
            return f"{self.trigger}/{self.session.id}"
        return self.trigger

    def remembered(self, trigger: Trigger, path: str) -> Any:
        """A field of the event at hand; else the newest value that it had in the events that led here."""
        if self.event is not None:
            found = field_value(self.event, split_path(path))
            if found is not MISSING:
                return found
        newest: tuple[int, Any] = (-1, MISSING)
        for memory in trigger.memories.get(path, ()):
            state = self.session.states.get(memory.key)
            if state is not None and state[0] > newest[0]:
                newest = (state[0], state[1])
        return newest[1]

    def placeholder(self, rule: Rule, path: str) -> Any:
        """What a template's placeholder stands for: ``event.*``, ``session.*`` or ``steps.NAME.*``."""
        head, _, rest = path.partition(".")
        if head == "event":
            return self.remembered(rule, rest)
        if head == "session":
            return session_reader(rest)(self.session)
        for sequence in rule.sequences:
            found = sequence.named_value(self.session, rest)
            if found is not MISSING:
                return found
        return MISSING


class _Candidate:
    __slots__ = ("arm", "dismissed", "held_out", "reason", "rule", "texts")

    def __init__(
        self, rule: Rule, arm: Arm, reason: Suppression | None, texts: Texts, held_out: bool, dismissed: bool
    ) -> None:
        self.rule = rule
        self.arm = arm
        self.reason = reason
        self.texts = texts
        self.held_out = held_out  # by the global holdout
        self.dismissed = dismissed


def _unwanted(moment: Moment, rule: Rule) -> Suppression | None:
    """Whether the rule's schedule or its audience leaves this moment out. It does not depend on the arm."""
    definition = rule.definition
    if definition.schedule is not None and not is_open(definition.schedule, moment.at):
        return Suppression.OFF_SCHEDULE
    audience = definition.audience
    if audience is None:
        return None
    if audience.visitors < 1 and bucket(f"{rule.salt}/audience", moment.state.visitor) >= audience.visitors:
        return Suppression.NOT_IN_AUDIENCE
    if not all(test(read(moment.session)) for read, test in rule.audience):
        return Suppression.NOT_IN_AUDIENCE
    return None


def _texts_for(rule: Rule, visitor: str) -> Texts:
    """The texts of the visitor's variant: by a hash of its own, so that it does not depend on the arm."""
    if len(rule.texts) == 1:
        return rule.texts[0]
    weights = tuple(variant.weight for variant in rule.definition.suggest.variants)
    return rule.texts[share_of(visitor, f"{rule.salt}/variants", weights)]


def decide(moment: Moment, rules: list[Rule], happened: frozenset[str]) -> None:
    """Judge the firings of one step. `happened` are the outcomes of this same step."""
    state = moment.state
    held_out = (
        arm_of(state.visitor, moment.ruleset.program.global_salt, moment.ruleset.program.global_holdout) == "control"
    )
    candidates: list[_Candidate] = []
    for rule in rules:
        definition = rule.definition
        arm: Arm = "control" if held_out else arm_of(state.visitor, rule.salt, definition.holdout)
        history = state.history.get(rule.id)
        limits = definition.limits
        reason = _unwanted(moment, rule)
        dismissed = reason is None and is_dismissed(limits, history, moment.at)
        reason = reason or limited(limits, moment.session.fired.get(rule.key, 0), history, moment.at)
        if reason is None and definition.prevents in happened:
            reason = Suppression.OUTCOME_HAPPENED
        candidates.append(_Candidate(rule, arm, reason, _texts_for(rule, state.visitor), held_out, dismissed))
    if len(candidates) > 1:
        candidates.sort(key=_rank)
    taken: set[str] = set()
    for candidate in candidates:
        _settle(moment, candidate, taken)


def _rank(candidate: _Candidate) -> tuple[int, float, str]:
    rule = candidate.rule
    return -rule.definition.priority, -rule.worth, rule.id


def _settle(moment: Moment, candidate: _Candidate, taken: set[str]) -> None:
    """One candidate's decision; `taken` are the placements that a higher one has won in this step.

    Both arms pass the same tests in the same order, so that being exposed does not depend on the arm. Only who was
    treated can have said "no"; he is counted as the others are, and shown nothing.
    """
    rule, arm, reason = candidate.rule, candidate.arm, candidate.reason
    state, placement = moment.state, candidate.rule.definition.suggest.placement
    live = rule.mode == "live"
    if reason is None and live and placement in taken:
        reason = Suppression.OUTRANKED
    if reason is None and live and not _make_room(state, moment.at):
        reason = Suppression.TOO_MANY_LIVE
    suggestion = None
    if reason is None:
        suggestion = _suggestion(moment, rule, candidate.texts)
        if suggestion is None:
            reason = Suppression.TEMPLATE_FIELD_MISSING
    if suggestion is None:
        _record(moment, candidate, "suppressed", reason=Suppression.DISMISSED if candidate.dismissed else reason)
        return
    moment.session.fired[rule.key] = moment.session.fired.get(rule.key, 0) + 1
    count_firing(rule.definition.limits, history_of(state, rule.id), moment.at)
    if not live:
        if candidate.dismissed:
            _record(moment, candidate, "suppressed", reason=Suppression.DISMISSED)
        else:
            _record(moment, candidate, "shadow")
        return
    first, programme = _expose(moment, candidate)
    if arm == "control":
        _record(moment, candidate, "control", exposure=first, programme=programme)
    elif candidate.dismissed:
        _record(
            moment, candidate, "suppressed", exposure=first, programme=programme, reason=Suppression.DISMISSED
        )
    else:
        taken.add(placement)
        _record(moment, candidate, "suggested", exposure=first, programme=programme, suggestion=suggestion.id)
        moment.effects.append(suggestion)
        variant = candidate.texts.variant
        state.live.append(
            LiveSuggestion(suggestion.id, rule.id, suggestion.expires, variant, answered=0)
        )


def _expose(moment: Moment, candidate: _Candidate) -> tuple[bool, Arm | None]:
    """Note the exposure. Returns whether it is one, and the arm when it is the visitor's first to any rule.

    An old one is forgotten after the same time in either arm: so is being exposed again.
    """
    state, at, rule, arm = moment.state, moment.at, candidate.rule, candidate.arm
    memory = moment.ruleset.exposure_memory_ms
    first, forgotten = True, False
    for exposure in state.exposures:
        if at - exposure.at >= memory:
            forgotten = True
        elif exposure.rule == rule.id:
            first = False
    if forgotten:
        state.exposures = [exposure for exposure in state.exposures if at - exposure.at < memory]
    if state.unmeasured:
        return False, None
    if first:
        variant = candidate.texts.variant if arm == "treated" else None
        target = rule.targets[0] if rule.targets else ""
        remember_exposure(state, Exposure(rule.id, rule.version, arm, at, variant, target))
    known = state.programme
    if known is not None and at - known.at < memory:
        return first, None
    whole: Arm = "control" if candidate.held_out else "treated"
    state.programme = Exposure(PROGRAMME, "", whole, at)
    return first, whole


def _record(
    moment: Moment,
    candidate: _Candidate,
    kind: DecisionKind,
    *,
    exposure: bool = False,
    programme: Arm | None = None,
    reason: Suppression | None = None,
    suggestion: str | None = None,
) -> None:
    rule, arm = candidate.rule, candidate.arm
    moment.effects.append(
        Decision(
            id=effect_id("decision", moment.state.visitor, rule.id, rule.version, moment.identity),
            visitor=moment.state.visitor,
            session=moment.session.id,
            rule=rule.id,
            version=rule.version,
            at=moment.at,
            kind=kind,
            arm=arm,
            trigger=moment.trigger,
            exposure=exposure,
            reason=reason,
            suggestion=suggestion,
            prevents=rule.definition.prevents,
            promotes=rule.definition.promotes,
            variant=candidate.texts.variant if arm == "treated" else None,
            programme=programme,
        )
    )


def _suggestion(moment: Moment, rule: Rule, texts: Texts) -> Suggestion | None:
    """The rendered content; None when a placeholder finds nothing."""
    rendered = texts.plain or _rendered(moment, rule, texts)
    if rendered is None:
        return None
    title, body, label = rendered
    content, state = rule.definition.suggest, moment.state
    return Suggestion(
        id=effect_id("suggestion", state.visitor, rule.id, rule.version, moment.identity),
        visitor=state.visitor,
        session=moment.session.id,
        rule=rule.id,
        version=rule.version,
        placement=content.placement,
        priority=rule.definition.priority,
        created=moment.at,
        expires=moment.at + content.expires_ms,
        title=title,
        body=body,
        action_label=label,
        action_href=texts.action_href,
        locale=moment.session.locale,
        variant=texts.variant,
    )


def _rendered(moment: Moment, rule: Rule, texts: Texts) -> tuple[dict[str, str], dict[str, str], dict[str, str]] | None:
    def lookup(path: str) -> Any:
        return moment.placeholder(rule, path)

    title, body, label = (
        render_text(text, lookup) for text in (texts.title, texts.body, texts.action_label)
    )
    if title is None or body is None or label is None:
        return None
    return title, body, label


def _make_room(state: Visitor, at: int) -> bool:
    """Whether there is room for one more; an expired one is kept, for a late answer to it, until its room is needed."""
    if len(state.live) < SUGGESTIONS_MAX:
        return True
    for place, live in enumerate(state.live):
        if live.expires <= at:
            del state.live[place]
            return True
    return False


def withdraw(
    state: Visitor,
    at: int,
    reason: WithdrawalReason,
    effects: list[Effect],
    concerned: Callable[[LiveSuggestion], bool],
) -> None:
    """Withdraw the live suggestions that are `concerned`; of the expired ones nobody has to be told.

    They expire now, and are kept as expired ones are: a receipt may be on its way.
    """
    for live in state.live:
        if live.expires > at and not live.answered & WITHDRAWN and concerned(live):
            live.expires = at
            live.answered |= WITHDRAWN  # what is late may come as of before this
            effects.append(Withdrawal(live.id, state.visitor, live.rule, at, reason))
