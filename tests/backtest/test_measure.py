"""Numbers that were worked out by hand, over recordings that fit on a screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.backtest.measure import credit
from streams.backtest.report import Quartiles, quartiles
from streams.core.effects import OutcomeRecord
from tests.backtest.support import (
    HOUR,
    MINUTE,
    SECOND,
    WINDOW,
    line,
    one_rule,
    recording,
    report_on,
    rule,
    rules_dir,
)

SEARCH = "{event: search, where: {results: 0}}"


def outcome(at: int, session: str = "s") -> OutcomeRecord:
    return OutcomeRecord(
        id=f"{at}", visitor="v", session=session, outcome="support_chat", kind="anti_conversion", at=at, trigger="t",
        currency="EUR", amount=6.5,
    )  # fmt: skip


def leads(firings: list[tuple[int, str]], *outcomes: OutcomeRecord) -> tuple[int, list[int]]:
    alarms, credited = credit(firings, outcomes, WINDOW)
    return alarms, [lead for lead, _ in credited]


# --- foresight, in threes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after_ms", "found"), [(-1, []), (0, []), (1, [1])])
def test_only_what_is_strictly_before_the_outcome_is_foresight(after_ms: int, found: list[int]) -> None:
    assert leads([(WINDOW, "s")], outcome(WINDOW + after_ms)) == (1, found)


@pytest.mark.parametrize(("after_ms", "found"), [(WINDOW - 1, [WINDOW - 1]), (WINDOW, []), (WINDOW + 1, [])])
def test_the_attribution_window_ends(after_ms: int, found: list[int]) -> None:
    assert leads([(5, "s")], outcome(5 + after_ms)) == (1, found)


@pytest.mark.parametrize(("chat_ms", "right"), [(39_999, 0), (40_000, 0), (40_001, 1)])
def test_foresight_through_the_engine(tmp_path: Path, chat_ms: int, right: int) -> None:
    """The same boundary with real events: the second empty search at 40 s fires the rule."""
    rules = rules_dir(tmp_path / "rules", rule("dead-end", f"{{count: {SEARCH}, at_least: 2, within: 5m}}"))
    log = recording(
        tmp_path / "log.jsonl",
        line(0, "search", results=0), line(40 * SECOND, "search", results=0), line(chat_ms, "chat_opened"),
    )  # fmt: skip
    found = one_rule(rules, log)
    assert (found.alarms, found.followed, found.sessions_followed) == (1, right, right)
    assert (found.precision, found.recall) == (right, right)


# --- one credit each ------------------------------------------------------------------------------------------------


def test_firings_before_one_outcome_are_one_alarm_from_the_first() -> None:
    assert leads([(10, "s"), (20, "s"), (30, "s")], outcome(100)) == (1, [90])


def test_one_alarm_gets_one_outcome() -> None:
    assert leads([(10, "s")], outcome(100), outcome(200)) == (1, [90])


def test_a_firing_after_a_credited_outcome_is_a_new_alarm() -> None:
    assert leads([(10, "s"), (150, "s")], outcome(100), outcome(200)) == (2, [90, 50])


def test_the_latest_alarm_is_credited() -> None:
    assert leads([(10, "s"), (50, "t")], outcome(100, "t")) == (2, [50])


def test_two_outcomes_take_two_alarms() -> None:
    assert leads([(10, "s"), (50, "t")], outcome(100, "t"), outcome(101, "t")) == (2, [50, 91])


def test_a_firing_after_the_window_is_a_new_alarm_of_the_session() -> None:
    assert leads([(10, "s"), (10 + WINDOW, "s")]) == (2, [])
    assert leads([(10, "s"), (9 + WINDOW, "s")]) == (1, [])


# --- a whole small recording ----------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Seven visitors in eight sessions; the rule fires in five sessions, at the second empty search.

    a fires at 1:00, chat at 3:00     right, lead 2 min
    b fires at 1:00, chat at 11:00    right, lead 10 min
    c fires at 1:00, nothing          wrong
    d chat at 0:30, fires at 1:00     the chat was before: wrong, and a chat that was not seen
    e only a chat                     not seen
    f nothing
    g fires at 1:00; another session with a chat at 65:00: right by the window (64 min), not in the session
    """
    rows = []
    for visitor in "abcdg":
        rows += [line(0, "search", visitor, results=0), line(MINUTE, "search", visitor, results=0)]
    rows += [
        line(3 * MINUTE, "chat_opened", "a"), line(11 * MINUTE, "chat_opened", "b"),
        line(30 * SECOND, "chat_opened", "d"), line(0, "chat_opened", "e"), line(0, "page_view", "f"),
        line(65 * MINUTE, "chat_opened", "g"),
    ]  # fmt: skip
    return recording(tmp_path / "shop.jsonl", *rows)


@pytest.fixture
def dead_end(tmp_path: Path) -> Path:
    return rules_dir(tmp_path / "rules", rule("dead-end", f"{{count: {SEARCH}, at_least: 2, within: 5m}}"))


def test_precision_and_recall(shop: Path, dead_end: Path) -> None:
    found = one_rule(dead_end, shop)
    assert (found.visitors, found.sessions, found.alarms) == (5, 5, 5)
    assert (found.followed, found.precision) == (3, 3 / 5)
    assert (found.sessions_followed, found.session_precision) == (2, 2 / 5)
    assert (found.outcomes, found.recall) == (5, 3 / 5)


def test_lead_times(shop: Path, dead_end: Path) -> None:
    found = one_rule(dead_end, shop)
    assert found.leads_s == [120, 600, 3840]
    assert found.lead == Quartiles(360, 600, 2220)


