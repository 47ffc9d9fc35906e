"""Compiled funnels: arms, which step an event is, versions, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.core.definition import Mark
from streams.core.event import Event
from streams.core.experiment import arm_of
from streams.core.funnel_definition import FUNNELS_MAX, STEPS_MAX, FunnelStep
from streams.core.ruleset import DefinitionErrors
from streams.core.session import Session
from tests.core.build import compiled, event, funnel, matcher, rule, where

VISITORS = [f"v{number}" for number in range(200)]


def one(*steps, **fields):
    rules = fields.pop("rules", ())
    holdout = fields.pop("global_holdout", 0.0)
    return compiled(*rules, funnels=(funnel(*steps, **fields),), global_holdout=holdout).funnels.all[0]


def test_without_a_rule_the_global_holdout_makes_the_arms():
    made = one("a", "b", global_holdout=0.3)
    assert [made.arm(name) for name in VISITORS] == [arm_of(name, "avert", 0.3) for name in VISITORS]


def test_a_rule_that_is_not_there_splits_nothing():
    assert {one("a", "b", rule="gone").arm(name) for name in VISITORS} == {"treated"}


def test_a_rule_makes_the_arms_below_the_global_holdout():
    made = one("a", "b", rule="r", rules=(rule(event("x"), "r", holdout=0.5),), global_holdout=0.3)
    assert [made.arm(name) for name in VISITORS] == [
        "control" if "control" in (arm_of(name, "avert", 0.3), arm_of(name, "r", 0.5)) else "treated"
        for name in VISITORS
    ]


def test_an_event_is_the_first_step_that_it_matches():
    made = compiled(funnels=(funnel(matcher("a", where("props.n", "gt", 1)), "a", "b"),)).funnels
    (heard,) = made.hearing("a")
    session = Session("s", 0, 0)
    steps = [heard.step_of(Event("1", "v", "a", 1, props={"n": n}), session) for n in (2, 1)]
    assert steps == [0, 1]
    (other,) = made.hearing("b")
    assert other.step_of(Event("1", "v", "b", 1), session) == 2


def test_what_concerns_no_funnel_is_heard_by_none():
    made = compiled(funnels=(funnel("a", "b"),)).funnels
    assert made.hearing("nothing") == ()
    assert [heard.click for kind in ("click", "page_view", "a") for heard in made.hearing(kind)] == [1, 1, 0]
    quiet = compiled(funnels=(funnel("a", "b", clicks=()),)).funnels
    assert quiet.hearing("click") == ()
    assert len(quiet.hearing("page_view")) == 1  # where people go instead


def test_types_are_remembered_up_to_a_bound(monkeypatch):
    monkeypatch.setattr("streams.core.funnel._TYPES_REMEMBERED_MAX", 1)
    made = compiled(funnels=(funnel("a", "b"),)).funnels
    assert made.hearing("a") is made.hearing("a")
    assert made.hearing("b") is not made.hearing("b")


def test_words_for_people_change_no_version_and_all_else_does():
    before = one("a", "b")
    reworded = replace(before.definition, title="New", steps=tuple(
        FunnelStep(step.matcher, "New") for step in before.definition.steps
    ))  # fmt: skip
    after = compiled(funnels=(reworded,)).funnels.all[0]
    assert (after.key, after.version) == (before.key, before.version)
    for other in (one("a", "c"), one("a", "b", within_ms=5), one("a", "b", clicks=("tap",))):
        assert other.version != before.version
        assert other.key != before.key


@pytest.mark.parametrize(
    ("funnels", "said"),
    [
        ((funnel("a", "b"), funnel("c", "d")), "two funnels are named `buy`"),
        ((funnel("a"),), "has 1 steps: it takes 2 to 8"),
        ((funnel(*(f"s{n}" for n in range(STEPS_MAX + 1))),), "has 9 steps"),
        ((funnel("a", "b", "a"),), "step 3 is the same as step 1"),
        ((funnel("a", matcher("b", where("props.x", "matches", "("))),), "missing"),
        (tuple(funnel("a", "b", name=f"f{n}") for n in range(FUNNELS_MAX + 1)), "at most 16 funnels"),
    ],
)
def test_what_cannot_be_counted_is_refused(funnels, said):
    with pytest.raises(DefinitionErrors, match=said):
        compiled(funnels=funnels)


def test_a_refusal_says_where():
    with pytest.raises(DefinitionErrors) as raised:
        compiled(funnels=(funnel("a", mark=Mark("funnels.yaml", 3)),))
    assert raised.value.findings[0].mark.line == 3


def test_no_funnels_are_false():
    assert not compiled().funnels
    assert compiled(funnels=(funnel("a", "b"),)).funnels
