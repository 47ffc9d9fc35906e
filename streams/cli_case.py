"""The command ``avert case``: wiring and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from streams.cli_shared import (
    AsJson,
    RecordedColumns,
    RulesDir,
    columns_of,
    console,
    options_of,
    say,
    settings_with,
    show,
)


def case(
    *files: Path,
    rules: RulesDir = None,
    recorded: Annotated[RecordedColumns | None, Parameter(name="*")] = None,
    top: Annotated[int, Parameter(help="So many findings at most, each with a draft rule.")] = 10,
    drafts: Annotated[Path | None, Parameter(help="Write the draft rules there, a file each.")] = None,
    html: Annotated[Path | None, Parameter(help="Write the case as one HTML page, to be read anywhere.")] = None,
    json: AsJson = False,
) -> int:
    """What anti-conversions cost in recorded events, what came before them, and a draft rule for each finding."""
    from streams.impact.case.command import run_case, write_drafts
    from streams.impact.case.page import write_page
    from streams.impact.case.terminal import print_case

    settings, columns = settings_with(rules_dir=rules), columns_of(recorded or RecordedColumns())
    made = run_case(files, settings.rules_dir, options_of(settings), columns, top)
    written = [] if drafts is None else write_drafts(made, drafts)
    if html is not None:
        write_page(made, html)

    def printed() -> None:
        print_case(made, console(), drafts=drafts is None)
        for path in written:
            say(f"draft: {path}")

    show(made, printed, json=json, html=html)
    return 0
