"""What the tests beside a rule show of its conditions; the timeline's values; JUnit."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from streams.rulefiles.coverage import Coverage
from streams.rulefiles.runner import run_with_coverage
from streams.rulefiles.runner_junit import junit
from tests.rulefiles.broken_cases import OPTIONS, write_files

HEAD = "rule: r\nprevents: support_chat\nsuggest: {placement: p, title: T}\nwhen:\n"
BOTH = "  all:\n    - count: {event: search}\n      at_least: 2\n    - never: {event: help_view}\n"
FIRES = "- name: fires\n  events: [{at: 0s, event: search}, {at: 1s, event: search}]\n  expect: {fires: at 1s}\n"
SILENT = "- name: silent\n  events: [{at: 0s, event: search}]\n  expect: silent\n"
HELPED = "- name: helped\n  events: [{at: 0s, event: help_view}, {at: 1s, event: search}]\n  expect: silent\n"


def coverage_of(directory: Path, when: str, tests: str) -> Coverage:
    text = HEAD + when + ("tests:\n" + "".join(f"  {line}\n" for line in tests.splitlines()) if tests else "")
    results, coverage = run_with_coverage(write_files(directory, a=text), OPTIONS)
    assert [result.report() for result in results if not result.passed] == []
    return coverage


def lacking(directory: Path, when: str, tests: str) -> list[str]:
    found = coverage_of(directory, when, tests).lacking()
    return [branch.report().replace(f"{directory}/", "") for branch in found]


def test_a_rule_without_tests_shows_nothing(tmp_path: Path) -> None:
    assert lacking(tmp_path, BOTH, "") == [
        "a.yaml:5:3: r: no test looks at it at all: all of",
        "a.yaml:6:7: r: no test looks at it at all: count search, at least 2",
        "a.yaml:8:7: r: no test looks at it at all: never help_view",
    ]
    assert coverage_of(tmp_path, BOTH, "").summary() == "0 of 6 sides of 3 conditions are shown by a test"


def test_a_condition_that_no_test_makes_not_hold(tmp_path: Path) -> None:
    assert lacking(tmp_path, BOTH, FIRES) == [
        "a.yaml:8:7: r: no test makes it not hold: never help_view",
    ]


def test_a_condition_that_no_test_makes_hold(tmp_path: Path) -> None:
    assert [line.split(": r: ")[1] for line in lacking(tmp_path, BOTH, SILENT + HELPED)] == [
        "no test makes it hold: all of", "no test makes it hold: count search, at least 2",
    ]  # fmt: skip


def test_everything_shown(tmp_path: Path) -> None:
    coverage = coverage_of(tmp_path, BOTH, FIRES + HELPED)
    assert coverage.lacking() == []
    assert coverage.summary() == "6 of 6 sides of 3 conditions are shown by a test"


def test_a_branch_of_an_any_that_another_one_hides(tmp_path: Path) -> None:
    """The engine stops asking at the first that holds; here every one is asked."""
    when = "  any:\n    - count: {event: search}\n      at_least: 2\n    - seen: {event: help_view}\n"
    both = "- name: both\n  events: [{at: 0s, event: search}, {at: 0s, event: search}, {at: 1s, event: help_view}]\n"
    assert lacking(tmp_path, when, both + "  expect: {fires: at 0s}\n") == []


def test_an_event_at_hand_holds_in_its_own_step_only(tmp_path: Path) -> None:
    when = "  event: search\n"
    one = "- name: one\n  events: [{at: 0s, event: search}]\n  expect: {fires: at 0s}\n"
    assert lacking(tmp_path, when, one) == ["a.yaml:5:3: r: no test makes it not hold: event search"]
    two = "- name: two\n  events: [{at: 0s, event: page_view}]\n  expect: silent\n"
    assert lacking(tmp_path, when, one + two) == []


def test_a_condition_of_the_session_s_end(tmp_path: Path) -> None:
    """It holds only while the session ends: nobody could look at it afterwards."""
    when = "  missing: {event: purchase}\n  after: {event: search}\n  for: session\n"
    fires = "- name: n\n  events: [{at: 0s, event: search}]\n  until: 1h\n  expect: {fires: at 30m}\n"
    assert lacking(tmp_path, when, fires) == []


def test_a_condition_that_time_makes_hold(tmp_path: Path) -> None:
    when = "  idle: 90s\n"
    fires = "- name: n\n  events: [{at: 0s, event: search}]\n  until: 2m\n  expect: {fires: at 90s}\n"
    assert lacking(tmp_path, when, fires) == []


def test_the_control_arm_counts_as_well(tmp_path: Path) -> None:
    assert lacking(tmp_path, BOTH, FIRES.replace("- name", "- arm: control\n  name") + HELPED) == []


@pytest.mark.parametrize("conditions", [1, 27])
def test_the_timeline_has_each_condition_s_value_at_each_event(tmp_path: Path, conditions: int) -> None:
    some = "".join(f"    - count: {{event: e{n}}}\n      at_least: 1\n" for n in range(conditions))
    events = "events: [{at: 0s, event: e0}, {at: 1s, event: x}]"
    tests = f"tests:\n  - name: n\n    {events}\n    expect: {{withdrawn: at 9s}}\n"
    results, _ = run_with_coverage(write_files(tmp_path, a=f"{HEAD}  any:\n{some}{tests}"), OPTIONS)
    (result,) = results
    values = [line.split() for line in result.timeline if "a:" in line]
    assert len(values) == 2
    assert all(line[1:4] == ["a:", "yes", "(1)"] for line in values)
    assert len(values[0]) == 1 + 3 * conditions
    assert len(result.conditions) == conditions
    if conditions > 26:
        assert values[0][-3:] == ["a1:", "no", "(0)"]
        assert result.conditions[-1] == "      a1  seen e26"


def test_junit_has_a_suite_a_rule_and_a_failure_a_failed_test(tmp_path: Path) -> None:
    tests = FIRES + SILENT.replace("expect: silent", "expect: {fires: at 0s}").replace("silent", '"a\\u0001 <b>"')
    text = HEAD + BOTH + "tests:\n" + "".join(f"  {line}\n" for line in tests.splitlines())
    results, _ = run_with_coverage(write_files(tmp_path, a=text, b=text.replace("rule: r", "rule: s")), OPTIONS)
    root = ElementTree.fromstring(junit(results))
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "4", "2")
    assert [suite.get("name") for suite in root] == ["r", "s"]
    first, second = root[0]
    assert (first.get("classname"), first.get("name"), first.get("line"), len(first)) == ("r", "fires", "10", 0)
    assert second.get("name") == "a\ufffd <b>"
    assert second[0].get("message") == "expected fires at 0s; got silent"
    assert "timeline" in str(second[0].text)
