"""Rule tests run on the real engine, in their own time; a failing one tells the whole story."""

from __future__ import annotations

from pathlib import Path

from streams.rulefiles.runner import TestResult, run_rule_tests
from tests.rulefiles.broken_cases import OPTIONS, write_files

RULE = """\
rule: r
prevents: support_chat
mode: {mode}
when: {{count: {{event: search, where: {{results: 0}}}}, at_least: 2, within: 5m}}
suggest:
  placement: p
  title: {{en: "No “{{{{ event.props.query }}}}”", it: "Niente"}}
  withdraw: {{event: help_view}}
limits: {{per_session: 1}}
experiment: {{holdout: 50%}}
tests:
"""
TWO = "events: [{at: 0s, event: search, results: 0, query: a}, {at: 40s, event: search, results: 0, query: b}]"
STALLED = "idle: 90s, after: {event: checkout_started}"
STALL = """\
rule: stall
prevents: support_chat
when: {idle: 90s, after: {event: checkout_started}}
suggest: {placement: p, title: T}
tests:
"""


def results_of(directory: Path, tests: str, *, rule: str = RULE, mode: str = "live") -> list[TestResult]:
    text = (rule.format(mode=mode) if rule is RULE else rule) + "".join(f"  {line}\n" for line in tests.splitlines())
    return run_rule_tests(write_files(directory, a=text), OPTIONS)


def result_of(directory: Path, tests: str, *, rule: str = RULE, mode: str = "live") -> TestResult:
    (result,) = results_of(directory, tests, rule=rule, mode=mode)
    return result


def test_fires_at_the_time_said(tmp_path: Path) -> None:
    assert result_of(tmp_path, f"- name: n\n  {TWO}\n  expect: {{fires: at 40s}}").passed


def test_another_time_fails(tmp_path: Path) -> None:
    result = result_of(tmp_path, f"- name: n\n  {TWO}\n  expect: {{fires: at 41s}}")
    assert (result.passed, result.expected, result.got) == (False, "fires at 41s", "fires at 40s")


def test_silent_fails_when_it_fires(tmp_path: Path) -> None:
    result = result_of(tmp_path, f"- name: n\n  {TWO}\n  expect: silent")
    assert (result.passed, result.expected, result.got) == (False, "silent", "fires at 40s")


def test_silent_fails_when_a_firing_is_suppressed(tmp_path: Path) -> None:
    events = TWO.replace(", query: b", "")  # the text's placeholder is remembered from the event before
    events = events.replace(", query: a", "")
    result = result_of(tmp_path, f"- name: n\n  {events}\n  expect: silent")
    assert (result.passed, result.got) == (False, "silent; suppressed: template_field_missing")


def test_suppressed_with_its_reason(tmp_path: Path) -> None:
    events = TWO.replace("]", ", {at: 8m, event: search, results: 0}, {at: 8m1s, event: search, results: 0}]")
    assert result_of(tmp_path, f"- name: n\n  {events}\n  expect: {{fires: at 40s, suppressed: limit_session}}").passed
    wrong = result_of(tmp_path, f"- name: n\n  {events}\n  expect: {{suppressed: cooldown}}")
    assert (wrong.expected, wrong.got) == ("suppressed: cooldown", "suppressed: limit_session")


def test_the_text_as_the_visitor_reads_it(tmp_path: Path) -> None:
    want = "{fires: at 40s, text: {title: {en: No “b”, it: Niente}}}"
    assert result_of(tmp_path, f"- name: n\n  {TWO}\n  expect: {want}").passed
    wrong = result_of(tmp_path, f"- name: n\n  {TWO}\n  expect: {{text: {{title: No “a”, body: x}}}}")
    assert wrong.expected == "title in en: 'No “a”'; body in en: 'x'"
    assert wrong.got == "title in en: 'No “b”'; no body in en"


def test_withdrawn_at_the_time_said(tmp_path: Path) -> None:
    events = TWO.replace("]", ", {at: 50s, event: help_view}]")
    assert result_of(tmp_path, f"- name: n\n  {events}\n  expect: {{fires: at 40s, withdrawn: at 50s}}").passed
    assert not result_of(tmp_path, f"- name: n\n  {TWO}\n  expect: {{withdrawn: at 50s}}").passed


