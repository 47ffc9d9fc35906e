"""`avert case`: from files and rules to a report; kept reports; drafts into a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from streams.backtest.command import Columns
from streams.backtest.terminal import Bar
from streams.core.ruleset import EngineOptions
from streams.errors import SettingsError
from streams.impact.case.report import Case, make_case
from streams.impact.case.run import study
from streams.replay import ReplayError
from streams.rulefiles.program import load_program

TOP_MAX = 50  # of the findings that were gone through again


def run_case(files: Sequence[Path], rules: Path, options: EngineOptions, columns: Columns, top: int) -> Case:
    """The case that recorded files make. Raises RuleFileError, ReplayError, SettingsError."""
    if not files:
        raise ReplayError("name at least one recorded file")
    if len(set(files)) < len(files):
        raise ReplayError("a file is named twice: its events would count twice")
    if not 1 <= top <= TOP_MAX:
        raise SettingsError(f"--top wants a number from 1 to {TOP_MAX}")
    program = load_program(rules, options)[0]
    if not any(one.kind == "anti_conversion" for one in program.outcomes):
        raise SettingsError(f"{rules}: no outcome is an anti_conversion, so there is no cost to make a case of")
    started = time.monotonic()
    with Bar() as bar:
        studied = study(files, program, options, columns.options(), progress=bar)
    return make_case(studied, program, top, time.monotonic() - started)


def read_case(path: Path) -> Case:
    """A case that was kept with --json. Raises SettingsError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Case)
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{path}: not a case that `avert case --json` printed: {error}") from error


def write_drafts(case: Case, folder: Path) -> list[Path]:
    """Each draft into a file of its own. Raises SettingsError before it would write over one."""
    paths = [folder / f"{one.rule}.yaml" for one in case.findings]
    there = next((path for path in paths if path.exists()), None)
    if there is not None:
        raise SettingsError(f"{there} is there already: somebody may have worked on it; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, one in zip(paths, case.findings, strict=True):
            path.write_text(one.draft, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror or error}") from error
    return paths
