"""docs/dialects/ says what the code does: the tables are the code's, the snippets are those that are run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.http.dialects.routes import CONFIGS, EVENTS
from tests.http.dialect_tables import DOCS, TABLES, filled

PAGES = sorted(DOCS.glob("*.md"))
CLIENTS = Path(__file__).parents[1] / "clients"
RUN = [path.read_text() for folder in ("sdk", "web") for path in sorted((CLIENTS / folder).iterdir())]
_SNIPPET = re.compile(r"```(?:python|js)\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_tables_are_those_of_the_code(page: Path) -> None:
    assert filled(page.read_text()) == page.read_text(), "python -m tests.http.dialect_tables writes them"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippets_are_run_by_the_tests(page: Path) -> None:
    for snippet in _SNIPPET.findall(page.read_text()):
        assert any(snippet.strip() in text for text in RUN), snippet


def test_each_table_stands_on_a_page() -> None:
    text = "".join(page.read_text() for page in PAGES)
    assert [name for name in TABLES if f"<!-- table: {name} -->" not in text] == []


def test_each_path_stands_on_a_page() -> None:
    text = "".join(page.read_text() for page in PAGES)
    paths = {entry.path for entry in EVENTS} | {path for path, *_ in CONFIGS}
    assert [path for path in sorted(paths) if path.rstrip("/") not in text] == []
