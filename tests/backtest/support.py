"""Small recordings and rule folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streams.backtest.command import Columns, run_backtest
from streams.backtest.report import Report, RuleReport
from streams.backtest.run import Resources, Result, backtest
from streams.core.ruleset import EngineOptions
from streams.replay import ReplayOptions
from streams.rulefiles.program import load_program

T0 = 1_700_000_000_000
SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
WINDOW = 24 * HOUR

OUTCOMES = """\
currency: EUR
outcomes:
  support_chat: {kind: anti_conversion, when: {event: chat_opened}, cost: 6.50}
  purchase: {kind: conversion, when: {event: purchase}, value: {of: total}}
"""
RULE = """\
rule: {name}
{target}
mode: {mode}
when: {when}
suggest: {{placement: p-{name}, title: {{en: "{title}"}}, expires: 10m{more}}}
limits: {{per_session: {limit}, after_dismissal: continue}}
"""


def rule(name: str, when: str, **given: Any) -> str:
    values = {
        "target": "prevents: support_chat", "mode": "live", "title": "Help?", "limit": "unlimited", "more": "", **given,
    }  # fmt: skip
    return RULE.format(name=name, when=when, **values)


def rules_dir(folder: Path, *rules: str, outcomes: str = OUTCOMES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "outcomes.yaml").write_text(outcomes)
    (folder / "rules.yaml").write_text("---\n".join(rules))
    return folder


def line(at: int, type_: str, visitor: str = "v", **fields: Any) -> dict[str, Any]:
    """One event `at` ms after T0; what is not a field of events is a prop."""
    own = {name: fields.pop(name) for name in ("id", "session", "path", "page", "context") if name in fields}
    return {"visitor": visitor, "type": type_, "ts": T0 + at, **own, "props": fields}


def recording(path: Path, *lines: dict[str, Any]) -> Path:
    numbered = [{"id": f"e{number}", **row} for number, row in enumerate(lines)]
    path.write_text("".join(json.dumps(row) + "\n" for row in numbered))
    return path


def report_on(rules: Path, *files: Path, against: Path | None = None, **options: Any) -> Report:
    folders = [rules] if against is None else [rules, against]
    return run_backtest(files, folders, EngineOptions(**options), Columns(), 1)


def one_rule(rules: Path, *files: Path, **options: Any) -> RuleReport:
    return report_on(rules, *files, **options).result.rules[0]


def result_of(
    rules: Path, *files: Path, mapping: ReplayOptions | None = None, **resources: Any
) -> Result:
    options = EngineOptions()
    program, _ = load_program(rules, options)
    return backtest(files, [program], options, mapping or ReplayOptions(), resources=Resources(**resources))
