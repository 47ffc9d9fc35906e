"""CSV and Parquet to events: each row as `streams.replay` would read it as a line of JSON.

- A column whose name has a dot (``props.results``, ``page.path``) is a field of that object.
- A column named like an object (``props``, ``page``, ``context``) holds it as JSON text, or as a Parquet struct.
- CSV has only text: within the objects ``0`` is a number, ``true`` a truth value, ``007`` a text. An empty cell is no
  value, in ids and times too.
- A row that cannot be an event is a bad line, by its number from 1 (the head of a CSV is line 1). A file that is not
  a table at all is a ReplayError.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from streams.backtest.interest import Interest
from streams.backtest.lines import SHORT_BYTES_MAX, event_maker
from streams.backtest.recordings import FieldMapping
from streams.core.event import DEPTH_MAX, KEYS_MAX, Event
from streams.replay import TARGETS, BadLine, ReplayError, ReplayOptions, Row, event_of_row

ROWS_AT_A_TIME = 50_000
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d+)?([eE][+-]?\d{1,3})?\Z")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
_MEMORY_MAX = 100_000  # cells of a chunk that are remembered with their value
_MS_DIGITS = 13  # of a time in milliseconds, from 2001 to 2286
_json = msgspec.json.Decoder()

Cell = Callable[[Any], Any]


def scan_table(path: Path, kind: str) -> Iterator[pl.DataFrame]:
    """The table in pieces of ROWS_AT_A_TIME rows. Raises ReplayError."""
    try:
        source: Any = BytesIO(gzip.decompress(path.read_bytes())) if path.suffix == ".gz" else path
        # Cells are read as text: what a column is must not depend on its first hundred rows.
        lazy = pl.scan_csv(source, infer_schema=False) if kind == "csv" else pl.scan_parquet(source)
        yield from lazy.collect_batches(chunk_size=ROWS_AT_A_TIME)
    except (OSError, EOFError, PolarsError) as error:
        raise ReplayError(f"{path}: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error


def events_of_table(
    path: Path, kind: str, options: ReplayOptions, interest: Interest
) -> Iterator[Event | BadLine | None]:
    """Every row as an event, a bad line, or None when the recording's adapter leaves it out."""
    number = 2 if kind == "csv" else 1
    make = event_maker(options, interest)
    for read in scan_table(path, kind):
        dates = pl.selectors.date().cast(pl.Datetime("us")).dt.epoch("ms")
        frame = read.with_columns(pl.selectors.datetime().dt.epoch("ms"), dates)
        identities = _identities(frame, options)
        quick = quick_rows(frame, options, text=kind == "csv")
        if quick is None:
            for row in rows_of(frame, options, text=kind == "csv"):
                yield _slow(row, identities(), number, options)
                number += 1
            continue
        for index, line in enumerate(quick):
            identity = identities()
            made = make(line, identity) if line is not None else None
            if made is None:
                row = next(rows_of(frame.slice(index, 1), options, text=kind == "csv"))
                yield _slow(row, identity, number, options)
            else:
                yield made
            number += 1


def _slow(row: Row | str, identity: bytes, number: int, options: ReplayOptions) -> Event | BadLine | None:
    return BadLine(number, row) if isinstance(row, str) else event_of_row(row, identity, number, options)


def _identities(frame: pl.DataFrame, options: ReplayOptions) -> Callable[[], bytes]:
    """What the id of each row in turn is made from, where it has none: two rows that are alike are duplicates."""
    column = options.columns.get("id")
    if options.adapt is None and column in frame.columns and not frame[column].null_count():
        return lambda: b""
    if any(dtype.is_nested() for dtype in frame.dtypes):
        rows: Iterator[bytes] = (repr(row).encode() for row in frame.iter_rows())
        return lambda: next(rows)
    pairs = zip(frame.hash_rows(1), frame.hash_rows(2), strict=True)
    return lambda: b"%016x%016x" % next(pairs)


class _Line(msgspec.Struct, gc=False):
    """One row, as `event_maker` takes it."""

    visitor: str
    ts: Any
    type: str | None = None
    id: str | None = None
    session: str | None = None
    path: str | None = None
    url: str | None = None
    referrer: str | None = None
    title: str | None = None
    props: dict[str, Any] | None = None
    page: dict[str, Any] | None = None
    context: dict[str, Any] | None = None


def quick_rows(frame: pl.DataFrame, options: ReplayOptions, *, text: bool) -> Iterator[_Line | None] | None:
    """Rows of a table whose columns are plain, by the rules of `lines`; None for a row that the long way has to judge.

    None altogether for a table that is not of this kind.
    """
    columns = {name: options.columns[name] for name in TARGETS if options.columns.get(name) in frame.columns}
    given = {"props": options.props, "page": "page", "context": "context"}
    nested = [name for name in frame.columns if "." in name]
    kinds = [frame.schema[column] for name, column in columns.items() if name != "ts"]
    plain = (
        options.adapt is None
        and {"visitor", "ts"} <= columns.keys()
        and len({*columns.values(), *given.values()}) == len(columns) + len(given)
        and not any("." in column for column in options.columns.values())
        and len(nested) <= KEYS_MAX
        and all(name.count(".") < DEPTH_MAX - 1 for name in nested)
        and all(kind == pl.String or kind.is_integer() for kind in kinds)
        and all(frame.schema.get(column, pl.String) == pl.String for column in given.values())
        and not any(frame.schema[name].is_nested() for name in nested)
    )
    return _quick_rows(frame, columns, given, nested, text=text) if plain else None


