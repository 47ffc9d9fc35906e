"""No bytes crash the loader: whatever is in a file, the answer is a program or findings with a place."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from streams.rulefiles.findings import Report, RuleFilesBrokenError
from streams.rulefiles.load import load_rules
from streams.rulefiles.schema import json_schema
from streams.rulefiles.testforms import plain_value
from streams.rulefiles.yaml_tree import DEPTH_MAX, FILE_BYTES_MAX, read_tree
from tests.rulefiles.broken_cases import OPTIONS, write_files

RULES = Path(__file__).parents[2] / "rules"
SAMPLES = [path.read_text(encoding="utf-8") for path in sorted(RULES.glob("*.yaml"))]
# What YAML and the rule language are made of: random text of these gets further than random characters.
TOKENS = [
    *"{}[]:,-?|>&*!%@#'\"\n \t", "\n  ", "\n    ", "\n- ", ": ", "- ", "---\n", "...\n", "&a ", "*a", "!!str ", "!<",
    "%YAML 1.2\n", "? ", "<<: ", "null", "~", "0x", ".nan", "1e400", "\\x", '"\\U0011ffff"', "\u2028", "\x85", "\ufeff",
    "rule", "rules", "outcomes", "when", "suggest", "tests", "events", "expect", "all", "any", "not", "event", "count",
    "sequence", "missing", "idle", "session", "where", "same_as", "matches", "at", "5m", "10%", "{{",
    "{{ event.props.x }}",
]  # fmt: skip
VALIDATOR = Draft202012Validator(json_schema())


def load_or_findings(raw: bytes, name: str = "fuzz") -> list[str]:
    """The findings of a directory with these bytes in it; each has a place inside the file."""
    with tempfile.TemporaryDirectory() as directory:
        write_files(Path(directory), **{name: raw})
        try:
            load_rules(Path(directory), OPTIONS)
            return []
        except RuleFilesBrokenError as error:
            findings = error.findings
    assert findings
    lines = raw.count(b"\n") + raw.count(b"\r") + raw.count(b"\xc2\x85") + raw.count(b"\xe2\x80") + 1
    for finding in findings:
        assert 1 <= finding.line <= lines
        assert finding.column >= 1
        assert finding.message.isprintable()
    return [str(finding) for finding in findings]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
@example(b"\xff\xfe\x00\x00")
@example(b"a: \x00")
def test_random_bytes(raw: bytes) -> None:
    load_or_findings(raw)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=60).map("".join))
@example('"\\U0011ffff"')
@example("!<")
@example("%YAML 1.2\n%TAG ! x")
def test_random_tokens(text: str) -> None:
    load_or_findings(text.encode("utf-8", "surrogatepass"))
    load_or_findings(text.encode("utf-8", "surrogatepass"), "outcomes")


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A sample file with a few spans deleted, doubled, swapped for tokens, or put elsewhere."""
    text = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        token = draw(st.sampled_from(["", text[start:end] * 2, *TOKENS]))
        text = text[:start] + token + text[end:]
    return text


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_mutated_samples(text: str) -> None:
    raw = text.encode()
    name = "outcomes" if "\ncurrency:" in text else "fuzz"
    found = load_or_findings(raw, name)
    if not found:
        # What the loader takes, the editor's schema takes.
        for document in read_tree(raw, "fuzz", Report()):
            VALIDATOR.validate(plain_value(document))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 100_000,
        "? " * 50_000,
        "a:\n" + " " * 100_000 + "b",
        "{" * 10 + "[" * 5000,
    ],
    ids=lambda text: text[:4],
)
def test_huge_nesting_is_refused(text: str) -> None:
    report = Report()
    read_tree(text.encode(), "deep", report)
    assert report.findings or text.startswith("a:")


def test_nesting_up_to_the_limit_is_read() -> None:
    report = Report()
    read_tree(("[" * DEPTH_MAX + "]" * DEPTH_MAX).encode(), "deep", report)
    assert report.findings == []


def test_a_yaml_bomb_is_refused_and_not_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    found = load_or_findings("\n".join(lines).encode())
    assert any("an alias" in message for message in found)


def test_a_long_number_stays_a_word() -> None:
    assert load_or_findings(b"rule: r\npriority: " + b"9" * 100_000)


def test_the_largest_file_is_read() -> None:
    comment = b"# " + b"x" * 100 + b"\n"
    rule = b"rule: r\nprevents: support_chat\nwhen: {event: search}\nsuggest: {placement: p, title: T}\n"
    assert load_or_findings(comment * ((FILE_BYTES_MAX - len(rule)) // len(comment)) + rule) == []
