"""What is allowed and hardly meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.rulefiles.load import load_program
from streams.rulefiles.load_warnings import warnings_of
from tests.rulefiles.broken_cases import OPTIONS, write_files

TEST = """\
tests:
  - name: n
    events: [{at: 0s, event: search, query: q, page.path: /}]
    expect: {fires: at 0s}
"""


def found(directory: Path, suggest: str, when: str = "event: search", tests: str = TEST) -> list[str]:
    text = f"rule: r\nprevents: support_chat\nwhen: {{{when}}}\nsuggest:\n  placement: p\n  {suggest}\n{tests}"
    program, read = load_program(write_files(directory, a=text), OPTIONS)
    said = [str(finding).replace(f"{directory}/", "") for finding in warnings_of(program, read, OPTIONS)]
    assert all(line.startswith("a.yaml:1:7: r: ") for line in said)
    return [line.removeprefix("a.yaml:1:7: r: ") for line in said]


def test_nothing_doubtful(tmp_path: Path) -> None:
    assert found(tmp_path, "title: {en: T, it: T}\n  body: {en: B, it: B}") == []
    assert found(tmp_path, "title: T") == []


def test_a_language_that_one_text_lacks(tmp_path: Path) -> None:
    assert found(tmp_path, "title: {en: T, it: T, fr: T}\n  body: {en: B}\n  action: {label: L, href: /}") == [
        "`action.label` is not there in it, fr, and `title` is: these visitors would read it in en",
        "`body` is not there in it, fr, and `title` is: these visitors would read it in en",
    ]


def test_a_language_that_a_variant_lacks(tmp_path: Path) -> None:
    variants = "title: T\n  variants:\n    - {variant: a, weight: 1, title: {en: T, it: T}, body: {it: B}}\n"
    variants += "    - {variant: b, weight: 1, title: T}"
    assert found(tmp_path, variants) == [
        "`body` of the variant `a` is not there in en, and `title` is: these visitors would read it in it",
    ]


@pytest.mark.parametrize(
    ("field", "when", "said"),
    [
        ("props.query", "event: search", ""),
        ("page.path", "event: search", ""),
        ("type", "event: search", ""),
        ("props.qurey", "event: search", "no event in the rule's tests has it; did you mean `props.query`?"),
        ("props.total", "event: search", "no event in the rule's tests has it"),
        ("props.total", "event: search, where: {total: {gte: 5}}", ""),
        ("props.total", "event: help_view", ""),  # no test shows such an event: nobody knows
        ("props.query", "event: search, where: {query: {exists: false}}",
         "the conditions ask for events that do not have it"),
        ("props.query", "idle: 90s",
         "the condition fires by what does not happen, so there is no event to take it from"),
    ],
)  # fmt: skip
def test_a_field_that_no_event_has(tmp_path: Path, field: str, when: str, said: str) -> None:
    warned = found(tmp_path, f'title: "{{{{ event.{field} }}}}"', when)
    expected = [f"`{{{{ event.{field} }}}}`: {said}; without it nothing is shown"] if said else []
    assert warned == expected


def test_a_field_inside_an_object_of_a_test(tmp_path: Path) -> None:
    tests = TEST.replace("query: q", "cart.total: 5")
    assert found(tmp_path, 'title: "{{ event.props.cart.total }}"', tests=tests) == []


@pytest.mark.parametrize("tests", ["", TEST.replace("{fires: at 0s}", "silent")])
def test_no_test_shows_it_firing(tmp_path: Path, tests: str) -> None:
    assert found(tmp_path, "title: T", tests=tests) == ["no test shows it firing"]


@pytest.mark.parametrize("mode", ["draft", "shadow", "'off'"])
def test_rules_that_rest_are_looked_at(tmp_path: Path, mode: str) -> None:
    assert found(tmp_path, "title: T", tests=f"mode: {mode}\n") == ["no test shows it firing"]
