"""docs/rules.md: every example on the page is one that the loader takes, and its tests pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.rulefiles.conditions import CONDITION
from streams.rulefiles.findings import BROKEN, Report
from streams.rulefiles.forms import Reader
from streams.rulefiles.load import load_rules
from streams.rulefiles.matchers import MatcherKind
from streams.rulefiles.runner import run_rule_tests
from streams.rulefiles.yaml_tree import read_tree
from tests.rulefiles.broken_cases import OPTIONS, write_files

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
CHECKOUT_STALL = """\
rule: checkout-stall
prevents: support_chat
when: {all: [{idle: 90s, after: {event: checkout_started}}, {never: {event: purchase}}]}
suggest: {placement: p, title: Still thinking it over?, withdraw: {event: purchase}}
limits: {per_session: 1}
"""


def blocks(first_word: str) -> list[str]:
    return [block for block in BLOCKS if re.sub(r"^#.*\n", "", block).startswith(first_word)]


HEADS = ("count", "all", "sequence", "missing", "idle", "sum", "ratio", "score", "signal")
CONDITIONS = [block for word in HEADS for block in blocks(word)]
MATCHERS = [line for block in blocks("{") for line in block.splitlines()]


def read(kind: CONDITION.__class__ | MatcherKind, text: str) -> list[str]:
    report = Report()
    (node,) = read_tree(text.encode(), "page", report)
    value = kind.read(node, Reader(report))
    assert (value is BROKEN) == bool(report.findings)
    return [str(finding) for finding in report.findings]


def test_every_block_is_looked_at() -> None:
    words = ("{", "rule:", "currency:", "funnels:", "tests:")
    looked_at = {*CONDITIONS, *(block for word in words for block in blocks(word))}
    assert [block for block in BLOCKS if block not in looked_at and "\n" in block.strip()] == []
    assert len(CONDITIONS) >= 5
    assert len(MATCHERS) >= 5


@pytest.mark.parametrize("text", CONDITIONS)
def test_condition(text: str) -> None:
    assert read(CONDITION, text) == []


@pytest.mark.parametrize("text", MATCHERS)
def test_matcher(text: str) -> None:
    assert read(MatcherKind(), text) == []


def test_outcomes(tmp_path: Path) -> None:
    (text,) = blocks("currency:")
    assert len(load_rules(write_files(tmp_path, outcomes=text), OPTIONS).outcomes) == 3


@pytest.mark.parametrize("text", blocks("funnels:"))
def test_funnel_and_its_tests(tmp_path: Path, text: str) -> None:
    rule = CHECKOUT_STALL.replace("checkout-stall", "help-loop")  # by whose arms it is split
    results = run_rule_tests(write_files(tmp_path, funnels=text, rule=rule), OPTIONS)
    assert [result.passed for result in results] == [True], results


@pytest.mark.parametrize("text", [*blocks("rule:"), *(CHECKOUT_STALL + block for block in blocks("tests:"))])
def test_rule_and_its_tests(tmp_path: Path, text: str) -> None:
    results = run_rule_tests(write_files(tmp_path, rule=text), OPTIONS)
    assert results
    assert [result.report() for result in results if not result.passed] == []