def test_until_lets_timers_fire_without_an_event(tmp_path: Path) -> None:
    events = "events: [{at: 10s, event: checkout_started}]"
    for until, expect in (("1m39s999ms", "silent"), ("1m40s", "{fires: at 1m40s}"), ("20m", "{fires: at 1m40s}")):
        result = result_of(tmp_path, f"- name: n\n  {events}\n  until: {until}\n  expect: {expect}", rule=STALL)
        assert result.passed, result.report()


def test_an_event_that_stands_after_a_later_one_arrives_late(tmp_path: Path) -> None:
    """At 11m the one of 30s is more than `max_lateness` old: no condition counts it, and the timeline says so."""
    first, second = "{at: 10s, event: search, results: 0, query: a}", "{at: 30s, event: search, results: 0}"
    events = f"events: [{first}, {{at: 11m, event: page_view}}, {second}]"
    result = result_of(tmp_path, f"- name: n\n  {events}\n  expect: {{fires: at 30s}}")
    assert (result.passed, result.got) == (False, "silent")
    assert "(the event before: late)" in result.timeline[-2]
    assert result.timeline[-1].endswith("a: no (1)")
    in_time = events.replace("11m", "4m")
    assert result_of(tmp_path, f"- name: n\n  {in_time}\n  expect: {{fires: at 30s}}").passed


def test_the_holdout_does_not_matter_unless_the_test_names_an_arm(tmp_path: Path) -> None:
    treated = f"- name: n\n  {TWO}\n  expect: {{fires: at 40s, text: {{title: No “b”}}}}"
    control = f"- name: n\n  arm: control\n  {TWO}\n  expect: {{fires: at 40s}}"
    assert [result.passed for result in results_of(tmp_path, f"{treated}\n{control}")] == [True, True]


def test_the_control_arm_sees_no_text(tmp_path: Path) -> None:
    result = result_of(tmp_path, f"- name: n\n  arm: control\n  {TWO}\n  expect: {{text: {{title: No “b”}}}}")
    assert (result.passed, result.got) == (False, "no title in en")


def test_drafts_are_tested_as_if_they_were_live(tmp_path: Path) -> None:
    for mode in ("draft", "shadow", "'off'"):
        assert result_of(tmp_path, f"- name: n\n  {TWO}\n  expect: {{fires: at 40s}}", mode=mode).passed


def test_other_rules_take_no_part(tmp_path: Path) -> None:
    other = STALL.replace(STALLED, "event: search").replace("tests:\n", "priority: 100\n")
    write_files(tmp_path, z=other)
    assert result_of(tmp_path, f"- name: n\n  {TWO}\n  expect: {{fires: at 40s}}").passed


def test_two_sessions_in_one_test(tmp_path: Path) -> None:
    events = TWO.replace("at: 0s, ", "at: 0s, session: one, ").replace("at: 40s, ", "at: 40s, session: two, ")
    assert result_of(tmp_path, f"- name: n\n  {events}\n  expect: silent").passed


def test_fields_outside_props(tmp_path: Path) -> None:
    rule = STALL.replace(STALLED, "event: page_view, where: {page.path: /a, context.device: tv}")
    events = "events: [{at: 0s, event: page_view, page.path: /a, context.device: tv}]"
    assert result_of(tmp_path, f"- name: n\n  {events}\n  expect: {{fires: at 0s}}", rule=rule).passed


def test_the_report_of_a_failing_test(tmp_path: Path) -> None:
    events = TWO.replace("]", ", {at: 50s, event: help_view}]")
    report = result_of(tmp_path, f"- name: two searches\n  {events}\n  until: 1m\n  expect: silent").report()
    assert report.replace(str(tmp_path) + "/", "").splitlines() == [
        "FAILED  r: two searches  (a.yaml:12)",
        "  expected  silent",
        "  got       fires at 40s",
        "  conditions",
        "           a  count search where results eq 0, at least 2, within 5m",
        "  timeline",
        '          0s  search results=0 query="a"',
        "          0s    a: no (1)",
        '         40s  search results=0 query="b"',
        "         40s    a: yes (2)",
        "         40s    -> fires: suggested",
        "         40s       en: No “b” | it: Niente",
        "         50s  help_view",
        "         50s    a: yes (2)",
        "         50s    -> withdrawn: withdraw",
        "          1m  (until here)",
    ]


def test_the_report_of_a_test_that_passed_is_one_line(tmp_path: Path) -> None:
    report = result_of(tmp_path, f"- name: n\n  {TWO}\n  expect: {{fires: at 40s}}").report()
    assert report.replace(str(tmp_path) + "/", "") == "ok  r: n  (a.yaml:12)"
