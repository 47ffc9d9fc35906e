"""Who says no is not watched: the browser's word, the page's word, each purpose of its own."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.support import Visit, eventually, search_in_vain, stored, visitor_of

CARD = "avert-suggestion"


def called(visit: Visit) -> list[str]:
    """Every request to the API but the script's own."""
    return [request.url for request in visit.requests
            if request.url.startswith(visit.api) and not request.url.endswith("/avert.js")]


def with_attributes(visit: Visit, attributes: str) -> None:
    """The shop, with more attributes on the script tag."""
    def change(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=re.sub(r"(data-key=)", attributes + r" \1", response.text()))

    visit.context.route(lambda url: url.startswith(visit.shop) and "." not in url.rsplit("/", 1)[-1], change)


BROWSERS_NO = {
    "global privacy control": ({"sec-gpc": "1"}, "globalPrivacyControl", "true"),
    "do not track": ({"dnt": "1"}, "doNotTrack", "'1'"),
}


@pytest.mark.parametrize("how", BROWSERS_NO)
def test_browser_that_refuses_is_left_alone(visits: Callable[..., Visit], how: str) -> None:
    headers, name, value = BROWSERS_NO[how]
    visit, other = visits(extra_http_headers=headers), visits()
    visit.context.add_init_script(f"Object.defineProperty(navigator, '{name}', {{get: () => {value}}})")
    page = visit.page("/")
    search_in_vain(page)
    page.evaluate("avert.track('help_wanted', {who: 'nobody-' + 4711}); avert.consent('granted'); avert.track('after')")
    page.click(".price, h1")
    # Somebody who does not mind comes after: whatever the first one sent would be in the log before.
    witness = other.page("/")
    eventually(witness, lambda: other.log.of(visitor_of(witness)), "the witness")
    assert called(visit) == []
    assert stored(page) == []
    assert page.locator(CARD).count() == 0
    assert "nobody-4711" not in visit.log.everything()


def test_browser_that_begins_to_refuse_is_forgotten(visit: Visit) -> None:
    page = visit.page("/")
    search_in_vain(page)
    visitor = visitor_of(page)
    expect(page.locator(CARD)).to_have_count(1)
    visit.context.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {get: () => true})")
    page.reload()
    assert [key for key in stored(page) if key.startswith("avert")] == []
    eventually(page, lambda: visit.log.of(visitor, "consent_denied"), "the engine's being told")
    assert visit.log.of(visitor)[-1]["context"]["consent"] == "denied"


def test_where_consent_is_required_nothing_happens_before_it(visit: Visit) -> None:
    with_attributes(visit, 'data-consent="required"')
    page = visit.page("/")
    search_in_vain(page)
    page.evaluate("avert.track('too_early')")
    page.wait_for_timeout(300)
    assert called(visit) == []
    assert [key for key in stored(page) if key.startswith("avert")] == []

    page.evaluate("avert.consent('granted')")
    visitor = visitor_of(page)
    (view,) = eventually(page, lambda: visit.log.of(visitor, "page_view"), "the page at hand")
    assert view["context"]["consent"] == "granted"
    assert visit.log.of(visitor, "too_early") == []

    page.goto(visit.shop + "/offers")  # and it is remembered
    eventually(page, lambda: len(visit.log.of(visitor, "page_view")) == 2, "the next page")


def test_no_takes_everything_back_and_yes_begins_anew(visit: Visit) -> None:
    page = visit.page("/")
    search_in_vain(page)
    expect(page.locator(CARD)).to_have_count(1)
    visitor, token = visitor_of(page), page.evaluate("JSON.parse(localStorage['avert.me']).token")
    page.evaluate("avert.consent('denied')")
    expect(page.locator(CARD)).to_have_count(0)
    assert [key for key in stored(page) if key.startswith("avert")] == ["avert.consent"]
    asked = f"{visit.api}/v1/suggestions?visitor={visitor}&token={token}"
    eventually(page, lambda: page.request.get(asked).json() == {"suggestions": []}, "the engine's forgetting")

    page.goto(visit.shop + "/offers")
    before = len(called(visit))
    page.evaluate("avert.track('not_any_more')")
    page.wait_for_timeout(300)
    assert len(called(visit)) == before

    page.evaluate("avert.consent('granted')")
    assert visitor_of(page) != visitor
    eventually(page, lambda: visit.log.of(visitor_of(page), "page_view"), "the new visitor's page")


def test_analytics_alone_is_events_without_anybody(visit: Visit) -> None:
    with_attributes(visit, 'data-consent="required"')
    page = visit.page("/offers")
    page.evaluate("avert.consent({analytics: true, personalization: false})")
    page.evaluate("avert.track('counted_only')")
    eventually(page, lambda: "counted_only" in visit.log.everything(), "the event")
    assert [key for key in stored(page) if key.startswith("avert")] == ["avert.consent"]
    page.evaluate("avert.track('help_wanted', {who: 'Ada'})")
    page.wait_for_timeout(500)
    assert visit.calls("/v1/suggestions") + visit.calls("/v1/suggestions/stream") == []
    assert page.locator(CARD).count() == 0


def said_early(page: Page, consent: str) -> None:
    page.add_init_script(f"(window.avert = window.avert || []).push(['consent', '{consent}'])")


def test_no_that_is_said_before_the_script_is_there_holds_from_the_first_event(visit: Visit) -> None:
    page = visit.page()
    said_early(page, "denied")
    page.goto(visit.shop + "/")
    page.wait_for_timeout(300)
    assert called(visit) == []


@pytest.mark.parametrize("kind", ["click", "page", "search"])
def test_kinds_that_are_off_are_not_collected(visit: Visit, kind: str) -> None:
    with_attributes(visit, f'data-off="{kind}"')
    page = visit.page("/search?q=lamp")
    with page.expect_navigation(url=visit.shop + "/"):
        page.click("[aria-label='Nook & Hearth, home']")
    page.evaluate("avert.track('done')")
    visitor = visitor_of(page)
    eventually(page, lambda: visit.log.of(visitor, "done"), "the end")
    found = {event["type"] for event in visit.log.of(visitor)}
    assert found == {"click", "page_view", "search", "done"} - {kind, f"{kind}_view"}
