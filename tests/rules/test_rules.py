"""The rules that this repository ships: they load, they are documented, and every test beside them passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.core.definition import RuleDefinition
from streams.core.ruleset import EngineOptions
from streams.rulefiles.load import load_program, load_rules
from streams.rulefiles.runner import TestResult, run_rule_tests
from streams.rulefiles.testforms import RuleTest

RULES = Path(__file__).parents[2] / "rules"
OPTIONS = EngineOptions()
PROGRAM, TESTS = load_program(RULES, OPTIONS)
RESULTS = run_rule_tests(RULES, OPTIONS)


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: f"{result.rule}: {result.name}")
def test_rule(result: TestResult) -> None:
    assert result.passed, "\n" + result.report()


def test_they_compile() -> None:
    assert len(load_rules(RULES, OPTIONS).rules) >= 8


@pytest.mark.parametrize("rule", PROGRAM.rules, ids=lambda rule: rule.id)
def test_each_is_a_file_of_its_own_with_all_that_a_rule_needs(rule: RuleDefinition) -> None:
    assert Path(rule.mark.file).stem == rule.id
    assert rule.title
    assert rule.owner
    assert 0 < rule.holdout <= 0.5
    for text in (rule.suggest.title, rule.suggest.body, rule.suggest.action_label):
        assert [language for language, _ in text] == ["en", "it"]


@pytest.mark.parametrize("rule", PROGRAM.rules, ids=lambda rule: rule.id)
def test_each_shows_when_it_fires_and_when_it_does_not(rule: RuleDefinition) -> None:
    tests: list[RuleTest] = [test for test in TESTS if test.rule == rule.id]
    assert sum(bool(test.expect.fires_ms) for test in tests) >= 2
    assert sum(test.expect.silent for test in tests) >= 2


def test_costs_and_values_are_declared_for_every_outcome() -> None:
    assert PROGRAM.currency == "EUR"
    names = {outcome.name for outcome in PROGRAM.outcomes}
    assert {"support_chat", "phone_call", "checkout_abandoned", "cart_abandoned", "return_requested"} <= names
