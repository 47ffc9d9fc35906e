"""The work that the benchmarks share: jobs (as data), the rule files made of them, and a seeded shop's clickstream.

A job says once what a rule looks for. From it come the YAML that Avert loads, the code of the peers
(`peers/`), and the plain reference (`_reference.py`) that says how many matches are right.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

SECOND_MS = 1_000
MINUTE_MS = 60_000
SESSION_TIMEOUT_MS = 30 * MINUTE_MS
# Longer than every absence of the jobs, shorter than a session's timeout: a visitor's last event comes so long after
# the one before, so that a peer which looks at absences only at the next event finds all of them too.
CLOSING_GAP_MS = 9 * MINUTE_MS
START_MS = 1_790_000_000_000
JOBS_MAX = 2_000

Kind = Literal["count", "sequence", "missing", "guarded"]


class Pattern(NamedTuple):
    """An event type, and a property that must be equal to a value (None: any event of the type)."""

    type: str
    field: str | None = None
    value: Any = None

    def matches(self, type_: str, props: dict[str, Any]) -> bool:
        """Whether an event is meant."""
        return type_ == self.type and (self.field is None or (self.field in props and props[self.field] == self.value))


@dataclass(frozen=True, slots=True)
class Job:
    """What one rule looks for.

    count: `at_least` of patterns[0] within `within_ms`. sequence: patterns in order within `within_ms`.
    missing: patterns[0], and no patterns[1] for `within_ms`. guarded: a count, and patterns[1] never in the session.
    """

    name: str
    kind: Kind
    patterns: tuple[Pattern, ...]
    within_ms: int
    at_least: int = 1


_P = Pattern
EMPTY_SEARCH = _P("search", "results", 0)

JOBS: tuple[Job, ...] = (
    Job("search-dead-end", "count", (EMPTY_SEARCH,), 5 * MINUTE_MS, 2),
    Job("help-loop", "count", (_P("help_view"),), 5 * MINUTE_MS, 3),
    Job("form-errors", "count", (_P("form_error"),), 3 * MINUTE_MS, 2),
    Job("coupon-hunting", "count", (_P("coupon_rejected"),), 10 * MINUTE_MS, 2),
    Job("login-trouble", "count", (_P("login_failed"),), 10 * MINUTE_MS, 2),
    Job("cart-doubts", "count", (_P("cart_remove"),), 5 * MINUTE_MS, 2),
    Job("delivery-anxiety", "count", (_P("delivery_page"),), 10 * MINUTE_MS, 2),
    Job("phone-lookup", "count", (_P("contact_page", "section", "phone"),), 10 * MINUTE_MS, 2),
    Job("checkout-path", "sequence", (_P("product_view"), _P("cart_add"), _P("checkout_started")), 10 * MINUTE_MS),
    Job("search-help-contact", "sequence", (EMPTY_SEARCH, _P("help_view"), _P("contact_page")), 5 * MINUTE_MS),
    Job("return-thoughts", "sequence", (_P("purchase"), _P("returns_policy"), _P("contact_page")), 10 * MINUTE_MS),
    Job(
        "checkout-regret", "sequence", (_P("checkout_started"), _P("coupon_rejected"), _P("cart_remove")), 5 * MINUTE_MS
    ),
    Job("payment-help", "sequence", (_P("form_error"), _P("help_view"), _P("payment_failed")), 5 * MINUTE_MS),
    Job("checkout-stall", "missing", (_P("checkout_started"), _P("purchase")), 2 * MINUTE_MS),
    Job("cart-left", "missing", (_P("cart_add"), _P("page_view")), 2 * MINUTE_MS),
    Job("search-given-up", "missing", (EMPTY_SEARCH, _P("product_view")), 3 * MINUTE_MS),
    Job("payment-given-up", "missing", (_P("payment_failed"), _P("purchase")), 3 * MINUTE_MS),
    Job("coupon-given-up", "missing", (_P("coupon_rejected"), _P("cart_add")), 90 * SECOND_MS),
    Job("help-before-buying", "guarded", (_P("help_view"), _P("purchase")), 5 * MINUTE_MS, 4),
    Job("reviews-no-cart", "guarded", (_P("review_read"), _P("cart_add")), 10 * MINUTE_MS, 3),
)

# What a visitor does next, and how often. Nearly half of it concerns no rule, as in a real log.
_NEXT: tuple[tuple[str, float], ...] = (
    ("page_view", 34), ("product_view", 16), ("search", 10), ("review_read", 6), ("filter_changed", 6),
    ("help_view", 5), ("image_zoomed", 5), ("cart_add", 4), ("checkout_started", 1), ("purchase", 2.5),
    ("form_error", 2), ("cart_remove", 1.5), ("delivery_page", 1.5), ("contact_page", 1.5), ("returns_policy", 1),
    ("coupon_rejected", 1), ("payment_failed", 0.8), ("login_failed", 0.8), ("chat_opened", 0.4),
)  # fmt: skip
TYPES = tuple(name for name, _ in _NEXT)


def jobs(number: int) -> tuple[Job, ...]:
    """The first `number` jobs; beyond the twenty, the same ones with other windows: conditions of their own."""
    made = list(JOBS[:number])
    while len(made) < min(number, JOBS_MAX):
        base, again = JOBS[len(made) % len(JOBS)], len(made) // len(JOBS)
        made.append(
            Job(f"{base.name}-{again}", base.kind, base.patterns, base.within_ms + again * SECOND_MS, base.at_least)
        )
    return tuple(made)


def sparse_jobs(number: int, types: int = 20) -> tuple[Job, ...]:
    """Rules of a large company: each hears of one of `types` event types, and looks for one product of many.

    Counts, sequences and absences in turn.
    """
    made = []
    for index in range(number):
        here = f"t{index % types}"
        one = _P(here, "item", f"i{index}")
        kind: Kind = ("count", "sequence", "missing", "count")[index // types % 4]
        pattern = {
            "count": (one,),
            "sequence": (one, _P(here, "item", f"i{index}b"), _P(here, "item", f"i{index}c")),
            "missing": (one, _P(here, "item", f"i{index}b")),
        }[kind]
        made.append(Job(f"r{index}", kind, pattern, 5 * MINUTE_MS, 2))
    return tuple(made)


# --- rule files -----------------------------------------------------------------------------------------------------

_OUTCOMES_YAML = """\
currency: EUR
outcomes:
  support_chat: {kind: anti_conversion, when: {event: chat_opened}, cost: 6.50}
  purchase: {kind: conversion, when: {event: purchase}, value: {of: total}}
