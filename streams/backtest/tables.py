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
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from streams.backtest.recordings import FieldMapping
from streams.core.event import Event
from streams.replay import BadLine, ReplayError, ReplayOptions, Row, event_of_row

ROWS_AT_A_TIME = 50_000
_OBJECTS = ("props", "page", "context")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d+)?([eE][+-]?\d{1,3})?\Z")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
_MEMORY_MAX = 100_000  # cells of a chunk that are remembered with their value

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


def events_of_table(path: Path, kind: str, options: ReplayOptions) -> Iterator[Event | BadLine | None]:
    """Every row as an event, a bad line, or None when the recording's adapter leaves it out."""
    number = 2 if kind == "csv" else 1
    for frame in scan_table(path, kind):
        for row in rows_of(frame, options, text=kind == "csv"):
            if isinstance(row, str):
                yield BadLine(number, row)
            else:
                identity = json.dumps(row, sort_keys=True, default=str).encode() if _needs_id(row, options) else b""
                yield event_of_row(row, identity, number, options)
            number += 1


def _needs_id(row: Row, options: ReplayOptions) -> bool:
    column = options.columns.get("id")
    return column is None or row.get(column) is None


def rows_of(frame: pl.DataFrame, options: ReplayOptions, *, text: bool) -> Iterator[Row | str]:
    """The rows as nested objects; a text says what is wrong with a row."""
    plain: list[tuple[str, Sequence[Any]]] = []
    nested: list[tuple[tuple[str, ...], Sequence[Any]]] = []
    mapped = {*options.columns.values()}
    objects = {*_OBJECTS, options.props}
    fields = set(options.adapt.fields.values()) if isinstance(options.adapt, FieldMapping) else set()
    for column in frame.get_columns():
        name = column.name
        if isinstance(column.dtype, pl.Datetime | pl.Date):
            column = column.cast(pl.Datetime("us")).dt.epoch("ms")  # noqa: PLW2901
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
    if text[:1] not in "{[":
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
