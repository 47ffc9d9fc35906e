"""The commands of ``avert rules``: wiring and nothing else."""

from __future__ import annotations

import asyncio
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from streams.cli_shared import (
    AsJson,
    Mapping,
    Recorded,
    RulesDir,
    columns_of,
    console,
    options_of,
    replay_options,
    say,
    say_json,
    settings_with,
    show,
    table,
)
from streams.errors import SettingsError
from streams.settings import Settings

rules_app = cyclopts.App(name="rules", help="Rule files: check, test, show, and the schema that editors complete from.")



@rules_app.command(name="check")
def rules_check(
    directory: Path | None = None,
    *,
    strict: Annotated[bool, Parameter(negative="", help="Exit code 1 when there is a warning.")] = False,
    json: AsJson = False,
) -> int:
    """Read and compile every rule file; each finding with file, line and column; warnings of what is hardly meant."""
    from streams.rulefiles.load import load_program, load_rules
    from streams.rulefiles.load_warnings import warnings_of

    settings = settings_with(rules_dir=directory)
    options = options_of(settings)
    rules = load_rules(settings.rules_dir, options)
    warnings = warnings_of(*load_program(settings.rules_dir, options), options)
    summary = {"rules": len(rules.rules), "outcomes": len(rules.outcomes), "version": rules.version}
    if json:
        say_json(summary | {"warnings": warnings})
    else:
        for warning in warnings:
            say(f"{warning.file}:{warning.line}:{warning.column}: warning: {warning.message}")
        say("{rules} rules and {outcomes} outcomes are fine (version {version})".format_map(summary))
    return 1 if strict and warnings else 0


@rules_app.command(name="test")
def rules_test(
    directory: Path | None = None,
    *,
    coverage: Annotated[
        bool, Parameter(negative="", help="Name each condition that no test shows both holding and not holding.")
    ] = False,
    junit: Annotated[Path | None, Parameter(help="Also write the results there, as JUnit's XML.")] = None,
    json: AsJson = False,
) -> int:
    """Run the tests that stand beside the rules."""
    from streams.rulefiles.runner import run_with_coverage
    from streams.rulefiles.runner_junit import junit as as_junit

    settings = settings_with(rules_dir=directory)
    results, covered = run_with_coverage(settings.rules_dir, options_of(settings))
    failed = [result for result in results if not result.passed]
    if junit is not None:
        junit.write_bytes(as_junit(results))
    if json:
        shown = {"coverage": covered.branches()} if coverage else {}
        say_json({"tests": len(results), "failed": len(failed), "results": results, **shown})
        return 1 if failed else 0
    for result in results:
        say(result.report())
    say(f"{len(results)} tests, {len(failed)} failed")
    if coverage:
        for branch in covered.lacking():
            say(branch.report())
        say(covered.summary())
    return 1 if failed else 0


