"""Recorded files to events, in parts that several processes can read at once.

A part is a whole file, or a range of bytes of a plain file of JSON lines: it has every line that begins in it. Parts
are in the order of the files, and the events of a part in the order of its lines: what comes at the same moment keeps
the order in which it was written, however many processes read.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from streams.backtest.interest import Interest
from streams.backtest.lines import line_reader
from streams.core.event import Event
from streams.replay import (
    BAD_LINES_SHOWN_MAX,
    LINE_BYTES_MAX,
    TARGETS,
    BadLine,
    ReplayError,
    ReplayOptions,
    Row,
    column_of,
)

PACKED = 8  # what is compressed, or columnar, is taken for so many times its size
PART_BYTES = 32 * 1024 * 1024  # about 150,000 events: a second or two of work
_KINDS = {".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_MAPPING_KEYS = ("columns", "rename", "props", "default_type")


class Part(NamedTuple):
    """What one process reads at a time. `end` is None for the whole file."""

    path: str
    kind: str
    start: int = 0
    end: int | None = None

    @property
    def bytes_to_read(self) -> int:
        """About how many: of what is packed, once it is not."""
        if self.end is not None:
            return self.end - self.start
        packed = self.kind == "parquet" or self.path.endswith(".gz")
        return Path(self.path).stat().st_size * (PACKED if packed else 1)


class Reading(msgspec.Struct):
    """What was read of one part, besides its events. Numbers of bad lines count from the part's first line."""

    lines: int = 0
    left_out: int = 0
    bad: int = 0
    first_bad: list[tuple[int, str]] = []
    first_ts: int | None = None
    last_ts: int | None = None


class FileReading(msgspec.Struct):
    """What was read of one file. `bad_lines` are the first ones, as (line, why)."""

    path: str
    lines: int = 0
    bad: int = 0
    left_out: int = 0
    bad_lines: list[tuple[int, str]] = []


def by_file(paths: Sequence[Path], parts: Sequence[Part], readings: Sequence[Reading]) -> list[FileReading]:
    """What was read of every file; `readings` are those of `parts`, in their order."""
    files = {str(path): FileReading(str(path)) for path in paths}
    for part, reading in zip(parts, readings, strict=True):
        file = files[part.path]
        room = BAD_LINES_SHOWN_MAX - len(file.bad_lines)
        file.bad_lines += [(file.lines + number, why) for number, why in reading.first_bad[:room]]
        file.lines += reading.lines
        file.bad += reading.bad
        file.left_out += reading.left_out
    return list(files.values())


def span_of(readings: Sequence[Reading]) -> tuple[int | None, int | None]:
    """The moments of the first and of the last event of all."""
    return (
        min((reading.first_ts for reading in readings if reading.first_ts is not None), default=None),
        max((reading.last_ts for reading in readings if reading.last_ts is not None), default=None),
    )


def kind_of(path: Path) -> str:
    """``jsonl``, ``csv`` or ``parquet``, by the name. Raises ReplayError."""
    bare = Path(path.name.removesuffix(".gz"))
    kind = _KINDS.get(bare.suffix.lower())
    if kind is None:
        raise ReplayError(f"{path}: a recording is .jsonl, .csv or .parquet, each also with .gz")
    return kind


def parts_of(paths: Sequence[Path], part_bytes: int = PART_BYTES) -> list[Part]:
    """The parts of all files, in order. Raises ReplayError when a file cannot be read."""
    parts: list[Part] = []
    for path in paths:
        kind = kind_of(path)
        try:
            size = path.stat().st_size
            with path.open("rb"):
                pass
        except OSError as error:
            raise ReplayError(f"{path}: {error.strerror or error}") from error
        if kind != "jsonl" or path.suffix == ".gz" or size <= part_bytes:
            parts.append(Part(str(path), kind))
        else:
            parts += [Part(str(path), kind, at, min(at + part_bytes, size)) for at in range(0, size, part_bytes)]
    return parts


def read_part(part: Part, options: ReplayOptions, interest: Interest, reading: Reading) -> Iterator[Event]:
    """The part's events; what is not one is counted in `reading`. Raises ReplayError when the file cannot be read."""
    for made in _made(part, options, interest, reading):
        if type(made) is Event:
            if reading.first_ts is None or made.ts < reading.first_ts:
                reading.first_ts = made.ts
            if reading.last_ts is None or made.ts > reading.last_ts:
                reading.last_ts = made.ts
            yield made
        elif made is None:
            reading.left_out += 1
        elif isinstance(made, BadLine):
            reading.bad += 1
            if len(reading.first_bad) < BAD_LINES_SHOWN_MAX:
                reading.first_bad.append((made.number, made.why))


