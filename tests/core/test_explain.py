"""Why, and why not: each condition's value, what it lacks, what would stop a firing."""

from __future__ import annotations

import pytest
from hypothesis import given

from streams.core import definition as d
from streams.core.explain import RuleNow, answers, branches, duration, explain, in_words
from streams.core.visitor import Session, encode_visitor
from tests.core.build import (
    HOUR,
    MINUTE,
    T0,
    Log,
    both,
    compiled,
    content,
    count,
    either,
    event,
    matcher,
    missing,
    never,
    outcome,
    rule,
    seen,
    sequence,
    step_of,
    where,
)
from tests.core.programs import conditions, histories
from tests.core.reference import Seen

TWO = count("search", where("props.results", "eq", 0), at_least=2, within=5 * MINUTE)


def now_of(log: Log, at: int | None = None, name: str | None = None) -> list[RuleNow]:
    return explain(log.state, log.ruleset, T0 + (log.now if at is None else at), name)


def only(log: Log, at: int | None = None) -> RuleNow:
    (found,) = now_of(log, at)
    return found


# --- branches ------------------------------------------------------------------------------------------------------


def test_branches_are_in_the_order_of_writing_and_equal_ones_share_a_leaf() -> None:
    when = both(seen("a"), either(never("b"), d.Not(seen("a"))))
    (compiled_rule,) = compiled(when).rules
    found = branches(when, compiled_rule.tree)
    assert [(branch.depth, type(branch.condition).__name__) for branch in found] == [
        (0, "All"), (1, "Count"), (1, "AnyOf"), (2, "Count"), (2, "Not"), (3, "Count"),
    ]  # fmt: skip
    assert found[1].leaf is found[5].leaf is not None
    assert [branch.leaf is None for branch in found] == [True, False, True, False, True, False]


@pytest.mark.parametrize("happened", [(), ("a",), ("b",), ("a", "b"), ("c",), ("c", "a"), ("b", "c")])
def test_the_answers_are_the_tree_s(happened: tuple[str, ...]) -> None:
    when = both(either(seen("a"), both(never("b"), d.Not(seen("c")))), either(never("c"), event("a")))
    (compiled_rule,) = compiled(when).rules
    log = Log(compiled(when)).add(0, "x")
    for at, name in enumerate(happened):
        log.add(at, name)
    assert log.state is not None
    (session,) = log.state.sessions
    found = branches(when, compiled_rule.tree)
    for hits in (set(), {found[-1].leaf.key}):
        assert answers(found, session, T0, hits)[0] == compiled_rule.tree.holds(session, T0, hits, set())


# --- in words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (both(), "all of"),
        (either(), "any of"),
        (d.Not(seen("a")), "not"),
        (event("a"), "event a"),
        (seen("a"), "seen a"),
        (never("a"), "never a"),
        (seen("a", within=5000), "count a, at least 1, within 5s"),
        (TWO, "count search where results eq 0, at least 2, within 5m"),
        (d.Count(matcher(["a", "b*"]), 2, 3), "count a|b*, at least 2, at most 3"),
        (event("a", where("page.path", "in", ("/a", "/b")), where("props.n", "exists", True)),
         "event a where page.path in /a, /b and n exists True"),
        (missing("a", "b", 90_000), "missing a, after b, for 1m30s"),
        (missing("a", "b", None), "missing a, after b"),
        (d.Idle(1500), "idle for 1s500ms"),
        (sequence("a", step_of("b", name="x", within=1000), within=2000, strict=True),
         "sequence a then b, as x, within 1s, within 2s, contiguity strict"),
        (sequence("a", step_of("b", forbid=[matcher("c"), matcher("d")])), "sequence a then b, without c, d"),
        (d.Signal(d.SignalName.RAGE_CLICK, 1000), "signal rage_click, within 1s"),
        (d.Aggregate("sum", "props.total", matcher("a"), (where("", "gte", 9),)), "sum field props.total, a, gte 9"),
        (d.Score((d.Points(event("a"), 3.0, 1000), d.Points(seen("b"), 1.0)), 4.0),
         "score when event a, points 3.0, half life 1s; when seen b, points 1.0, at least 4.0"),
        (d.SessionTests((where("returning", "eq", True),)), "session returning eq True"),
    ],
)  # fmt: skip
def test_in_words(condition: d.Condition, text: str) -> None:
    assert in_words(condition) == text


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0s"), (1, "1ms"), (90_000, "1m30s"), (-1500, "-1s500ms"), (90_061_000, "1d1h1m1s")]
)
def test_durations(ms: int, text: str) -> None:
    assert duration(ms) == text


