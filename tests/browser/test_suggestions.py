"""From a visitor's trouble to the suggestion on the page, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.support import Visit, eventually, search_in_vain, visitor_of

CARD = "avert-suggestion"
VISITORS = 8


def kinds(visit: Visit, visitor: str) -> list[str]:
    """The receipts of a visitor in the log, each id once: one that was under way when the page went is sent again."""
    receipts = {e["id"]: e["type"] for e in visit.log.of(visitor) if e["type"].startswith("suggestion_")}
    return list(receipts.values())


def without_stream(visit: Visit) -> None:
    """As behind a proxy that knows no event streams."""
    visit.context.route("**/v1/suggestions/stream?*", lambda route: route.fulfill(status=502))
    visit.expected = "502"


@pytest.mark.parametrize("way", ["stream", "asking"])
def test_who_searches_twice_in_vain_sees_the_suggestion(
    visits: Callable[..., Visit], way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    took_ms = []
    for _ in range(VISITORS):
        visit = visits()
        if way == "asking":
            without_stream(visit)
        page = visit.page("/")
        search_in_vain(page)
        expect(page.locator(CARD)).to_contain_text("Can't find it?")
        took_ms.append(page.evaluate("seen.shownAt - seen.searches.at(-1)"))
    took_ms.sort()
    with capsys.disabled():
        print(f"\nsearch to suggestion, {way}, {VISITORS} visitors, ms: median {median(took_ms):.0f},"
              f" most {took_ms[-1]:.0f}, all {[round(ms) for ms in took_ms]}")


def test_click_leads_on_and_its_receipts_arrive(visit: Visit) -> None:
    page = visit.page("/")
    search_in_vain(page)
    visitor = visitor_of(page)
    link = page.locator(CARD).get_by_role("link", name="See the answers")
    eventually(page, lambda: kinds(visit, visitor) == ["suggestion_shown"], "the receipt `shown`")
    with page.expect_navigation(url="**/help"):
        link.click()
    eventually(page, lambda: kinds(visit, visitor) == ["suggestion_shown", "suggestion_clicked"], "`clicked`")
    assert page.locator(CARD).count() == 0


def test_dismissed_it_is_gone_here_and_on_the_next_page(visit: Visit) -> None:
    page = visit.page("/")
    search_in_vain(page)
    page.locator(CARD).get_by_role("button", name="Close").click()
    expect(page.locator(CARD)).to_have_count(0)
    visitor = visitor_of(page)
    eventually(page, lambda: "suggestion_dismissed" in kinds(visit, visitor), "the receipt `dismissed`")
    page.reload()
    token = page.evaluate("JSON.parse(localStorage['avert.me']).token")
    asked = f"{visit.api}/v1/suggestions?visitor={visitor}&token={token}"
    eventually(page, lambda: page.request.get(asked).json() == {"suggestions": []}, "the withdrawal")
    page.reload()
    assert page.locator(CARD).count() == 0


def test_out_of_view_it_counts_as_not_shown_until_it_is_scrolled_to(visit: Visit) -> None:
    page = visit.page("/help/warranty")
    page.evaluate("""() => {
      const room = document.createElement("div"), place = document.createElement("div");
      for (let i = 0; i < 200; i++) room.append(document.createElement("br"));
      place.dataset.avertPlacement = "nowhere";
      document.querySelector("footer").append(room, place);
      avert.track("help_wanted", {who: "Ada"});
    }""")
    expect(page.locator(CARD)).to_have_count(1)
    page.wait_for_timeout(1500)
    visitor = visitor_of(page)
    assert kinds(visit, visitor) == []
    page.locator(CARD).scroll_into_view_if_needed()
    eventually(page, lambda: kinds(visit, visitor) == ["suggestion_shown"], "the receipt `shown`")


def test_where_there_is_no_placement_it_is_a_toast(visit: Visit) -> None:
    page = visit.page("/")
    page.evaluate("avert.track('help_wanted', {who: 'Ada'})")
    card = page.locator(CARD)
    expect(card).to_contain_text("Here you are, Ada")
    box, size = card.bounding_box(), page.viewport_size
    assert box["x"] + box["width"] == pytest.approx(size["width"] - 16, abs=1)
    assert box["y"] + box["height"] == pytest.approx(size["height"] - 16, abs=1)


def test_from_right_to_left_the_toast_stands_on_the_other_side(visit: Visit) -> None:
    page = visit.page("/")
    page.evaluate("document.documentElement.dir = 'rtl'; avert.track('help_wanted', {who: 'Ada'})")
    expect(page.locator(CARD)).to_have_count(1)
    assert page.locator(CARD).bounding_box()["x"] == pytest.approx(16, abs=1)


def test_on_a_small_screen_it_fits(visits: Callable[..., Visit]) -> None:
    page = visits(viewport={"width": 320, "height": 600}).page("/")
    page.evaluate("avert.track('help_wanted', {who: 'A'.repeat(60)})")
    expect(page.locator(CARD)).to_have_count(1)
    box = page.locator(CARD).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 320


def test_rage_is_noticed_by_the_engine(visit: Visit) -> None:
    page = visit.page("/p/lamp")
    for _ in range(5):
        page.locator(".price").click()
    expect(page.locator(CARD)).to_contain_text("Not what you expected?")


def test_the_page_may_show_it_itself(visit: Visit) -> None:
    page = visit.page("/")
    page.evaluate("""() => avert.on("suggestion", (offer) => {
      offer.preventDefault();
      seen.offer = offer;
    })""")
    page.evaluate("avert.track('help_wanted', {who: '<i>Ada</i>'})")
    eventually(page, lambda: page.evaluate("!!seen.offer"), "the hand-over")
    assert page.evaluate("seen.offer.suggestion.title") == "Here you are, <i>Ada</i>"
    page.wait_for_timeout(300)
    assert page.locator(CARD).count() == 0
    page.evaluate("seen.offer.shown(); seen.offer.shown(); seen.offer.clicked()")
    visitor = visitor_of(page)
    eventually(page, lambda: kinds(visit, visitor) == ["suggestion_shown", "suggestion_clicked"], "the receipts")


def test_withdrawn_it_goes_by_itself(visit: Visit) -> None:
    page = visit.page("/")
    search_in_vain(page)
    expect(page.locator(CARD)).to_have_count(1)
    page.evaluate("avert.track('help_view', {topic: 'orders'})")  # what the rule's `withdraw` waits for
    expect(page.locator(CARD)).to_have_count(0)


def offered(page: Page, **changes: object) -> None:
    """A suggestion from an API that means no good."""
    bad = {
        "id": "x", "rule": "r", "placement": "nowhere", "title": "<img src=x onerror=alert(1)>", "body": "&lt;b&gt;",
        "action": None, "expires": 9e12, **changes,
    }
    page.route("**/v1/suggestions?*", lambda route: route.fulfill(
        json={"suggestions": [bad]}, headers={"access-control-allow-origin": "*"}
    ))


def test_its_words_are_words_and_its_links_are_links(visit: Visit) -> None:
    without_stream(visit)
    page = visit.page()
    offered(page, action={"label": "Click", "href": "javascript:alert(1)"})
    page.goto(visit.shop + "/")
    card = page.locator(CARD)
    expect(card).to_contain_text("<img src=x onerror=alert(1)>")
    expect(card).to_contain_text("<b>")
    assert card.locator("img, b, a").count() == 0


@pytest.mark.parametrize("href", ["/offers", "help", "https://shop.example/a"])
def test_a_relative_or_secure_link_is_offered(visit: Visit, href: str) -> None:
    without_stream(visit)
    page = visit.page()
    offered(page, action={"label": "Go", "href": href})
    page.goto(visit.shop + "/")
    assert page.locator(CARD).get_by_role("link").get_attribute("href") == href


def test_expired_it_is_not_shown(visit: Visit) -> None:
    without_stream(visit)
    page = visit.page()
    answered: list[Route] = []
    offered(page, expires=1)
    page.on("response", lambda response: answered.append(response) if "/v1/suggestions?" in response.url else None)
    page.goto(visit.shop + "/")
    eventually(page, lambda: answered, "the answer")
    page.wait_for_timeout(100)
    assert page.locator(CARD).count() == 0


def test_when_its_time_is_over_it_goes(visit: Visit) -> None:
    without_stream(visit)
    page = visit.page()
    offered(page, expires=time.time() * 1000 + 3000)
    page.goto(visit.shop + "/")
    expect(page.locator(CARD)).to_have_count(1)
    expect(page.locator(CARD)).to_have_count(0)  # with no answer of the API that says so: it says the same for ever


def test_token_that_has_ended_is_renewed_for_the_same_visitor(visit: Visit) -> None:
    visit.expected = "401"
    page = visit.page("/")
    visitor = visitor_of(page)
    page.evaluate("""() => {
      const me = JSON.parse(localStorage["avert.me"]);
      localStorage["avert.me"] = JSON.stringify({...me, token: "local.1.ended"});
    }""")
    page.reload()
    renewed = "JSON.parse(localStorage['avert.me']).token !== 'local.1.ended'"
    eventually(page, lambda: page.evaluate(renewed), "the renewal")
    page.evaluate("avert.track('help_wanted', {who: 'Ada'})")
    expect(page.locator(CARD)).to_have_count(1)
    assert visitor_of(page) == visitor


def test_hidden_tabs_hold_no_stream(visit: Visit) -> None:
    page = visit.page("/")
    visitor_of(page)
    eventually(page, lambda: visit.calls("/v1/suggestions/stream"), "the stream")
    page.evaluate("""() => {
      Object.defineProperty(document, "hidden", {get: () => seen.hidden, configurable: true});
      seen.hidden = true;
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    page.evaluate("avert.track('help_wanted', {who: 'Ada'})")
    page.wait_for_timeout(700)
    assert page.locator(CARD).count() == 0
    page.evaluate("seen.hidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(CARD)).to_have_count(1)
