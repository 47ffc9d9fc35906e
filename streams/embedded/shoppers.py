"""The people of the simulated shop: each kind is a small state machine, written as a generator of acts.

Pure and seeded: the same random source, the same visit. `accepted = yield act` does `act`; the answer says whether the
visitor has just accepted what was suggested. Think times are seconds where people take a minute, so that a
short demo shows whole visits; the rules are the shop's own, unchanged. What needs minutes by rule (a stalled
checkout) comes from phones that were offline for a while: all their events carry times `BEHIND_MS` ago.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple

BEHIND_MS = 95_000  # just more than the 90 s of idleness that the checkout rule waits for


class Act(NamedTuple):
    """One event, and how long the visitor then looks at the page (seconds; 0: the next event goes with this one)."""

    type: str
    props: Mapping[str, Any] = MappingProxyType({})
    path: str | None = None
    think_s: float = 1.0
    look: bool = False  # a page that shows suggestions


Visit = Generator[Act, bool, None]

SKUS = ("mug", "lamp", "kettle", "rug", "chair", "radio", "clock", "vase")
FUTILE = ("refund", "invoice copy", "change address", "cancel order", "warranty card", "gift receipt")
TOPICS = ("returns", "payment", "account", "sizes", "warranty", "vouchers")
FIELDS = ("postcode", "phone", "iban", "birthday")


def _think(random: Random, seconds: float) -> float:
    return random.uniform(0.5, 1.5) * seconds


def _page(random: Random, path: str, seconds: float = 1.0) -> Act:
    return Act("page_view", path=path, think_s=_think(random, seconds))


def _arrive(random: Random) -> Visit:
    yield _page(random, random.choice(("/", "/", "/sale", "/new", "/brands")))


def _fill_cart(random: Random) -> Generator[Act, bool, float]:
    """Look at products and take some; returns the cart's total."""
    total = 0.0
    for _ in range(random.randint(1, 3)):
        sku, price = random.choice(SKUS), round(random.uniform(8, 120), 2)
        yield Act("page_view", path=f"/p/{sku}", think_s=0)
        yield Act("product_view", {"sku": sku, "price": price}, f"/p/{sku}", _think(random, 1.2))
        if random.random() < 0.8:
            total = round(total + price, 2)
            yield Act("add_to_cart", {"sku": sku, "cart_total": total}, f"/p/{sku}", _think(random, 0.6))
            if random.random() < 0.1:
                total = round(total - price, 2)
                yield Act("remove_from_cart", {"sku": sku, "cart_total": total}, "/cart", _think(random, 0.6))
    return total


def _checkout(random: Random, total: float) -> Visit:
    yield Act("page_view", path="/checkout", think_s=0)
    yield Act("checkout_started", {"cart_total": total}, "/checkout", _think(random, 1.0))


def _to_checkout(random: Random) -> Generator[Act, bool, float]:
    """All the way to the checkout, unless the cart stays empty; returns the cart's total."""
    yield from _arrive(random)
    total = yield from _fill_cart(random)
    if total:
        yield from _checkout(random, total)
    return total


def _pay(random: Random, total: float) -> Generator[Act, bool, str]:
    """The rest of the checkout; returns the order's number."""
    order = f"A{random.randrange(10**6):06}"
    for step in (1, 2):
        yield Act("checkout_step", {"step": step, "cart_total": total}, "/checkout", _think(random, 0.8))
    yield Act("purchase", {"total": total, "order": order}, "/checkout/done", _think(random, 1.0))
    return order


def buyer(random: Random) -> Visit:
    """Knows what he wants, and mostly buys it."""
    yield from _arrive(random)
    total = yield from _fill_cart(random)
    if total and random.random() < 0.75:
        yield from _checkout(random, total)
        if random.random() < 0.9:
            yield from _pay(random, total)


def browser(random: Random) -> Visit:
    """Looks around."""
    yield from _arrive(random)
    for _ in range(random.randint(1, 6)):
        yield _page(random, f"/c/{random.choice(SKUS)}", 1.5)


