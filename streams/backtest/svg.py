"""The plots of the page: small SVG pictures written out, with nothing to fetch and a text for who cannot see them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH = 760
_LABEL = 210  # px for the names on the left
_ROW = 30
_RIGHT = 120  # px for the numbers on the right
_PLOT = WIDTH - _LABEL - _RIGHT
_NAME_CHARS_MAX = 30
_DOTS_MAX = 400  # lead times drawn of one rule; more of them are a blot


class BarRow(NamedTuple):
    """One bar: a share, where it may truly lie, and what it is compared with. All from 0 to 1."""

    name: str
    value: float | None
    written: str
    low: float | None = None
    high: float | None = None
    mark: float | None = None


def bars(title: str, rows: Sequence[BarRow]) -> str:
    """Horizontal bars from 0 to a round number; a whisker for the interval, a tick for the comparison."""
    top = _round_up(max((max(row.value or 0, row.high or 0, row.mark or 0) for row in rows), default=0))
    parts = [_axis([(top * step / 4, f"{top * step / 4 * 100:.3g} %") for step in range(5)], top, len(rows))]
    for index, row in enumerate(rows):
        y = index * _ROW
        parts.append(_name(row.name, y))
        if row.value is not None:
            width = _x(row.value, top)
            parts.append(f'<rect class="bar" x="{_LABEL}" y="{y + 7}" width="{width:.1f}" height="16" rx="2"/>')
        if row.low is not None and row.high is not None:
            low, high = _LABEL + _x(row.low, top), _LABEL + _x(row.high, top)
            ends = f"M{low:.1f} {y + 11}v8M{high:.1f} {y + 11}v8"
            parts.append(f'<path class="whisker" d="M{low:.1f} {y + 15}H{high:.1f}{ends}"/>')
        if row.mark is not None:
            parts.append(f'<path class="mark" d="M{_LABEL + _x(row.mark, top):.1f} {y + 3}v24"/>')
        parts.append(f'<text x="{WIDTH - _RIGHT + 12}" y="{y + 20}">{escape(row.written)}</text>')
    return _picture(title, parts, len(rows) * _ROW + 24)


_TIMES = ((1, "1s"), (10, "10s"), (60, "1m"), (300, "5m"), (1800, "30m"), (7200, "2h"), (28_800, "8h"), (86_400, "1d"),
          (604_800, "7d"))  # fmt: skip


def leads(title: str, rows: Sequence[tuple[str, Sequence[float], tuple[float, float, float], str]]) -> str:
    """Lead times as dots on a logarithmic scale, with the middle half as a band and the median as a line."""
    longest = max((max(times) for _, times, _, _ in rows), default=1)
    top = next((seconds for seconds, _ in _TIMES if seconds >= longest), longest)

    def at(seconds: float) -> float:
        return math.log1p(max(seconds, 0)) / math.log1p(top)

    parts = [_axis([(at(seconds), label) for seconds, label in _TIMES if seconds <= top], 1.0, len(rows))]
    for index, (name, times, (lower, median, upper), written) in enumerate(rows):
        y = index * _ROW
        parts.append(_name(name, y))
        left, right = _LABEL + at(lower) * _PLOT, _LABEL + at(upper) * _PLOT
        width = max(right - left, 2)
        parts.append(f'<rect class="band" x="{left:.1f}" y="{y + 5}" width="{width:.1f}" height="20" rx="2"/>')
        every = max(1, len(times) // _DOTS_MAX)
        for number, seconds in enumerate(times[::every]):
            wobble = (number * 7) % 13 - 6  # spread out, and the same each time
            parts.append(f'<circle class="dot" cx="{_LABEL + at(seconds) * _PLOT:.1f}" cy="{y + 15 + wobble}" r="2"/>')
        parts.append(f'<path class="mark" d="M{_LABEL + at(median) * _PLOT:.1f} {y + 3}v24"/>')
        parts.append(f'<text x="{WIDTH - _RIGHT + 12}" y="{y + 20}">{escape(written)}</text>')
    return _picture(title, parts, len(rows) * _ROW + 24)


def matrix(title: str, names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """How many of the row's sessions the column's rule fired in as well: the darker, the larger the share."""
    size = min(64, (WIDTH - _LABEL) // max(len(names), 1))
    parts = []
    for row, name in enumerate(names):
        y = 26 + row * _ROW
        parts.append(_name(f"{row + 1}  {name}", y))
        x = _LABEL + row * size + size / 2
        parts.append(f'<text x="{x:.0f}" y="18" text-anchor="middle">{row + 1}</text>')
        for column, count in enumerate(counts[row]):
            share = count / counts[row][row] if counts[row][row] else 0.0
            left = _LABEL + column * size
            parts.append(
                f'<rect class="cell" x="{left}" y="{y}" width="{size - 2}" height="{_ROW - 2}" '
                f'fill-opacity="{share:.2f}"/>'
            )
            dark = ' class="on"' if share > 0.5 else ""
            text = f'<text{dark} x="{left + (size - 2) / 2:.0f}" y="{y + 19}" text-anchor="middle">{count:,}</text>'
            parts.append(text if count else "")
    return _picture(title, parts, 26 + len(names) * _ROW)


def _axis(ticks: Sequence[tuple[float, str]], top: float, rows: int) -> str:
    bottom = rows * _ROW
    made = []
    for value, label in ticks:
        x = _LABEL + _x(value, top)
        made.append(f'<path class="grid" d="M{x:.1f} 0V{bottom}"/>')
        made.append(f'<text class="axis" x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{escape(label)}</text>')
    return "".join(made)


def _x(value: float, top: float) -> float:
    return max(0.0, min(value / top if top else 0.0, 1.0)) * _PLOT


def _round_up(value: float) -> float:
    return next((top for top in (0.01, 0.02, 0.04, 0.1, 0.2, 0.4, 0.6, 0.8) if value <= top), 1.0)


def _name(name: str, y: int) -> str:
    short = name if len(name) <= _NAME_CHARS_MAX else name[: _NAME_CHARS_MAX - 1] + "…"
    return f'<text x="{_LABEL - 10}" y="{y + 20}" text-anchor="end">{escape(short)}</text>'


def _picture(title: str, parts: Sequence[str], height: int) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
