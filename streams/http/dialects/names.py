"""An event's name as a tracker has it -> our event type, and where our rules expect its fields.

1. A name of the tables below has a native word. The tables hold the e-commerce events of the Segment specification (v2,
   which RudderStack shares) and what else trackers commonly call the same things.
2. Any other name is written in snake case: ``Newsletter Signup`` -> ``newsletter_signup``.
3. What snake case loses (other scripts, what is over the length) is made up for by a short hash, so that two names
   never become one type.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from streams.core.event import TYPE_CHARS_MAX

_HASH_CHARS = 8
_NAMES_REMEMBERED_MAX = 4096  # a site has a few hundred; names are data, and data has no bound

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_IN_TYPE = re.compile(r"[^a-z0-9.]+")


class Word(NamedTuple):
    """A native event type, and for each of its fields the tracker's fields that say the same, best first."""

    type: str
    fields: Mapping[str, tuple[str, ...]] = MappingProxyType({})


_PRODUCT = {"sku": ("sku", "product_id", "id"), "price": ("price", "unit_price")}
_CART = {"cart_total": ("cart_total", "total", "value", "revenue")}
_ORDER = {"order": ("order_id", "orderId", "transaction_id", "checkout_id"), "total": ("total", "revenue", "value")}
_SEARCH = {
    "query": ("query", "search_term", "searchTerm", "term", "terms"),
    "results": ("results", "results_count", "result_count", "total_results", "totalResults", "nbHits"),
}
_COUPON = {"code": ("code", "coupon", "coupon_name", "coupon_id")}
_FORM = {"form": ("form", "form_id", "formId", "form_name"), "field": ("field", "field_name", "elementId")}

# Names in snake case. "Spec": the e-commerce events of the Segment specification.
WORDS: Mapping[str, Word] = MappingProxyType({
    # spec: browsing
    "products_searched": Word("search", _SEARCH),
    "product_list_viewed": Word("product_list_view"),
    "product_clicked": Word("result_click", _PRODUCT),
    "product_viewed": Word("product_view", _PRODUCT),
    # spec: cart and checkout
    "product_added": Word("add_to_cart", {**_PRODUCT, "cart_total": ("cart_total",)}),
    "product_removed": Word("remove_from_cart", {**_PRODUCT, "cart_total": ("cart_total",)}),
    "cart_viewed": Word("cart_view", _CART),
    "checkout_started": Word("checkout_started", _CART),
    "checkout_step_viewed": Word("checkout_step", {"step": ("step",)}),
    "order_completed": Word("purchase", _ORDER),
    "coupon_denied": Word("coupon_failed", _COUPON),
    # the same things by other trackers' usual names
    "begin_checkout": Word("checkout_started", _CART),
    "checkout_begun": Word("checkout_started", _CART),
    "initiate_checkout": Word("checkout_started", _CART),
    "purchase": Word("purchase", _ORDER),
    "purchased": Word("purchase", _ORDER),
    "transaction": Word("purchase", _ORDER),
    "order_placed": Word("purchase", _ORDER),
    "view_item": Word("product_view", _PRODUCT),
    "view_product": Word("product_view", _PRODUCT),
    "view_item_list": Word("product_list_view"),
    "select_item": Word("result_click", _PRODUCT),
    "product_added_to_cart": Word("add_to_cart", {**_PRODUCT, "cart_total": ("cart_total",)}),
    "added_to_cart": Word("add_to_cart", {**_PRODUCT, "cart_total": ("cart_total",)}),
    "add_to_cart": Word("add_to_cart", {**_PRODUCT, "cart_total": ("cart_total",)}),
    "remove_from_cart": Word("remove_from_cart", {**_PRODUCT, "cart_total": ("cart_total",)}),
    "view_cart": Word("cart_view", _CART),
    "coupon_failed": Word("coupon_failed", _COUPON),
    "search": Word("search", _SEARCH),
    "searched": Word("search", _SEARCH),
    "site_search": Word("search", _SEARCH),
    "search_performed": Word("search", _SEARCH),
    "view_search_results": Word("search", _SEARCH),
    "chat_open": Word("chat_opened"),
    "open_chat": Word("chat_opened"),
    "chat_started": Word("chat_opened"),
    "live_chat_conversation_started": Word("chat_opened"),
    "form_start": Word("form_focus", _FORM),
    "form_started": Word("form_focus", _FORM),
    "form_submitted": Word("form_submit", _FORM),
    "page_viewed": Word("page_view"),
    "pageview": Word("page_view"),
    "screen_viewed": Word("screen_view"),
    "javascript_error": Word("js_error"),
})


def event_type(name: str) -> str:
    """The native type for a tracker's event name. Empty only for a name without any character."""
    plain = snake_case(name)
    word = WORDS.get(plain)
    return word.type if word else plain


def named(name: str, props: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The native type for a tracker's event, and its properties with our words for them added to them."""
    plain = snake_case(name)
    word = WORDS.get(plain)
    if word is None:
        return plain, props
    return word.type, with_fields(word.fields, props)


def with_fields(fields: Mapping[str, tuple[str, ...]], props: dict[str, Any]) -> dict[str, Any]:
    """`props`, and each of `fields` that is missing from the first of its sources that is there."""
    added = {}
    for field, sources in fields.items():
        if props.get(field) is None:
            value = next((props[source] for source in sources if props.get(source) is not None), None)
            if value is not None:
                added[field] = value
    return {**props, **added} if added else props


@lru_cache(maxsize=_NAMES_REMEMBERED_MAX)
def snake_case(name: str) -> str:
    """Any name as an event type: 1 to 64 of ``a-z 0-9 _ .``; empty for a name without any character."""
    text = name.strip()
    if not text:
        return ""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    plain = _NOT_IN_TYPE.sub("_", _WORD_START.sub("_", ascii_text).lower()).strip("_.")
    lost = not plain or any(sign.isalnum() and not _survives(sign) for sign in text)
    if lost:
        plain = f"{plain or 'custom'}_{_hash(text)}"
    if len(plain) > TYPE_CHARS_MAX:
        plain = f"{plain[: TYPE_CHARS_MAX - _HASH_CHARS - 1]}_{_hash(text)}"
    return plain


def _survives(sign: str) -> bool:
    return sign.isascii() or any(part.isascii() and part.isalnum() for part in unicodedata.normalize("NFKD", sign))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARS]
