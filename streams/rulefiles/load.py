"""A directory of rule files -> a compiled `Ruleset`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from streams.core.definition import Program
from streams.core.ruleset import DefinitionErrors, EngineOptions, Ruleset, compile_ruleset
from streams.rulefiles.findings import Report
from streams.rulefiles.program import load_program, read_program

__all__ = ["load_program", "load_rules"]


def load_rules(directory: Path, options: EngineOptions) -> Ruleset:
    """Read and compile every rule file under `directory`. Raises RuleFileError with all findings.

    Rules that are `draft` or `off` take no part in the ruleset, and still have to compile.
    """
    report = Report()
    read = read_program(directory, report, options.allowed_link_hosts)
    ruleset = None
    if read is not None:
        program, _ = read
        ruleset = _compiled(program, options, report)
        resting = tuple(replace(rule, mode="live") for rule in program.rules if rule.mode in ("draft", "off"))
        if resting:
            _compiled(replace(program, rules=resting), options, report)
    report.raise_if_any()
    assert ruleset is not None  # noqa: S101 - nothing found and nothing compiled cannot be
    return ruleset


def _compiled(program: Program, options: EngineOptions, report: Report) -> Ruleset | None:
    try:
        return compile_ruleset(program, options)
    except DefinitionErrors as error:
        for finding in error.findings:
            report.add(finding.mark, finding.message)
        return None
