"""schemathesis over the API's own document: what is drawn from it, and what is drawn to break it, never makes a 5xx.

The document is the running server's, so every route that it has is asked. Streams end after a second there (they end
with the token), so each is read to its end.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from streams.delivery import Delivery, RuleNote, WorkerNote
from streams.embedded.child import Child, PortLease
from streams.embedded.local import answers
from streams.errors import PayloadTooLargeError, RequestError
from streams.http.intake import Arrival, Split, read_event, split_body
from streams.http.openapi import openapi_document
from streams.settings import Settings, settings_environment
from tests.http.support import now_ms
from tests.support.programs import START_TIMEOUT_S

KEYS = b"""{"write_keys": [{"key": "wk_shop"}], "server_keys": ["sk_secret"],
 "token_secrets": [{"id": "k", "secret": "0123456789abcdef"}]}"""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 25
STREAM_EXAMPLES = 4  # a second each
OPERATIONS = sorted(
    (method.upper(), path)
    for path, methods in msgspec.json.decode(openapi_document())["paths"].items() for method in methods
)


@pytest.fixture(scope="module")
def url(broker: str, cache: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API process of its own, with a worker's note in the cache, so that all calls can succeed."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "keys.json").write_bytes(KEYS)
    port, metrics = PortLease(), PortLease()
    unlimited = 10**9
    settings = Settings(
        kafka_bootstrap=broker, redis_url=cache.url, topic_prefix=f"schema{os.getpid()}.", partitions=2,
        keys_file=folder / "keys.json", api_port=port.port, metrics_port=metrics.port, token_ttl_s=1,
        redis_timeout_ms=2000, streams_per_visitor_max=1000,
        rate_per_key_per_s=unlimited, rate_per_address_per_s=unlimited, rate_per_visitor_per_s=unlimited,
    )
    asyncio.run(_announce(cache.url))
    child = Child(
        "the API", [sys.executable, "-m", "streams.cli", "api"], folder / "api.log",
        environment=settings_environment(settings) | {"PATH": os.defpath, "HOME": str(Path.home())},
    )
    child.start()
    try:
        found = f"http://127.0.0.1:{port.port}"
        child.wait_until(partial(answers, f"{found}/readyz"), START_TIMEOUT_S)
        yield found
        child.check()
        assert "request_crashed" not in (folder / "api.log").read_text()
    finally:
        child.stop()
        port.release()
        metrics.release()


async def _announce(redis_url: str) -> None:
    delivery = Delivery(redis_url, 5000)
    note = WorkerNote("http://127.0.0.1:1", (0, 1), 2, "v1", now_ms(), now_ms() + 3_600_000)
    assert await delivery.announce(note, [RuleNote("r", "A rule", "live")], now_ms())
    await delivery.close()


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[" ".join(each) for each in OPERATIONS])
def test_no_request_that_can_be_drawn_is_a_defect(url: str, method: str, path: str) -> None:
    operation = schemathesis.openapi.from_url(f"{url}/openapi.json")[path][method]
    examples = STREAM_EXAMPLES if path.endswith("/stream") else EXAMPLES
    described = msgspec.json.decode(openapi_document())["paths"][path][method.lower()]
    modes = list(schemathesis.GenerationMode)
    if not described.get("parameters") and "requestBody" not in described:
        modes.remove(schemathesis.GenerationMode.NEGATIVE)  # there is nothing to get wrong
    for mode in modes:
        @hypothesis.settings(
            max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), keys=st.sampled_from([
            {"authorization": "Bearer sk_secret"}, {"x-write-key": "wk_shop"}, {"authorization": "Basic c2s6"}, {},
        ]))
        def asked(case: Any, keys: dict[str, str]) -> None:
            case.call_and_validate(headers=keys, checks=CHECKS, timeout=20)

        asked()


def test_the_document_is_whole() -> None:
    """Every operation has a name, a sentence, its answers, and among them what it says to whoever may not."""
    document = msgspec.json.decode(openapi_document())
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        guarded = operation["security"] != []
        assert ("401" in operation["responses"]) is guarded
        assert guarded is ("429" in operation["responses"])


# --- the native body's parser

ARRIVAL = Arrival(1_795_000_000_000, None, "minted", refuses_tracking=False, query_allowed=frozenset())
FIELDS = ["id", "visitor", "session", "type", "ts", "received", "page", "props", "context", "sentAt", "renewal", "x"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=20,
)
EVENTS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8)
BODIES = st.one_of(
    st.binary(max_size=300),
    st.builds(msgspec.json.encode, st.one_of(EVENTS, st.lists(EVENTS, max_size=4), st.fixed_dictionaries(
        {"events": st.lists(EVENTS, max_size=4) | VALUES},
        optional={"sentAt": VALUES, "visitor": VALUES, "renewal": VALUES},
    ))),
)


def split_or_none(body: bytes) -> Split | None:
    """The body taken apart; None when it is refused as it may be."""
    try:
        return split_body(body, 500)
    except (RequestError, PayloadTooLargeError):
        return None


@hypothesis.settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=BODIES, cut=st.integers(0, 300), inserted=st.binary(max_size=3))
def test_no_body_breaks_the_parser(body: bytes, cut: int, inserted: bytes) -> None:
    for tried in (body, body[:cut], body[:cut] + inserted + body[cut:]):
        split = split_or_none(tried)
        for raw in split.events if split is not None else []:
            assert read_event(raw, ARRIVAL) is not None


@hypothesis.settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=st.lists(EVENTS, max_size=5))
def test_each_event_of_a_list_is_judged_alone(events: list[dict[str, Any]]) -> None:
    split = split_or_none(msgspec.json.encode(events))
    assert split is not None
    alone = [split_or_none(msgspec.json.encode([event])) for event in events]
    assert [read_event(raw, ARRIVAL) for raw in split.events] == [
        read_event(one.events[0], ARRIVAL) for one in alone if one is not None
    ]
