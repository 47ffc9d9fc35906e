"""What a visitor did, by name."""

from __future__ import annotations

from typing import Any

import pytest

from streams.core.event import Event
from streams.impact.case.steps import Antecedent, Trail, label_of, message_of, path_of, query_of

MINUTE_MS = 60_000


def event(kind: str, ts: int = 0, path: str | None = None, session: str | None = None, **props: Any) -> Event:
    return Event(f"e{ts}", "v", kind, ts, session, page={"path": path} if path else {}, props=props)


def named(*events: Event) -> list[tuple[str, str, int]]:
    trail = Trail(30 * MINUTE_MS)
    trail.begin()
    return [(one.kind, one.text, one.times) for each in events for one in trail.of(each)]


@pytest.mark.parametrize(
    ("written", "counted"),
    [("Where's my ORDER?", "where s my order"), ("  gift   card ", "gift card"), ("???", ""), ("Größe", "größe")],
)
def test_queries_that_mean_alike_are_one(written: str, counted: str) -> None:
    assert query_of(written) == counted


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        ("/orders/4711/edit", "/orders/*/edit"), ("/orders/A004711", "/orders/*"), ("/", "/"), ("/help/", "/help"),
        ("/p/0a1b2c3d-1111-2222-3333-444455556666", "/p/*"), ("/top-10-shoes", "/top-10-shoes"), ("/a?b=1#c", "/a"),
        ("http://shop.example/a", ""), ("", ""), ("/" + "x" * 100, ""),
    ],
)  # fmt: skip
def test_numbers_and_ids_in_a_path_are_one(written: str, counted: str) -> None:
    assert path_of(written) == counted


def test_numbers_in_a_message_are_one() -> None:
    assert message_of("timeout  after 31 ms") == "timeout after * ms"


@pytest.mark.parametrize(("results", "kind"), [(0, "empty_search"), (0.0, "empty_search"), (1, "search"),
                                               (None, "search"), (False, "search")])  # fmt: skip
def test_a_search_without_result_is_one_that_says_so(results: Any, kind: str) -> None:
    assert (kind, "refund", 1) in named(event("search", query="Refund", results=results))


def test_it_is_counted_how_often_in_a_session_an_event_came() -> None:
    events = [event("coupon_failed", ts) for ts in (0, 1, 2, 3, 40 * MINUTE_MS)]
    assert [times for _, _, times in named(*events)] == [1, 2, 3, 1]


@pytest.mark.parametrize(("later", "ways"), [(30 * MINUTE_MS - 1, 1), (30 * MINUTE_MS, 0), (30 * MINUTE_MS + 1, 0)])
def test_a_way_is_within_a_session(later: int, ways: int) -> None:
    found = named(event("page_view", 0, "/a"), event("page_view", later, "/b"))
    assert found.count(("path", "/a > /b", 1)) == ways


def test_a_page_seen_again_at_once_is_one_page() -> None:
    found = named(*(event("page_view", ts, path) for ts, path in enumerate(("/a", "/a", "/b", "/a"))))
    assert [text for kind, text, _ in found if kind == "path"] == ["/a > /b", "/b > /a", "/a > /b > /a"]


def test_an_explicit_session_begins_anew() -> None:
    found = named(event("page_view", 0, "/a", "one"), event("page_view", 1, "/b", "two"))
    assert all(kind != "path" for kind, _, _ in found)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (event("help_view", topic="returns"), ("help", "returns", 1)),
        (event("page_view", path="/help/returns"), ("help", "/help/returns", 1)),
        (event("js_error", message="x is 7"), ("error", "x is *", 1)),
        (event("form_error", form="address", field="iban"), ("form_error", "address: iban", 1)),
        (event("product_view", sku="mug"), ("product", "mug", 1)),
        (event("coupon_failed"), ("event", "coupon_failed", 1)),
    ],
)
def test_what_is_said_of_an_event_is_taken_up(given: Event, found: tuple[str, str, int]) -> None:
    assert found in named(given)


def test_what_a_site_or_somebody_else_says_is_no_step() -> None:
    reported = event("phone_call")
    reported.context = {"source": "report"}
    assert named(event("suggestion_shown", suggestion="s"), reported) == []


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Antecedent("empty_search", "", 2, "search"), "Search without a result, twice in a visit"),
        (Antecedent("path", "/a > /b", 1, "*"), "Way /a → /b"),
        (Antecedent("event", "coupon_failed", 3, "coupon_failed"), "Coupon failed, three times in a visit"),
    ],
)
def test_it_can_be_said_in_words(one: Antecedent, words: str) -> None:
    assert label_of(one) == words
