"""Whatever is sent to whatever path: no exception in a dialect, no 5xx from the application, nothing half kept."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from streams.core.event import Refused
from streams.errors import PayloadTooLargeError, RequestError
from streams.http.dialects import configs, posthog, segment, snowplow
from streams.http.dialects.routes import CONFIGS, EVENTS
from streams.http.dialects.shapes import Incoming, Translated, Translator
from streams.http.intake import Accepted, Arrival, judge_fields, to_ms
from streams.settings import Settings
from tests.http.support import running_api

ARRIVAL = Arrival(1_795_000_000_000, None, "minted", False, frozenset())
BYTES_MAX = 1 << 20

# Names that the dialects look for, and values of every kind, so that what is generated gets far into them.
NAMES = st.sampled_from([
    "type", "event", "messageId", "userId", "anonymousId", "previousId", "groupId", "properties", "traits", "context",
    "timestamp", "originalTimestamp", "sentAt", "sent_at", "batch", "data", "schema", "e", "eid", "aid", "duid", "dtm",
    "stm", "ttm", "ue_pr", "ue_px", "co", "cx", "se_ac", "uuid", "distinct_id", "api_key", "token", "$set", "offset",
    "$device_id", "$session_id", "$elements_chain", "$elements", "$event_type", "$exception_list", "$current_url",
    "specversion", "id", "source", "subject", "time", "data_base64", "page", "props", "url", "campaign", "consent",
    "consentManagement", "categoryPreferences", "deniedConsentIds", "userAgentData", "library", "writeKey", "name",
])
WORDS = st.sampled_from([
    "track", "page", "identify", "alias", "pv", "se", "ue", "tr", "ti", "pp", "$pageview", "$autocapture", "$identify",
    "$create_alias", "$groupidentify", "$exception", "$set", "1.0", "2026-01-01T00:00:00Z", "https://[bad", "\x00", "",
    "https://shop.example/a?b=c#d", "iglu:com.snowplowanalytics.snowplow/link_click/jsonschema/1-0-1", "9" * 400,
    "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "null", "[]", "{}", "1795000000000",
])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=8),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=10)
# Each once, in the same order in each of the processes that share the tests.
DIALECTS = list(dict.fromkeys(dialect for entry in EVENTS for dialect in (entry.post, entry.get) if dialect))
TRANSLATORS = list(dict.fromkeys(dialect.translate for dialect in DIALECTS))


def _wrapped(value: Any, how: str) -> bytes:
    text = json.dumps(value).encode()
    return {
        "plain": text, "gzip": gzip.compress(text), "base64": base64.b64encode(text),
        "form": b"data=" + base64.urlsafe_b64encode(text), "cut": text[: len(text) // 2],
    }[how]


BODIES = st.binary(max_size=200) | st.builds(
    _wrapped,
    OBJECTS | st.lists(OBJECTS, max_size=3) | st.builds(lambda name, items: {name: items, "schema": (
        "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4")}, st.sampled_from(["batch", "data"]),
        st.lists(OBJECTS, max_size=3)),
    st.sampled_from(["plain", "gzip", "base64", "form", "cut"]),
)
QUERIES = st.dictionaries(
    NAMES | st.sampled_from(["compression", "_", "key"]), st.text(max_size=30) | WORDS, max_size=6
)
HEADERS = st.dictionaries(
    st.sampled_from(["ce-specversion", "ce-id", "ce-type", "ce-source", "ce-time", "x-write-key", "sentat", "host"]),
    st.text(st.characters(max_codepoint=255), max_size=20) | st.just("1.0"), max_size=6,
)


@pytest.mark.parametrize("translate", TRANSLATORS, ids=lambda translate: translate.__module__.rpartition(".")[2])
@examples(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(event=OBJECTS)
def test_translating_never_raises_and_gives_an_event_or_a_refusal(translate: Translator, event: dict[str, Any]) -> None:
    event = json.loads(json.dumps(event).replace("NaN", "1").replace("Infinity", "1"))
    letter = snowplow.Letter(None, None, [], {"kind": "track", "source": "segment"})
    found = translate(event, letter)
    if isinstance(found, Translated):
        found.fields.setdefault("id", "made-up")
        sent = None if found.sent_at is None else to_ms(found.sent_at)
        assert isinstance(judge_fields(found.fields, ARRIVAL._replace(sent_at=sent)), Accepted | Refused)
    else:
        assert found is None or isinstance(found, Refused)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.open.__module__ + dialect.open.__name__)
@examples(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(body=BODIES, query=QUERIES, headers=HEADERS)
def test_opening_gives_a_letter_or_says_what_is_wrong(
    dialect: Any, body: bytes, query: dict[str, str], headers: dict[str, str]
) -> None:
    incoming = Incoming("POST", "/", {"kind": "t"}, query, headers, body, BYTES_MAX)
    try:
        letter = dialect.open(incoming)
    except (RequestError, PayloadTooLargeError):
        return
    assert all(isinstance(raw, bytes) for raw in letter.events)


@given(query=QUERIES, headers=HEADERS, key=st.text(max_size=30))
def test_configurations_never_raise_and_cannot_break_out_of_their_script(
    query: dict[str, str], headers: dict[str, str], key: str
) -> None:
    incoming = Incoming("GET", "/", {"key": key}, query, headers, b"", BYTES_MAX)
    for _, _, config, content_type in CONFIGS:
        body = config(incoming)
        if content_type == "application/json":
            json.loads(body)
    assert b"<" not in configs.posthog_config_script(incoming._replace(parameters={"key": "</script><script>"}))


PATHS = [entry.path for entry in EVENTS] + ["/acme/v1"]
BAD_BODIES = {
    "empty": b"", "null bytes": b'{"batch":[{"type":"track","event":"a\x00b"}]}', "not JSON": b"\xff\xfe\x00",
    "brackets": b"[" * 200_000, "braces": b'{"a":' * 100_000,
    "huge number": b'{"batch":[{"timestamp":1e999}],"data":[1e999]}',
    "NaN": b'{"batch":[{"type":"track","event":"a","properties":{"x":NaN}}]}', "number": b"1" * 5000,
    "bomb": gzip.compress(b'{"batch":[' + b" " * 50_000_000 + b"]}"), "cut gzip": gzip.compress(b"{}" * 500)[:-9],
    "form": b"data=%%%&data=", "long form": b"a=b&" * 5000, "deep base64": b"data=" + base64.b64encode(b"[" * 90_000),
    "bomb in base64": b"data=" + base64.b64encode(gzip.compress(b"[" + b" " * 50_000_000 + b"]")),
    "surrogate": b'{"api_key":"wk_shop","batch":[{"event":"\\ud800","distinct_id":"a"}]}',
}


async def test_no_body_on_any_path_is_answered_with_our_fault(settings: Settings) -> None:
    async with running_api(settings) as api:
        for path in PATHS:
            for name, body in BAD_BODIES.items():
                for method in ("POST", "GET"):
                    response = await api.client.request(
                        method, path.replace("{kind}", "track"), content=body, headers={"x-write-key": "wk_shop"}
                    )
                    assert response.status_code < 500, (path, name, response.text)


async def test_what_breaks_one_event_hinders_no_neighbour(settings: Settings) -> None:
    good = {"type": "track", "event": "Good", "anonymousId": "v", "messageId": "m-1"}
    async with running_api(settings) as api:
        for number, bad in enumerate((b'{"x":NaN}', b'{"a":' * 3000 + b"1" + b"}" * 3000, b"7", b'"text"', b"{}")):
            one = json.dumps({**good, "messageId": f"m-{number}"}).encode()
            response = await api.client.post(
                "/v1/batch", content=b'{"batch":[' + bad + b"," + one + b'],"writeKey":"wk_shop"}'
            )
            assert (response.status_code, response.content) == (200, b'{"success":true}')
        assert [f"m-{number}" for number in range(5)] == [event["id"] for event in await api.events()]
        reasons = [letter["reason"] for letter in await api.dead_letters()]
        assert len(reasons) == 5


def test_the_names_that_are_mapped_have_no_word_for_two_things() -> None:
    assert not segment.KINDS.keys() & {"track"}
    assert not posthog.DROPPED & posthog.KINDS.keys()
