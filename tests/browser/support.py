"""What the browser tests look at: a browser's page with nothing hidden, and the log that its events end in."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

from streams.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "rules"
WAIT_S = 20.0  # for what takes milliseconds, on a machine that others use too

# Rules of the tests' own, beside the shop's.
OWN_RULES = """
rule: rage
title: Clicks and clicks
prevents: support_chat
when: {signal: rage_click}
suggest: {placement: nowhere, title: {en: "Not what you expected?"}, body: {en: "This one does nothing."}}
---
rule: wanted
title: Somebody asks for help
prevents: support_chat
when: {event: help_wanted}
suggest:
  placement: nowhere
  title: {en: "Here you are, {{ event.props.who }}"}
  body: {en: "As long as it takes."}
  action: {label: {en: Go}, href: /offers}
"""

# Tells the test of everything that the snippet swallows, the policy forbids, and the visitor sees.
WATCH = """
const say = (kind, what) => console.error(`PROBLEM ${kind}: ${what}`);
document.addEventListener("securitypolicyviolation", (e) => say("policy", `${e.violatedDirective} ${e.blockedURI}`));
const seen = (window.seen = {searches: [], events: [], shownAt: 0, suggestions: []});
(window.avert = window.avert || []).push(
  ["on", "error", (error) => say("swallowed", error && error.stack || error)],
  ["on", "event", (event) => {
    seen.events.push(event);
    if (event.type === "search") seen.searches.push(performance.now());
  }],
);
new MutationObserver(() => {
  if (!seen.shownAt && document.querySelector("avert-suggestion")) seen.shownAt = performance.now();
}).observe(document, {childList: true, subtree: true});
"""


def rules_without_holdouts(folder: Path) -> Path:
    """The shop's rules with everybody treated, so that a test does not depend on a visitor's hash; and OWN_RULES."""
    for path in RULES.glob("*.yaml"):
        (folder / path.name).write_text(re.sub(r"holdout: \d+%", "holdout: 0%", path.read_text()))
    for number, text in enumerate(OWN_RULES.split("---")):
        (folder / f"own-{number}.yaml").write_text(text)
    return folder


class Log:
    """All that is in the clickstream, read as it comes, in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._events: list[dict[str, Any]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._read()), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join(10)

    def of(self, visitor: str, kind: str | None = None) -> list[dict[str, Any]]:
        """A visitor's events (of one type), in the order of the log."""
        return [e for e in tuple(self._events) if e["visitor"] == visitor and kind in (None, e["type"])]

    def everything(self) -> str:
        """The log as one text."""
        return msgspec.json.encode(self._events).decode()

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            topic = self._settings.topic("clickstream")
            consumer.assign([TopicPartition(topic, number) for number in range(self._settings.partitions)])
            while not self._ending.is_set():
                for records in (await consumer.getmany(timeout_ms=50)).values():
                    self._events += [
                        msgspec.json.decode(record.value) for record in records if record.value and record.key
                    ]
        finally:
            await consumer.stop()


@dataclass
class Visit:
    """One visitor: a context of its own, and what was wrong in it."""

    context: BrowserContext
    shop: str
    api: str
    log: Log
    problems: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    expected: str = "^$"  # a pattern of problems that the test makes itself

    def page(self, path: str | None = None) -> Page:
        """A new tab, on a page of the shop."""
        page = self.context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("request", self._on_request)
        if path is not None:
            page.goto(self.shop + path)
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def _on_request(self, request: Request) -> None:
        self.requests.append(request)

    def unexpected(self) -> list[str]:
        return [problem for problem in self.problems if not re.search(self.expected, problem)]

    def calls(self, path: str) -> list[Request]:
        """The requests to one of the API's calls."""
        return [one for one in self.requests if one.url.startswith(self.api) and urlsplit(one.url).path == path]


def eventually(page: Page, condition: Callable[[], Any], what: str = "it") -> Any:
    """Wait until it holds, while the page lives on; returns what it returned."""
    until = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < until, f"{what} did not happen"
        page.wait_for_timeout(20)
    return found


def visitor_of(page: Page) -> str:
    """The visitor's id, once Avert has made one."""
    known = "JSON.parse(localStorage['avert.me'] || '{}').visitor"
    return str(eventually(page, lambda: page.evaluate(known), "an id"))


def stored(page: Page) -> list[str]:
    """Everything that stands in this origin's storage, and cookies."""
    kept = "[...Object.keys(localStorage), ...Object.keys(sessionStorage), document.cookie].filter(Boolean)"
    return list(page.evaluate(kept))


def search(page: Page, words: str) -> None:
    """As a person does."""
    page.fill("#q", words)
    with page.expect_navigation():
        page.press("#q", "Enter")


def search_in_vain(page: Page) -> None:
    search(page, "refund form")
    search(page, "money back")
