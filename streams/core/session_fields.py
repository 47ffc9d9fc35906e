"""What a session knows of itself: how it learns it; how `session:` and ``{{ session.FIELD }}`` read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from streams.core import definition as d
from streams.core.event import MISSING, Event
from streams.core.matcher import value_problem
from streams.core.session import Session
from streams.core.value_tests import ValueTest, value_test


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


def _duration(session: Session) -> Any:
    return session.last - session.start


def _or_missing(name: str) -> Callable[[Session], Any]:
    def read(session: Session) -> Any:
        value = getattr(session, name)
        return MISSING if value is None else value

    return read


_SESSION_FIELDS: dict[d.SessionField, Callable[[Session], Any]] = {
    d.SessionField.DURATION: _duration,
    **{field: _or_missing(field.value) for field in d.SessionField if field is not d.SessionField.DURATION},
}


def session_test(test: d.FieldTest) -> tuple[Callable[[Session], Any], ValueTest]:
    """How to read the test's field, and the test of what is read."""
    if session_problem(test.field) or value_problem(test):  # refused with its line by whoever compiles the tree
        return lambda session: MISSING, value_test(d.FieldTest(test.field, d.Operator.EXISTS, True))
    return session_reader(test.field), value_test(test)


def note_facts(session: Session, event: Event, ts: int) -> None:
    """Take in what one event of time `ts` says of the visit itself."""
    session.events += 1
    if ts > session.last:
        session.last = ts
    page, context = event.page, event.context
    if event.type == "page_view":
        session.page_views += 1
    if page and (ts < session.start or session.entry_path is None):
        path = page.get("path") or _part(page.get("url"), "path")
        session.entry_path = path[:256] if isinstance(path, str) else session.entry_path
        referrer_host = _part(page.get("referrer"), "hostname")
        session.referrer_host = referrer_host[:128] if referrer_host else session.referrer_host
    if ts < session.start:
        session.start = ts
    if context:
        device, country, locale = context.get("device"), context.get("country"), context.get("locale")
        if type(device) is str:
            session.device = device[:64]
        if type(country) is str:
            session.country = country[:64]
        if type(locale) is str:
            session.locale = locale[:64]
        campaign = context.get("campaign")
        if isinstance(campaign, dict) and not session.campaign:
            session.campaign = {k[:32]: v[:64] for k, v in list(campaign.items())[:8] if isinstance(v, str)}


def _part(url: object, part: str) -> str | None:
    if not isinstance(url, str) or not url:
        return None
    try:
        value = getattr(urlsplit(url), part)
    except ValueError:  # a malformed host: the page was visited all the same
        return None
    return value if isinstance(value, str) else None
