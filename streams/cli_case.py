"""The command ``avert case``: wiring and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from streams.cli_shared import (
    AsJson,
    RecordedColumns,
    RulesDir,
    console,
    options_of,
    pairs_of,
    say,
    say_json,
    settings_with,
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
    from streams.backtest.command import Columns  # noqa: PLC0415
    from streams.embedded.recorded_shop import OPTIONS  # noqa: PLC0415
    from streams.impact.case.command import run_case, write_drafts  # noqa: PLC0415
    from streams.impact.case.page import write_page  # noqa: PLC0415
    from streams.impact.case.terminal import print_case  # noqa: PLC0415
    from streams.replay import ReplayOptions  # noqa: PLC0415

    settings, given = settings_with(rules_dir=rules), recorded or RecordedColumns()
    columns = Columns(
        known=OPTIONS if given.layout == "snowplow_ecommerce" else ReplayOptions(),
        file=given.mapping_file, columns=pairs_of("--map", given.columns),
        rename=pairs_of("--rename", given.rename), props=given.props, default_type=given.default_type,
    )
    made = run_case(files, settings.rules_dir, options_of(settings), columns, top)
    written = [] if drafts is None else write_drafts(made, drafts)
    if html is not None:
        write_page(made, html)
    if json:
        say_json(made)
        return 0
    print_case(made, console(), drafts=drafts is None)
    for path in written:
        say(f"draft: {path}")
    if html is not None:
        say(f"the page: {html}")
    return 0