def test_base_rate_and_lift(shop: Path, dead_end: Path) -> None:
    report = report_on(dead_end, shop)
    assert (report.result.visitors, report.result.sessions) == (7, 8)
    found = report.result.rules[0]
    assert found.base_rate == 5 / 8
    assert found.lift == pytest.approx((2 / 5) / (5 / 8))


def test_money(shop: Path, dead_end: Path) -> None:
    found = one_rule(dead_end, shop)
    assert (found.seen_in_time, found.at_stake) == (19.5, 32.5)


def test_an_outcome_without_its_amount_is_counted_as_unpriced(tmp_path: Path) -> None:
    rules = rules_dir(tmp_path / "r", rule("buy", "{event: add_to_cart}", target="promotes: purchase"))
    log = recording(
        tmp_path / "log.jsonl",
        line(0, "add_to_cart"), line(10, "purchase", total=20),
        line(0, "add_to_cart", "w"), line(10, "purchase", "w"),
    )  # fmt: skip
    found = one_rule(rules, log)
    assert (found.promotes, found.seen_in_time, found.at_stake, found.unpriced) == (True, 20, 20, 1)


def test_a_rule_that_never_fires_has_no_precision(shop: Path, tmp_path: Path) -> None:
    found = one_rule(rules_dir(tmp_path / "r", rule("never", "{event: never_sent}")), shop)
    assert (found.alarms, found.precision, found.lift, found.lead, found.recall) == (0, None, None, None, 0)


def test_suppressions_are_counted_by_reason_and_are_no_alarms(tmp_path: Path) -> None:
    rules = rules_dir(tmp_path / "r", rule("once", "{event: search}", limit=1))
    log = recording(tmp_path / "log.jsonl", *(line(at * MINUTE, "search") for at in range(3)))
    found = one_rule(rules, log)
    assert (found.decisions, found.suppressed) == ({"suggested": 1}, {"limit_session": 2})
    assert (found.alarms, found.sessions) == (1, 1)


def test_a_draft_is_tried_as_a_shadow_and_a_rule_that_is_off_is_not(tmp_path: Path) -> None:
    rules = rules_dir(
        tmp_path / "r",
        rule("new", "{event: search}", mode="draft"), rule("old", "{event: search}", mode='"off"'),
    )  # fmt: skip
    report = report_on(rules, recording(tmp_path / "log.jsonl", line(0, "search")))
    found = [(tried.rule, tried.mode, tried.decisions) for tried in report.result.rules]
    assert found == [("new", "draft", {"shadow": 1})]


def test_overlap_counts_sessions(tmp_path: Path) -> None:
    rules = rules_dir(
        tmp_path / "r",
        rule("a", "{event: search}"), rule("b", "{event: [search, help]}"), rule("c", "{event: help}"),
    )  # fmt: skip
    log = recording(
        tmp_path / "log.jsonl",
        line(0, "search"), line(1, "search"), line(0, "search", "w"), line(2, "help", "w"), line(HOUR, "help", "w"),
    )  # fmt: skip
    overlap = report_on(rules, log).result.overlap
    assert overlap.rules == ["a", "b", "c"]
    assert overlap.sessions == [[2, 2, 1], [2, 3, 2], [1, 2, 2]]


def test_the_end_of_the_last_session_is_played(tmp_path: Path) -> None:
    """An abandonment is the end of a session, which no event tells of: also after the recording's last line."""
    outcomes = """\
currency: EUR
outcomes:
  left: {kind: anti_conversion, when: {missing: {event: purchase}, after: {event: add_to_cart}, for: session}, cost: 1}
"""
    rules = rules_dir(
        tmp_path / "r", rule("r", "{event: add_to_cart}", target="prevents: left"), outcomes=outcomes
    )
    found = one_rule(rules, recording(tmp_path / "log.jsonl", line(0, "add_to_cart")))
    assert (found.followed, found.leads_s) == (1, [1800])


def test_timers_fire_at_their_own_moment(tmp_path: Path) -> None:
    rules = rules_dir(tmp_path / "r", rule("stall", "{missing: {event: purchase}, after: {event: checkout}, for: 2m}"))
    log = recording(tmp_path / "log.jsonl", line(0, "checkout"), line(10 * MINUTE, "chat_opened"))
    assert one_rule(rules, log).leads_s == [480]


def test_without_consent_nothing_is_decided(tmp_path: Path) -> None:
    rules = rules_dir(tmp_path / "r", rule("r", "{event: search}"))
    log = recording(tmp_path / "log.jsonl", line(0, "search", context={"consent": False}), line(1, "help", "w"))
    report = report_on(rules, log)
    assert report.result.events == {"applied": 1, "no_consent": 1}
    assert report.result.rules[0].alarms == 0


def test_a_repeated_id_counts_once(tmp_path: Path) -> None:
    rules = rules_dir(tmp_path / "r", rule("r", "{event: search}"))
    log = recording(tmp_path / "log.jsonl", line(0, "search", id="x"), line(5, "search", id="x"))
    report = report_on(rules, log)
    assert report.result.events == {"applied": 1, "duplicate": 1}


@pytest.mark.parametrize(
    ("leads_ms", "expected"),
    [
        ([], None),
        ([4000], Quartiles(4, 4, 4)),
        ([1000, 3000], Quartiles(1.5, 2, 2.5)),
        ([1000, 2000, 3000, 4000, 5000], Quartiles(2, 3, 4)),
    ],
)
def test_quartiles(leads_ms: list[int], expected: Quartiles | None) -> None:
    assert quartiles(leads_ms) == expected