def _quick_rows(
    frame: pl.DataFrame, columns: dict[str, str], given: dict[str, str], nested: list[str], *, text: bool
) -> Iterator[_Line | None]:
    fields: dict[str, Sequence[Any]] = {
        name: (frame[column] if name == "ts" else frame[column].cast(pl.String)).to_list()
        for name, column in columns.items()
    }
    if text:
        fields["ts"] = [_milliseconds(cell) for cell in fields["ts"]]
    objects = {name: column for name, column in given.items() if column in frame.columns}
    cells = {name: frame[column].to_list() for name, column in objects.items()}
    heads = {column: name for name, column in given.items()}
    inner = [
        ((heads[head], *rest), _each(frame[name].to_list(), _typed if text else str))
        for name in nested
        for head, *rest in [name.split(".")]
        if head in heads
    ]
    short = _short(frame, [*objects.values()])
    made = zip(*fields.values(), strict=True)
    for index, values in enumerate(made):
        line = _Line("", None)
        for name, value in zip(fields, values, strict=True):
            setattr(line, name, value)
        good = short[index] and line.visitor is not None and line.ts is not None
        if good and cells:
            good = _decoded(line, cells, index)
        for path, values_ in inner if good else ():
            value = values_[index]
            if value is not None:
                row: Row = {path[0]: getattr(line, path[0])}
                _put(row, path, value)
                setattr(line, path[0], row[path[0]])
        yield line if good else None


def _milliseconds(cell: str | None) -> int | str | None:
    return int(cell) if cell is not None and len(cell) == _MS_DIGITS and cell.isdecimal() else cell


def _decoded(line: _Line, cells: Mapping[str, Sequence[Any]], index: int) -> bool:
    for name, column in cells.items():
        cell = column[index]
        if cell is None:
            continue
        if cell[:1] != "{":
            return False
        try:
            setattr(line, name, _json.decode(cell))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
    return True


def _short(frame: pl.DataFrame, objects: Sequence[str]) -> list[bool]:
    """Rows whose texts are short, and whose objects have few keys and little depth, as for a line of JSON."""
    texts = [pl.col(name).str.len_bytes().fill_null(0) for name, kind in frame.schema.items() if kind == pl.String]
    tests = [pl.sum_horizontal(texts) <= SHORT_BYTES_MAX] if texts else [pl.lit(value=True)]
    for name in objects:
        column = pl.col(name).fill_null("")
        tests.append(column.str.count_matches(":", literal=True) <= KEYS_MAX - frame.width)
        opened = column.str.count_matches("{", literal=True) + column.str.count_matches("[", literal=True)
        tests.append(opened < DEPTH_MAX - 1)
    found: list[bool] = frame.select(pl.all_horizontal(tests)).to_series().to_list()
    return found if len(found) == frame.height else [True] * frame.height


def rows_of(frame: pl.DataFrame, options: ReplayOptions, *, text: bool) -> Iterator[Row | str]:
    """The rows as nested objects; a text says what is wrong with a row."""
    plain: list[tuple[str, Sequence[Any]]] = []
    nested: list[tuple[tuple[str, ...], Sequence[Any]]] = []
    mapped = {*options.columns.values()}
    objects = {"page", "context", options.props}
    # A column `props` that nothing is taken from may hold what it likes.
    if options.adapt is not None or any(column.startswith("props.") for column in mapped):
        objects.add("props")
    fields = set(options.adapt.fields.values()) if isinstance(options.adapt, FieldMapping) else set()
    for column in frame.get_columns():
        name = column.name
        cells: Sequence[Any] = column.to_list()
        if name in objects:
            plain.append((name, _each(cells, _object)))
        elif name in fields:
            plain.append((name, _each(cells, _typed) if text else cells))
        elif "." in name and name not in mapped:
            nested.append((tuple(name.split(".")), _each(cells, _typed) if text else cells))
        elif text and name not in mapped and options.adapt is not None:
            plain.append((name, _each(cells, _object)))  # a known recording's own columns
        else:
            plain.append((name, cells))
    names = [name for name, _ in plain]
    columns = [cells for _, cells in plain]
    for index, values in enumerate(zip(*columns, strict=True) if columns else [()] * frame.height):
        row = {name: _without_nulls(value) for name, value in zip(names, values, strict=True) if value is not None}
        wrong = next((str(value) for value in row.values() if isinstance(value, _NotJson)), None)
        if wrong is None:
            for path, cells in nested:
                if cells[index] is not None:
                    _put(row, path, cells[index])
        yield row if wrong is None else wrong


class _NotJson(str):
    """What is wrong with a cell that should be JSON."""

    __slots__ = ()


def _each(cells: Sequence[Any], make: Cell) -> Sequence[Any]:
    """Every cell made into a value; equal texts are made once."""
    known: dict[Any, Any] = {}
    made = []
    for cell in cells:
        if type(cell) is not str:
            made.append(cell)
            continue
        if cell not in known:
            if len(known) >= _MEMORY_MAX:
                known.clear()
            known[cell] = make(cell)
        made.append(known[cell])
    return made


def _typed(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    found = _NUMBER.match(text)
    if not found:
        return text
    return float(text) if found.group(2) or found.group(3) else int(text)


def _object(text: str) -> Any:
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        return _NotJson(f"not JSON: {error}")


def _without_nulls(value: Any) -> Any:
    """A Parquet struct has every field in every row; those without a value are not there."""
    if type(value) is dict and None in value.values():
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return value


def _put(row: Row, path: tuple[str, ...], value: Any) -> None:
    here = row
    for name in path[:-1]:
        inner = here.get(name)
        here[name] = here = dict(inner) if isinstance(inner, dict) else {}
    here[path[-1]] = value
