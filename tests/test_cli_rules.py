"""The commands of `avert rules`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from streams import cli
from tests.rulefiles.broken_cases import write_files

RULE = """\
rule: r
prevents: support_chat
when: {all: [{count: {event: search}, at_least: 2}, {never: {event: help_view}}]}
suggest: {placement: p, title: T}
tests:
  - name: n
    events: [{at: 0s, event: search}, {at: 1s, event: search}]
    expect: {fires: at %s}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    directory = tmp_path / "rules"
    directory.mkdir()
    return write_files(directory, a=RULE % "1s")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    events = [(0, "v", "search"), (10, "w", "search"), (20, "v", "page_view")]
    path.write_text("".join(
        json.dumps({"id": str(at), "visitor": who, "type": kind, "ts": 1_700_000_000 + at}) + "\n"
        for at, who, kind in events
    ))
    return path


def test_coverage_names_what_no_test_shows(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "test", str(rules), "--coverage"]) == 0
    out = capsys.readouterr().out
    assert "a.yaml:3:53: r: no test makes it not hold: never help_view" in out
    assert "5 of 6 sides of 3 conditions are shown by a test" in out
    assert cli.main(["rules", "test", str(rules), "--coverage", "--json"]) == 0
    covered = json.loads(capsys.readouterr().out)["coverage"]
    assert [(branch["holds"], branch["fails"]) for branch in covered] == [(True, True), (True, True), (True, False)]


def test_junit_is_written_whether_or_not_a_test_fails(rules: Path, tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    assert cli.main(["rules", "test", str(rules), "--junit", str(path)]) == 0
    assert ElementTree.parse(path).getroot().get("failures") == "0"
    write_files(rules, a=RULE % "2s")
    assert cli.main(["rules", "test", str(rules), "--junit", str(path)]) == 1
    assert ElementTree.parse(path).getroot().get("failures") == "1"


def test_explain_a_recorded_visitor(rules: Path, recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["rules", "explain", str(recording), "--visitor", "v", "--rules", str(rules)]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "visitor v: 2 events (2 applied)" in out
    assert "count search, at least 2 = 1; lacks: 1 more" in out
    assert cli.main([*arguments, "--json", "--rule", "r", "--at", "2023-11-14T22:13:25Z"]) == 0
    explained = json.loads(capsys.readouterr().out)
    assert (explained["events"], [rule["rule"] for rule in explained["rules"]]) == (1, ["r"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--visitor", "x"], "no event of visitor 'x'"),
        (["--visitor", "v", "--rule", "x"], "there is no rule 'x'"),
        (["--visitor", "v", "--at", "noon"], "--at: 'noon' is not a time"),
    ],
)
def test_explain_what_is_not_there(
    rules: Path, recording: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert cli.main(["rules", "explain", str(recording), "--rules", str(rules), *more]) == 2
    assert said in capsys.readouterr().err


def test_explain_a_live_visitor_needs_a_key(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "explain", "--visitor", "v", "--rules", str(rules)]) == 2
    assert "admin_keys" in capsys.readouterr().err


def test_a_warning_is_told_and_counts_when_strict(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(rules, a=(RULE % "1s").replace("title: T", "title: {en: T, it: T}, body: B"))
    assert cli.main(["rules", "check", str(rules)]) == 0
    assert f"{rules}/a.yaml:1:7: warning: r: `body` is not there in it" in capsys.readouterr().out
    assert cli.main(["rules", "check", str(rules), "--strict"]) == 1
    capsys.readouterr()
    assert cli.main(["rules", "check", str(rules), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 1


def test_show_what_a_rule_costs(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "show", str(rules), "--cost"]) == 0
    assert "state, bytes" in capsys.readouterr().out
    assert cli.main(["rules", "show", str(rules), "--cost", "--json"]) == 0
    (cost,) = json.loads(capsys.readouterr().out)["costs"]
    assert (cost["rule"], cost["conditions"]) == ("r", 2)


def test_the_schema_is_readable_by_people_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "schema"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["title"] == "Avert rule files"
    assert len(out.splitlines()) > 100
