"""The commands: wiring and nothing else. Each room is imported by the command that needs it.

Exit codes: 0 done; 1 the answer is no (a rule test failed, `doctor` found a problem) or an internal error; 2 a wrong
option or setting; 3 rule files; 4 a state row of an unknown version; 5 no broker; 6 topics that contradict each
other; 7 a supervised process; 8 a recording; 130 Ctrl-C.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
import msgspec
from cyclopts import Parameter

from streams.errors import AvertError, SettingsError
from streams.settings import Settings, load_settings

app = cyclopts.App(
    name="avert",
    help="Watches a clickstream, sees who is heading for an anti-conversion, and offers something better in time.",
    help_epilogue="Settings come from AVERT_* variables. Exit codes: 0 done, 1 no, 2 usage or settings, 3 rules, "
    "4 state version, 5 broker, 6 topics, 7 process, 8 recording, 130 Ctrl-C.",
    version=lambda: version("avert"),
)
rules_app = cyclopts.App(name="rules", help="Rule files: check, test, show, and the schema that editors complete from.")
app.command(rules_app)

RulesDir = Annotated[Path | None, Parameter(name="--rules", help="Folder of rule files (default: AVERT_RULES_DIR).")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as one JSON object.")]


def _settings(**given: Any) -> Settings:
    settings = load_settings()
    return msgspec.structs.replace(settings, **{name: value for name, value in given.items() if value is not None})


def _options(settings: Settings) -> Any:
    from streams.core.ruleset import EngineOptions  # noqa: PLC0415

    return EngineOptions(
        session_timeout_ms=settings.session_timeout_ms,
        max_lateness_ms=settings.max_lateness_ms,
        attribution_window_ms=settings.attribution_window_ms,
        consent_default=settings.consent_default == "granted",
        allowed_link_hosts=frozenset(settings.allowed_link_hosts),
    )


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _print_json(value: object) -> None:
    _print(msgspec.json.encode(value).decode())


# --- processes -------------------------------------------------------------------------------------------------


@app.command
def up(
    *,
    rules: RulesDir = None,
    port: Annotated[int, Parameter(help="The API's port on 127.0.0.1; 0 takes a free one.")] = 0,
) -> int:
    """Everything on this machine: embedded broker and cache, worker, API. Memory only; Ctrl-C ends it."""
    from streams.embedded.up import run_up  # noqa: PLC0415

    return run_up(_settings(rules_dir=rules), port)


@app.command
def worker(*, rules: RulesDir = None) -> int:
    """One worker against any Kafka and Redis. Start as many as there are partitions, and no more."""
    from streams.worker.main import main as run  # noqa: PLC0415

    return int(run(_settings(rules_dir=rules)))


@app.command
def api() -> int:
    """The collector and suggestion API against any Kafka and Redis."""
    from streams.http.main import main as run  # noqa: PLC0415

    return int(run(load_settings()))


@app.command
def demo(
    *,
    seconds: Annotated[
        float | None, Parameter(help="End after so many seconds, with one JSON object as the last line.")
    ] = None,
    visitors: Annotated[int, Parameter(help="How many are in the shop at a time.")] = 300,
    seed: Annotated[int, Parameter(help="Of the simulation: the same seed, the same visitors.")] = 1,
    rules: RulesDir = None,
    recording: Annotated[
        Path | None, Parameter(help="Recorded shop traffic (default: the copy in tests/data, where there is one).")
    ] = None,
) -> int:
    """Recorded shop traffic and a simulated self-service shop on the embedded stack, with a live view."""
    from streams.embedded.demo import DemoOptions, run_demo  # noqa: PLC0415

    return run_demo(_settings(rules_dir=rules), DemoOptions(seconds, visitors, seed, recording))


# --- recordings ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mapping:
    """How the recording's lines become events."""

    columns: Annotated[
        list[str],
        Parameter(
            name="--map",
            negative="",
            help="OURS=THEIRS. Ours: id visitor session type ts path url referrer title; theirs: a column or path.",
        ),
    ] = field(default_factory=list)
    rename: Annotated[
        list[str], Parameter(negative="", help="THEIRS=OURS: another name for an event type.")
    ] = field(default_factory=list)
    props: Annotated[str | None, Parameter(help="The column that holds the object of props.")] = None
    default_type: Annotated[str, Parameter(help="Type of the events whose type is null.")] = "page_view"
    layout: Annotated[
        Literal["plain", "snowplow_ecommerce"],
        Parameter(name="--format", help="A known recording, with its own columns and peculiarities."),
    ] = "plain"
    speed: Annotated[float, Parameter(help="Times real time; 0: as fast as possible.")] = 0.0


