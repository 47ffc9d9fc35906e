"""Templates, limits, ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.definition import Limits
from streams.core.effects import Suppression
from streams.core.event import MISSING
from streams.core.suggestion import (
    DISMISSAL_MEMORY_MS,
    VALUE_CHARS_MAX,
    Template,
    compile_text,
    count_firing,
    effect_id,
    history_matters_until,
    is_dismissed,
    limited,
    render_text,
)
from streams.core.visitor import History

OPEN = Limits(per_session=None, stop_after_dismissal=False)


def rendered(text: str, value=MISSING) -> str | None:
    return Template(text).render(lambda path: value)


# --- templates


def test_a_text_without_placeholders_is_itself():
    assert rendered("a { b } {{ c d }} & <b>") == "a { b } {{ c d }} & <b>"


def test_placeholders_are_found_by_their_paths():
    assert Template("{{event.props.q}} and {{  session.device }}").paths == ("event.props.q", "session.device")


def test_each_placeholder_is_asked_for():
    found = {"event.props.q": "x", "session.device": "y"}
    assert Template("{{ event.props.q }}/{{ session.device }}!").render(found.get) == "x/y!"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("refund", "refund"),
        (7, "7"),
        (7.0, "7"),
        (7.25, "7.25"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        ('<script>alert("1")</script>', "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"),
        ("it's & so", "it&#x27;s &amp; so"),
        ("me@mail.example.com", "[email]"),
        ("4111 1111 1111 1111", "[card]"),
        ("{{ event.props.other }}", "{{ event.props.other }}"),
        ("", None),
        (None, None),
        (MISSING, None),
        ([1], None),
        ({"a": 1}, None),
    ],
)
def test_a_value_is_written_escaped_and_scrubbed(value, written):
    assert rendered("“{{ event.props.x }}”", value) == (None if written is None else f"“{written}”")


@pytest.mark.parametrize(("length", "kept"), [(119, 119), (120, 120), (121, VALUE_CHARS_MAX)])
def test_a_value_is_cut(length, kept):
    assert rendered("{{ event.props.x }}", "y" * length) == "y" * kept


def test_a_number_that_the_cut_would_hide_is_masked_before():
    assert "4111" not in rendered("{{ event.props.x }}", "y" * 105 + " 4111 1111 1111 1111")


@given(st.text(max_size=200))
def test_no_value_brings_markup(value):
    text = rendered("{{ event.props.x }}", value)
    assert text is None or not set(text) & set("<>\"'")


def test_every_language_is_rendered():
    text = compile_text((("en", "Find {{ event.props.q }}"), ("it", "Trova {{ event.props.q }}")))
    assert render_text(text, lambda path: "x") == {"en": "Find x", "it": "Trova x"}


def test_a_hole_in_one_language_is_a_hole():
    text = compile_text((("en", "Find it"), ("it", "Trova {{ event.props.q }}")))
    assert render_text(text, lambda path: MISSING) is None


def test_no_text_is_no_hole():
    assert render_text((), lambda path: MISSING) == {}


# --- ids


def test_an_id_hangs_on_every_part_and_their_order():
    ids = {effect_id("a", "b"), effect_id("b", "a"), effect_id("ab"), effect_id("a", "b", ""), effect_id("a")}
    assert len(ids) == 5
    assert effect_id("a", "b") == effect_id("a", "b")
    assert all(len(one) == 20 for one in ids)


# --- limits


def limit(limits: Limits, *, session=0, times=(), at=1000) -> Suppression | None:
    return limited(limits, session, History(list(times)), at)


def test_no_history_and_no_limit():
    assert limited(OPEN, 99, None, 0) is None


@pytest.mark.parametrize(
    ("fired", "expected"), [(1, None), (2, Suppression.LIMIT_SESSION), (3, Suppression.LIMIT_SESSION)]
)
def test_per_session(fired, expected):
    assert limit(Limits(per_session=2), session=fired) is expected


@pytest.mark.parametrize(
    ("count", "expected"), [(1, None), (2, Suppression.LIMIT_VISITOR), (3, Suppression.LIMIT_VISITOR)]
)
def test_per_visitor_ever(count, expected):
    assert limit(Limits(per_session=None, per_visitor=2), times=[1] * count) is expected


@pytest.mark.parametrize(("age", "expected"), [(99, Suppression.LIMIT_VISITOR), (100, None), (101, None)])
def test_per_visitor_within(age, expected):
    limits = Limits(per_session=None, per_visitor=1, per_visitor_within_ms=100)
    assert limit(limits, times=[1000 - age]) is expected


@pytest.mark.parametrize(("age", "expected"), [(99, Suppression.COOLDOWN), (100, None), (101, None)])
def test_cooldown(age, expected):
    assert limit(Limits(per_session=None, cooldown_ms=100), times=[1, 1000 - age]) is expected


@pytest.mark.parametrize(
    ("age", "expected"),
    [(DISMISSAL_MEMORY_MS - 1, True), (DISMISSAL_MEMORY_MS, False), (DISMISSAL_MEMORY_MS + 1, False)],
)
def test_a_no_is_remembered(age, expected):
    assert is_dismissed(Limits(per_session=None), History([], 1), 1 + age) is expected


def test_a_no_can_be_declared_harmless():
    assert not is_dismissed(OPEN, History([], 999), 1000)


def test_who_has_said_nothing_has_not_said_no():
    assert not is_dismissed(Limits(), None, 1000)
    assert not is_dismissed(Limits(), History([1]), 1000)


def test_the_first_limit_in_order_is_the_reason():
    limits = Limits(per_session=1, per_visitor=1, cooldown_ms=5000)
    reasons = [
        limit(limits, session=1, times=[999]),
        limit(limits, times=[999]),
        limit(Limits(per_session=1, cooldown_ms=5000), times=[999]),
    ]
    assert reasons == [
        Suppression.LIMIT_SESSION,
        Suppression.LIMIT_VISITOR,
        Suppression.COOLDOWN,
    ]


@pytest.mark.parametrize(("per_visitor", "kept"), [(None, [3]), (1, [3]), (2, [2, 3]), (3, [1, 2, 3]), (4, [1, 2, 3])])
def test_as_many_times_are_kept_as_a_limit_asks_about(per_visitor, kept):
    history = History([])
    for at in (1, 2, 3):
        count_firing(Limits(per_visitor=per_visitor), history, at)
    assert history.times == kept


@pytest.mark.parametrize(
    ("limits", "history", "until"),
    [
        (OPEN, History([]), 0),
        (OPEN, History([5]), 0),
        (OPEN, History([5], 7), 0),
        (Limits(), History([], 7), 7 + DISMISSAL_MEMORY_MS),
        (Limits(cooldown_ms=10), History([5]), 15),
        (Limits(per_visitor=1, per_visitor_within_ms=20, cooldown_ms=10), History([5]), 25),
        (Limits(per_visitor=1), History([5]), 5 + DISMISSAL_MEMORY_MS),
    ],
)
def test_a_history_matters_as_long_as_it_can_forbid(limits, history, until):
    assert history_matters_until(limits, history) == until
