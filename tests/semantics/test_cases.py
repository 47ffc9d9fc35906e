"""The published cases on the real engine, and that the runner can tell a right answer from a wrong one."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from tests.semantics.__main__ import judge, main

FILE = Path(__file__).parents[1] / "data" / "semantics" / "cases.json"
CASES = json.loads(FILE.read_text(encoding="utf-8"))["cases"]
MORE = json.loads((Path(__file__).parent / "more_cases.json").read_text(encoding="utf-8"))["cases"]
# Why a case may be inexpressible. docs/semantics.md explains each.
KNOWN_REASONS = {
    "a group in any order, in a pattern that begins anew at each first event",
}
PASSING = [case for case in CASES if judge(case).result == "passed"]


def named(case):
    return case["id"]


def all_the_same(case):
    first, *others = ({**step, "tag": ""} for step in case["pattern"]["steps"])
    return bool(others) and all(step == first for step in others)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_the_case(case):
    verdict = judge(case)
    assert verdict.result != "failed", verdict.why
    assert verdict.result == "passed" or verdict.why in KNOWN_REASONS


@pytest.mark.parametrize("case", MORE, ids=named)
def test_a_case_of_our_own(case):
    assert judge(case) == ("passed", "")


@pytest.mark.parametrize("case", PASSING, ids=named)
def test_one_match_more_is_not_there(case):
    wrong = copy.deepcopy(case)
    wrong["expected"].append({"at_ms": case["advance_to_ms"]})
    wrong["expected_count"] += 1
    assert judge(wrong).result == "failed"


@pytest.mark.parametrize("case", [case for case in PASSING if case["expected"]], ids=named)
def test_no_match_is_too_many(case):
    wrong = copy.deepcopy(case)
    wrong["expected"].pop()
    wrong["expected_count"] -= 1
    assert judge(wrong).result == "failed"


@pytest.mark.parametrize("case", [case for case in PASSING if case["expected"]], ids=named)
def test_a_match_has_its_time(case):
    wrong = copy.deepcopy(case)
    wrong["expected"][0]["at_ms"] = wrong["expected"][0].get("at_ms", 0) + 1
    assert judge(wrong).result == "failed"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_neither_the_name_nor_what_is_expected_decides_whether_it_can_be_said(case):
    other = copy.deepcopy(case) | {"id": "x", "family": "x", "source": {}, "expected": [], "expected_count": 77}
    assert (judge(case).result == "inexpressible") == (judge(other).result == "inexpressible")


# One of them binds what no rule can show: a count says how many, not which.
SHOWING = [case for case in PASSING if case["expected"] and not all_the_same(case)]


@pytest.mark.parametrize("case", SHOWING, ids=named)
def test_a_wrong_event_in_a_match_is_noticed(case):
    wrong = copy.deepcopy(case)
    for match in wrong["expected"]:
        bind = match["bind"]
        if "at_ms" not in match:
            match["at_ms"] = max(event["t"] for event in case["events"] if event["id"] in bind)
        bind[0 if isinstance(bind, list) else next(iter(bind))] = "another"
    assert judge(wrong).result == "failed"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ({"steps": [{"tag": "a", "type": "a", "greedy": True}]}, "`greedy`"),
        ({"steps": [{"tag": "a", "type": "a", "where": {"n": {"between_days": 1}}}]}, "`between_days`"),
        ({"steps": [{"tag": "a", "type": "a"}], "skip": "past_last"}, "`skip`"),
        ({"steps": [{"tag": "a", "type": "a"}], "restart": "twice"}, "`restart: twice`"),
        ({"steps": [{"tag": "a", "type": 7}]}, "a structure that is not known"),
        ({"steps": {"tag": "a"}}, "without a list of steps"),
        ({"steps": []}, "without steps"),
    ],
)
def test_a_word_that_is_not_known_is_named(pattern, why):
    case = {"id": "x", "pattern": pattern, "events": [], "advance_to_ms": 1, "expected": [], "expected_count": 0}
    verdict = judge(case)
    assert verdict.result == "inexpressible"
    assert why in verdict.why


def test_the_runner_prints_a_line_a_case_and_a_summary(capsys):
    assert main([str(FILE)]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[1].rstrip(":") for line in lines] == [case["id"] for case in CASES]
    summary = json.loads(last)
    assert summary == {
        "passed": len(PASSING), "failed": 0, "inexpressible": len(CASES) - len(PASSING), "cases": len(CASES),
    }  # fmt: skip


def test_the_runner_fails_when_a_case_does(tmp_path, capsys):
    wrong = copy.deepcopy(PASSING[0]) | {"expected_count": 5}
    (tmp_path / "cases.json").write_text(json.dumps({"cases": [wrong]}))
    assert main([str(tmp_path / "cases.json")]) == 1
    assert capsys.readouterr().out.startswith("failed ")
