"""The broken files in broken/: each ends with a comment ``# expect: LINE:COLUMN: MESSAGE`` for each finding, in order.

A file whose first line is ``# file: outcomes.yaml`` stands in for that file; every other one is a rule file beside
the outcomes below.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from streams.core.ruleset import EngineOptions
from streams.rulefiles.findings import RuleFilesBrokenError
from streams.rulefiles.load import load_rules

OUTCOMES = """\
currency: EUR
outcomes:
  support_chat: {kind: anti_conversion, when: {event: chat_opened}, cost: 6.50}
  phone_call: {kind: anti_conversion, when: {event: phone_call}, cost: 11.20}
  purchase: {kind: conversion, when: {event: purchase}, value: {of: total}}
"""
OPTIONS = EngineOptions(allowed_link_hosts=frozenset({"help.shop.example"}))


def write_files(directory: Path, **texts: str | bytes) -> Path:
    """Write NAME.yaml for each text; outcomes.yaml is there unless given."""
    for name, text in {"outcomes": OUTCOMES, **texts}.items():
        raw = text.encode() if isinstance(text, str) else text
        (directory / f"{name}.yaml").write_bytes(raw)
    return directory


def messages(directory: Path) -> list[str]:
    """What is wrong with the files in `directory`, as ``FILE:LINE:COLUMN: MESSAGE`` with bare file names."""
    try:
        load_rules(directory, OPTIONS)
    except RuleFilesBrokenError as error:
        return [str(finding).replace(str(directory) + "/", "") for finding in error.findings]
    return []


def findings_of(path: Path) -> list[str]:
    """The findings of one broken file, without the file's name where it is its own."""
    text = path.read_bytes()
    name = "outcomes" if text.startswith(b"# file: outcomes.yaml") else "broken"
    with tempfile.TemporaryDirectory() as directory:
        found = messages(write_files(Path(directory), **{name: text}))
    return [message.removeprefix(f"{name}.yaml:") for message in found]


def expected_of(path: Path) -> list[str]:
    """The findings that the file itself says it has."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("# expect: ") for line in lines if line.startswith("# expect: ")]