@dataclass(frozen=True)
class Recorded:
    """How recorded files are read: the columns as in `replay`, and by how many processes."""

    columns: Annotated[
        list[str],
        Parameter(name="--map", negative="", help="OURS=THEIRS, as for `avert replay`; also props.NAME=THEIRS."),
    ] = field(default_factory=list)
    rename: Annotated[
        list[str], Parameter(negative="", help="THEIRS=OURS: another name for an event type.")
    ] = field(default_factory=list)
    props: Annotated[str | None, Parameter(help="The column that holds the object of props.")] = None
    default_type: Annotated[str | None, Parameter(help="Type of the events whose type is null.")] = None
    mapping_file: Annotated[
        Path | None, Parameter(name="--mapping", help="YAML with columns, rename, props, default_type.")
    ] = None
    layout: Annotated[
        Literal["plain", "snowplow_ecommerce"],
        Parameter(name="--format", help="A known recording, with its own columns and peculiarities."),
    ] = "plain"
    processes: Annotated[int, Parameter(help="How many processes share the work.")] = 1


@app.command
def replay(
    file: Annotated[Path, Parameter(help="JSON lines; .gz is unpacked.")],
    *,
    mapping: Annotated[Mapping | None, Parameter(name="*")] = None,
    kafka: Annotated[str | None, Parameter(help="The broker's address (default: AVERT_KAFKA_BOOTSTRAP).")] = None,
    json: AsJson = False,
) -> int:
    """Put recorded events into Kafka; the engine's time is then the events'."""
    from streams.embedded.recorded_shop import OPTIONS  # noqa: PLC0415
    from streams.embedded.replaying import replay_file  # noqa: PLC0415
    from streams.replay import ReplayOptions, with_columns  # noqa: PLC0415

    mapping = mapping or Mapping()
    known = OPTIONS if mapping.layout == "snowplow_ecommerce" else ReplayOptions()
    options = with_columns(
        known, _pairs("--map", mapping.columns), _pairs("--rename", mapping.rename),
        mapping.props, mapping.default_type, mapping.speed,
    )
    result = replay_file(file, _settings(kafka_bootstrap=kafka), options)
    for line in result.bad_lines:
        sys.stderr.write(f"{file}: {line}\n")
    if json:
        _print_json(result)
    else:
        _print(f"{result.sent:,} events, {result.visitors:,} visitors, {result.seconds:g} s; {result.bad:,} bad lines")
    return 0


