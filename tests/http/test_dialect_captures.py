"""What real clients once sent (tests/clients/captures_data), through the real application: status, and our words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.keys import Keys, TokenSecret
from streams.settings import Settings
from tests.clients.captures import Capture, load_captures, write_keys
from tests.http.support import Api, running_api

FOLDER = Path(__file__).parents[1] / "clients" / "captures_data"
CAPTURES = {capture.name: capture for capture in load_captures(FOLDER)}
ANONYMOUS = {
    "posthog_browser": "01a20057-f2e4-74ec-a408-c17bffc394e1",
    "segment_browser": "096de134-fb51-467b-b8fb-b80f56928745",
    "snowplow_browser": "e031e277-d881-4945-b488-bc314e4701eb", "snowplow_python": "d-1",
}
SESSIONS = {
    "posthog_browser": "01a20057-f30b-74c2-806f-51897eeb75e1",
    "snowplow_browser": "6fffc834-f39d-4d9e-a011-2fc70fa89929", "snowplow_python": "sess-1",
}
# Capture -> its events by type.
TYPES = {
    "posthog_browser": {"chat_opened": 1, "page_view": 1, "identify": 1, "click": 2, "checkout_started": 1, "group": 1},
    "posthog_python": {"checkout_started": 1, "user_updated": 1, "alias": 1, "group": 1, "feature_flag_called": 1,
                       "chat_opened": 1, "old": 1},
    "rudderstack_node": {"identify": 1},
    "segment_browser": {"page_view": 1, "identify": 1, "checkout_started": 1, "group": 1, "alias": 1},
    "segment_node": {"identify": 1, "checkout_started": 1, "page_view": 1, "chat_opened": 1},
    "segment_python": {"identify": 1, "checkout_started": 1, "page_view": 1, "screen_view": 1, "group": 1, "alias": 1,
                       "chat_opened": 1},
    "snowplow_browser": {"page_view": 1, "chat_opened": 1, "checkout_step": 2, "add_to_cart": 1, "click": 1,
                         "page_ping": 1},
    "snowplow_python": {"page_view": 2, "chat_opened": 2, "checkout_step": 2},
}


async def replay(capture: Capture, api: Api) -> list[int]:
    """Send its requests; the answers' statuses."""
    statuses = []
    for request in capture.requests:
        response = await api.client.request(
            request.method, request.target, headers=request.headers, content=request.body or None
        )
        statuses.append(response.status_code)
    return statuses


async def kept(capture: Capture, settings: Settings) -> tuple[list[int], list[dict[str, Any]], list[dict[str, Any]]]:
    keys = Keys(tuple(write_keys([capture])), token_secrets=(TokenSecret("k", "the secret that signs it"),))
    async with running_api(settings, keys) as api:
        return await replay(capture, api), await api.events(), await api.dead_letters()


def test_every_capture_is_judged() -> None:
    assert TYPES.keys() == CAPTURES.keys()


@pytest.mark.parametrize("name", TYPES)
async def test_each_event_of_a_capture_is_kept_in_our_words(settings: Settings, name: str) -> None:
    statuses, events, dead = await kept(CAPTURES[name], settings)
    assert set(statuses) <= {200, 204, 404}  # 404: a script of PostHog's that is not served here
    assert TYPES[name] == Counter(event["type"] for event in events)
    assert dead == []
    assert len({event["id"] for event in events}) == len(events)
    source = name.partition("_")[0]
    for event in events:
        assert source == event["context"]["source"]
        assert ANONYMOUS.get(name, event["visitor"]) == event["visitor"]
        if event["type"] != "group" and name in SESSIONS:
            assert SESSIONS[name] == event["session"]
    # No address, no user agent, no click id, no e-mail address is kept.
    for private in ("203.0.113.7", "UA/1", "Mozilla/", "gclid", "u1@example.com"):
        assert private not in msgspec.json.encode(events).decode()


async def test_sending_again_gives_the_same_ids(settings: Settings) -> None:
    for name, capture in CAPTURES.items():
        ids = []
        for time in ("first", "again"):
            prefix = f"{settings.topic_prefix}{name}.{time}."
            _, events, _ = await kept(capture, msgspec.structs.replace(settings, topic_prefix=prefix))
            ids.append([event["id"] for event in events])
        assert ids[0] == ids[1]


async def test_a_clocks_error_is_taken_out(settings: Settings) -> None:
    """What happened half a second before it was sent, happened half a second before it was received."""
    _, events, _ = await kept(CAPTURES["segment_python"], settings)
    assert {499, 500, 501} >= {event["received"] - event["ts"] for event in events if event["type"] != "chat_opened"}
    # A date of months ago is one still: only the difference of the clocks is taken out.
    prefix = f"{settings.topic_prefix}old."
    _, events, _ = await kept(CAPTURES["segment_node"], msgspec.structs.replace(settings, topic_prefix=prefix))
    (old,) = (event for event in events if event["id"] == "fixed-1")
    assert 300 * 86_400_000 < old["received"] - old["ts"] < 330 * 86_400_000


async def test_a_sent_time_cut_to_seconds_makes_no_future(settings: Settings) -> None:
    _, events, _ = await kept(CAPTURES["snowplow_python"], settings)
    assert {event["received"] - event["ts"] for event in events} == {0}
