"""Recorded files to rows: any columns, nothing assumed of them but what a mapping says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from streams.backtest.recordings import kind_of
from streams.core.definition import FieldTest
from streams.core.event import MISSING
from streams.core.value_tests import value_test
from streams.impact.model import MICROS
from streams.replay import LINE_BYTES_MAX, BadLine, ReplayError, Row

AMOUNT_MAX = Decimal(10) ** 15  # as in the engine: beyond it nobody means money

RowTest = Callable[[Row], bool]
_json = msgspec.json.Decoder(float_hook=Decimal)  # 0.1 stays what was written


class Line(NamedTuple):
    """One row of a file. `text`: all its cells are text, as in CSV."""

    number: int
    row: Row
    text: bool


def lines_of(path: Path) -> Iterator[Line | BadLine]:
    """Every row of a file of JSON lines, CSV or Parquet (each also .gz). Raises ReplayError when it cannot be read."""
    kind = kind_of(path)
    if kind == "jsonl":
        yield from _json_lines(path)
        return
    import polars as pl  # noqa: PLC0415 - half a second, only where there is a table

    from streams.backtest.tables import scan_table  # noqa: PLC0415

    number = 2 if kind == "csv" else 1
    for read in scan_table(path, kind):
        dates = pl.selectors.date().cast(pl.Datetime("us")).dt.epoch("ms")
        frame = read.with_columns(pl.selectors.datetime().dt.epoch("ms"), dates)
        for row in frame.iter_rows(named=True):
            yield Line(number, row, text=kind == "csv")
            number += 1


def _json_lines(path: Path) -> Iterator[Line | BadLine]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.isspace():
                    yield _json_line(line, number)
    except (OSError, EOFError) as error:
        raise ReplayError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _json_line(line: bytes, number: int) -> Line | BadLine:
    if len(line) > LINE_BYTES_MAX:
        return BadLine(number, f"{len(line)} bytes; at most {LINE_BYTES_MAX}")
    try:
        row = _json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:  # Python's own reader alone takes the NaN that pandas writes, read here as null
            row = json.loads(line, parse_constant=lambda _: None, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            return BadLine(number, f"not JSON: {error}")
    return Line(number, row, text=False) if isinstance(row, dict) else BadLine(number, "not a JSON object")


# --- fields ----------------------------------------------------------------------------------------------------


def field_of(row: Row, path: str) -> Any:
    """The value of a column, or at a dotted path into objects, lists and JSON text; None when there is none."""
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        if isinstance(value, str) and value[:1] in "{[":
            value = _inside(value)
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _inside(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None


def word_of(value: Any) -> str | None:
    """A visitor, an arm or an id as text, so that 7, 7.0 and ``"7"`` are the same; None for no value."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | Decimal) and value == value.__trunc__():
        return str(int(value))
    return str(value)


def micros_of(value: Any, times: Decimal) -> int | None:
    """An amount in micro-units, rounded to the even one; None when it is not a number. Text counts: ``"15.0"``."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(value).strip()) * times
    except InvalidOperation:
        return None
    # Also false for the NaN and the infinities that Decimal reads.
    return round(amount * MICROS) if amount.is_finite() and abs(amount) < AMOUNT_MAX else None


# --- tests -----------------------------------------------------------------------------------------------------


def row_test(tests: tuple[FieldTest, ...]) -> Callable[[Line], bool]:
    """Whether a row passes every one of `tests`; they are those of rules (`core.matcher`).

    Cells of CSV are text: where a test is about numbers or truth values, they are read as such first.
    """
    compiled = [(test.field, value_test(test), _about_text(test.value)) for test in tests]

    def passes(line: Line) -> bool:
        for path, check, about_text in compiled:
            value = field_of(line.row, path)
            if isinstance(value, Decimal):
                value = float(value)
            elif line.text and not about_text and isinstance(value, str):
                value = _typed(value)
            if not check(MISSING if value is None else value):
                return False
        return True

    return passes


def _about_text(value: Any) -> bool:
    return all(isinstance(item, str) for item in value) if isinstance(value, tuple) else isinstance(value, str)


_WORDS = {"true": True, "false": False, "True": True, "False": False}


def _typed(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text
