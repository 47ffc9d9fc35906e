"""What rules and templates can ask of a session."""

from __future__ import annotations

import pytest

from streams.core import definition as d
from streams.core.event import MISSING
from streams.core.session_fields import session_problem, session_reader
from streams.core.visitor import Session


@pytest.mark.parametrize("field", [*d.SessionField, "campaign.source", "campaign.a.b"])
def test_a_session_has_these_fields(field):
    assert session_problem(field) is None
    session_reader(field)(Session("s", 0, 0))


@pytest.mark.parametrize("field", ["nope", "campaign.", "campaign", "", "props.x", "id", "states"])
def test_a_session_has_no_such_field(field):
    assert "a session has no" in session_problem(field)


@pytest.mark.parametrize("field", ["device", "country", "locale", "entry_path", "referrer_host", "campaign.source"])
def test_what_a_session_does_not_know_is_missing(field):
    assert session_reader(field)(Session("s", 0, 0)) is MISSING


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("duration", 7), ("events", 2), ("page_views", 1), ("entry_path", "/a"), ("referrer_host", "h"),
        ("device", "d"), ("country", "c"), ("locale", "l"), ("returning", False), ("campaign.source", "n"),
    ],
)  # fmt: skip
def test_a_session_tells_what_it_knows(field, value):
    session = Session(
        "s", 3, 10, events=2, page_views=1, entry_path="/a", referrer_host="h", device="d", country="c", locale="l",
        campaign={"source": "n"},
    )  # fmt: skip
    assert session_reader(field)(session) == value
