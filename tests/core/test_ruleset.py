"""Compiled rules: who hears of an event, versions, outcomes that one event makes."""

from __future__ import annotations

import pickle

import pytest

from streams.core import ruleset as module
from streams.core.conditions import EventLeaf
from streams.core.definition import SessionTests
from streams.core.event import Event
from streams.core.matcher import compile_predicate
from streams.core.ruleset import EngineOptions, Listening, withdrawn_by
from streams.core.signals import SignalOptions
from streams.core.visitor import Session
from tests.core.build import (
    Log,
    both,
    compiled,
    content,
    count,
    event,
    matcher,
    missing,
    outcome,
    rule,
    seen,
    where,
)

SESSION = Session("s", 0, 0)


def of_type(name: str, **props) -> Event:
    return Event(id="e", visitor="v", type=name, ts=0, props=props)


def hearers(ruleset, name: str, **props) -> int:
    return len(list(ruleset.audience(name).of(of_type(name, **props))))


def test_an_event_finds_those_who_listen_to_its_type():
    ruleset = compiled(seen("a"), seen("b"), seen("a*"), count("*", at_least=2), outcomes=[outcome(when=event("z"))])
    assert [hearers(ruleset, kind) for kind in ("a", "b", "ab", "q", "z")] == [3, 2, 2, 1, 2]


def test_an_event_finds_those_who_wait_for_its_value():
    ruleset = compiled(
        *[seen("a", where("props.n", "eq", n)) for n in range(50)],
        seen("a", where("props.n", "gt", 10)), seen("a", where("props.kind", "eq", "x")),
    )  # fmt: skip
    assert [hearers(ruleset, "a", n=7), hearers(ruleset, "a"), hearers(ruleset, "a", n=7, kind="x")] == [2, 1, 3]


def test_a_condition_with_several_matchers_is_always_asked():
    ruleset = compiled(missing("a", "a", 5))
    assert hearers(ruleset, "a", n=1) == 1


def test_options_go_to_another_process_as_they_are():
    options = EngineOptions(1, 2, 3, 4, 5, False, frozenset({"shop.example"}), SignalOptions(*range(9)))
    assert pickle.loads(pickle.dumps(options)) == options


def test_types_from_data_do_not_fill_the_index(monkeypatch):
    monkeypatch.setattr(module, "_TYPES_REMEMBERED_MAX", 3)
    ruleset = compiled(seen("a*"))
    assert [hearers(ruleset, f"a{index}") for index in range(9)] == [1] * 9
    assert len(ruleset._by_type) == 3


def test_versions_are_twelve_hex_digits():
    ruleset = compiled(rule(seen("a")))
    assert all(len(version) == 12 and int(version, 16) >= 0 for version in (ruleset.version, ruleset.rules[0].version))


@pytest.mark.parametrize(
    "options",
    [
        EngineOptions(session_timeout_ms=1),
        EngineOptions(max_lateness_ms=1),
        EngineOptions(attribution_window_ms=1),
        EngineOptions(consent_default=False),
        EngineOptions(allowed_link_hosts=frozenset({"a.example"})),
    ],
)
def test_the_version_tells_options_apart(options):
    assert compiled(options=options).version != compiled().version


def test_the_order_of_rules_is_that_of_the_program():
    ruleset = compiled(rule(seen("a"), "b"), rule(seen("a"), "a", mode="off"), rule(seen("a"), "c", mode="shadow"))
    assert [one.id for one in ruleset.rules] == ["b", "c"]
    assert [(one.mode, one.definition.id) for one in ruleset.rules] == [("live", "b"), ("shadow", "c")]


def test_visitors_are_kept_longer_only_where_somebody_asks_who_returned():
    assert compiled(seen("a")).returning_memory_ms == 0
    assert compiled(SessionTests((where("returning", "eq", True),))).returning_memory_ms > 0


@pytest.mark.parametrize(
    ("kind", "props", "expected"),
    [("done", {"ok": 1}, True), ("done", {"ok": 2}, False), ("done", {}, False), ("other", {"ok": 1}, False)],
)
def test_a_rule_says_what_withdraws_it(kind, props, expected):
    withdraw = content(withdraw=matcher("done", where("props.ok", "eq", 1)))
    ruleset = compiled(rule(seen("a"), suggest=withdraw))
    assert withdrawn_by(ruleset.rules[0], of_type(kind, **props), SESSION) is expected


def test_a_rule_may_be_withdrawn_by_an_event_of_any_content():
    ruleset = compiled(rule(seen("a"), suggest=content(withdraw=matcher("done"))))
    assert withdrawn_by(ruleset.rules[0], of_type("done"), SESSION)


def test_a_rule_without_withdraw_is_withdrawn_by_nothing():
    assert not withdrawn_by(compiled(rule(seen("a"))).rules[0], of_type("done"), SESSION)


def test_rules_share_what_they_remember():
    """Ten rules show the same field of the same events: it is remembered once."""
    offered = content("{{ event.props.q }}")
    rules = [rule(both(seen("search"), event(f"x{index}")), f"r{index}", suggest=offered) for index in range(10)]
    log = Log(compiled(*rules)).add(0, "search", props={"q": "refund"})
    assert len(log.state.sessions[0].states) == 2  # seen, and the memory


# --- masks

YES = compile_predicate(matcher("a", where("props.x", "eq", 1)), lambda m, t: 0)
NO = compile_predicate(matcher("a", where("props.x", "eq", 2)), lambda m, t: 0)


@pytest.mark.parametrize(
    ("constant", "tested", "expected"),
    [
        (1, (), 1),
        (3, (), 3),
        (0, ((YES, 1),), 1),
        (0, ((NO, 1),), 0),
        (0, ((YES, 1), (NO, 2)), 1),
        (4, ((NO, 1),), 4),
        (4, ((YES, 1),), 5),
        (0, (), 0),
    ],
)
def test_a_mask_has_a_bit_for_each_matcher_that_accepts(constant, tested, expected):
    listening = Listening(EventLeaf(1), constant, tested, (), frozenset(), timed=False)
    assert listening.mask(of_type("a", x=1), SESSION) == expected
