"""docs/operations.md against the program: every setting, every metric, every link."""

from __future__ import annotations

import re

import msgspec
import pytest

from streams.settings import PREFIX, Settings
from tests.ops.tools import ROOT, metric_families

OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def rows(first_cell: str) -> list[list[str]]:
    """The cells of every table row whose first cell is code that begins so."""
    lines = [line for line in OPERATIONS.splitlines() if line.startswith(f"| `{first_cell}")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_setting_is_in_the_table_with_its_default() -> None:
    documented = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(PREFIX)}
    defaults = {PREFIX + field.name.upper(): as_text(field.default) for field in msgspec.structs.fields(Settings)}
    assert documented == defaults


def as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def test_every_setting_says_what_it_means() -> None:
    assert [cells[0] for cells in rows(PREFIX) if len(cells) != 3 or len(cells[2]) < 8] == []


def test_every_metric_is_in_the_table_with_its_type_and_labels() -> None:
    documented = {
        cells[0].strip("`"): (cells[1], tuple(filter(None, cells[2].split(", ")))) for cells in rows("avert_")
    }
    assert documented == metric_families()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page) -> None:
    text = page.read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


def anchors(text: str) -> set[str]:
    """Headings as the anchors that a forge makes of them."""
    headings = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