def _made(
    part: Part, options: ReplayOptions, interest: Interest, reading: Reading
) -> Iterator[Event | BadLine | None]:
    if part.kind != "jsonl":
        from streams.backtest.tables import events_of_table  # noqa: PLC0415 - polars only where there is a table

        for made in events_of_table(Path(part.path), part.kind, options, interest):
            reading.lines += 1
            yield made
        return
    read = line_reader(options, interest)
    opener: Any = gzip.open if part.path.endswith(".gz") else open
    number = 0
    try:
        with opener(part.path, "rb") as file:
            for number, line in enumerate(_lines(file, part), 1):
                if not line.isspace():
                    yield read(line, number)
    except (OSError, EOFError) as error:
        raise ReplayError(f"{part.path}: {getattr(error, 'strerror', None) or error}") from error
    reading.lines += number


def _lines(file: Any, part: Part) -> Iterator[bytes]:
    """The lines that begin in the part; one that nobody would read is cut, not kept in memory."""
    at = part.start
    if at:
        file.seek(at - 1)
        at += len(file.readline()) - 1  # the rest of a line that began in the part before
    while part.end is None or at < part.end:
        line = file.readline(LINE_BYTES_MAX + 1)
        if not line:
            return
        at += len(line)
        whole = line
        while len(line) > LINE_BYTES_MAX and not line.endswith(b"\n"):
            line = file.readline(LINE_BYTES_MAX + 1)
            at += len(line)
            if not line:
                break
        yield whole


# --- the mapping ------------------------------------------------------------------------------------------------


class FieldMapping:
    """Moves columns into the fields of `props` (``props.results: n_results``) before a row becomes an event.

    A class and not a closure: it has to travel to other processes.
    """

    def __init__(self, fields: Mapping[str, str], props: str, before: Callable[[Row], Row | None] | None) -> None:
        self.fields = dict(fields)
        self.props = props
        self.before = before

    def __call__(self, row: Row) -> Row | None:
        """The row with the fields in place."""
        adapted = self.before(row) if self.before else row
        if adapted is None:
            return None
        given = adapted.get(self.props)
        props = dict(given) if isinstance(given, dict) else {}
        for name, column in self.fields.items():
            value = column_of(adapted, column)
            if value is not None:
                props[name] = value
        return {**adapted, self.props: props}


def with_fields(options: ReplayOptions, fields: Mapping[str, str]) -> ReplayOptions:
    """`options` that also fill fields of props from columns; `fields`: name in props -> their column."""
    if not fields:
        return options
    return msgspec.structs.replace(options, adapt=FieldMapping(fields, options.props, options.adapt))


class MappingFile(NamedTuple):
    """What a mapping file says; each part as the option of the same name would."""

    columns: dict[str, str]
    rename: dict[str, str]
    props: str | None
    default_type: str | None


def read_mapping(path: Path) -> MappingFile:
    """A small YAML file: ``columns`` and ``rename`` (maps), ``props`` and ``default_type``. Raises ReplayError."""
    try:
        given = YAML(typ="safe").load(path.read_text())
    except (OSError, ValueError, YAMLError) as error:
        raise ReplayError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict) or not set(given) <= set(_MAPPING_KEYS):
        raise ReplayError(f"{path}: a mapping file has the keys {', '.join(_MAPPING_KEYS)}, and no others")
    maps: dict[str, dict[str, str]] = {}
    for name in ("columns", "rename"):
        value = given.get(name) or {}
        if not isinstance(value, dict) or not all(isinstance(text, str) for pair in value.items() for text in pair):
            raise ReplayError(f"{path}: `{name}` maps names to names")
        maps[name] = value
    for name in ("props", "default_type"):
        if not isinstance(given.get(name), str | None):
            raise ReplayError(f"{path}: `{name}` is a name")
    return MappingFile(maps["columns"], maps["rename"], given.get("props"), given.get("default_type"))


def split_columns(columns: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Columns of the event's own fields, and those of fields of props (``props.NAME``). Raises ReplayError."""
    fields = {name.removeprefix("props."): column for name, column in columns.items() if name.startswith("props.")}
    own = {name: column for name, column in columns.items() if not name.startswith("props.")}
    for name in own:
        if name not in TARGETS:
            raise ReplayError(
                f"an event has no field {name!r}; a column can be mapped to: {', '.join(TARGETS)}, props.NAME"
            )
    return own, fields
