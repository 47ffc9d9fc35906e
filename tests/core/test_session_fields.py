"""What a session knows of itself."""

import pytest

from streams.core import definition as d
from streams.core.event import MISSING
from streams.core.session_fields import session_problem, session_reader
from streams.core.visitor import Session


@pytest.mark.parametrize("field", [*d.SessionField, "campaign.source"])
def test_a_session_has_these_fields(field):
    assert session_problem(field) is None
    session_reader(field)(Session("s", 0, 0))


def test_what_a_session_does_not_know_is_missing():
    session = Session("s", 3, 10, events=2)
    assert session_reader("device")(session) is MISSING
    assert session_reader("campaign.source")(session) is MISSING
    assert (session_reader("duration")(session), session_reader("events")(session)) == (7, 2)


def test_an_unknown_field_is_named_with_those_that_there_are():
    assert "no `nope`" in str(session_problem("nope"))
    assert "campaign.NAME" in str(session_problem("campaign."))
