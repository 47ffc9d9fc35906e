"""Golden messages: what the loader says of each broken file, to the column."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streams.rulefiles.findings import FINDINGS_SHOWN_MAX
from streams.rulefiles.load import load_rules
from streams.rulefiles.yaml_tree import FILE_BYTES_MAX
from tests.rulefiles.broken_cases import OPTIONS, OUTCOMES, expected_of, findings_of, messages, write_files

BROKEN_FILES = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
GOOD_RULE = "rule: good\nprevents: support_chat\nwhen: {event: search}\nsuggest: {placement: p, title: Hello}\n"


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN_FILES) >= 60


@pytest.mark.parametrize("path", BROKEN_FILES, ids=lambda path: path.stem)
def test_message(path: Path) -> None:
    expected = expected_of(path)
    assert expected, "a broken file says what is wrong with it"
    assert findings_of(path) == expected


def test_all_findings_of_all_files_are_told_at_once_and_sorted(tmp_path: Path) -> None:
    write_files(tmp_path, outcomes=OUTCOMES + "colour: red\n", b="rule: b\nprio: 1\n" + GOOD_RULE[11:], a="rule: [x]\n")
    found = messages(tmp_path)
    assert [message.split(":")[0] for message in found] == ["a.yaml", "a.yaml", "a.yaml", "b.yaml", "outcomes.yaml"]


def test_the_error_has_a_line_for_each_finding(tmp_path: Path) -> None:
    write_files(tmp_path, a="rule: A\n")
    with pytest.raises(Exception, match=r"a\.yaml:1:1: a rule needs `when`") as caught:
        load_rules(tmp_path, OPTIONS)
    assert len(str(caught.value).splitlines()) == len(messages(tmp_path)) == 3


def test_nothing_of_a_broken_set_is_used(tmp_path: Path) -> None:
    write_files(tmp_path, good=GOOD_RULE, bad="rule: bad\n")
    assert all(message.startswith("bad.yaml:") for message in messages(tmp_path))


def test_a_very_broken_file_does_not_flood_the_terminal(tmp_path: Path) -> None:
    write_files(tmp_path, a="".join(f"k{number}: 1\n" for number in range(1000)))
    with pytest.raises(Exception, match=r"\.\.\. and \d+ more") as caught:
        load_rules(tmp_path, OPTIONS)
    assert len(str(caught.value).splitlines()) == FINDINGS_SHOWN_MAX + 1


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    write_files(tmp_path, a=b"rule: r\ntitle: caf\xe9\n")
    assert messages(tmp_path) == ["a.yaml:2:11: a byte that is not UTF-8"]


def test_a_control_character(tmp_path: Path) -> None:
    write_files(tmp_path, a="rule: r\ntitle: a\x07b\n")
    assert messages(tmp_path) == ["a.yaml:2:9: a control character that YAML does not allow"]


def test_half_a_character(tmp_path: Path) -> None:
    write_files(tmp_path, a=GOOD_RULE + 'title: "\\ud83d"\n')
    assert messages(tmp_path) == ["a.yaml:5:8: an escape that is half a character (a lone surrogate)"]


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    write_files(tmp_path, a=b"#" * (FILE_BYTES_MAX + 1))
    assert messages(tmp_path) == [
        f"a.yaml:1:1: the file has {FILE_BYTES_MAX + 1} bytes or more; at most {FILE_BYTES_MAX}: split it"
    ]


def test_no_directory(tmp_path: Path) -> None:
    directory = tmp_path / "nowhere"
    assert messages(directory) == [f"{directory}:1:1: there is no such directory"]


def test_no_outcomes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD_RULE)
    assert messages(tmp_path) == [
        "outcomes.yaml:1:1: the file outcomes.yaml is missing: it declares what counts and what it costs"
    ]


def test_one_rule_name_in_two_files(tmp_path: Path) -> None:
    write_files(tmp_path, a=GOOD_RULE, b="\n" + GOOD_RULE)
    assert messages(tmp_path) == [
        f"b.yaml:2:7: two rules are named `good`; the first is in {tmp_path}/a.yaml:1".replace(f"{tmp_path}/", "")
    ]


def test_a_rule_that_rests_must_be_right_too(tmp_path: Path) -> None:
    """Drafts take no part in the ruleset, and are still checked by everything that checks the others."""
    write_files(tmp_path, a=GOOD_RULE + "mode: draft\npriority: high\n")
    assert messages(tmp_path) == ["a.yaml:6:11: expected a whole number from 0 to 100, got `high`"]


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (write_files(tmp_path) / "a.yaml").symlink_to(tmp_path / "gone.yaml")
    assert messages(tmp_path) == ["a.yaml:1:1: cannot be read: No such file or directory"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(write_files(tmp_path) / "a.yaml")
    assert messages(tmp_path) == ["a.yaml:1:1: not a regular file"]
