"""A directory of rule files, or their contents -> a compiled `Ruleset`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from streams.core.definition import Program
from streams.core.ruleset import DefinitionErrors, EngineOptions, Ruleset, compile_ruleset
from streams.rulefiles.findings import Report
from streams.rulefiles.program import load_program, program_of, read_program

__all__ = ["compile_files", "load_program", "load_rules"]


def load_rules(directory: Path, options: EngineOptions) -> Ruleset:
    """Read and compile every rule file under `directory`. Raises RuleFileError with all findings.

    Rules that are `draft` or `off` take no part in the ruleset, and still have to compile.
    """
    report = Report()
    read = read_program(directory, report, options.allowed_link_hosts)
    return _ruleset(read[0] if read is not None else None, options, report)


def compile_files(files: Mapping[str, bytes], directory: Path, options: EngineOptions) -> Ruleset:
    """As `load_rules`, of contents that were read before; findings name them as files below `directory`."""
    report = Report()
    read = program_of(files, directory, report, options.allowed_link_hosts)
    return _ruleset(read[0] if read is not None else None, options, report)


def _ruleset(program: Program | None, options: EngineOptions, report: Report) -> Ruleset:
    ruleset = None
    if program is not None:
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