def _pairs(option: str, texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not (name and separator and value):
            raise SettingsError(f"{option} wants NAME=NAME and not {text!r}")
        pairs[name] = value
    return pairs


# --- rule files ------------------------------------------------------------------------------------------------


@rules_app.command(name="check")
def rules_check(directory: Path | None = None, *, json: AsJson = False) -> int:
    """Read and compile every rule file; each finding with file, line and column."""
    from streams.rulefiles.load import load_rules  # noqa: PLC0415

    settings = _settings(rules_dir=directory)
    rules = load_rules(settings.rules_dir, _options(settings))
    summary = {"rules": len(rules.rules), "outcomes": len(rules.outcomes), "version": rules.version}
    if json:
        _print_json(summary)
    else:
        _print("{rules} rules and {outcomes} outcomes are fine (version {version})".format_map(summary))
    return 0


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
    from streams.rulefiles.runner import run_with_coverage  # noqa: PLC0415
    from streams.rulefiles.runner_junit import junit as as_junit  # noqa: PLC0415

    settings = _settings(rules_dir=directory)
    results, covered = run_with_coverage(settings.rules_dir, _options(settings))
    failed = [result for result in results if not result.passed]
    if junit is not None:
        junit.write_bytes(as_junit(results))
    if json:
        shown = {"coverage": covered.branches()} if coverage else {}
        _print_json({"tests": len(results), "failed": len(failed), "results": results, **shown})
        return 1 if failed else 0
    for result in results:
        _print(result.report())
    _print(f"{len(results)} tests, {len(failed)} failed")
    if coverage:
        for branch in covered.lacking():
            _print(branch.report())
        _print(covered.summary())
    return 1 if failed else 0


@rules_app.command(name="publish")
def rules_publish(directory: Path | None = None, *, json: AsJson = False) -> int:
    """Put these rules into force in every worker, now; for files that came with a restart, and for going back."""
    from streams.worker.reload_publish import publish_directory  # noqa: PLC0415

    settings = _settings(rules_dir=directory)
    publication = asyncio.run(publish_directory(settings, _options(settings)))
    if json:
        _print_json({"version": publication.version, "digest": publication.digest, "files": len(publication.files)})
    else:
        _print(f"published {len(publication.files)} files (version {publication.version})")
    return 0


@rules_app.command(name="schema")
def rules_schema() -> int:
    """The JSON Schema of rule files, for editors."""
    from streams.rulefiles.schema import json_schema  # noqa: PLC0415

    _print_json(json_schema())
    return 0


@rules_app.command(name="show")
def rules_show(directory: Path | None = None, *, json: AsJson = False) -> int:
    """The rules: mode, what they prevent, priority, holdout."""
    from streams.rulefiles.load import load_program  # noqa: PLC0415

    settings = _settings(rules_dir=directory)
    program, _ = load_program(settings.rules_dir, _options(settings))
    rows = [
        {
            "rule": rule.id, "mode": rule.mode, "prevents": rule.prevents, "promotes": rule.promotes,
            "priority": rule.priority, "holdout": rule.holdout, "title": rule.title, "where": str(rule.mark),
        }
        for rule in program.rules
    ]
    if json:
        _print_json({"rules": rows})
    else:
        _table([{name: row[name] for name in ("rule", "mode", "priority", "holdout", "title")} for row in rows])
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
    from streams.backtest.page import write_page  # noqa: PLC0415
    from streams.backtest.terminal import print_report  # noqa: PLC0415

    report = _backtest(files, [rules, against] if against else [rules], recorded or Recorded())
    if html is not None:
        write_page(report, html)
    if json:
        _print_json(report)
    else:
        print_report(report, _console())
        if html is not None:
            _print(f"the page: {html}")
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
    from streams.backtest.terminal import print_difference  # noqa: PLC0415

    report = _backtest(files, [now, before], recorded or Recorded())
    difference = report.decided_differently
    if json:
        _print_json({"before": str(before), "now": str(now), "difference": difference})
    else:
        print_difference(difference, _console())
    return 0


def _backtest(files: tuple[Path, ...], directories: list[Path | None], recorded: Recorded) -> Any:
    from streams.backtest.command import Columns, run_backtest  # noqa: PLC0415
    from streams.embedded.recorded_shop import OPTIONS  # noqa: PLC0415
    from streams.replay import ReplayOptions  # noqa: PLC0415

    settings = _settings(rules_dir=directories[0])
    columns = Columns(
        known=OPTIONS if recorded.layout == "snowplow_ecommerce" else ReplayOptions(),
        file=recorded.mapping_file, columns=_pairs("--map", recorded.columns),
        rename=_pairs("--rename", recorded.rename), props=recorded.props, default_type=recorded.default_type,
    )
    folders = [directory or settings.rules_dir for directory in directories]
    return run_backtest(files, folders, _options(settings), columns, recorded.processes)


# --- state of the installation -----------------------------------------------------------------------------------


@app.command
def doctor(*, json: AsJson = False) -> int:
    """Is this installation fit for work? Broker, topics, cache, rules, keys, and what answers to whom."""
    from streams.doctor import as_json, examine  # noqa: PLC0415

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would complain of is a finding
    findings = asyncio.run(examine(load_settings()))
    result = as_json(findings)
    if json:
        _print_json(result)
    else:
        _table(result["findings"])
    return 0 if result["ok"] else 1


def _console() -> Any:
    from rich.console import Console  # noqa: PLC0415

    return Console()


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for name in rows[0] if rows else ():
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    _console().print(table)


def main(arguments: list[str] | None = None) -> int:
    """Run one command. What goes wrong is one line on stderr (rule files: one a finding) and an exit code."""
    try:
        result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        sys.stderr.write(f"avert: {' '.join(str(error).split())}\n")
        return SettingsError.exit_code
    except AvertError as error:
        sys.stderr.write(f"{error}\n" if "\n" in str(error) else f"avert: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
