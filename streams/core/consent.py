"""What a visitor has consented to, and what that permits.

1. `context.consent` is a yes or a no to everything (a boolean or a word), or an object that answers by purpose.
2. What a purpose permits stands in `PURPOSES`, and nowhere else. What is not clearly a yes is a no.
3. An object that does not name `measurement` means by `personalization` both; one that does not name
   `personalization` has said no to it.
4. An event that says nothing goes by the site's default. What the visitor has not said himself (a receipt, an outcome
   that somebody reports) leaves his own word in force.
5. Whoever may not be measured is no exposure and makes no outcome record: no rate is about him, in either arm.
"""

from __future__ import annotations

from typing import Any, Final

from streams.core.counted import RECEIPTS, is_report
from streams.core.decide import withdraw
from streams.core.effects import Effect, WithdrawalReason
from streams.core.event import Event
from streams.core.session import Visitor
from streams.core.visitor import LiveSuggestion


class Permit:
    """What consent permits: bits of a plain number, since every event asks and an enum's arithmetic is slow."""

    LOG: Final = 1  # the event stands in the log with what it says: page, props, context
    STATE: Final = 2  # something is kept of the visitor
    SHOW: Final = 4  # he may be shown a suggestion
    COUNT: Final = 8  # his exposures and outcomes are counted in the totals


NOTHING: Final = 0
PURPOSES: Final[dict[str, int]] = {
    "personalization": Permit.LOG | Permit.STATE | Permit.SHOW,
    "measurement": Permit.LOG | Permit.COUNT,
}
EVERYTHING: Final = PURPOSES["personalization"] | PURPOSES["measurement"]
# What sites call the second purpose. All that are named have to be a yes.
MEASUREMENT_NAMES: Final = ("measurement", "analytics", "statistics", "performance")
_UNMEASURED: Final = PURPOSES["personalization"]

_WORD_CHARS_MAX: Final = 16  # "denied" and its like
_GRANTED: Final = ("granted", "true", "yes")


def permitted_by(said: Any) -> int:
    """What `context.consent` permits; `said` is anything but None."""
    if type(said) is not dict:
        return EVERYTHING if _is_yes(said) else NOTHING
    personal = _is_yes(said.get("personalization"))
    permits = PURPOSES["personalization"] if personal else NOTHING
    if _measures(said, otherwise=personal):
        permits |= PURPOSES["measurement"]
    return permits


def permitted(state: Visitor | None, event: Event, default: bool) -> int:
    """What is permitted with this event. `default`: whether an event that says nothing means a yes."""
    context = event.context
    said = context.get("consent") if context else None
    if said is not None:
        return permitted_by(said)
    if state is not None and (state.unmeasured or not default) and not speaks_for_visitor(event):
        return _UNMEASURED if state.unmeasured else EVERYTHING
    return EVERYTHING if default else NOTHING


def speaks_for_visitor(event: Event) -> bool:
    """Whether an event that says nothing of consent is the visitor's own: its silence means the site's default."""
    return event.type not in RECEIPTS and not is_report(event)


def without_personalization(said: Any) -> Any:
    """The consent of a browser that refuses to be tracked: a no, but for the measuring that was said yes to by name."""
    if type(said) is dict and _measures(said, otherwise=False):
        return {"personalization": False, "measurement": True}
    return False


def bare(event: Event) -> Event:
    """What is written of an event that nothing is permitted of: that it was, and that consent is missing.

    The visitor's id has to stay: the worker forgets by it what was kept before.
    """
    said = event.context.get("consent")
    word = said[:_WORD_CHARS_MAX] if type(said) is str else said is True
    return Event(
        id=event.id,
        visitor=event.visitor,
        type=event.type,
        ts=event.ts,
        received=event.received,
        context={} if said is None else {"consent": word},
    )


def forget(state: Visitor, at: int, reason: WithdrawalReason, effects: list[Effect]) -> None:
    """What has to be said before a visitor's state is dropped: no suggestion of his may be shown any more."""
    withdraw(state, at, reason, effects, _all_of_them)


def _all_of_them(_: LiveSuggestion) -> bool:
    return True


def _measures(said: dict[Any, Any], otherwise: bool) -> bool:
    named = [said[name] for name in MEASUREMENT_NAMES if name in said]
    return all(map(_is_yes, named)) if named else otherwise


def _is_yes(said: Any) -> bool:
    return said is True or (type(said) is str and said.strip().lower() in _GRANTED)
