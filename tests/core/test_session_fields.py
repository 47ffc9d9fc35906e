"""What rules and templates can ask of a session."""

from __future__ import annotations

import pytest

from streams.core import definition as d
from streams.core.definition import SessionTests
from streams.core.event import MISSING
from streams.core.session_fields import session_problem, session_reader
from streams.core.visitor import Session
from tests.core.build import Log, both, compiled, event, fires, where


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


# --- as the engine fills them


def holds(field: str, operator: str, value, *events, **options) -> bool:
    """Whether the session passes the test after these events, each a dict of fields."""
    log = Log(compiled(both(SessionTests((where(field, operator, value),)), event("ask")), **options))
    for index, fields in enumerate(events):
        log.add(**{"at": index * 10, "kind": "page_view", **fields})
    return bool(log.add(len(events) * 10, "ask").at)


@pytest.mark.parametrize(
    ("field", "value", "fields"),
    [
        ("events", 3, [{}, {}]),
        ("page_views", 2, [{}, {}, {"kind": "x"}]),
        ("duration", 20, [{}, {}]),
        ("entry_path", "/in", [{"page": {"path": "/in"}}, {"page": {"path": "/next"}}]),
        ("entry_path", "/in", [{}, {"page": {"path": "/in"}}]),
        ("entry_path", "/in", [{"page": {"url": "https://shop.example/in?x=1"}}]),
        ("entry_path", "/in", [{"page": {"path": 7, "url": "x"}}, {"page": {"path": "/in"}}]),
        ("entry_path", "/in", [{"page": {"path": "/in"}}, {"at": 0, "page": {"path": "/same-moment"}}]),
        ("entry_path", "/in", [{"at": 10, "page": {"path": "/x"}}, {"at": 10, "ts": 5, "page": {"path": "/in"}}]),
        ("referrer_host", "news.example", [{"page": {"referrer": "https://news.example/a"}}]),
        ("referrer_host", "news.example", [{"page": {"referrer": "https://news.example/a"}}, {"page": {"path": "/"}}]),
        ("device", "mobile", [{"context": {"device": "mobile"}}]),
        ("country", "IT", [{"context": {"country": "DE"}}, {"context": {"country": "IT"}}]),
        ("locale", "it", [{"context": {"locale": "it"}}, {"context": {"locale": 7}}]),
        (
            "campaign.source",
            "n",
            [{"context": {"campaign": {"source": "n"}}}, {"context": {"campaign": {"source": "o"}}}],
        ),
        ("returning", False, [{}]),
        ("returning", True, [{"session": "earlier"}, {}]),
    ],
)
def test_session_fields(field, value, fields):
    assert holds(field, "eq", value, *fields)
    assert not holds(field, "ne", value, *fields)


@pytest.mark.parametrize(
    "page",
    [
        {"referrer": "https://[broken/"},
        {"referrer": 7},
        {"referrer": ""},
        {"referrer": "/relative"},
        {"url": "http://[x"},
    ],
)
def test_a_broken_address_is_no_address(page):
    assert holds("referrer_host", "exists", False, {"page": page})


@pytest.mark.parametrize("field", ["entry_path", "referrer_host", "device", "country", "locale", "campaign.source"])
def test_an_unknown_session_field_is_missing(field):
    assert holds(field, "exists", False, {})


def test_what_a_session_remembers_is_bounded():
    log = Log(compiled()).add(
        0, "page_view",
        page={"path": "/" + "x" * 2000, "referrer": "https://" + "y" * 2000 + ".example/"},
        context={
            "device": "d" * 999, "country": "c" * 999, "locale": "l" * 999,
            "campaign": {f"{index}" + "k" * 99: "v" * 999 for index in range(20)} | {"n": 7},
        },
    )  # fmt: skip
    (session,) = log.state.sessions
    assert len(session.entry_path) <= 256
    assert len(session.referrer_host) <= 256
    assert {len(session.device), len(session.country), len(session.locale)} == {64}
    assert len(session.campaign) <= 8
    assert all(len(name) <= 32 and len(value) <= 64 for name, value in session.campaign.items())


@pytest.mark.parametrize("campaign", ["news", 7, None, []])
def test_a_campaign_that_is_no_object_is_none(campaign):
    assert holds("campaign.source", "exists", False, {"context": {"campaign": campaign}})


def test_a_session_rule_fires_at_its_edge():
    third = SessionTests((where("events", "eq", 3),))
    assert fires(third, (0, "a"), (1, "b"), (2, "c"), (3, "d")) == [2]
