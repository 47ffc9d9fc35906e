"""What a session knows of itself: how `session: {FIELD: TEST}` and ``{{ session.FIELD }}`` read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streams.core import definition as d
from streams.core.event import MISSING
from streams.core.matcher import ValueTest, value_problem, value_test
from streams.core.visitor import Session


def session_problem(field: str) -> str | None:
    """Why there is no such session field, as a sentence; None when there is."""
    if field in d.SessionField.__members__.values() or (field.startswith("campaign.") and field != "campaign."):
        return None
    return f"a session has no `{field}`; it has {', '.join(d.SessionField)} and campaign.NAME"


def _campaign(name: str) -> Callable[[Session], Any]:
    return lambda session: session.campaign.get(name, MISSING)


def session_reader(field: str) -> Callable[[Session], Any]:
    """How to read a session field: one of SessionField, or ``campaign.NAME``. Absent ones read as MISSING."""
    if field.startswith("campaign."):
        return _campaign(field.removeprefix("campaign."))
    return _SESSION_FIELDS[d.SessionField(field)]


def _or_missing(name: str) -> Callable[[Session], Any]:
    def read(session: Session) -> Any:
        value = getattr(session, name)
        return MISSING if value is None else value

    return read


_SESSION_FIELDS: dict[d.SessionField, Callable[[Session], Any]] = {
    d.SessionField.DURATION: lambda session: session.last - session.start,
    **{field: _or_missing(field.value) for field in d.SessionField if field is not d.SessionField.DURATION},
}


def session_test(test: d.FieldTest) -> tuple[Callable[[Session], Any], ValueTest]:
    """How to read the test's field, and the test of what is read."""
    if session_problem(test.field) or value_problem(test):  # refused with its line by whoever compiles the tree
        return lambda session: MISSING, lambda found: False
    return session_reader(test.field), value_test(test)
