"""What the commands share: options, how recorded lines become events, how results are written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from streams.errors import SettingsError
from streams.settings import Settings, load_settings

RulesDir = Annotated[Path | None, Parameter(name="--rules", help="Folder of rule files (default: AVERT_RULES_DIR).")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as one JSON object.")]


def settings_with(**given: Any) -> Settings:
    """The settings, with what was given on the command line in the place of the environment's."""
    settings = load_settings()
    return msgspec.structs.replace(settings, **{name: value for name, value in given.items() if value is not None})


def options_of(settings: Settings) -> Any:
    """What the engine has to know of the settings."""
    from streams.rulefiles.options import engine_options

    return engine_options(settings)


def say(text: str) -> None:
    """One line, or several, to standard output."""
    sys.stdout.write(text + "\n")


def say_json(value: object) -> None:
    """One JSON object on one line."""
    say(msgspec.json.encode(value).decode())


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
class RecordedColumns:
    """How recorded files are read: the columns as in `replay`."""

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


@dataclass(frozen=True)
class Recorded(RecordedColumns):
    """The same, and by how many processes."""

    processes: Annotated[int, Parameter(help="How many processes share the work.")] = 1


# --- what commands share ----------------------------------------------------------------------------------------------


def replay_options(mapping: Mapping) -> Any:
    """How recorded lines become events, as it was said on the command line. Raises AvertError."""
    from streams.replay import with_columns

    return with_columns(
        _known(mapping.layout), pairs_of("--map", mapping.columns), pairs_of("--rename", mapping.rename),
        mapping.props, mapping.default_type, mapping.speed,
    )


def columns_of(recorded: RecordedColumns) -> Any:
    """How recorded files are read, as it was said on the command line. Raises SettingsError."""
    from streams.backtest.command import Columns

    return Columns(
        known=_known(recorded.layout), file=recorded.mapping_file,
        columns=pairs_of("--map", recorded.columns), rename=pairs_of("--rename", recorded.rename),
        props=recorded.props, default_type=recorded.default_type,
    )


def _known(layout: str) -> Any:
    from streams.embedded.recorded_shop import OPTIONS
    from streams.replay import ReplayOptions

    return OPTIONS if layout == "snowplow_ecommerce" else ReplayOptions()


def pairs_of(option: str, texts: list[str]) -> dict[str, str]:
    """``NAME=NAME`` texts as a dict. Raises SettingsError naming `option`."""
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not (name and separator and value):
            raise SettingsError(f"{option} wants NAME=NAME and not {text!r}")
        pairs[name] = value
    return pairs


def console() -> Any:
    """The terminal, for tables and progress."""
    from rich.console import Console

    return Console()


def show(report: object, printed: Callable[[], None], *, json: bool, html: Path | None) -> None:
    """A report that has been made: as JSON, or as the command prints it, and where its page is."""
    if json:
        say_json(report)
        return
    printed()
    if html is not None:
        say(f"the page: {html}")


def table(rows: list[dict[str, Any]]) -> None:
    """Rows with the same keys, as a table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in rows[0] if rows else ():
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    console().print(table)
