"""The runbook as a board: made of docs/operations.md, so that whoever is on call finds it where the alerts are."""

from __future__ import annotations

import math
import re
from pathlib import Path

from grafana.kit import Board, Panel, Row

_SOURCE = Path(__file__).parents[1] / "docs" / "operations.md"
_WIDTH = 12
_LINE_CHARS = 85  # of a panel of that width on a screen of 1,600 pixels
_LINES_PER_UNIT = 1.5  # a grid unit is 30 pixels and a gap of 8
_UNITS_AROUND = 2  # title and padding
_ENTRY = re.compile(r"^#### (Avert\w+)\n\n(.+?)(?=\n#|\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")  # targets are files of the repository: not to be had in a browser


def entries(text: str) -> dict[str, str]:
    """The runbook's entries by alert, as Markdown without links."""
    return {alert: _LINK.sub(r"\1", body.strip()) for alert, body in _ENTRY.findall(text)}


def _panels(found: dict[str, str]) -> tuple[Panel, ...]:
    """Two a line, of the same height, so that nothing is cut off and no hole is left."""
    names = list(found)
    panels = []
    for left in range(0, len(names), 2):
        pair = names[left : left + 2]
        height = max(_height(found[name]) for name in pair)
        panels += [Panel(name, "", kind="text", width=_WIDTH, height=height, text=found[name]) for name in pair]
    return tuple(panels)


def _height(text: str) -> int:
    lines = sum(max(1, math.ceil(len(paragraph) / _LINE_CHARS)) for paragraph in text.split("\n\n"))
    return _UNITS_AROUND + math.ceil(lines / _LINES_PER_UNIT)


BOARD = Board(
    uid="avert-runbook",
    title="Avert: the runbook",
    about="What each alert means, how to look, what to do. Made of docs/operations.md.",
    tags=("operations",),
    rows=(Row("What to do when an alert comes", _panels(entries(_SOURCE.read_text(encoding="utf-8")))),),
    time_from="now-1h",
    refresh="",
)
