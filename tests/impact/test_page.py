"""The page: nothing to fetch, nothing to run, whatever the names are; and it says what the report says."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from streams.impact.assess import assess
from streams.impact.mapping import read_experiment
from streams.impact.model import Note, SuggestionCounts
from streams.impact.page.build import page_of
from streams.impact.page.document import Section
from streams.impact.recorded import totals_of
from tests.impact.test_assess import arm, totals
from tests.impact.three_arms import FOLDER

VOID = {"meta", "br", "circle", "path", "rect"}


class Checker(HTMLParser):
    """Whether every tag is closed, and what the tags refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.faults.append(tag)


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert (checker.open, checker.faults) == ([], [])
    return checker


@pytest.fixture(scope="module")
def page() -> str:
    read = totals_of([FOLDER / "events.jsonl", FOLDER / "calls.csv"], read_experiment(FOLDER / "mapping.yaml"))
    return page_of(assess(read))


def test_it_is_whole_and_fetches_and_runs_nothing(page: str) -> None:
    checker = check(page)
    assert checker.links == []
    assert "script" not in checker.tags
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_it_says_the_figures(page: str) -> None:
    for text in ("134 of 612", "21.9 %", "1,769.60 EUR", "9,610.45 EUR", "visitors in two arms, left out"):
        assert text in page


def test_every_picture_has_words(page: str) -> None:
    assert page.count("<svg") == page.count('role="img" aria-label="') >= 5


def test_light_dark_and_paper(page: str) -> None:
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page
    defined = set(re.findall(r"(--[a-z-]+):", page))
    assert set(re.findall(r"var\((--[a-z-]+)\)", page)) - defined == set()


def test_names_cannot_become_tags() -> None:
    evil = '<img src=x onerror="alert(1)">'
    made = totals(
        [arm("control", 2_000, 400, 9), arm(evil, 18_000, 2_700, 9, suggestions=SuggestionCounts(made=9, shown=9))],
        shares={"control": 1, evil: 9}, title=evil,
    )  # fmt: skip
    made.outcomes = []
    made.source, made.notes = evil, [Note(text=evil, count=1)]
    made.rules[0].rule = evil
    assert "img" not in check(page_of(assess(made))).tags


def test_many_rules_have_an_overview_and_a_card_each() -> None:
    arms = [arm("control", 2_000, 400, 200), arm("treated", 18_000, 2_700, 1_800)]
    made = page_of(assess(totals(arms, arms, [])))
    check(made)
    assert [f'id="{name}"' in made for name in ("overview", "rule-r0", "rule-r2", "reading")] == [True] * 4
    assert "This page asks 2 questions" in made


def test_more_sections_can_be_put_in() -> None:
    made = page_of(assess(totals([])), [Section("funnels", "<h2>Funnels</h2>")])
    assert made.index('id="rule-r0"') < made.index('id="funnels"') < made.index('id="reading"')
    check(made)
