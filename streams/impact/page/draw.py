"""Plots as SVG written out. Each has a text for those who cannot see it; colours come from the page's style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

from streams.impact.report import Estimate
from streams.impact.words import MINUS

WIDTH = 868
_ROW = 44
_LEFT, _RIGHT = 272, 180
_NAME_CHARS_MAX = 40
_TICKS = 5
_HEIGHT = 230  # of a plot over time
_COLUMN_MAX = 64

Write = Callable[[float], str]


class RangeRow(NamedTuple):
    """One interval: `kind` gives its colour, `sub` stands small below the name."""

    name: str
    sub: str
    estimate: Estimate | None
    kind: str
    written: str


class BarRow(NamedTuple):
    """One bar from 0; with both ends, its interval is drawn over it."""

    name: str
    sub: str
    value: float
    written: str
    low: float | None = None
    high: float | None = None


class Column(NamedTuple):
    """One column of a stack, from the bottom up by the series' order; `label` goes below the axis."""

    label: str
    values: Sequence[float]


class Moment(NamedTuple):
    """An interval at one look; `label` goes below the axis."""

    at: int
    label: str
    estimate: Estimate


def ranges(title: str, rows: Sequence[RangeRow], write: Write, good: int = 0) -> str:
    """Intervals around 0, one a row; the side that is `good` (1, -1) is tinted."""
    seen = [end for row in rows if row.estimate for end in (row.estimate.value, row.estimate.low, row.estimate.high)]
    reach = max((abs(end) for end in seen if end is not None), default=0) or 1.0
    ticks = _ticks(-reach, reach)
    low, high = ticks[0], ticks[-1]
    bottom = len(rows) * _ROW
    at = _scale(low, high, _LEFT, WIDTH - _RIGHT)
    parts = []
    if good:
        left, right = sorted((at(0), at(high if good > 0 else low)))
        parts.append(f'<rect class="goodside" x="{left:.1f}" y="0" width="{right - left:.1f}" height="{bottom}"/>')
    parts.append(_axis(ticks, at, bottom, write))
    for index, row in enumerate(rows):
        parts.append(_range_row(row, index * _ROW, at))
    return _picture(title, parts, bottom + 26)


def _range_row(row: RangeRow, y: int, at: Callable[[float], float]) -> str:
    parts = [_names(row.name, row.sub, y)]
    found = row.estimate
    if found is not None:
        middle = y + _ROW / 2
        if found.low is not None and found.high is not None:
            parts.append(f'<path class="range" d="M{at(found.low):.1f} {middle}H{at(found.high):.1f}"/>')
        parts.append(f'<circle class="dot" cx="{at(found.value):.1f}" cy="{middle}" r="5.5"/>')
    for line, text in enumerate(row.written.split("\n")):
        style = ' class="sub"' if line else ""
        parts.append(f'<text{style} x="{WIDTH - _RIGHT + 14}" y="{y + 19 + 17 * line}">{escape(text)}</text>')
    return f'<g class="p-{escape(row.kind)}">{"".join(parts)}</g>'


def bars(title: str, rows: Sequence[BarRow], write: Write) -> str:
    """Bars from 0, one a row."""
    ticks = _ticks(0, max((max(row.value, row.high or 0) for row in rows), default=0) or 1.0)
    bottom = len(rows) * _ROW
    at = _scale(0, ticks[-1], _LEFT, WIDTH - _RIGHT)
    parts = [_axis(ticks, at, bottom, write)]
    for index, row in enumerate(rows):
        y = index * _ROW
        width = max(at(row.value) - _LEFT, 1)
        parts.append(
            f'{_names(row.name, row.sub, y)}<rect class="bar" x="{_LEFT}" y="{y + 10}" width="{width:.1f}" height="24" '
            f'rx="4"/>'
        )
        if row.low is not None and row.high is not None:
            ends = f"M{at(max(row.low, 0)):.1f} {y + 22}H{at(row.high):.1f}"
            parts.append(f'<path style="stroke:var(--ink);stroke-width:2;stroke-opacity:.55" d="{ends}"/>')
        for line, text in enumerate(row.written.split("\n")):
            style = ' class="sub"' if line else ""
            top = y + (19 if "\n" in row.written else 27) + 17 * line
            parts.append(f'<text{style} x="{WIDTH - _RIGHT + 14}" y="{top}">{escape(text)}</text>')
    return _picture(title, [f'<g class="p-plain">{"".join(parts)}</g>'], bottom + 26)