"""

_RULE_YAML = """\
rule: {name}
prevents: support_chat
when:
  {condition}
suggest:
  placement: p-{name}
  title: {{en: "May we help?"}}
  body: {{en: "This is about {name}."}}
  action: {{label: {{en: Show me}}, href: /help}}
  expires: 10m
limits: {{per_session: unlimited, after_dismissal: continue}}
"""


def _matcher(pattern: Pattern) -> str:
    if pattern.field is None:
        return f"{{event: {pattern.type}}}"
    return f"{{event: {pattern.type}, where: {{{pattern.field}: {pattern.value}}}}}"


def _condition(job: Job) -> str:
    first = _matcher(job.patterns[0])
    count = f"count: {first}, at_least: {job.at_least}, within: {job.within_ms}ms"
    match job.kind:
        case "count":
            return f"{{{count}}}"
        case "guarded":
            return f"{{all: [{{{count}}}, {{never: {_matcher(job.patterns[1])}}}]}}"
        case "missing":
            return f"{{missing: {_matcher(job.patterns[1])}, after: {first}, for: {job.within_ms}ms}}"
        case "sequence":
            return f"{{sequence: [{', '.join(map(_matcher, job.patterns))}], within: {job.within_ms}ms}}"


def rule_yaml(name: str, condition: str) -> str:
    """A rule with a placement of its own and no limits, so that every match is a decision."""
    return _RULE_YAML.format(name=name, condition=condition)


def write_rules(directory: Path, wanted: tuple[Job, ...]) -> Path:
    """The jobs as rule files in `directory`: a placement each and no limits, so that every match is a decision."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "outcomes.yaml").write_text(_OUTCOMES_YAML)
    for first in range(0, len(wanted), 100):  # a rule file has a limit of bytes
        rules = (rule_yaml(job.name, _condition(job)) for job in wanted[first : first + 100])
        (directory / f"rules-{first:04}.yaml").write_text("---\n".join(rules))
    return directory


