"""The editors' schema and the reference page come from the loader's tables, and agree with the loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from streams.core.definition import Operator, SessionField
from streams.rulefiles.conditions import FORMS
from streams.rulefiles.fields import OPERATORS
from streams.rulefiles.findings import BROKEN, Report
from streams.rulefiles.forms import Form, Key, Reader, walk
from streams.rulefiles.outcomes import OUTCOMES_FILE
from streams.rulefiles.reference import REASON_DOCS, reference, written_into
from streams.rulefiles.rules import RULE, RULES_FILE
from streams.rulefiles.schema import json_schema
from streams.rulefiles.testforms import REASONS, plain_value
from streams.rulefiles.yaml_tree import MapNode, Node, read_tree

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(json_schema())
BROKEN_FILES = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
# Broken in ways that are no matter of one document's form: YAML itself, other files, names, money, times, RE2 ...
BEYOND_A_SCHEMA = (
    "yaml-", "rule-same-id", "rule-undeclared", "rule-prevents-", "rule-promotes-", "suggest-placeholder",
    "suggest-link-", "count-contradiction", "count-always", "count-exactly", "count-within-", "where-regex",
    "where-between", "where-impossible", "where-field", "where-empty", "sequence-", "same-as-", "session-duration",
    "suggest-expires-zero", "outcomes-two-documents", "outcomes-nothing", "outcomes-cost", "file-outcomes-elsewhere",
    "test-expect-empty", "test-event", "count-distinct", "measure-no-comparison", "measure-impossible",
    "measure-same-as", "ratio-", "when-score", "score-nested", "idle-too-long", "where-step-outside",
    "schedule-zone", "schedule-empty",
    "schedule-no-time", "schedule-backwards", "schedule-no-day", "audience-nobody", "audience-empty",
    "variants-same-name", "rule-programme",
)  # fmt: skip


def documents_of(path: Path) -> list[Any]:
    return [plain_value(node) for node in read_tree(path.read_bytes(), path.name, Report())]


def keys_with_examples() -> list[tuple[Form, Key]]:
    return [(form, key) for form in walk((RULE, RULES_FILE, OUTCOMES_FILE)) for key in form.keys if key.example]


def read_example(text: str) -> MapNode:
    report = Report()
    (node,) = read_tree(text.encode(), "example", report)
    assert report.findings == []
    assert isinstance(node, MapNode)
    return node


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_sample_files_fit_the_schema(path: Path) -> None:
    for document in documents_of(path):
        VALIDATOR.validate(document)


@pytest.mark.parametrize(
    "path", [path for path in BROKEN_FILES if not path.stem.startswith(BEYOND_A_SCHEMA)], ids=lambda path: path.stem
)
def test_broken_files_do_not_fit_the_schema(path: Path) -> None:
    assert not all(VALIDATOR.is_valid(document) for document in documents_of(path))


@pytest.mark.parametrize(("form", "key"), keys_with_examples(), ids=lambda part: part.name)
def test_every_example_in_the_tables_is_one(form: Form, key: Key) -> None:
    node = read_example(key.example)
    report = Report()
    value: Node | None = node.get(key.name)
    assert value is not None, f"the example of `{key.name}` in {form.name} begins with another key"
    assert key.kind.read(value, Reader(report)) is not BROKEN, report.findings
    schema = {"$defs": json_schema()["$defs"]} | key.kind.schema()
    Draft202012Validator(schema).validate(plain_value(value))


@pytest.mark.parametrize("row", OPERATORS, ids=lambda row: row.operator.value)
def test_every_example_of_an_operator_is_one(row: Any) -> None:
    node = read_example(row.example)
    (name, value) = node.items[0]
    assert name.text == row.operator
    assert row.kind.read(value, Reader(Report())) is not BROKEN


def test_every_key_has_a_sentence() -> None:
    for form in walk((RULE, RULES_FILE, OUTCOMES_FILE)):
        assert form.doc
        assert all(key.doc for key in form.keys), form.name


def test_every_operator_of_the_model_is_in_the_table() -> None:
    assert [row.operator for row in OPERATORS] == list(Operator)


def test_no_word_is_both_known_and_planned() -> None:
    for form in walk((RULE, RULES_FILE, OUTCOMES_FILE)):
        assert set(form.planned).isdisjoint(key.name for key in form.keys)


def test_the_page_has_the_reference_of_these_tables() -> None:
    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert written_into(page) == page, "run: python -m streams.rulefiles.reference docs/rules.md"


def test_the_reference_names_everything() -> None:
    text = reference()
    forms = walk((RULE, RULES_FILE, OUTCOMES_FILE))
    words = [key.name for form in forms for key in form.keys] + [
        *FORMS,
        *Operator,
        *SessionField,
        *REASONS.words,
    ]
    assert [word for word in words if f"`{word}`" not in text] == []
    assert set(REASON_DOCS) == set(REASONS.words)
