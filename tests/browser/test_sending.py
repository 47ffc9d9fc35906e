"""Events get through: offline, after failures, at the page's end, from many tabs; each under one id."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from playwright.sync_api import Page, Route

from tests.browser.support import Visit, eventually, visitor_of

EVENTS = "**/v1/events?*"


def sent_ids(visit: Visit) -> Counter[str]:
    """How often each event was sent, whether or not anybody answered."""
    bodies = [json.loads(request.post_data) for request in visit.calls("/v1/events")]
    return Counter(event["id"] for body in bodies for event in body["events"])


def logged_ids(visit: Visit, visitor: str, kind: str) -> list[str]:
    return [event["id"] for event in visit.log.of(visitor, kind)]


def queued(page: Page) -> list[str]:
    return list(page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('avert.q.'))"))


def test_what_happens_offline_is_sent_once_when_the_line_is_back(visit: Visit) -> None:
    visit.expected = "ERR_INTERNET_DISCONNECTED"
    page = visit.page("/")
    visitor = visitor_of(page)
    visit.context.set_offline(True)
    for number in range(40):  # more than one request
        page.evaluate("(n) => avert.track('while_offline', {n})", number)
    page.wait_for_timeout(300)
    assert len(queued(page)) == 40
    visit.context.set_offline(False)
    eventually(page, lambda: len(logged_ids(visit, visitor, "while_offline")) >= 40, "40 events")
    eventually(page, lambda: queued(page) == [], "an empty queue")
    assert [event["props"]["n"] for event in visit.log.of(visitor, "while_offline")] == list(range(40))
    assert len(set(logged_ids(visit, visitor, "while_offline"))) == 40


def test_offline_visit_that_ends_is_sent_by_the_next_page(visit: Visit) -> None:
    visit.expected = "ERR_INTERNET_DISCONNECTED"
    page = visit.page("/")
    visitor = visitor_of(page)
    visit.context.set_offline(True)
    page.evaluate("avert.track('last_words')")
    page.close()
    visit.context.set_offline(False)
    page = visit.page("/")
    eventually(page, lambda: len(logged_ids(visit, visitor, "last_words")) == 1, "the event")


@pytest.mark.parametrize("failure", ["500", "503", "lost"])
def test_request_that_fails_is_repeated_with_the_same_ids(visit: Visit, failure: str) -> None:
    visit.expected = "500|503|ERR_FAILED"
    page = visit.page("/")
    visitor = visitor_of(page)
    failed: list[str] = []

    def fail_once(route: Route) -> None:
        if failed:
            route.continue_()
            return
        failed.append(route.request.url)
        if failure == "lost":  # the API has it, and the answer never comes
            route.fetch()
            route.abort()
        else:
            route.fulfill(status=int(failure), headers={"access-control-allow-origin": "*"})

    page.route(EVENTS, fail_once)
    page.evaluate("avert.track('important')")
    eventually(page, lambda: queued(page) == [], "the second try")
    # Twice in the log when the answer was lost: the engine knows the id again.
    copies = 2 if failure == "lost" else 1
    eventually(page, lambda: len(logged_ids(visit, visitor, "important")) == copies, "the event")
    (known,) = set(logged_ids(visit, visitor, "important"))
    assert sent_ids(visit)[known] == 2


def test_who_is_told_when_to_come_back_comes_back_then(visit: Visit) -> None:
    visit.expected = "429"
    page = visit.page("/")
    visitor_of(page)
    page.route(EVENTS, lambda route: route.fulfill(status=429, headers={
        "retry-after": "30", "access-control-allow-origin": "*", "access-control-expose-headers": "Retry-After",
    }))
    before = len(visit.calls("/v1/events"))
    page.evaluate("avert.track('important')")
    eventually(page, lambda: len(visit.calls("/v1/events")) == before + 1, "the first try")
    page.evaluate("avert.track('important')")
    page.wait_for_timeout(2500)  # a first pause of its own would be over by then
    assert len(visit.calls("/v1/events")) == before + 1
    assert len(queued(page)) == 2


def test_what_is_refused_for_good_is_not_sent_again(visit: Visit) -> None:
    visit.expected = "400"
    page = visit.page("/")
    visitor_of(page)
    page.route(EVENTS, lambda route: route.fulfill(status=400, headers={"access-control-allow-origin": "*"}))
    page.evaluate("avert.track('bad')")
    eventually(page, lambda: queued(page) == [], "giving up")


def test_queue_is_bounded_and_the_newest_stay(visit: Visit) -> None:
    page = visit.page("/")
    visitor_of(page)
    visit.context.set_offline(True)
    visit.expected = "ERR_INTERNET_DISCONNECTED"
    page.evaluate("for (let n = 0; n < 300; n++) avert.track('flood', {n})")
    kept = page.evaluate("""Object.keys(localStorage).filter((key) => key.startsWith("avert.q.")).sort()
      .map((key) => JSON.parse(localStorage[key]).body.props.n)""")
    assert kept == list(range(50, 300))


def test_what_waits_for_company_leaves_with_the_page(visit: Visit) -> None:
    page = visit.page("/checkout")
    visitor = visitor_of(page)
    eventually(page, lambda: queued(page) == [], "quiet")
    page.evaluate("document.getElementById('street').focus(); location.assign('about:blank')")
    page.wait_for_url("about:blank")  # no page of ours is there any more that could send it
    kinds = ("form_focus", "form_abandon")
    eventually(page, lambda: all(logged_ids(visit, visitor, kind) for kind in kinds), "the beacon")
    page.goto(visit.shop + "/offers")
    eventually(page, lambda: len(logged_ids(visit, visitor, "page_view")) == 2, "the next page")
    assert [len(logged_ids(visit, visitor, kind)) for kind in kinds] == [1, 1]
    assert queued(page) == []


def test_what_is_under_way_when_the_page_goes_arrives_under_one_id(visit: Visit) -> None:
    page = visit.page("/")
    visitor = visitor_of(page)
    page.evaluate("avert.track('last_words'); location.assign('/offers')")
    page.wait_for_url("**/offers")
    eventually(page, lambda: logged_ids(visit, visitor, "last_words"), "the event")
    eventually(page, lambda: queued(page) == [], "an empty queue")
    assert len(set(logged_ids(visit, visitor, "last_words"))) == 1


def test_tabs_opened_together_are_one_visitor(visit: Visit) -> None:
    pages = [visit.page() for _ in range(4)]
    for page in pages:
        page.evaluate("(url) => { setTimeout(() => location.assign(url)); }", visit.shop + "/offers")
    for page in pages:
        page.wait_for_url("**/offers")
    visitor = visitor_of(pages[0])
    eventually(pages[0], lambda: len(logged_ids(visit, visitor, "page_view")) == 4, "4 page views of one visitor")
    assert set(sent_ids(visit).values()) == {1}


def test_without_storage_it_works_for_as_long_as_the_page_is_there(visit: Visit) -> None:
    page = visit.page()
    page.add_init_script("""Object.defineProperty(window, "localStorage", {get() { throw new Error("not here"); }})""")
    page.goto(visit.shop + "/")
    eventually(page, lambda: visit.calls("/v1/suggestions/stream"), "the stream of a visitor with an id")
    page.evaluate("avert.track('help_wanted', {who: 'Ada'})")
    page.locator("avert-suggestion").wait_for()
    visit.expected = "not here"  # the shop's own panel looks there


def test_storage_that_is_full_loses_nothing(visit: Visit) -> None:
    page = visit.page("/")
    visitor = visitor_of(page)
    page.evaluate("""() => {
      let size = 1 << 22;
      while (size) { try { localStorage["ballast" + size + Math.random()] = "x".repeat(size); } catch { size >>= 1; } }
      avert.track("no_room");
    }""")
    eventually(page, lambda: logged_ids(visit, visitor, "no_room"), "the event")
