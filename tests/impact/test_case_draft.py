"""Draft rules: valid, tested, and firing at what was seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import re2

from streams import cli
from streams.core.ruleset import EngineOptions
from streams.impact.case.draft import Draft, drafts_of, message_pattern, words_pattern
from streams.impact.case.lanes import lanes_of
from streams.impact.case.steps import TEXT_CHARS_MAX, Antecedent, message_of, query_of
from streams.rulefiles.program import load_program
from tests.impact.case_made_up import RULES

SIGNALS = ("rage_click", "dead_click", "error_click", "u_turn", "form_abandon", "search_refine", "thrash")
EVERY_KIND = [
    *(Antecedent("empty_search", "", times, "search") for times in (1, 2, 3)),
    Antecedent("empty_search", "where s my order", 1, "search"),
    Antecedent("search", "gift card", 1, "search"),
    Antecedent("help", "returns & refunds: how?", 1, "help_view"),
    Antecedent("help", "/help/returns", 1, "*"),
    Antecedent("error", "timeout after * ms (\"x\")", 1, "js_error"),
    Antecedent("form_error", "address: iban", 1, "form_error"),
    Antecedent("product", "mug *", 1, "product_view"),
    Antecedent("product", "☕ 'a' #1 {{ x }}: \x85\x7f yes", 1, "product_view"),
    Antecedent("path", " > ".join(f"/{letter * 79}" for letter in "abc"), 1, "*"),
    Antecedent("search", "доставка", 1, "search"),
    Antecedent("page", "/orders/*/edit", 1, "*"),
    Antecedent("page", "/", 1, "*"),
    Antecedent("path", "/a > /b", 1, "*"),
    Antecedent("path", "/a > /b > /a", 1, "*"),
    Antecedent("path", "/a/* > /b > /c", 1, "*"),
    *(Antecedent("event", "coupon_failed", times, "coupon_failed") for times in (1, 2, 3)),
    *(Antecedent("signal", name, 1, "signal") for name in SIGNALS),
]


def folder_of(folder: Path, antecedents: list[Antecedent]) -> list[Draft]:
    (folder / "outcomes.yaml").write_text(RULES)
    lanes = lanes_of(load_program(folder, EngineOptions())[0], EngineOptions())
    drafts = drafts_of([(one, lane, "a test", None) for one in antecedents for lane in lanes])
    for one in drafts:
        (folder / f"{one.rule}.yaml").write_text(one.text)
    return drafts


def test_a_draft_of_every_kind_passes_check_and_its_two_tests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drafts = folder_of(tmp_path, EVERY_KIND)
    assert cli.main(["rules", "check", str(tmp_path)]) == 0
    assert cli.main(["rules", "test", str(tmp_path)]) == 0
    assert f"{2 * len(drafts)} tests, 0 failed" in capsys.readouterr().out


def test_every_draft_has_a_name_of_its_own(tmp_path: Path) -> None:
    drafts = folder_of(tmp_path, EVERY_KIND)
    assert len({one.rule for one in drafts}) == len(drafts) == 3 * len(EVERY_KIND)


def test_a_draft_does_nothing_to_anybody(tmp_path: Path) -> None:
    folder_of(tmp_path, EVERY_KIND[:3])
    assert {rule.mode for rule in load_program(tmp_path, EngineOptions())[0].rules} == {"draft"}


@pytest.mark.parametrize("query", ["Where's my ORDER?", "gift-card", " c++ (book) ", "a_b", "Größe 42", "x" * 200])
def test_the_pattern_of_a_query_matches_what_was_counted_as_it(query: str) -> None:
    assert re2.search(words_pattern(query_of(query)), query)


def test_the_pattern_of_a_query_matches_no_other() -> None:
    pattern = words_pattern("gift card")
    assert not any(re2.search(pattern, other) for other in ("gift cards", "a gift card", "giftcard"))


@pytest.mark.parametrize("message", ["timeout after 31 ms", "a.b is (undefined) 7", "7", "word " * 40])
def test_the_pattern_of_a_message_matches_what_was_counted_as_it(message: str) -> None:
    assert len(message_of(message)) <= TEXT_CHARS_MAX
    assert re2.search(message_pattern(message_of(message)), message)
