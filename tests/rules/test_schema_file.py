"""What editors complete from: the modeline of the sample rules, and the schema file that it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from streams.rulefiles.findings import Report
from streams.rulefiles.schema import json_schema
from streams.rulefiles.testforms import plain_value
from streams.rulefiles.yaml_tree import read_tree

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "rules").glob("**/*.yaml"))


def test_the_schema_file_is_what_the_program_says() -> None:
    written = json.loads((ROOT / "rules.schema.json").read_text(encoding="utf-8"))
    assert written == json_schema(), "avert rules schema > rules.schema.json"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_names_the_schema_and_is_valid_by_it(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    schema = json.loads((path.parent / first.partition("=")[2]).read_text(encoding="utf-8"))
    for document in read_tree(path.read_bytes(), path.name, Report()):
        assert list(Draft202012Validator(schema).iter_errors(plain_value(document))) == []