@rules_app.command(name="explain")
def rules_explain(  # noqa: PLR0913 - of a recording, or of workers
    file: Annotated[Path | None, Parameter(help="A recording; without it, workers are asked.")] = None,
    *,
    visitor: str,
    rule: Annotated[str | None, Parameter(help="Only this rule.")] = None,
    at: Annotated[str | None, Parameter(help="How it stood then (ISO 8601; default: at the last event).")] = None,
    rules: RulesDir = None,
    recorded: Annotated[Mapping | None, Parameter(name="*")] = None,
    worker: Annotated[
        list[str] | None, Parameter(negative="", help="Address of a worker's private port; all are asked in turn.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Why a rule fired for a visitor, or why not: each condition's value, what it lacks, what stopped it."""
    from streams.rulefiles.explain import decision_lines, rule_lines

    settings = settings_with(rules_dir=rules)
    if file is None:
        from streams.worker.explain_client import ask_workers

        now = ask_workers(settings, worker or (), visitor, rule)
        if json:
            say_json(now)
        else:
            say("\n".join(rule_lines(now.rules)))
        return 0
    explained = _explain_recorded(file, settings, recorded or Mapping(), (visitor, rule, at))
    if json:
        say_json(explained)
    else:
        say("\n".join([*decision_lines(explained), *rule_lines(explained.rules)]))
    return 0


def _explain_recorded(file: Path, settings: Settings, mapping: Mapping, of: tuple[str, str | None, str | None]) -> Any:
    from streams.replay import epoch_ms, read_recording
    from streams.rulefiles.explain import explain_recorded, nearby
    from streams.rulefiles.load import load_rules

    visitor, rule, at = of
    ruleset = load_rules(settings.rules_dir, options_of(settings))
    if rule is not None and all(rule != known.id for known in ruleset.program.rules):
        raise SettingsError(f"there is no rule {rule!r} in {settings.rules_dir}")
    try:
        moment = None if at is None else epoch_ms(at)
    except ValueError as error:
        raise SettingsError(f"--at: {error}") from error
    events = read_recording(file, replay_options(mapping)).events
    explained = explain_recorded(events, visitor, ruleset, rule, moment)
    if explained is None:
        raise SettingsError(f"no event of visitor {visitor!r} in {file}; there are {', '.join(nearby(events))}, ...")
    return explained


@rules_app.command(name="publish")
def rules_publish(directory: Path | None = None, *, json: AsJson = False) -> int:
    """Put these rules into force in every worker, now; for files that came with a restart, and for going back."""
    from streams.worker.reload_publish import publish_directory

    settings = settings_with(rules_dir=directory)
    publication = asyncio.run(publish_directory(settings, options_of(settings)))
    if json:
        say_json({"version": publication.version, "digest": publication.digest, "files": len(publication.files)})
    else:
        say(f"published {len(publication.files)} files (version {publication.version})")
    return 0


@rules_app.command(name="schema")
def rules_schema() -> int:
    """The JSON Schema of rule files, for editors."""
    from streams.rulefiles.schema import json_schema

    say(dumps(json_schema(), indent=1, ensure_ascii=False))
    return 0


@rules_app.command(name="show")
def rules_show(
    directory: Path | None = None,
    *,
    cost: Annotated[
        bool, Parameter(negative="", help="Also the most bytes of state and the measured time an event.")
    ] = False,
    json: AsJson = False,
) -> int:
    """The rules: mode, what they prevent, priority, holdout; what they cost."""
    from streams.rulefiles.load import load_program
    from streams.rulefiles.load_cost import costs_of

    settings = settings_with(rules_dir=directory)
    program, tests = load_program(settings.rules_dir, options_of(settings))
    if cost:
        costs = costs_of(program, tests, options_of(settings))
        if json:
            say_json({"costs": costs})
        else:
            table([
                {"rule": one.rule, "conditions": one.conditions, "state, bytes at most": one.state_bytes_max,
                 "of these, texts": one.text_bytes_max, "µs an event": one.us_per_event}
                for one in costs
            ])
        return 0
    rows = [
        {
            "rule": rule.id, "mode": rule.mode, "prevents": rule.prevents, "promotes": rule.promotes,
            "priority": rule.priority, "holdout": rule.holdout, "title": rule.title, "where": str(rule.mark),
        }
        for rule in program.rules
    ]
    if json:
        say_json({"rules": rows})
    else:
        table([{name: row[name] for name in ("rule", "mode", "priority", "holdout", "title")} for row in rows])
    return 0


@rules_app.command(name="backtest")
def rules_backtest(
    *files: Path,
    rules: RulesDir = None,
    against: Annotated[Path | None, Parameter(help="Another folder of rules: what would be different.")] = None,
    recorded: Annotated[Recorded | None, Parameter(name="*")] = None,
    html: Annotated[Path | None, Parameter(help="Write the result as one HTML page, to be read anywhere.")] = None,
    json: AsJson = False,
) -> int:
    """What the rules would have seen in recorded events: how rightly, how early, and what was at stake."""
    from streams.backtest.page import write_page
    from streams.backtest.terminal import print_report

    report = _backtest(files, [rules, against] if against else [rules], recorded or Recorded())
    if html is not None:
        write_page(report, html)
    show(report, lambda: print_report(report, console()), json=json, html=html)
    return 0


@rules_app.command(name="diff")
def rules_diff(
    before: Path,
    now: Path,
    *files: Path,
    recorded: Annotated[Recorded | None, Parameter(name="*")] = None,
    json: AsJson = False,
) -> int:
    """Which visitors of a recording the rules in NOW decide differently from those in BEFORE, with examples."""
    from streams.backtest.terminal import print_difference

    report = _backtest(files, [now, before], recorded or Recorded())
    difference = report.decided_differently
    if json:
        say_json({"before": str(before), "now": str(now), "difference": difference})
    else:
        print_difference(difference, console())
    return 0


def _backtest(files: tuple[Path, ...], directories: list[Path | None], recorded: Recorded) -> Any:
    from streams.backtest.command import run_backtest

    settings = settings_with(rules_dir=directories[0])
    folders = [directory or settings.rules_dir for directory in directories]
    return run_backtest(files, folders, options_of(settings), columns_of(recorded), recorded.processes)