# --- what it lacks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "happened", "value", "lacks"),
    [
        (count("a", at_least=3), ("a",), 1, "2 more"),
        (count("a", at_most=1), ("a", "a", "a"), 2, "1 fewer"),
        (count("a", at_least=1, at_most=1), ("a", "a", "a"), 2, "1 fewer"),
        (event("a"), ("a",), False, "holds only while such an event is at hand"),
        (sequence("a", "b", "c"), ("a", "b"), 2, "step 3 of 3: c"),
        (sequence("a", "b"), (), 0, "step 1 of 2: a"),
        (missing("a", "b", 1000), (), False, "its clock is not running: it starts with b"),
        (missing("a", "b", 1000), ("b",), False, "nothing of the kind for another 1s"),
        (d.Idle(1000), (), False, "nothing of the kind for another 1s"),
        (d.Idle(1000, matcher("b")), (), False, "its clock is not running: it starts with b"),
        (d.SessionTests((where("events", "gte", 3),)), (), False, "it has events 1"),
        (d.SessionTests((where("device", "eq", "tv"), where("events", "gte", 3))), (), False,
         "it has device None, events 1"),
        (d.Aggregate("sum", "props.n", matcher("a"), (where("", "gte", 5),)), ("a",), None, "it has None"),
    ],
)  # fmt: skip
def test_what_a_condition_lacks(condition: d.Condition, happened: tuple[str, ...], value: object, lacks: str) -> None:
    log = Log(compiled(condition)).add(0, "x")
    for name in happened:
        log.add(0, name)
    (found,) = only(log).conditions
    assert (found.holds, found.value, found.lacks) == (False, value, lacks)


def test_what_holds_lacks_nothing() -> None:
    log = Log(compiled(seen("a"))).add(0, "a")
    (found,) = only(log).conditions
    assert (found.text, found.depth, found.holds, found.value, found.lacks) == ("seen a", 0, True, 1, "")


def test_it_is_asked_as_of_the_moment_given() -> None:
    log = Log(compiled(seen("a", within=1000))).add(0, "a")
    assert only(log, 999).holds
    assert not only(log, 1000).holds


# --- what stops it -------------------------------------------------------------------------------------------------


def test_nothing_is_kept() -> None:
    (found,) = explain(None, compiled(seen("a")), T0)
    assert (found.rule, found.session, found.conditions) == ("r0", "", ())
    assert "no consent" in found.stopped_by[0]


def test_no_session_goes_on() -> None:
    log = Log(compiled(seen("a"))).add(0, "a").tick(HOUR)
    assert log.state is not None
    assert only(log).stopped_by == ("no session is going on",)


def test_a_rule_that_rests() -> None:
    for mode in ("draft", "off"):
        (found,) = explain(None, compiled(rule(seen("a"), mode=mode)), T0)
        assert (found.mode, found.stopped_by) == (mode, (f"mode: {mode}",))


def test_a_condition_that_does_not_hold_and_nothing_else_in_the_way() -> None:
    found = only(Log(compiled(seen("a"))).add(0, "x"))
    assert (found.arm, found.stopped_by) == ("treated", ("its condition does not hold",))