# --- the clickstream --------------------------------------------------------------------------------------------------


_encode = msgspec.json.Encoder().encode


class Record(NamedTuple):
    """One record of the log: timestamp in ms, key, value."""

    timestamp: int
    visitor: str
    value: bytes


def clickstream(events: int, visitors: int, seed: int = 1, start_ms: int = START_MS) -> Iterator[Record]:
    """`events` records in the order of time: each visitor comes twice, for visits that a pause separates.

    Two visits of some minutes each, and one closing event at the end. About 220 bytes an event.
    """
    each, more = divmod(events, visitors)
    makers = (_visitor(f"v{number:06d}", each + (number < more), seed, start_ms) for number in range(visitors))
    yield from heapq.merge(*makers, key=lambda record: record.timestamp)


def _visitor(name: str, events: int, seed: int, start_ms: int) -> Iterator[Record]:
    chance = random.Random(f"{seed} {name}")
    types, weights = zip(*_NEXT, strict=True)
    at = start_ms + chance.randrange(60 * MINUTE_MS)
    kinds = [*chance.choices(types, weights, k=events - 1), "page_view"]
    for number, kind in enumerate(kinds):
        if number:
            at += round(chance.expovariate(1 / (20 * SECOND_MS)) + 500)
            if number == events // 2:
                at += SESSION_TIMEOUT_MS + chance.randrange(60 * MINUTE_MS)
        if number == events - 1:
            at += CLOSING_GAP_MS
        yield _record(f"{chance.getrandbits(64):016x}", at, name, kind, number, _props(kind, chance))


def _record(id_: str, at: int, visitor: str, kind: str, page: int, props: dict[str, Any]) -> Record:
    event = {
        "id": id_, "visitor": visitor, "type": kind, "ts": at, "received": at,
        "page": {"url": f"https://shop.example/p/{page}", "path": f"/p/{page}"},
        "props": props, "context": {"device": "mobile"},
    }
    return Record(at, visitor, _encode(event))


def _props(kind: str, chance: random.Random) -> dict[str, Any]:
    match kind:
        case "search":
            return {"query": "refund", "results": 0 if chance.random() < 0.3 else chance.randrange(1, 50)}
        case "purchase" | "checkout_started" | "cart_add":
            return {"total": round(chance.uniform(5, 200), 2), "sku": f"s{chance.randrange(500)}"}
        case "contact_page":
            return {"section": "phone" if chance.random() < 0.5 else "mail"}
        case "page_view":
            return {}
    return {"sku": f"s{chance.randrange(500)}"}


def sparse_clickstream(events: int, visitors: int, rules: int, types: int = 20, seed: int = 1) -> Iterator[Record]:
    """The log for `sparse_jobs`: each event has one type of `types`, and an item that sometimes concerns a rule."""
    chance = random.Random(seed)
    for number in range(events):
        at = START_MS + number * 10
        name = f"v{chance.randrange(visitors):06d}"
        index = chance.randrange(max(rules, types))
        item = f"i{index}{chance.choice(('', 'b', 'c'))}" if chance.random() < 0.3 else f"x{index}"
        yield _record(f"{chance.getrandbits(64):016x}", at, name, f"t{index % types}", 1, {"item": item})