def searcher(random: Random) -> Visit:
    """Searches for what the search does not know, and asks in the chat."""
    yield from _arrive(random)
    query, accepted = random.choice(FUTILE), False
    for attempt in range(random.randint(2, 4)):
        words = query if attempt == 0 else f"{query} {random.choice(('online', 'how', 'where'))}"
        accepted = yield Act("search", {"query": words, "results": 0}, "/search", _think(random, 1.5), look=True)
        if accepted:
            yield Act("help_view", {"topic": random.choice(TOPICS)}, "/help", _think(random, 1.5))
            return
    yield from _give_up(random, "chat_opened", {"topic": query}, 0.65)


def help_looper(random: Random) -> Visit:
    """Goes round and round in the help pages."""
    yield from _arrive(random)
    for _ in range(random.randint(3, 7)):
        topic = random.choice(TOPICS)
        accepted = yield Act("help_view", {"topic": topic}, f"/help/{topic}", _think(random, 1.2), look=True)
        if accepted:
            yield _page(random, "/help/ask")
            return
    yield from _give_up(random, "chat_opened", {"topic": "help"}, 0.6)


def staller(random: Random) -> Visit:
    """Stops in the middle of the checkout, and thinks."""
    total = yield from _to_checkout(random)
    if not total:
        return
    accepted = yield Act("page_view", path="/checkout", think_s=_think(random, 4.0), look=True)
    if accepted or random.random() < 0.25:
        yield from _pay(random, total)


def coupon_hunter(random: Random) -> Visit:
    """Tries voucher codes from all over the web."""
    total = yield from _to_checkout(random)
    if not total:
        return
    accepted = False
    for _ in range(random.randint(2, 4)):
        code = f"{random.choice(('SAVE', 'HELLO', 'VIP'))}{random.randint(5, 30)}"
        accepted = yield Act("coupon_failed", {"code": code}, "/checkout", _think(random, 1.2), look=True)
        if accepted:
            break
    if accepted or random.random() < 0.35:
        yield from _pay(random, total)


def form_struggler(random: Random) -> Visit:
    """Meets a form that will not have it, and phones."""
    yield from _arrive(random)
    total = yield from _fill_cart(random)
    yield from _checkout(random, total)
    field = random.choice(FIELDS)
    for _ in range(random.randint(2, 5)):
        accepted = yield Act(
            "form_error", {"form": "address", "field": field}, "/checkout", _think(random, 1.0), look=True
        )
        if accepted:
            yield from _pay(random, total)
            return
    yield from _give_up(random, "phone_call", {}, 0.55)


def delivery_worrier(random: Random) -> Visit:
    """Wants to know where the parcel is."""
    yield from _arrive(random)
    for _ in range(random.randint(2, 3)):
        if random.random() < 0.5:
            act = Act("search", {"query": "where is my order", "results": 3}, "/search", _think(random, 1.2), look=True)
        else:
            act = Act("help_view", {"topic": "delivery"}, "/help/delivery", _think(random, 1.2), look=True)
        if (yield act):
            yield Act("order_tracked", {"order": f"A{random.randrange(10**6):06}"}, "/orders/track", _think(random, 1))
            return
    yield from _give_up(random, "chat_opened", {"topic": "delivery"}, 0.5)


def phone_seeker(random: Random) -> Visit:
    """Has looked for help, and now for the number."""
    yield from _arrive(random)
    yield Act("search", {"query": "contact", "results": 2}, "/search", _think(random, 1.0))
    accepted = yield Act("phone_number_viewed", {}, "/contact", _think(random, 2.0), look=True)
    if not accepted:
        yield from _give_up(random, "phone_call", {}, 0.7)


def regretter(random: Random) -> Visit:
    """Buys, and regrets."""
    total = yield from _to_checkout(random)
    if not total:
        return
    order = yield from _pay(random, total)
    accepted = yield Act("return_policy_viewed", {}, "/help/returns", _think(random, 1.5), look=True)
    if not accepted:
        yield from _give_up(random, "return_requested", {"order": order}, 0.5)


def _give_up(random: Random, event_type: str, props: dict[str, Any], probability: float) -> Visit:
    """Do what costs the shop money, or just leave."""
    if random.random() < probability:
        yield Act(event_type, props, "/contact", _think(random, 1.0))


# Of a hundred visitors. More of them in trouble than in a real shop, so that there is something to see.
KINDS: dict[Callable[[Random], Visit], int] = {
    buyer: 26, browser: 12, searcher: 14, help_looper: 12, staller: 8, coupon_hunter: 7,
    form_struggler: 6, delivery_worrier: 8, phone_seeker: 4, regretter: 3,
}
