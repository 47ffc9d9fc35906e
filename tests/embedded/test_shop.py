"""The demo shop's server: its pages, its files, its policy; what its panel is told of decisions."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse

import msgspec
import pytest

from streams.core.effects import Decision, Receipt
from streams.embedded.child import PortLease
from streams.embedded.shop import FOLDER, Shop
from streams.embedded.shop_decisions import DECISIONS_MAX, VISITORS_MAX, DecisionFeed
from streams.settings import Settings

API = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    lease = PortLease()
    with Shop(lease.port, API, "wk_public", lambda visitor: [{"rule": f"of {visitor}"}]) as running:
        yield running
    lease.release()


def get(shop: Shop, path: str) -> HTTPResponse:
    return urllib.request.urlopen(shop.url + path, timeout=10)


@pytest.mark.parametrize("path", ["/", "/search?q=mug", "/help/returns", "/p/lamp", "/checkout/done"])
def test_page_loads_the_snippet_with_its_key(shop: Shop, path: str) -> None:
    page = get(shop, path).read().decode()
    assert f'src="{API}/avert.js" data-key="wk_public"' in page
    assert "{{" not in page


@pytest.mark.parametrize("path", ["/nowhere", "/p/", "/help/<script>", "/../shop.py", "/shop/shop.js"])
def test_what_is_not_there_is_not_found(shop: Shop, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        get(shop, path)
    assert raised.value.code == 404


def test_the_policy_forbids_what_is_inline(shop: Shop) -> None:
    rules = get(shop, "/").headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in rules
    assert f"script-src 'self' {API}" in rules
    assert "style-src 'self'" in rules
    assert "unsafe" not in " ".join(rules)


def test_the_pages_need_nothing_inline() -> None:
    layout = (FOLDER / "layout.html").read_text()
    assert re.findall(r"<style|style=|<script(?![^>]*src=)|\son[a-z]+=", layout) == []


@pytest.mark.parametrize(
    ("name", "kind"), [("shop.js", "text/javascript"), ("shop.css", "text/css"), ("things.svg", "image/svg")]
)
def test_file_has_its_type(shop: Shop, name: str, kind: str) -> None:
    answer = get(shop, f"/{name}")
    assert answer.headers["content-type"].startswith(kind)
    assert answer.read() == (FOLDER / name).read_bytes()


def test_panel_asks_for_one_visitor(shop: Shop) -> None:
    assert msgspec.json.decode(get(shop, "/decisions?visitor=a%20b").read()) == [{"rule": "of a b"}]


# --- decisions


def decision(visitor: str, number: int) -> bytes:
    return msgspec.json.encode(Decision(
        id=f"d{number}", visitor=visitor, session="s", rule="search-dead-end", version="v", at=number, kind="control",
        arm="control", trigger="e",
    ))


def test_decisions_of_a_visitor_are_the_newest_in_their_order_and_each_once() -> None:
    feed = DecisionFeed(Settings())
    for number in [*range(DECISIONS_MAX + 3), DECISIONS_MAX + 2]:
        feed.take(decision("v", number))
    feed.take(decision("w", 0))
    assert [one["id"] for one in feed.of("v")] == [f"d{number}" for number in range(3, DECISIONS_MAX + 3)]
    assert feed.of("v")[0]["kind"] == "control"
    assert feed.of("nobody") == []


def test_receipts_stand_beside_the_decisions_and_are_none() -> None:
    feed = DecisionFeed(Settings())
    feed.take(msgspec.json.encode(Receipt(
        id="r", visitor="v", rule="search-dead-end", suggestion="s", kind="shown", at=1
    )))
    assert feed.of("v") == []


def test_visitors_seen_longest_ago_are_forgotten() -> None:
    feed = DecisionFeed(Settings())
    for number in range(VISITORS_MAX + 1):
        feed.take(decision(f"v{number}", 0))
    assert feed.of("v0") == []
    assert feed.of(f"v{VISITORS_MAX}") != []
