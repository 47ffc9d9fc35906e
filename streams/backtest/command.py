"""`avert rules backtest` and `avert rules diff`: from folders and files to a report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from streams.backtest.recordings import read_mapping, split_columns, with_fields
from streams.backtest.report import Report, make_report
from streams.backtest.run import Resources, backtest
from streams.backtest.terminal import Bar
from streams.core.definition import Program
from streams.core.ruleset import EngineOptions
from streams.replay import ReplayError, ReplayOptions, with_columns
from streams.rulefiles.load import load_rules
from streams.rulefiles.program import load_program


@dataclass(frozen=True)
class Columns:
    """How the recording's columns become events, as said on the command line."""

    known: ReplayOptions = field(default_factory=ReplayOptions)  # a known recording's
    file: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)  # also ``props.NAME``
    rename: Mapping[str, str] = field(default_factory=dict)
    props: str | None = None
    default_type: str | None = None

    def options(self) -> ReplayOptions:
        """The mapping file's words, then those of the command line, which go first. Raises ReplayError."""
        columns, rename = dict(self.columns), dict(self.rename)
        props, default_type = self.props, self.default_type
        if self.file is not None:
            given = read_mapping(self.file)
            columns, rename = {**given.columns, **columns}, {**given.rename, **rename}
            props, default_type = props or given.props, default_type or given.default_type
        own, fields = split_columns(columns)
        try:
            mapped = with_columns(self.known, own, rename, props, default_type or self.known.default_type, 0.0)
        except ValueError as error:
            raise ReplayError(str(error)) from error
        return with_fields(mapped, fields)


def run_backtest(
    files: Sequence[Path],
    directories: Sequence[Path],
    options: EngineOptions,
    columns: Columns,
    processes: int,
) -> Report:
    """Play `files` with the rules of the first folder, and of the second to compare with, if there is one.

    Raises RuleFileError, ReplayError.
    """
    if not files:
        raise ReplayError("name at least one recorded file")
    if len(set(files)) < len(files):
        raise ReplayError("a file is named twice: its events would count twice")
    if processes < 1:
        raise ReplayError("at least one process has to do the work")
    programs: list[Program] = []
    for directory in directories:
        load_rules(directory, options)  # refuses what cannot be compiled, drafts too, with file and line
        programs.append(load_program(directory, options)[0])
    if len({program.currency for program in programs}) > 1:
        raise ReplayError("the two rule sets count in different currencies")
    started = time.monotonic()
    with Bar() as bar:
        result = backtest(
            files, programs, options, columns.options(), resources=Resources(processes), progress=bar
        )
    return make_report(
        result, programs, [str(directory) for directory in directories], options, time.monotonic() - started
    )


def write_json(report: Report, path: Path) -> None:
    """The report as one JSON object in a file."""
    path.write_bytes(msgspec.json.encode(report))
