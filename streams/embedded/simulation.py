"""Several hundred people in a self-service shop, over HTTP against the real API: events, suggestions, receipts.

Each visitor gets an id and a token from the API, posts events in the batches that a page would, reads suggestions
where a page would show them, and reports what became of them. Seeded: what people do does not depend on the machine,
only when they do it, and what is suggested to them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from streams.embedded.shoppers import BEHIND_MS, KINDS, Act, staller

REQUEST_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 64  # pooled: a browser's own connection each would measure the kernel
ARRIVALS_S = 3.0  # the shop fills over this time
ACCEPTS, DISMISSES = 0.45, 0.12  # of the suggestions that a visitor sees; the others are left alone
REFUSES_CONSENT = 0.03
BROKEN_TAG = 0.01  # of the visits: one event that no schema knows, as a mistyped tag sends it
COMES_BACK = 0.1
PROBE_EVERY_S = 0.1
PROBE_WAIT_MS = 1000
PROBES_KEPT_MAX = 5_000


@dataclass
class Observed:
    """What the shop's own side saw."""

    live: int = 0
    visits: int = 0
    posted: int = 0
    requests: int = 0
    failed: int = 0  # requests without a 2xx
    shown: int = 0
    clicked: int = 0
    dismissed: int = 0
    probe_ms: deque[float] = field(default_factory=lambda: deque(maxlen=PROBES_KEPT_MAX))

    def latency_ms(self) -> dict[str, float | None]:
        """From sending the events to holding the suggestion, by probes: median and 99th percentile, ms."""
        ordered = sorted(self.probe_ms)
        if not ordered:
            return {"p50": None, "p99": None}
        last = len(ordered) - 1
        return {name: round(ordered[round(last * share)], 1) for name, share in (("p50", 0.5), ("p99", 0.99))}


@dataclass
class _Person:
    """A visitor as his browser knows him."""

    session: str
    behind_ms: int = 0
    refuses: bool = False
    visitor: str | None = None
    token: str | None = None
    events: int = 0
    seen: set[str] = field(default_factory=set)


