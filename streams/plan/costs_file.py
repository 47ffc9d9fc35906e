"""Costs from a file, for ``avert plan --costs FILE``: YAML (or JSON, which is YAML), a figure a line.

1. ``worker_us: 18``; or, as ``avert plan costs --json`` writes it, a map of which only ``value`` is read.
2. What is not in it is as it comes. Every error says file, line and column.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streams.errors import SettingsError
from streams.plan.costs import COSTS
from streams.rulefiles.findings import Report, quoted, suggest
from streams.rulefiles.yaml_tree import FILE_BYTES_MAX, MapNode, Node, ScalarNode, read_tree, scalar_value

VALUE = "value"


def read_costs(path: Path) -> dict[str, float]:
    """The figures of a file. Raises SettingsError with all that is wrong with it, a line a finding."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError(f"the costs in {path} cannot be read: {error.strerror}") from error
    report = Report()
    found = dict(_figures(read_tree(raw, str(path), report), report))
    if report.findings:
        raise SettingsError("\n".join(map(str, report.findings)))
    return found


def _figures(documents: list[Node], report: Report) -> Iterator[tuple[str, float]]:
    for document in documents:
        if not isinstance(document, MapNode):
            report.add(document.mark, "costs are lines `NAME: NUMBER`; `avert plan costs` lists the names")
            continue
        for key, node in document.items:
            if key.text not in COSTS:
                report.add(key.mark, f"there is no cost {quoted(key.text)}{suggest(key.text, COSTS)}")
                continue
            value = _number(key.text, node, report)
            if value is not None:
                yield key.text, value


def _number(name: str, node: Node, report: Report) -> float | None:
    """The figure; None when it is none, which has been reported."""
    if isinstance(node, MapNode):
        inner = node.get(VALUE)
        if inner is None:
            report.add(node.mark, f"the cost {name} has no `{VALUE}`")
            return None
        node = inner
    value = scalar_value(node) if isinstance(node, ScalarNode) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        report.add(node.mark, f"the cost {name} must be a number greater than zero")
        return None
    return float(value)
