"""The browser SDKs, unmodified, in Chromium: a page of another origin, its preflights and its beacons, all real."""

from __future__ import annotations

import shutil
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.clients.flaky import FlakyProxy, Spoil
from tests.clients.pages import Pages
from tests.clients.site import Site
from tests.support.waiting import wait_for

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
# What a person's browser says: some SDKs send nothing for one that says it is driven by a program.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"

COMMON = Counter({
    "page_view": 1, "search": 2, "identify": 1, "purchase": 1, "newsletter_signup": 1, "group": 1, "alias": 1,
    "chat_opened": 1,
})
# Page -> the events of the visit that `act` makes.
VISITS = {
    "segment": COMMON + Counter({"screen_view": 1}),
    "rudderstack": COMMON,
    "posthog": COMMON + Counter({"click": 3, "form_input": 1, "form_submit": 1, "page_leave": 1}),
    "snowplow": Counter({
        "page_view": 1, "search": 2, "newsletter_signup": 1, "add_to_cart": 1, "checkout_step": 1, "chat_opened": 1,
        "click": 1, "form_focus": 1, "form_input": 1, "form_submit": 1,
    }),
}
# How often these come depends on how long the visit takes, or on what the SDK finds worth telling.
UNCOUNTED = frozenset({"page_ping", "web_vitals", "user_updated", "rage_click", "dead_click", "js_error"})
ANSWER_TIMEOUT_S = 20.0
LINKED_BY_EVENT = ("segment", "rudderstack", "posthog")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "chromium is not installed: make servers"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-blink-features=AutomationControlled"]
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(user_agent=USER_AGENT, locale="en-US")
    page = context.new_page()
    page.asked, page.under_way = [], set()

    def ask(request: Request) -> None:
        page.asked.append(request)
        page.under_way.add(request)

    def fail(request: Request) -> None:
        page.under_way.discard(request)

    page.on("request", ask)
    page.on("response", lambda response: page.under_way.discard(response.request))
    page.on("requestfailed", fail)
    yield page
    context.close()


def open_page(page: Page, pages: Pages, site: Site, name: str, user: str, url: str | None = None) -> None:
    """The page, and what it tells by itself: two searches in vain among it."""
    query = urllib.parse.urlencode({"avert": url or site.url, "key": site.write_key, "user": user, "app": "shop"})
    page.goto(f"{pages.origin}/{name}.html?{query}")
    page.wait_for_function("document.title.includes('ready')")


def act(page: Page, pages: Pages, site: Site, name: str, user: str, url: str | None = None) -> None:
    """One visit: the page's own calls, a click that opens the chat, a link, a form."""
    open_page(page, pages, site, name, user, url)
    page.click("#pay")
    page.click("#more")
    page.fill("#street", "Via Roma 1")
    page.click("#save")


def await_answers(page: Page) -> None:
    """Return when something was asked and all of it is answered (read or not: some SDKs read no answer)."""
    under_way: set[Request] = page.under_way
    asked: list[Request] = page.asked
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while under_way or not asked:
        assert time.monotonic() < deadline, under_way
        page.wait_for_timeout(50)


def leave(page: Page) -> None:
    """Close the page as a person does: what is not yet sent has to leave by beacon."""
    page.goto("about:blank")


def of_user(site: Site, user: str) -> list[dict[str, Any]]:
    """All events of the visitors whom an event calls `user`."""
    events = site.all_events()
    visitors = {event["visitor"] for event in events if event.get("context", {}).get("user") == user}
    return [event for event in events if event["visitor"] in visitors]


def visit(page: Page, pages: Pages, site: Site, name: str, user: str, url: str | None = None) -> list[dict[str, Any]]:
    """A whole visit; its events, once all are in Kafka."""
    act(page, pages, site, name, user, url)
    seen: list[dict[str, Any]] = []

    def there() -> bool:
        seen[:] = of_user(site, user)
        missing = VISITS[name] - Counter({event["id"]: event["type"] for event in seen}.values())
        return not missing - Counter({"page_leave": 1})

    wait_for(there, lambda: f"not all came: {Counter(event['type'] for event in seen)}")
    await_answers(page)  # leaving before the answer is there makes some SDKs send again
    leave(page)
    if "page_leave" in VISITS[name]:
        wait_for(lambda: any(event["type"] == "page_leave" for event in of_user(site, user)))
    return of_user(site, user)


