"""For everybody: axe finds nothing, the keyboard reaches everything, nothing takes the focus; under a strict policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import ROOT, Visit, eventually, search_in_vain, visitor_of

CARD = "avert-suggestion"
AXE = ROOT / ".cache" / "snippet" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = ["/", "/search?q=lamp", "/search?q=nothing", "/help", "/help/returns", "/p/lamp", "/cart", "/checkout",
         "/checkout/done", "/orders/track", "/contact"]


def violations(page: Page) -> list[str]:
    """What axe finds, one line each: WCAG 2.2 A and AA, and its best practices."""
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate("axe.run().then((result) => result.violations)")
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_on_the_shops_pages(visit: Visit, path: str) -> None:
    page = visit.page(path)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []


def test_axe_finds_nothing_in_the_shops_panel(visit: Visit) -> None:
    page = visit.page("/")
    page.click(".panel-open")
    expect(page.locator("#panel-box")).to_contain_text("page_view")
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("where", ["placed", "toast"])
def test_axe_finds_nothing_in_a_suggestion(visits: Callable[..., Visit], where: str, scheme: str) -> None:
    page = visits(color_scheme=scheme).page("/")
    if where == "placed":
        search_in_vain(page)
    else:
        page.evaluate("avert.track('help_wanted', {who: 'Ada'})")
    expect(page.locator(f"{CARD} .title")).to_be_visible()
    # Without the shop's own colours too.
    assert violations(page) == []
    page.evaluate("""for (const sheet of document.styleSheets)
      for (const rule of sheet.cssRules)
        for (const name of ["--avert-accent", "--avert-on-accent", "--avert-background", "--avert-color"])
          rule.style?.removeProperty(name)""")
    assert violations(page) == []


def test_a_screen_reader_is_told_politely_and_finds_a_region(visit: Visit) -> None:
    page = visit.page("/")
    page.evaluate("avert.track('help_wanted', {who: 'Ada'})")
    region = page.get_by_role("region", name="Here you are, Ada")
    expect(region).to_be_visible()
    expect(region.get_by_role("status")).to_have_text("Here you are, AdaAs long as it takes.")
    assert region.get_by_role("status").get_by_role("button").count() == 0


def test_it_does_not_take_the_focus(visit: Visit) -> None:
    page = visit.page("/")
    page.focus("#q")
    page.evaluate("avert.track('help_wanted', {who: 'Ada'})")
    expect(page.locator(CARD)).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "q"


def tab_to(page: Page, words: str) -> None:
    """Press Tab until something of that name has the focus."""
    inside = "(document.activeElement.shadowRoot || document).activeElement?.textContent"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(inside) == words:
            return
    raise AssertionError(f"Tab does not reach {words!r}")


@pytest.mark.parametrize("key", ["Escape", "Enter", "Space"])
def test_by_keyboard_it_is_closed_and_the_focus_goes_back(visit: Visit, key: str) -> None:
    page = visit.page("/")
    page.focus("#q")
    page.evaluate("avert.track('help_wanted', {who: 'Ada'})")
    expect(page.locator(CARD)).to_be_visible()
    tab_to(page, "Close")
    page.keyboard.press(key)
    expect(page.locator(CARD)).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "q"
    visitor = visitor_of(page)
    eventually(page, lambda: visit.log.of(visitor, "suggestion_dismissed"), "the receipt")


def test_by_keyboard_its_link_is_followed(visit: Visit) -> None:
    page = visit.page("/")
    search_in_vain(page)
    expect(page.locator(CARD)).to_be_visible()
    tab_to(page, "See the answers")
    with page.expect_navigation(url="**/help"):
        page.keyboard.press("Enter")
    visitor = visitor_of(page)
    eventually(page, lambda: visit.log.of(visitor, "suggestion_clicked"), "the receipt")


def test_nothing_moves(visits: Callable[..., Visit]) -> None:
    page = visits(reduced_motion="reduce").page("/")
    page.evaluate("avert.track('help_wanted', {who: 'Ada'})")
    expect(page.locator(CARD)).to_be_visible()
    moving = """(() => {
      const root = document.querySelector("avert-suggestion").shadowRoot;
      return [...root.querySelectorAll("*")].flatMap((element) => element.getAnimations()).length;
    })()"""
    assert page.evaluate(moving) == 0


def test_the_policy_under_which_all_this_works_is_in_force(visit: Visit) -> None:
    visit.expected = "policy|Content Security Policy|This document requires"
    page = visit.page("/")
    outcome = page.evaluate("""() => {
      const tries = {
        script: () => Object.assign(document.createElement("script"), {textContent: "window.injected = 1"}),
        markup: () => Object.assign(document.createElement("p"), {innerHTML: "<b>x</b>"}),
        style: () => Object.assign(document.createElement("style"), {textContent: "body { display: none }"}),
      };
      const refused = [];
      for (const name in tries) {
        try { document.head.append(tries[name]()); } catch { refused.push(name); }
      }
      return [refused, getComputedStyle(document.body).display];
    }""")
    assert outcome == [["script", "markup"], "flex"]
