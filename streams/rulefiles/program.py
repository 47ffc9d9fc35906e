"""A directory of rule files -> a `Program` and the rules' tests; or every finding of every file at once.

1. `outcomes.yaml` is required, `funnels.yaml` may be there.
   Every other `.yaml`/`.yml` file below the directory holds rules; hidden files and
   folders are passed over (editors and mounted volumes keep their own there).
2. Files are read in the order of their paths below the directory, so that the same files always give the same
   program, wherever they lie.
3. Nothing of a broken set of files is used.
4. First all files are read, then they are looked at: the same contents from elsewhere (a `files` mapping, path below
   the directory -> bytes) give the same program.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from streams.core.definition import Mark, Program, RuleDefinition
from streams.rulefiles.findings import BROKEN, Report, quoted, suggest
from streams.rulefiles.forms import Reader
from streams.rulefiles.funnels import FUNNELS_FILE, FunnelTest, ReadFunnel
from streams.rulefiles.outcomes import OUTCOMES_FILE, Declared, declared_names
from streams.rulefiles.rules import RULES_FILE, ReadRule, RuleKind
from streams.rulefiles.testforms import RuleTest
from streams.rulefiles.yaml_tree import FILE_BYTES_MAX, MapNode, Node, read_tree

if TYPE_CHECKING:
    from streams.core.ruleset import EngineOptions

OUTCOMES_NAME = "outcomes.yaml"
FUNNELS_NAME = "funnels.yaml"
SUFFIXES = (".yaml", ".yml")
FILES_MAX = 2000  # more than any set of rules; keeps a wrong directory from being read whole
_RULE = RuleKind()


def load_program(directory: Path, options: EngineOptions | None = None) -> tuple[Program, list[RuleTest]]:
    """Read every rule file under `directory`. Raises RuleFileError with all findings.

    Of `options` only `allowed_link_hosts` matters here.
    """
    report = Report()
    read = read_program(directory, report, options.allowed_link_hosts if options else frozenset())
    report.raise_if_any()
    assert read is not None  # noqa: S101 - nothing found and nothing read cannot be
    return read


def read_program(
    directory: Path, report: Report, allowed_link_hosts: frozenset[str] = frozenset()
) -> tuple[Program, list[RuleTest]] | None:
    """As load_program, with the findings into `report`; None when the program cannot be built."""
    if not directory.is_dir():
        report.add(Mark(str(directory)), "there is no such directory")
        return None
    return program_of(read_files(directory, report), directory, report, allowed_link_hosts)


def program_of(
    files: Mapping[str, bytes], directory: Path, report: Report, allowed_link_hosts: frozenset[str] = frozenset()
) -> tuple[Program, list[RuleTest]] | None:
    """The program of `files` (see 4 at the top); `directory` is where findings say that they lie."""
    reader = Reader(report, allowed_link_hosts)
    declared: Declared | None = None
    rules: list[ReadRule] = []
    funnels: tuple[ReadFunnel, ...] = ()
    if OUTCOMES_NAME not in files:
        report.add(
            Mark(str(directory / OUTCOMES_NAME)),
            f"the file {OUTCOMES_NAME} is missing: it declares what counts and what it costs",
        )
    names: dict[str, str | None] | None = None
    for name in sorted(files, key=_order):
        path = directory / name
        documents = read_tree(files[name], str(path), report)
        if name == OUTCOMES_NAME:
            names = {}
            for document in documents:
                names |= declared_names(document)
            declared = _read_outcomes(documents, path, reader)
        elif name == FUNNELS_NAME:
            funnels = _read_funnels(documents, reader)
        else:
            rules.extend(_read_rules(documents, reader))
    _check_ids(rules, report)
    _check_funnels(funnels, [rule.definition.id for rule in rules], report)
    if names:
        rules = _with_outcomes(rules, names, report)
    if declared is None:
        return None
    program = Program(
        currency=declared.currency,
        outcomes=declared.outcomes,
        rules=tuple(rule.definition for rule in rules),
        global_holdout=declared.global_holdout,
        global_salt=declared.global_salt,
        nudge_cost=declared.nudge_cost,
        funnels=tuple(funnel.definition for funnel in funnels),
    )
    return program, [replace(test, rule=rule.definition.id) for rule in rules for test in rule.tests]


# --- files -----------------------------------------------------------------------------------------------------


def read_files(directory: Path, report: Report) -> dict[str, bytes]:
    """The contents of the rule files by path below `directory` (with ``/``), in their order."""
    return {path.relative_to(directory).as_posix(): _read_bytes(path, report) for path in rule_paths(directory, report)}


def rule_paths(directory: Path, report: Report) -> list[Path]:
    """The rule files in their order; a link to a file is followed, a link to a folder is not."""
    found: list[Path] = []
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or not name.endswith(SUFFIXES):
                continue
            if len(found) == FILES_MAX:
                report.add(Mark(str(directory)), f"more than {FILES_MAX} rule files")
                return found
            found.append(Path(folder) / name)
    return sorted(found, key=lambda path: _order(path.relative_to(directory).as_posix()))


def _order(name: str) -> tuple[str, ...]:
    return tuple(name.split("/"))


def _read_bytes(path: Path, report: Report) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a pipe would keep us waiting
            report.add(Mark(str(path)), "not a regular file")
            return b""
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        report.add(Mark(str(path)), f"cannot be read: {error.strerror or error}")
        return b""


# --- documents -------------------------------------------------------------------------------------------------


def _read_outcomes(documents: list[Node], path: Path, reader: Reader) -> Declared | None:
    if not documents:
        reader.fault(Mark(str(path)), f"{OUTCOMES_NAME} needs `currency` and `outcomes`")
        return None
    for second in documents[1:]:
        reader.fault(second, f"{OUTCOMES_NAME} holds one document")
    first = documents[0]
    if not isinstance(first, MapNode):
        reader.fault(first, f"expected a map with `currency` and `outcomes` in {OUTCOMES_NAME}")
        return None
    read = OUTCOMES_FILE.read(first, reader)
    return read if isinstance(read, Declared) else None


def _read_funnels(documents: list[Node], reader: Reader) -> tuple[ReadFunnel, ...]:
    for second in documents[1:]:
        reader.fault(second, f"{FUNNELS_NAME} holds one document")
    if not documents:
        return ()
    first = documents[0]
    if not isinstance(first, MapNode):
        reader.fault(first, f"expected a map with `funnels` in {FUNNELS_NAME}")
        return ()
    read = FUNNELS_FILE.read(first, reader)
    return () if read is BROKEN else read


def funnel_tests(directory: Path) -> list[FunnelTest]:
    """The tests of `funnels.yaml`, of files that have been loaded without a finding."""
    path = directory / FUNNELS_NAME
    if not path.is_file():
        return []
    report = Report()
    funnels = _read_funnels(read_tree(_read_bytes(path, report), str(path), report), Reader(report))
    return [test for funnel in funnels for test in funnel.tests]


def _read_rules(documents: list[Node], reader: Reader) -> Iterator[ReadRule]:
    for document in documents:
        if isinstance(document, MapNode) and document.get("outcomes") is not None:
            reader.fault(document, f"outcomes stand in the file {OUTCOMES_NAME}, and nowhere else")
        elif isinstance(document, MapNode) and document.get("rules") is not None:
            read = RULES_FILE.read(document, reader)
            yield from () if read is BROKEN else read
        else:
            rule = _RULE.read(document, reader)
            if isinstance(rule, ReadRule):
                yield rule


# --- what can only be checked over all files -----------------------------------------------------------------------


def _check_ids(rules: list[ReadRule], report: Report) -> None:
    first: dict[str, RuleDefinition] = {}
    for rule in rules:
        definition = rule.definition
        known = first.setdefault(definition.id, definition)
        if known is not definition:
            where = known.mark
            report.add(
                definition.mark,
                f"two rules are named {quoted(definition.id)}; the first is in {where.file}:{where.line}",
            )


def _check_funnels(funnels: tuple[ReadFunnel, ...], rules: list[str], report: Report) -> None:
    for funnel in funnels:
        rule = funnel.definition.rule
        if rule is not None and rule not in rules:
            said = f"funnel {quoted(funnel.definition.name)}: no rule is named {quoted(rule)}"
            report.add(funnel.definition.mark, said + suggest(rule, rules))


def _with_outcomes(rules: list[ReadRule], names: dict[str, str | None], report: Report) -> list[ReadRule]:
    """The rules that prevent a declared anti-conversion or promote a declared conversion; the others are reported.

    The others are left out, so that the compiler does not report them again.
    """
    fine = []
    for rule in rules:
        prevents = rule.definition.prevents
        name = prevents or rule.definition.promotes or ""
        wanted = "anti_conversion" if prevents else "conversion"
        verb = "prevents" if prevents else "promotes"
        if name not in names:
            fitting = sorted(known for known, kind in names.items() if kind in (wanted, None))
            report.add(
                rule.outcome_mark, f"no outcome {quoted(name)} is declared in {OUTCOMES_NAME}" + suggest(name, fitting)
            )
        elif names[name] not in (wanted, None):
            report.add(
                rule.outcome_mark,
                f"a rule `{verb}` {_ARTICLE[wanted]}, and {quoted(name)} is {_ARTICLE[names[name] or '']}",
            )
        else:
            fine.append(rule)
    return fine


_ARTICLE = {"anti_conversion": "an anti-conversion", "conversion": "a conversion", "": "neither"}
