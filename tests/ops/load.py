"""Visits that make every kind of thing happen, sent over HTTP, and some garbage written to Kafka directly."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

from streams.settings import Settings

# (seconds ago, type, props). The session timeout of the run is 9 minutes, the allowed lateness 10.
STORIES: dict[str, list[tuple[float, str, dict[str, Any]]]] = {
    "searches in vain, then finds the help": [
        (2, "search", {"results": 0, "query": "refund"}), (1, "search", {"results": 0, "query": "refund status"}),
    ],
    "searches in vain, and the event lacks a field of the text": [
        (2, "search", {"results": 0}), (1, "search", {"results": 0}),
    ],
    "reads in circles, then opens the chat": [
        *((10 - n, "help_view", {"topic": "returns"}) for n in range(3)), (1, "chat_opened", {"topic": "returns"}),
    ],
    "tries coupons, then buys": [
        (5, "checkout_started", {"cart_total": 120.0}), (4, "coupon_failed", {"code": "A"}),
        (3, "coupon_failed", {"code": "B"}), (1, "purchase", {"total": 120.0}),
    ],
    "looks for the number, then calls": [
        (4, "help_view", {"topic": "orders"}), (3, "phone_number_viewed", {}), (1, "phone_call", {}),
    ],
    "hesitates before the checkout: a timer of a rule in shadow": [
        *((505 - n, "page_view", {}) for n in range(3)), (500, "add_to_cart", {"cart_total": 80.0}),
    ],
    "left the checkout, and the visit is over: a timer of an outcome": [
        (580, "checkout_started", {"cart_total": 200.0}),
    ],
    "says something from long ago": [(3600, "purchase", {"total": 10.0}), (1, "page_view", {})],
    "walks the funnel to its end": [
        (9, "search", {"results": 3}), (7, "page_view", {"page.path": "/p/kettle"}),
        (4, "add_to_cart", {"cart_total": 39.0}), (1, "purchase", {"total": 39.0}),
    ],
    "puts it into the cart first, and looks at it then": [
        (9, "search", {"results": 3}), (6, "add_to_cart", {"cart_total": 39.0}),
        (2, "page_view", {"page.path": "/p/kettle"}),
    ],
    "buys from the list, without a look at the product": [
        (8, "search", {"results": 3}), (4, "add_to_cart", {"cart_total": 39.0}), (1, "purchase", {"total": 39.0}),
    ],
    "finds the answer, which ends the journey": [(580, "help_view", {"topic": "orders"}), (560, "order_tracked", {})],
}
RECEIPTS = ("shown", "clicked", "dismissed")
LIMIT_PER_VISITOR_PER_S = 5  # the run's setting; one impatient visitor breaks it
GARBAGE = (b"", b"not json", b"\xff\xfe", b'{"id":1}', b"[" * 200, b'{"id":"x","visitor":"other","type":"a","ts":1}')


class Load:
    """Sends waves of visits. Every wave has new visitors, so that rules fire in each."""

    def __init__(self, api_url: str, write_key: str, server_key: str) -> None:
        self._numbers = itertools.count(1)
        self._server_key, self._write_key = server_key, write_key
        self._client = httpx.Client(base_url=api_url, timeout=10)
        self.visitors: list[str] = []

    def wave(self) -> None:
        """Every story by four visitors, the odd ones, and receipts for whatever was suggested to them."""
        wave = next(self._numbers)
        visitors = {f"visitor-{wave}-{n}-{who}": story for n, story in enumerate(STORIES.values()) for who in range(4)}
        events = [event for visitor, story in visitors.items() for event in self._events(visitor, story)]
        odd = self._event(f"visitor-{wave}-odd", 1, "page_view", {})
        events += [odd, odd]  # a duplicate
        events.append(self._event(f"visitor-{wave}-no", 1, "page_view", {}) | {"context": {"consent": False}})
        garbage = [
            {"id": "x", "type": "no such name!"}, {"type": "a"}, {"id": "y", "type": "a", "props": {"k": "v" * 3000}},
        ]
        answer = self._post("/v1/events", {"events": [*events, *garbage]}, self._server_key)
        assert answer.status_code == 202, answer.text
        assert len(answer.json()["rejected"]) == len(garbage), answer.text
        self._client.post("/v1/events", content=b"not json", headers=self._with(self._server_key))
        self._impatient()
        self._hostile(wave)
        self._listen(next(iter(visitors)))
        for kind, visitor in zip(itertools.cycle(RECEIPTS), visitors, strict=False):
            self._answer_suggestions(visitor, kind)
        self.visitors += visitors

    def _answer_suggestions(self, visitor: str, kind: str) -> None:
        read = self._client.get("/v1/suggestions", params={"visitor": visitor}, headers=self._with(self._server_key))
        assert read.status_code == 200, read.text
        for suggestion in read.json()["suggestions"]:
            for said in ("shown", kind):
                body = {"visitor": visitor, "suggestion": suggestion["id"], "kind": said}
                self._post("/v1/receipts", body, self._server_key)

    def _listen(self, visitor: str) -> None:
        """Open a stream, and close it after the first list."""
        path, headers = f"/v1/suggestions/stream?visitor={visitor}", self._with(self._server_key)
        with self._client.stream("GET", path, headers=headers) as stream:
            assert stream.status_code == 200
            assert any(line.startswith("data: ") for line in stream.iter_lines())

    def _hostile(self, wave: int) -> None:
        """What must never become a label: paths, methods, types, headers of somebody's choice; another each time."""
        for method, path in (("GET", f"/hostile-{wave}"), ("POST", f"/v1/events/hostile-{wave}"),
                             ("GET", f"/v1/suggestions?visitor=hostile-{wave}"), ("PURGE", f"/v1/hostile/{wave}"),
                             ("OPTIONS", f"/hostile/{wave}/%2e%2e"), ("GET", f"/i?e=hostile{wave}&aid=hostile{wave}"),
                             ("POST", f"/batch/hostile-{wave}"), ("POST", f"/hostile/{wave}/tp2")):
            self._client.request(method, path, headers={"Origin": f"https://hostile-{wave}.example"})
        event = self._event("hostile", 1, f"hostile_{wave}", {"hostile": wave}) | {"context": {"source": "hostile"}}
        self._post("/v1/events", event, self._server_key)
        self._post("/v1/receipts", {"visitor": "hostile", "suggestion": "hostile", "kind": "hostile"}, self._server_key)

    def _impatient(self) -> None:
        event = {"id": "same", "visitor": "visitor-impatient", "type": "page_view"}
        for _ in range(LIMIT_PER_VISITOR_PER_S * 2):
            assert self._post("/v1/events", event, self._write_key).status_code in (202, 429)

    def _events(self, visitor: str, story: list[tuple[float, str, dict[str, Any]]]) -> list[dict[str, Any]]:
        return [self._event(visitor, *what) for what in story]

    def _event(self, visitor: str, ago_s: float, kind: str, props: dict[str, Any]) -> dict[str, Any]:
        """`props`, with what belongs to the page under its dotted name."""
        ts = int((time.time() - ago_s) * 1000)
        page = {name.removeprefix("page."): value for name, value in props.items() if name.startswith("page.")}
        rest = {name: value for name, value in props.items() if not name.startswith("page.")}
        return {
            "id": f"e{next(self._numbers)}", "visitor": visitor, "type": kind, "ts": ts, "props": rest, "page": page,
        }  # fmt: skip

    def _post(self, path: str, body: object, key: str) -> httpx.Response:
        return self._client.post(path, content=json.dumps(body), headers=self._with(key))

    def _with(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


def write_garbage(settings: Settings) -> None:
    """What a careless producer writes to the log without passing the collector."""
    async def write() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap)
        await producer.start()
        try:
            for raw in GARBAGE:
                await producer.send_and_wait(settings.topic("clickstream"), raw, key=b"visitor-garbage")
            await producer.send_and_wait(settings.topic("clickstream"), b"{}", key=None)
        finally:
            await producer.stop()

    asyncio.run(write())
