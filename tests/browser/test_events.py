"""What a visitor does, as it stands in Kafka."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.support import Visit, eventually, search, visitor_of


def arrived(visit: Visit, page: Page, kind: str, least: int = 1) -> list[dict[str, Any]]:
    """The visitor's events of one type, once there are so many in the log."""
    visitor = visitor_of(page)
    found = lambda: visit.log.of(visitor, kind)  # noqa: E731  # a name for what is asked twice
    eventually(page, lambda: len(found()) >= least, f"{least} {kind}")
    return found()


def props(visit: Visit, page: Page, kind: str, least: int = 1) -> list[dict[str, Any]]:
    return [event.get("props", {}) for event in arrived(visit, page, kind, least)]


def paths(visit: Visit, page: Page, least: int) -> list[str]:
    return [event["page"]["path"] for event in arrived(visit, page, "page_view", least)]


def on(page: Page, html: dict[str, str] | None = None, **more: str) -> None:
    """Add an element to the page: its tag, attributes and text."""
    given = {**(html or {}), **more}
    page.evaluate(
        """({tag, text, ...attributes}) => {
          const element = document.createElement(tag);
          for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
          element.textContent = text || "";
          document.querySelector("main").prepend(element);
        }""",
        given,
    )


# --- pages


def test_page_view_says_where_and_from_where_and_keeps_the_query_string_to_itself(visit: Visit) -> None:
    page = visit.page("/offers?utm_source=letter&utm_campaign=spring&session=secret#top")
    (event,) = arrived(visit, page, "page_view")
    assert event["page"]["path"] == "/offers"
    assert event["page"]["title"] == "Offers of today · Nook & Hearth"
    assert event["page"]["url"] == f"{visit.shop}/offers"
    assert event["context"]["campaign"] == {"source": "letter", "campaign": "spring"}
    assert event["context"]["device"] == "desktop"
    assert event["context"]["consent"] == "granted"
    assert "secret" not in visit.log.everything()


def test_app_that_changes_the_address_by_itself_has_pages_too(visit: Visit) -> None:
    page = visit.page("/")
    page.evaluate("history.pushState({}, '', '/p/mug')")
    page.evaluate("history.replaceState({}, '', '/p/mug?size=2')")  # the same page
    page.evaluate("history.pushState({}, '', '/cart')")
    page.evaluate("history.back()")
    page.evaluate("location.hash = 'reviews'")  # a place on the page
    page.wait_for_timeout(50)
    page.evaluate("location.hash = '#/orders/7?x=1'")  # a route
    assert paths(visit, page, 5) == ["/", "/p/mug", "/cart", "/p/mug", "/orders/7"]


def test_pages_own_history_calls_give_what_they_gave(visit: Visit) -> None:
    page = visit.page("/")
    assert page.evaluate("history.pushState({a: 1}, '', '/cart') === undefined && history.state.a") == 1
    with pytest.raises(Exception, match="SecurityError"):
        page.evaluate("history.pushState({}, '', 'https://elsewhere.example/')")


# --- searches


def test_search_tells_its_terms_and_how_many_results(visit: Visit) -> None:
    page = visit.page("/")
    search(page, "Lamp")
    search(page, "lantern")
    assert props(visit, page, "search", 2) == [{"query": "Lamp", "results": 1}, {"query": "lantern", "results": 0}]


@pytest.mark.parametrize("draws", ["before", "after", "much later"])
def test_search_within_an_app_waits_for_the_number(visit: Visit, draws: str) -> None:
    page = visit.page("/search?q=lamp")
    page.evaluate("""(draws) => {
      const go = () => history.pushState({}, "", "/search?q=lamps");
      const draw = () => document.querySelector("[data-avert-results]").setAttribute("data-avert-results", "1");
      if (draws === "before") { draw(); go(); }
      else { go(); setTimeout(draw, draws === "after" ? 0 : 700); }
    }""", draws)
    assert props(visit, page, "search", 2) == [{"query": "lamp", "results": 1}, {"query": "lamps", "results": 1}]