def columns(title: str, stack: Sequence[Column], colours: Sequence[str], write: Write) -> str:
    """Stacked columns over time; `colours` of the series are variables of the style, such as ``accent``."""
    ticks = _ticks(0, max((sum(one.values) for one in stack), default=0) or 1.0)
    up = _scale(0, ticks[-1], _HEIGHT, 8)
    left, step = 84, (WIDTH - 108) / max(len(stack), 1)
    parts = [
        f'<path class="{"zero" if tick == 0 else "grid"}" d="M{left} {up(tick):.1f}H{WIDTH - 24}"/>'
        f'<text class="axis" x="76" y="{up(tick) + 4:.1f}" text-anchor="end">{_written(write, tick)}</text>'
        for tick in ticks
    ]
    every = max(1, ceil(len(stack) / 8))
    wide = min(max(step * 0.72, 1), _COLUMN_MAX)
    for index, one in enumerate(stack):
        middle, below = left + step * (index + 0.5), 0.0
        for value, colour in zip(one.values, colours, strict=False):
            top, bottom = up(below + value), up(below)
            parts.append(
                f'<rect style="fill:var(--{escape(colour)})" x="{middle - wide / 2:.1f}" y="{top:.1f}" '
                f'width="{wide:.1f}" height="{max(bottom - top, 0):.1f}"/>'
            )
            below += value
        if index % every == 0:
            place = f'x="{middle:.1f}" y="{_HEIGHT + 20}" text-anchor="middle"'
            parts.append(f'<text class="axis" {place}>{escape(one.label)}</text>')
    return _picture(title, parts, _HEIGHT + 28)


def over_time(title: str, moments: Sequence[Moment], write: Write, reach: float) -> str:
    """The interval at every look, as a band with the estimate in it; what lies beyond `reach` is cut off."""
    ticks = [tick for tick in _ticks(-reach, reach) if abs(tick) <= reach * 1.001]
    first, last = moments[0].at, moments[-1].at
    along = _scale(first, last, 84, WIDTH - 24)
    up = _scale(-reach, reach, _HEIGHT, 8)

    def point(moment: Moment, value: float | None) -> str:
        return f"{along(moment.at):.1f} {up(min(max(value or 0.0, -reach), reach)):.1f}"

    drawn = [moment for moment in moments if moment.estimate.low is not None]
    parts = [
        f'<path class="{"zero" if tick == 0 else "grid"}" d="M84 {up(tick):.1f}H{WIDTH - 24}"/>'
        f'<text class="axis" x="76" y="{up(tick) + 4:.1f}" text-anchor="end">{_written(write, tick)}</text>'
        for tick in ticks
    ]
    upper = "L".join(point(moment, moment.estimate.high) for moment in drawn)
    lower = "L".join(point(moment, moment.estimate.low) for moment in reversed(drawn))
    parts.insert(0, f'<path class="band" d="M{upper}L{lower}Z"/>')
    parts.append(f'<path class="path" d="M{"L".join(point(moment, moment.estimate.value) for moment in drawn)}"/>')
    every = max(1, ceil(len(moments) / 6))
    shown = [moment for index, moment in enumerate(moments) if index % every == 0]
    for moment in shown:
        x = along(moment.at)
        anchor = "start" if moment is moments[0] else "middle"
        place = f'x="{x:.1f}" y="{_HEIGHT + 20}" text-anchor="{anchor}"'
        parts.append(f'<text class="axis" {place}>{escape(moment.label)}</text>')
    return _picture(title, parts, _HEIGHT + 28)


# --- parts -----------------------------------------------------------------------------------------------------


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that reach from at most `low` to at least `high`."""
    raw = (high - low) / _TICKS
    power = 10.0 ** floor(log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    return [number * step for number in range(floor(low / step + 1e-9), ceil(high / step - 1e-9) + 1)]


def _scale(low: float, high: float, left: float, right: float) -> Callable[[float], float]:
    span = (high - low) or 1.0
    return lambda value: left + (value - low) / span * (right - left)


def _axis(ticks: Sequence[float], at: Callable[[float], float], bottom: int, write: Write) -> str:
    return "".join(
        f'<path class="{"zero" if tick == 0 else "grid"}" d="M{at(tick):.1f} 0V{bottom}"/>'
        f'<text class="axis" x="{at(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{_written(write, tick)}</text>'
        for tick in ticks
    )


def _written(write: Write, tick: float) -> str:
    return escape(write(tick).replace("-", MINUS))


def _names(name: str, sub: str, y: int) -> str:
    short = name if len(name) <= _NAME_CHARS_MAX else name[: _NAME_CHARS_MAX - 1] + "…"
    below = f'<text class="sub" x="{_LEFT - 14}" y="{y + 36}" text-anchor="end">{escape(sub)}</text>' if sub else ""
    return f'<text x="{_LEFT - 14}" y="{y + (19 if sub else 27)}" text-anchor="end">{escape(short)}</text>{below}'


def _picture(title: str, parts: Sequence[str], height: int) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