class Simulation:
    """`run` keeps `visitors` people in the shop until it is cancelled."""

    def __init__(self, api_url: str, write_key: str, visitors: int, seed: int) -> None:
        self.observed = Observed()
        self._url = api_url
        self._headers = {"authorization": f"Bearer {write_key}"}
        self._visitors = visitors
        self._seed = seed
        self._count = 0
        self._known: list[tuple[str, str]] = []  # who was here before: id and token
        self._session: aiohttp.ClientSession

    async def run(self) -> None:
        """Open the shop."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as self._session,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._probe_forever())
            for place in range(self._visitors):
                group.create_task(self._place(ARRIVALS_S * place / self._visitors))

    async def _place(self, delay_s: float) -> None:
        """One of the places in the shop: somebody leaves, somebody comes."""
        await asyncio.sleep(delay_s)
        while True:
            self._count += 1
            random = Random(f"{self._seed}:{self._count}")
            self.observed.live += 1
            self.observed.visits += 1
            try:
                await self._visit(random, f"{self._seed}-{self._count}")
            finally:
                self.observed.live -= 1
            await asyncio.sleep(random.uniform(0.1, 0.5))

    async def _visit(self, random: Random, name: str) -> None:
        (kind,) = random.choices(list(KINDS), list(KINDS.values()))
        person = _Person(f"visit-{name}", BEHIND_MS if kind is staller else 0, random.random() < REFUSES_CONSENT)
        if self._known and random.random() < COMES_BACK:
            person.visitor, person.token = self._known[random.randrange(len(self._known))]
        broken = random.random() < BROKEN_TAG
        visit, accepted, batch = kind(random), False, list[dict[str, Any]]()
        try:
            act = next(visit)
            while True:
                batch.append(_event(act, person, broken))
                broken = False
                if act.think_s > 0:
                    await self._post(person, batch)
                    batch = []
                    await asyncio.sleep(act.think_s)
                    accepted = act.look and await self._look(person, random)
                act = visit.send(accepted)
                accepted = False
        except StopIteration:
            if batch:
                await self._post(person, batch)

    async def _post(self, person: _Person, events: list[dict[str, Any]]) -> None:
        answer = await self._call("POST", "/v1/events", {"events": events})
        if answer is None:
            return
        self.observed.posted += len(events)
        if person.visitor is None and answer.get("token"):
            person.visitor, person.token = answer["visitor"], answer["token"]
            if not person.refuses and len(self._known) < 1000:
                self._known.append((answer["visitor"], answer["token"]))

    async def _look(self, person: _Person, random: Random) -> bool:
        """Look at what the page suggests; True when the visitor takes it up."""
        if person.visitor is None or person.token is None:
            return False
        query = f"/v1/suggestions?visitor={person.visitor}&session={person.session}"
        answer = await self._call("GET", query, headers={"x-visitor-token": person.token})
        fresh = [one for one in (answer or {}).get("suggestions", []) if one["id"] not in person.seen]
        if not fresh:
            return False
        suggestion = fresh[0]["id"]
        person.seen.add(suggestion)
        await self._receipt(person, suggestion, "shown")
        self.observed.shown += 1
        mood = random.random()
        if mood < ACCEPTS:
            await self._receipt(person, suggestion, "clicked")
            self.observed.clicked += 1
            return True
        if mood < ACCEPTS + DISMISSES:
            await self._receipt(person, suggestion, "dismissed")
            self.observed.dismissed += 1
        return False

    async def _receipt(self, person: _Person, suggestion: str, kind: str) -> None:
        body = {"suggestion": suggestion, "visitor": person.visitor, "kind": kind, "session": person.session}
        await self._call("POST", "/v1/receipts", body, {"x-visitor-token": person.token or ""})

    async def _call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any] | None:
        """One request; None when it failed, which a page survives."""
        self.observed.requests += 1
        try:
            async with self._session.request(
                method, self._url + path, json=body, headers=self._headers | (headers or {})
            ) as answer:
                if answer.status < 300:
                    found: dict[str, Any] = await answer.json()
                    return found
        except (aiohttp.ClientError, TimeoutError):
            pass
        self.observed.failed += 1
        return None

    async def _probe_forever(self) -> None:
        """Visitors who search in vain twice at once and wait for the answer: from sending to holding the suggestion."""
        await asyncio.sleep(ARRIVALS_S / 2)
        number = 0
        async with asyncio.TaskGroup() as group:
            while True:
                number += 1
                group.create_task(self._probe(number))
                await asyncio.sleep(PROBE_EVERY_S)

    async def _probe(self, number: int) -> None:
        events = [
            {"id": f"probe-{self._seed}-{number}-{part}", "type": "search", "session": f"probe-{self._seed}-{number}",
             "props": {"query": "refund", "results": 0}}
            for part in (1, 2)
        ]
        started = time.perf_counter()
        answer = await self._call("POST", f"/v1/events?wait={PROBE_WAIT_MS}", {"events": events})
        self.observed.posted += 2 if answer else 0
        if answer and answer.get("suggestions"):  # visitors of the control arm get none
            self.observed.probe_ms.append((time.perf_counter() - started) * 1000)


def _event(act: Act, person: _Person, broken: bool) -> dict[str, Any]:
    person.events += 1
    event: dict[str, Any] = {
        "id": f"{person.session}-{person.events}",
        "type": "Broken Tag!" if broken else act.type,
        "session": person.session,
        "ts": int(time.time() * 1000) - person.behind_ms,
        "props": dict(act.props),
    }
    if person.visitor is not None:
        event["visitor"] = person.visitor
    if act.path:
        event["page"] = {"path": act.path}
    if person.refuses:
        event["context"] = {"consent": "denied"}
    return event
