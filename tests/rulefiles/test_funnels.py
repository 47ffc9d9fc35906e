"""funnels.yaml: what is read, what is refused and where, its tests on the real engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.core.funnel_definition import CLICKS
from streams.core.ruleset import EngineOptions
from streams.rulefiles.findings import RuleFileError
from streams.rulefiles.load import load_program, load_rules
from streams.rulefiles.program import funnel_tests
from streams.rulefiles.runner import run_rule_tests

OPTIONS = EngineOptions()
OUTCOMES = "currency: EUR\noutcomes:\n  chat: {kind: anti_conversion, when: {event: chat_opened}, cost: 1}\n"
BUY = """funnels:
  - funnel: buy
    title: From a to c
    steps: [{event: a, label: A}, {event: b, where: {n: 1}}, {event: c}]
    within: 2d
    clicks: [tap]
"""
TESTS = """    tests:
      - name: straight
        events: [{at: 0s, event: a}, {at: 5s, event: tap}, {at: 9s, event: b, n: 1}]
        expect: {journeys: 1, reached: [1, 2], skipped: [], reverse: [], clicks: 1, took: 9s}
      - name: away
        events: [{at: 0s, event: a}, {at: 5s, event: c}, {at: 9s, event: a}, {at: 10s, event: chat_opened}]
        until: 4d
        expect: {journeys: 2, reached: [1], instead: outcome:chat}
      - name: nobody
        events: [{at: 0s, event: b, n: 1}]
        expect: none
"""


def files(folder: Path, funnels: str) -> Path:
    (folder / "outcomes.yaml").write_text(OUTCOMES)
    (folder / "funnels.yaml").write_text(funnels)
    return folder


def test_a_funnel_is_read_whole(tmp_path: Path) -> None:
    (found,) = load_program(files(tmp_path, BUY))[0].funnels
    assert (found.name, found.title, found.within_ms, found.clicks) == ("buy", "From a to c", 172_800_000, ("tap",))
    assert [(step.label, step.matcher.types, len(step.matcher.where)) for step in found.steps] == [
        ("A", ("a",), 0), ("", ("b",), 1), ("", ("c",), 0),
    ]  # fmt: skip


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    short = "funnels:\n  - {funnel: buy, within: session, steps: [{event: a}, {event: b}]}\n"
    (found,) = load_program(files(tmp_path, short))[0].funnels
    assert (found.title, found.within_ms, found.rule, found.clicks) == ("buy", None, None, CLICKS)


def test_a_comment_alone_is_no_funnel(tmp_path: Path) -> None:
    assert load_program(files(tmp_path, "# later\n"))[0].funnels == ()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- a\n", 1, "expected a map with `funnels`"),
        (BUY + "---\n" + BUY, 8, "holds one document"),
        (BUY.replace("within: 2d", "within: 40d"), 5, "at most 30d"),
        (BUY.replace("within: 2d", "within: soon"), 5, "expected `session` or a duration"),
        (BUY.replace("title", "tilte"), 3, "did you mean"),
        (BUY.replace("[{event: a, label: A}, {event: b, where: {n: 1}}, {event: c}]", "[{event: a}]"), 4, "2 at least"),
        (BUY.replace("{event: c}", "{event: a}"), 2, "step 3 is the same as step 1"),
        (BUY.replace("n: 1", "n: {same_as: x.y}"), 4, "compares with an earlier step"),
        (BUY + "    rule: gone\n", 2, "no rule is named"),
        (BUY + BUY.removeprefix("funnels:\n"), 7, "two funnels are named"),
        (BUY + TESTS.replace("expect: none", "expect: nothing"), 17, "expected `none` or a map"),
        (BUY + TESTS.replace("expect: none", "expect: {}"), 17, "an empty map"),
        ("rules: []\n", 1, "rules stand in files of their own"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(RuleFileError) as raised:
        load_rules(files(tmp_path, text), OPTIONS)
    assert any(said in one.message for one in raised.value.findings), str(raised.value)
    found = next(one for one in raised.value.findings if said in one.message)
    assert found.line == line


def test_tests_run_on_the_engine(tmp_path: Path) -> None:
    results = run_rule_tests(files(tmp_path, BUY + TESTS), OPTIONS)
    assert [(one.rule, one.name, one.passed) for one in results] == [
        ("buy", "straight", True), ("buy", "away", True), ("buy", "nobody", True),
    ]  # fmt: skip


def test_a_test_that_fails_says_what_came(tmp_path: Path) -> None:
    wrong = TESTS.replace("took: 9s", "took: 8s").replace("        until: 4d\n", "").replace("outcome:chat", "/x")
    straight, away, _ = run_rule_tests(files(tmp_path, BUY + wrong), OPTIONS)
    assert not straight.passed
    assert "took 8s" in straight.expected
    assert "took 9s" in straight.got
    assert "give `until`" in away.got
    assert "steps 1 after 0" in "\n".join(straight.timeline)
    assert "FAILED  buy: straight" in straight.report()


def test_without_the_file_there_are_no_tests(tmp_path: Path) -> None:
    assert funnel_tests(tmp_path) == []
