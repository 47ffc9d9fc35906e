"""Funnels of ``GET /v1/impact``: the versions in force, by arm."""

from __future__ import annotations

from streams.core.about import about
from streams.core.effects import Journey
from streams.core.totals import Totals
from streams.http.impact import impact_totals
from tests.core.build import DAY, compiled, funnel

RULES = compiled(funnels=(funnel("a", "b", within_ms=DAY, rule="r"),))
VERSION = RULES.funnels.all[0].version


def folded(*versions: str) -> Totals:
    totals = Totals()
    for version in versions:
        totals.add(Journey("1", "v", "", "buy", version, "control", 7, 2, (0, 0, 0, 1, 2000, 3), (), True))
        totals.add(Journey("2", "v", "", "buy", version, "control", 9, 2, (0, 0, 0), (), True, "/help"))
    return totals


def test_the_version_in_force_is_told_with_its_labels() -> None:
    (found,) = impact_totals(folded(VERSION, "old"), about(RULES), 1).funnels
    assert (found.funnel, found.title, found.labels) == ("buy", "Buy", ["a", "b"])
    assert (found.within_ms, found.rule) == (DAY, "r")
    (arm,) = found.arms
    assert (arm.arm, arm.entered, arm.completed, arm.ended, arm.whole.ms) == ("control", 2, 1, 2, 2000)
    assert (arm.steps[1].way.clicks, arm.steps[0].instead, arm.first_at, arm.last_at) == (3, {"/help": 1}, 7, 9)


def test_without_meaning_all_versions_are_told_with_numbers() -> None:
    found = impact_totals(folded("1", "2"), None, 1).funnels
    assert [(one.version, one.labels) for one in found] == [(version, ["step 1", "step 2"]) for version in "12"]


def test_a_funnel_that_nobody_entered_is_there() -> None:
    (found,) = impact_totals(Totals(), about(RULES), 1).funnels
    assert (found.arms, found.labels) == ([], ["a", "b"])
