"""A made-up self-service site with known causes: what is planted must be found, what is only there must not.

Visitors look at pages, products and help, search, and meet errors, all at random, and a few open a chat or phone
anyway. CAUSES alone make an anti-conversion likelier. Decoys are as frequent; visits with more events have more of each
of them, and more of the chats that come anyway: whoever only counts what long visits contain, finds them all.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streams.core.event import Event

START_MS = 1_790_000_000_000  # 2026-09-21
DAYS = 14
QUERIES = ("gift card", "opening hours", "size chart", "student discount", "delivery cost")
PAGES = ("/", "/sale", "/new", "/brands", "/stores", "/about")
TOPICS = ("payment", "account", "sizes", "vouchers")
SKUS = tuple(f"sku-{letter}" for letter in "abcdefgh")
FIELDS = ("postcode", "phone", "birthday")
ANYWAY = 0.004  # the chance of a chat at each event, whatever came before
# What the event is -> (the outcome's event, its chance at each of the next three events).
CAUSES: dict[tuple[str, str], tuple[str, float]] = {
    ("empty_search", "cancel order"): ("chat_opened", 0.16),
    ("help", "returns"): ("chat_opened", 0.12),
    ("form_error", "address: iban"): ("phone_call", 0.12),
}
REACH = 3
RULES = """\
currency: EUR
outcomes:
  support_chat: {kind: anti_conversion, label: Support chat, when: {event: chat_opened}, cost: 6.50}
  phone_call: {kind: anti_conversion, label: Call to the help desk, when: {event: phone_call}, cost: 11.20}
  checkout_abandoned:
    kind: anti_conversion
    label: Checkout abandoned
    when: {missing: {event: purchase}, after: {event: checkout_started}, for: session}
    cost: {of: cart_total, times: 0.12}
  solved: {kind: conversion, label: Solved without an agent, when: {event: order_tracked}, value: 2}
"""


def _act(chance: random.Random) -> tuple[str, dict[str, Any], str | None, tuple[str, str] | None]:
    """(type, props, path, cause)."""
    lot = chance.random()
    if lot < 0.45:
        return "page_view", {}, chance.choice(PAGES), None
    if lot < 0.62:
        sku = chance.choice(SKUS)
        return "product_view", {"sku": sku}, f"/p/{sku}", None
    if lot < 0.80:
        query = chance.choice((*QUERIES, "Cancel  Order!"))
        empty = chance.random() < 0.6
        cause = ("empty_search", "cancel order") if empty and query not in QUERIES else None
        return "search", {"query": query, "results": 0 if empty else 5}, "/search", cause
    if lot < 0.92:
        topic = chance.choice((*TOPICS, "returns"))
        return "help_view", {"topic": topic}, None, ("help", topic)
    if lot < 0.97:
        field = chance.choice((*FIELDS, "iban"))
        return "form_error", {"form": "address", "field": field}, None, ("form_error", f"address: {field}")
    return "js_error", {"message": f"timeout after {chance.randrange(100)} ms"}, None, None


def events_of(name: str, chance: random.Random, causes: dict[tuple[str, str], tuple[str, float]]) -> Iterator[Event]:
    """One visitor. Who searched in vain for ``cancel order`` and then opens the tracking page, has found the answer."""
    ts = START_MS + chance.randrange(DAYS * 86_400_000)
    pending: list[tuple[str, float, int]] = []
    made = 0

    def event(kind: str, props: dict[str, Any], path: str | None = None) -> Event:
        nonlocal made
        made += 1
        return Event(f"{name}-{made}", name, kind, ts, page={"path": path} if path else {}, props=props)

    for _ in range(min(2 + int(chance.expovariate(1 / 8)), 60)):
        ts += chance.randrange(3_000, 60_000)
        for outcome, likely, _ in pending:
            if chance.random() < likely:
                yield event(outcome, {})
                return
        if chance.random() < ANYWAY:
            yield event(chance.choice(("chat_opened", "phone_call")), {})
            return
        pending = [(outcome, likely, left - 1) for outcome, likely, left in pending if left > 1]
        if any(outcome == "chat_opened" for outcome, _, _ in pending) and chance.random() < 0.3:
            yield event("order_tracked", {}, "/orders/track")
            pending = []
            continue
        kind, props, path, cause = _act(chance)
        yield event(kind, props, path)
        if cause in causes:
            pending.append((*causes[cause], REACH))
    if chance.random() < 0.2:
        yield event("checkout_started", {"cart_total": round(chance.uniform(20, 200), 2)}, "/checkout")
        if chance.random() < 0.6:
            ts += 20_000
            yield event("purchase", {"total": 50})


def visitors(
    number: int, seed: int, causes: dict[tuple[str, str], tuple[str, float]] | None = None
) -> Iterator[list[Event]]:
    """So many visitors with their events."""
    chance = random.Random(seed)
    for index in range(number):
        yield list(events_of(f"v{seed}-{index}", chance, CAUSES if causes is None else causes))


def write(folder: Path, number: int, seed: int = 1) -> tuple[Path, Path]:
    """A recording, and rules beside it: (file, folder of rules)."""
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    (rules / "outcomes.yaml").write_text(RULES)
    file = folder / "recorded.jsonl"
    with file.open("w") as out:
        for events in visitors(number, seed):
            for one in events:
                row = {"id": one.id, "visitor": one.visitor, "type": one.type, "ts": one.ts, "props": one.props}
                out.write(json.dumps(row | ({"path": one.page["path"]} if one.page else {})) + "\n")
    return file, rules
