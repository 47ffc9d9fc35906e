"""The three jobs as plain functions, which the Python peers share. Each brings its own state and transport.

A job has a role for an event (None: the event does not concern it), and a step: from a visitor's small state, a role
and the event's time in ms to the new state and the time of a match, if there is one. Imports nothing but the standard
library: each peer runs in an environment of its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

COUNT_WITHIN_MS = 5 * 60_000
SEQUENCE_WITHIN_MS = 10 * 60_000
ABSENCE_MS = 2 * 60_000

EMPTY_SEARCH = 0
_STEPS = {"product_view": 0, "cart_add": 1, "checkout_started": 2}
START, END = 0, 1
_ABSENCE = {"checkout_started": START, "purchase": END}

State = list[Any]


class Step(NamedTuple):
    """What an event led to: `state` None means that it stays as it is; `match_at` in ms."""

    state: State | None
    match_at: int | None


class Job(Protocol):
    """One job without a timer."""

    @staticmethod
    def role(type_: str, props: dict[str, Any]) -> int | None:
        """The part that an event plays."""

    @staticmethod
    def step(state: State | None, role: int, at: int) -> Step:
        """One event that plays a part."""


class Count:
    """Two searches without a result within five minutes. State: the times of the last two."""

    @staticmethod
    def role(type_: str, props: dict[str, Any]) -> int | None:
        """Searches without a result only."""
        return EMPTY_SEARCH if type_ == "search" and props.get("results") == 0 else None

    @staticmethod
    def step(state: State | None, role: int, at: int) -> Step:  # noqa: ARG004  # it has but one
        """A match when this one makes it two: exactly one of the last two is recent."""
        recent = [time for time in state or () if time > at - COUNT_WITHIN_MS]
        return Step([*recent[-1:], at], at if len(recent) == 1 else None)


class Sequence:
    """Product view, cart, checkout within ten minutes.

    State: the product view that the last cart followed, and a product view since then (None where there is none).
    """

    @staticmethod
    def role(type_: str, props: dict[str, Any]) -> int | None:  # noqa: ARG004  # a type is enough
        """The step of a type."""
        return _STEPS.get(type_)

    @staticmethod
    def step(state: State | None, role: int, at: int) -> Step:
        """A match uses up its product view and its cart."""
        viewed, since = state or (None, None)
        if role == 0:
            return Step([viewed, at], None)
        if role == 1:
            return Step([since, None], None) if since is not None else Step(None, None)
        if viewed is not None and at - viewed < SEQUENCE_WITHIN_MS:
            return Step([None, since], at)
        return Step(None, None)


JOBS: dict[str, type[Job]] = {"count": Count, "sequence": Sequence}


def absence_role(type_: str) -> int | None:
    """Checkout and no purchase for two minutes: the part of a type."""
    return _ABSENCE.get(type_)


def overdue(pending: list[int], at: int) -> list[int]:
    """Those of a visitor's checkouts (times in ms, ascending) that are two minutes old at `at`."""
    return [start for start in pending if start + ABSENCE_MS <= at]