def test_search_form_that_the_page_handles_itself_is_a_search(visit: Visit) -> None:
    page = visit.page("/")
    page.evaluate("""document.querySelector(".find").addEventListener("submit", (event) => {
      event.preventDefault();
      const found = document.createElement("p");
      found.dataset.avertResults = "3";
      setTimeout(() => document.querySelector("main").append(found), 100);
    })""")
    page.fill("#q", "cups")
    page.press("#q", "Enter")
    assert props(visit, page, "search") == [{"query": "cups", "results": 3}]


def test_masked_search_keeps_its_terms(visit: Visit) -> None:
    page = visit.page()
    page.add_init_script("""
      new MutationObserver(() => document.getElementById("q")?.setAttribute("data-avert-mask", ""))
        .observe(document, {childList: true, subtree: true})""")
    page.goto(visit.shop + "/search?q=embarrassing")
    assert props(visit, page, "search") == [{"results": 0}]
    # The title is the page's own words, and this shop's repeats the terms.
    assert [event["page"]["url"] for event in arrived(visit, page, "search")] == [f"{visit.shop}/search"]


# --- clicks


def test_click_that_changes_something_is_alive_and_one_that_does_not_is_dead(visit: Visit) -> None:
    page = visit.page("/p/lamp")
    page.click("#add")
    page.click(".price")
    alive, dead = props(visit, page, "click", 2)
    assert alive == {"element": "#add", "text": "Add to cart", "dead": False}
    assert (dead["element"], dead["dead"]) == ("#page>div>div2>p2", True)
    assert "text" not in dead


def test_clicks_in_a_burst_go_out_before_it_is_known_what_became_of_them(visit: Visit) -> None:
    page = visit.page("/p/lamp")
    for _ in range(5):
        page.locator(".price").click()
    clicks = props(visit, page, "click", 5)
    assert [click.get("dead") for click in clicks] == [None] * 5


def test_click_on_a_link_says_where_to_and_a_result_says_which(visit: Visit) -> None:
    page = visit.page("/search?q=lamp")
    with page.expect_navigation(url="**/p/lamp"):
        page.click("[data-avert-result] a")
    (click,) = props(visit, page, "click")
    assert (click["text"], click["href"], click["result"]) == ("Evening lamp", f"{visit.shop}/p/lamp", "lamp")


def test_what_is_masked_has_no_text(visit: Visit) -> None:
    page = visit.page("/offers")
    on(page, tag="button", text="Jane Doe", id="who", **{"data-avert-mask": ""})
    page.click("#who")
    assert "text" not in props(visit, page, "click")[0]
    assert "Jane Doe" not in visit.log.everything()


# --- forms


def test_form_is_followed_from_the_first_field_to_its_end(visit: Visit) -> None:
    page = visit.page("/checkout")
    page.fill("#name", "Ada")
    page.click("#order")
    assert props(visit, page, "form_focus", 2)[:2] == [
        {"form": "address", "field": "name"}, {"form": "address", "field": "postcode"},
    ]
    assert props(visit, page, "form_submit") == [{"form": "address"}]
    assert props(visit, page, "form_error") == [{"form": "address", "field": "postcode", "error": "invalid"}]


def test_the_browsers_own_refusal_is_an_error_too(visit: Visit) -> None:
    page = visit.page("/orders/track")
    page.click("main form button")
    assert props(visit, page, "form_error") == [{"form": "track", "field": "order-number", "error": "valueMissing"}]


def test_left_behind_it_is_abandoned(visit: Visit) -> None:
    page = visit.page("/checkout")
    page.focus("#street")
    visitor_of(page)
    page.goto(visit.shop + "/")
    assert props(visit, page, "form_abandon") == [{"form": "address", "field": "street"}]


