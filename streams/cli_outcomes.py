"""The commands of ``avert outcomes``: wiring and nothing else."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from streams.cli_shared import AsJson, Recorded, RulesDir, columns_of, options_of, say, say_json, settings_with

outcomes_app = cyclopts.App(name="outcomes", help="Outcomes that others know of: a call centre's list, returns.")


@outcomes_app.command(name="import")
def outcomes_import(
    *files: Annotated[Path, Parameter(help=".jsonl, .csv or .parquet, each also with .gz.")],
    recorded: Annotated[Recorded | None, Parameter(name="*")] = None,
    rules: RulesDir = None,
    kafka: Annotated[str | None, Parameter(help="The broker's address (default: AVERT_KAFKA_BOOTSTRAP).")] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Look at every row, send nothing.")] = False,
    json: AsJson = False,
) -> int:
    """Count outcomes that happened elsewhere, by visitor and time. Importing a list again changes nothing.

    Exit code 1 when rows were refused; the others are imported all the same.
    """
    from streams.outcomes_import import read_outcomes, send_outcomes
    from streams.rulefiles.load import load_rules

    settings = settings_with(rules_dir=rules, kafka_bootstrap=kafka)
    columns = columns_of(recorded or Recorded())
    ruleset = load_rules(settings.rules_dir, options_of(settings))
    events, result = read_outcomes(files, columns.options(), ruleset, time.time_ns() // 1_000_000)
    result.dry_run = dry_run
    if not dry_run and events:
        with _bar(len(events)) as advance:
            asyncio.run(send_outcomes(events, settings, advance))
        result.sent = len(events)
    for line in result.lines:
        sys.stderr.write(line + "\n")
    if json:
        say_json(result)
    else:
        kinds = ", ".join(f"{count:,} {name}" for name, count in result.by_type.items()) or "none"
        done = "would be imported" if dry_run else "imported"
        say(
            f"{result.rows:,} rows: {len(events):,} outcomes {done} ({kinds}) of {result.visitors:,} visitors; "
            f"{result.repeated:,} repeated, {result.refused:,} refused"
        )
    return 1 if result.refused else 0


def _bar(total: int) -> Any:
    """A progress bar on stderr, where that is a terminal; used as a context, it gives a function to be told."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import Progress

    @contextmanager
    def shown() -> Any:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("outcomes", total=total)
            yield lambda done: progress.update(task, completed=done)

    return shown()