@pytest.mark.parametrize("name", VISITS)
def test_each_event_is_in_kafka_once_in_our_words(
    page: Page, pages: Pages, site: Site, unique: str, name: str
) -> None:
    refused = len(site.dead_letters())
    events = visit(page, pages, site, name, f"user-{unique}")
    kinds = Counter(event["type"] for event in events if event["type"] not in UNCOUNTED)
    assert VISITS[name] == kinds
    assert len({event["id"] for event in events}) == len(events)
    assert len(site.dead_letters()) == refused
    searches = [event for event in events if event["type"] == "search"]
    assert [{"refund", "refund status"}, [0, 0]] == [
        {event["props"]["query"] for event in searches}, [event["props"]["results"] for event in searches]
    ]
    for event in events:
        assert event["context"]["source"] == name
        assert 0 <= event["received"] - event["ts"] < 60_000
        if "page" in event and "url" in event["page"]:
            assert event["page"]["url"].partition("#")[0] == f"{pages.origin}/{name}.html"
    kept = str(events)
    assert ("jane" in kept, "Via Roma" in kept, site.write_key in kept) == (False, False, False)


@pytest.mark.parametrize("name", VISITS)
def test_one_browser_is_one_visitor_before_and_after_somebody_logs_in(
    page: Page, pages: Pages, site: Site, unique: str, name: str
) -> None:
    user = f"user-{unique}"
    events = visit(page, pages, site, name, user)
    assert len({event["visitor"] for event in events}) == 1
    assert events[0]["visitor"] != user
    assert any("user" not in event["context"] for event in events)
    if name in LINKED_BY_EVENT:
        (identify,) = (event for event in events if event["type"] == "identify")
        assert (identify["props"]["user"], identify["props"]["plan"]) == (user, "pro")
    sessions = {event.get("session") for event in events}
    assert sessions == {None} if name == "segment" else (None not in sessions and len(sessions) == 1)


@pytest.mark.parametrize("name", VISITS)
def test_the_visit_makes_a_suggestion_that_can_be_fetched(
    page: Page, pages: Pages, site: Site, unique: str, name: str
) -> None:
    user = f"user-{unique}"
    open_page(page, pages, site, name, user)
    wait_for(lambda: Counter(event["type"] for event in of_user(site, user))["search"] == 2)
    visitor = page.evaluate("visitorId()")  # what the page asks its SDK, to ask for suggestions
    assert {visitor} == {event["visitor"] for event in of_user(site, user)}
    assert site.suggested(visitor) == ["search-dead-end"]


@pytest.mark.parametrize("spoil", ["refused", "lost"])
@pytest.mark.parametrize("name", VISITS)
def test_what_is_sent_again_counts_once(
    page: Page, pages: Pages, site: Site, unique: str, name: str, spoil: Spoil
) -> None:
    before = site.settled_results()
    kept = len(site.all_events())
    with FlakyProxy(site.settings.api_port, spoil) as proxy:
        events = visit(page, pages, site, name, f"user-{unique}", f"http://127.0.0.1:{proxy.port}")
        assert proxy.spoiled.total() >= 1
    after = site.settled_results()
    ids = {event["id"] for event in events}
    assert VISITS[name] == Counter(
        {event["id"]: event["type"] for event in events if event["type"] not in UNCOUNTED}.values()
    )
    repeated = len(site.all_events()) - kept - len(ids)
    assert len(ids) == after["applied"] - before["applied"]
    assert repeated == after.get("duplicate", 0) - before.get("duplicate", 0)
    if spoil == "lost":
        assert repeated > 0


@pytest.mark.parametrize("name", VISITS)
def test_a_page_of_an_origin_that_is_not_listed_sends_nothing(
    page: Page, pages: Pages, site: Site, unique: str, name: str
) -> None:
    kept = len(site.all_events())
    other = Pages()
    with other:
        query = urllib.parse.urlencode({"avert": site.url, "key": site.write_key, "user": "u", "app": "shop"})
        page.goto(f"{other.origin}/{name}.html?{query}")
        page.click("#pay")
        await_answers(page)
        leave(page)
    assert len(site.all_events()) == kept