def test_nothing_that_is_typed_leaves_the_page(visit: Visit) -> None:
    page = visit.page("/checkout")
    on(page, tag="form", name="login")
    page.evaluate("""() => {
      for (const type of ["password", "email", "text"]) {
        const field = document.createElement("input");
        Object.assign(field, {type, name: type});
        document.forms.login.append(field);
      }
    }""")
    typed = {"#name": "Zebulon", "#street": "Nightingale Road", "input[type=password]": "hunter2hunter2",
             "input[type=email]": "zeb@mail.example", "input[name=text]": "Quagmire"}
    for selector, text in typed.items():
        page.click(selector)
        page.type(selector, text)
    page.click("#order")
    arrived(visit, page, "form_error")
    page.evaluate("avert.track('done')")
    arrived(visit, page, "done")
    everything = visit.log.everything()
    assert [text for text in typed.values() if text in everything] == []


# --- the rest


def test_depth_is_told_in_quarters_once_each(visit: Visit) -> None:
    page = visit.page("/")
    for _ in range(3):
        page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
        page.wait_for_timeout(60)
        page.evaluate("scrollTo({top: document.documentElement.scrollHeight, behavior: 'instant'})")
        page.wait_for_timeout(60)
    page.evaluate("avert.track('done')")
    arrived(visit, page, "done")
    assert [found["depth"] for found in props(visit, page, "scroll")] == [100]


def test_pointer_that_leaves_by_the_top_means_to_go(visit: Visit) -> None:
    page = visit.page("/")
    leave = "document.documentElement.dispatchEvent(new MouseEvent('mouseleave', {clientY: %d}))"
    page.evaluate(leave % 300)
    page.evaluate(leave % -1)
    page.evaluate(leave % -1)
    page.evaluate("avert.track('done')")
    arrived(visit, page, "done")
    assert len(arrived(visit, page, "exit_intent")) == 1


def test_errors_of_the_page_are_told(visit: Visit) -> None:
    visit.expected = "lost in the page|no such promise"
    page = visit.page("/")
    page.evaluate("""() => {
      setTimeout(() => { throw new Error("lost in the page"); });
      setTimeout(() => Promise.reject(new Error("no such promise")));
    }""")
    messages = {found["message"] for found in props(visit, page, "js_error", 2)}
    assert messages == {"Uncaught Error: lost in the page", "no such promise"}


def test_own_events_get_names_that_the_api_takes(visit: Visit) -> None:
    page = visit.page("/")
    page.evaluate("avert.track('CouponFailed now!', {code: 'X', deep: {a: [1, 2]}})")
    assert props(visit, page, "coupon_failed_now_") == [{"code": "X", "deep": {"a": [1, 2]}}]


def test_calls_before_the_script_is_there_are_made_when_it_is(visit: Visit) -> None:
    page = visit.page()
    page.add_init_script("(window.avert = window.avert || []).push(['track', 'early', {n: 1}])")
    page.goto(visit.shop + "/")
    assert props(visit, page, "early") == [{"n": 1}]


def test_visitor_whom_the_site_knows(visit: Visit) -> None:
    page = visit.page("/")
    visitor_of(page)
    page.evaluate("avert.identify('customer-4711', 'token')")
    assert page.evaluate("JSON.parse(localStorage['avert.me']).visitor") == "customer-4711"
    eventually(page, lambda: visit.log.of("customer-4711", "identify"), "the event")
    visit.expected = "401"


def test_after_a_reset_somebody_else_is_there(visit: Visit) -> None:
    page = visit.page("/")
    before = visitor_of(page)
    page.evaluate("avert.reset()")
    eventually(page, lambda: visitor_of(page) != before, "the new id")


def test_listener_that_throws_breaks_nothing_but_itself(visit: Visit) -> None:
    visit.expected = "my own fault"
    page = visit.page("/")
    page.evaluate("avert.on('event', () => { throw new Error('my own fault'); })")
    page.evaluate("avert.track('after_all')")
    arrived(visit, page, "after_all")
    eventually(page, lambda: any("my own fault" in problem for problem in visit.problems), "the page's own error")
