"""The server SDKs, unmodified: what they send is in Kafka, once, in our words; and it makes a suggestion."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.clients.flaky import FlakyProxy, Spoil
from tests.clients.sdks import run_sdk
from tests.clients.site import Site

SEGMENT_VISIT = Counter({
    "identify": 1, "page_view": 1, "search": 2, "purchase": 1, "newsletter_signup": 1, "screen_view": 1, "group": 1,
    "alias": 1,
})
SNOWPLOW_VISIT = Counter({"page_view": 1, "search": 2, "coupon_failed": 1, "newsletter_signup": 1})
CLOUDEVENTS_VISIT = Counter({"search": 2, "page_view": 1, "newsletter_signup": 1, "purchase": 1})
# Script -> the events of its visit.
VISITS = {
    "segment_python.py": SEGMENT_VISIT,
    "segment_node.mjs": SEGMENT_VISIT,
    "rudderstack_python.py": SEGMENT_VISIT,
    "rudderstack_node.mjs": SEGMENT_VISIT,
    "posthog_python.py": SEGMENT_VISIT + Counter({"feature_flag_called": 1}),
    "posthog_node.mjs": SEGMENT_VISIT + Counter({"feature_flag_called": 1}),
    "snowplow_python.py": SNOWPLOW_VISIT + Counter({"screen_view": 1}),
    "snowplow_node.mjs": SNOWPLOW_VISIT,
    "cloudevents_python.py": CLOUDEVENTS_VISIT,
    "cloudevents_node.mjs": CLOUDEVENTS_VISIT,
}
# These SDKs send some kinds of events with the user's id alone: then that is the visitor.
WITH_USER_ONLY = frozenset({"group", "feature_flag_called"})


def visit(site: Site, script: str, unique: str, url: str | None = None, **more: str) -> list[dict[str, Any]]:
    """Run the script as a visitor of its own; all that is in Kafka of him and of the user that he is."""
    visitor, user = f"a-{unique}", f"u-{unique}"
    run_sdk(script, url=url or site.url, write_key=site.write_key, visitor=visitor, user=user, **more)
    site.await_events(visitor, VISITS[script].keys() - WITH_USER_ONLY)
    return site.events(visitor, user)


def one(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(event for event in events if event["type"] == kind)


@pytest.mark.parametrize("script", VISITS)
def test_each_event_is_in_kafka_once_in_our_words(site: Site, unique: str, script: str) -> None:
    refused = len(site.dead_letters())
    events = visit(site, script, unique)
    assert VISITS[script] == Counter(event["type"] for event in events)
    assert len({event["id"] for event in events}) == len(events)
    assert len(site.dead_letters()) == refused
    assert [event["props"]["results"] for event in events if event["type"] == "search"] == [0, 0]
    assert {"refund", "refund status"} == {event["props"]["query"] for event in events if event["type"] == "search"}
    assert one(events, "page_view")["page"]["path"] == "/help"
    assert "jane" not in str(events)
    for event in events:
        assert 0 <= event["received"] - event["ts"] < 60_000


@pytest.mark.parametrize("script", VISITS)
def test_the_visit_makes_a_suggestion_that_can_be_fetched(site: Site, unique: str, script: str) -> None:
    visit(site, script, unique)
    assert site.suggested(f"a-{unique}") == ["search-dead-end"]


@pytest.mark.parametrize("script", [name for name in VISITS if "cloudevents" not in name])
def test_visitor_and_user_are_linked(site: Site, unique: str, script: str) -> None:
    events = visit(site, script, unique)
    assert one(events, "search")["visitor"] == f"a-{unique}"
    linking = [event for event in events if event["type"] in ("identify", "alias")] or [one(events, "search")]
    for event in linking:
        assert event["visitor"] == f"a-{unique}"
        assert event["context"]["user"] == f"u-{unique}"


@pytest.mark.parametrize("spoil", ["refused", "lost"])
@pytest.mark.parametrize("script", [name for name in VISITS if "cloudevents" not in name])
def test_what_is_sent_again_counts_once(site: Site, unique: str, script: str, spoil: Spoil) -> None:
    before = site.settled_results()
    with FlakyProxy(site.settings.api_port, spoil) as proxy:
        events = visit(site, script, unique, url=f"http://127.0.0.1:{proxy.port}")
        assert proxy.spoiled.total() >= 1
    ids = {event["id"] for event in events}
    after = site.settled_results()
    assert VISITS[script].total() == len(ids)
    assert len(ids) == after["applied"] - before["applied"]
    assert len(events) - len(ids) == after.get("duplicate", 0) - before.get("duplicate", 0)
    if spoil == "lost":
        assert len(events) > len(ids)
    assert site.suggested(f"a-{unique}") == ["search-dead-end"]


def test_snowplow_by_get_and_base64(site: Site, unique: str) -> None:
    events = visit(site, "snowplow_python.py", unique, METHOD="get")
    assert VISITS["snowplow_python.py"] == Counter(event["type"] for event in events)


def test_an_unknown_key_is_refused_and_nothing_is_kept(site: Site, unique: str) -> None:
    refused, kept = len(site.dead_letters()), len(site.all_events())
    run_sdk("segment_node.mjs", url=site.url, write_key="wk_of_nobody", visitor=f"a-{unique}", user=f"u-{unique}")
    assert site.events(f"a-{unique}", f"u-{unique}") == []
    assert (len(site.dead_letters()), len(site.all_events())) == (refused, kept)