def test_a_condition_that_begins_to_hold_with_nobody_looking() -> None:
    """Between two looks at the timers."""
    log = Log(compiled(d.Idle(1000))).add(0, "x")
    assert only(log, 1000).stopped_by == ()


def test_a_condition_that_holds_already_and_a_limit() -> None:
    log = Log(compiled(rule(seen("a"), limits=d.Limits(per_session=1)))).add(0, "a")
    found = only(log)
    assert found.fired_in_session == 1
    assert found.stopped_by == (
        "its condition has held before: it fires when that begins", "it would be suppressed: limit_session",
    )  # fmt: skip


def test_a_hole_in_a_text_matters_only_once_the_condition_holds() -> None:
    texts = content("{{ event.props.query }}")
    log = Log(compiled(rule(seen("a"), suggest=texts))).add(0, "x")
    assert only(log).stopped_by == ("its condition does not hold",)
    log.add(1, "a")
    assert only(log).stopped_by[-1] == "it would be suppressed: template_field_missing"


def test_the_control_arm_and_the_shadow() -> None:
    control = Log(compiled(rule(seen("a"), holdout=1.0))).add(0, "x")
    assert only(control).stopped_by[-1] == "it would be counted and not shown: the visitor is in the control arm"
    assert only(control).arm == "control"
    shadow = Log(compiled(rule(seen("a"), mode="shadow"))).add(0, "x")
    assert only(shadow).stopped_by[-1] == "it would be counted and not shown: mode: shadow"


def test_a_higher_priority_for_the_same_placement() -> None:
    low, high = rule(seen("a"), "low", priority=1), rule(seen("b"), "high", priority=2)
    elsewhere = rule(seen("b"), "elsewhere", priority=3, suggest=content(placement="other"))
    log = Log(compiled(low, high, elsewhere)).add(0, "x")
    assert now_of(log, name="low")[0].stopped_by == ("its condition does not hold",)
    log.add(1, "b")
    assert now_of(log, name="low")[0].stopped_by[-1] == "it would be suppressed: outranked"


def test_each_session_has_its_own_answer() -> None:
    log = Log(compiled(seen("a"))).add(0, "a", session="one").add(1, "x", session="two")
    assert [(found.session, found.holds) for found in now_of(log)] == [("one", True), ("two", False)]


def test_one_rule_of_several() -> None:
    log = Log(compiled(seen("a"), seen("b"))).add(0, "a")
    assert [found.rule for found in now_of(log)] == ["r0", "r1"]
    assert [found.rule for found in now_of(log, name="r1")] == ["r1"]
    assert now_of(log, name="nobody") == []


def test_the_state_is_left_as_it_was() -> None:
    log = Log(compiled(rule(seen("a"), limits=d.Limits(per_visitor=3)), outcomes=[outcome()])).add(0, "a")
    assert log.state is not None
    before = encode_visitor(log.state)
    now_of(log)
    assert encode_visitor(log.state) == before


def test_a_blank_session_has_answers_too() -> None:
    (compiled_rule,) = compiled(never("a")).rules
    assert answers(branches(never("a"), compiled_rule.tree), Session(id="", start=T0, last=T0), T0) == (True,)


@given(conditions, histories)
def test_every_condition_has_its_leaf_and_the_root_its_tree_s_answer(when: d.Condition, history: list[Seen]) -> None:
    log = Log(compiled(when))
    (compiled_rule,) = log.ruleset.rules
    found = branches(when, compiled_rule.tree)
    assert {branch.leaf.key for branch in found if branch.leaf is not None} == {
        leaf.key for leaf in compiled_rule.tree.leaves
    }
    for one in history:
        log.add(one.ts, one.type, props=dict(one.props))
        for session in log.state.sessions if log.state else ():
            at = T0 + log.now
            assert answers(found, session, at)[0] == compiled_rule.tree.holds(session, at, set(), set())
        now_of(log)
