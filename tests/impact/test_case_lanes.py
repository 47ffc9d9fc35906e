"""From declared outcomes to lanes: where a visitor's history begins and what the outcome is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.core.event import Event
from streams.core.ruleset import EngineOptions
from streams.impact.case.lanes import Lane, lanes_of
from streams.impact.case.steps import Antecedent
from streams.impact.case.visitor import Visit, Watcher
from streams.rulefiles.program import load_program
from tests.impact.case_made_up import RULES

HOUR_MS = 3_600_000


@pytest.fixture
def lanes(tmp_path: Path) -> dict[str, Lane]:
    (tmp_path / "outcomes.yaml").write_text(RULES.replace("cost: 6.50}", "cost: 6.50, attribution: 2h}"))
    return {one.outcome: one for one in lanes_of(load_program(tmp_path, EngineOptions())[0], EngineOptions())}


@pytest.fixture
def watcher(tmp_path: Path) -> Watcher:
    (tmp_path / "outcomes.yaml").write_text(RULES)
    return Watcher(load_program(tmp_path, EngineOptions())[0], EngineOptions())


def visit(watcher: Watcher, *events: Event) -> Visit:
    given = list(events)
    return watcher.visit(given, watcher.outcomes(given))


def test_conversions_have_no_lane(lanes: dict[str, Lane]) -> None:
    assert list(lanes) == ["support_chat", "phone_call", "checkout_abandoned"]


def test_an_absence_begins_with_what_it_comes_after(lanes: dict[str, Lane]) -> None:
    assert lanes["support_chat"].whole
    assert lanes["checkout_abandoned"].after == {"checkout_started"}
    assert lanes["checkout_abandoned"].defining == {"checkout_started", "purchase"}


def test_an_outcomes_own_window_counts(lanes: dict[str, Lane]) -> None:
    assert lanes["support_chat"].window_ms == 2 * HOUR_MS
    assert lanes["phone_call"].window_ms == 24 * HOUR_MS


def test_the_engine_says_what_happened(watcher: Watcher) -> None:
    made = visit(
        watcher,
        Event("a", "v", "checkout_started", 1_000, props={"cart_total": 100}),
        Event("b", "v", "chat_opened", 2_000),
    )
    chat, _, abandoned = made.happened
    assert list(chat) == [(2_000, 6_500_000)]
    assert list(abandoned) == [(2_000 + EngineOptions().session_timeout_ms, 12_000_000)]
    assert made.begins == [0, 0, 0]


def test_a_signal_is_a_step_of_its_moment(watcher: Watcher) -> None:
    searches = [Event(query, "v", "search", at * 1_000, props={"query": query}) for at, query in enumerate("ab")]
    made = visit(watcher, *searches)
    assert Antecedent("signal", "search_refine", 1, "signal") in made.steps[1]
    assert made.outcomes == []


def test_an_event_told_twice_is_one(watcher: Watcher) -> None:
    made = visit(watcher, *(Event("same", "v", "coupon_failed", at) for at in (0, 1)))
    assert made.times == [0]
