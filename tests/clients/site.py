"""What a test asks of the pipeline: what stands in Kafka of somebody, what the worker made of it, what is suggested."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from streams.settings import Settings
from tests.clients.support import SERVER_KEY
from tests.http.support import read_topic
from tests.support.waiting import wait_for

_EVENTS_METRIC = re.compile(r'^avert_events_total\{result="(\w+)"\} (\S+)$', re.MULTILINE)


class Site:
    """One running site."""

    def __init__(self, settings: Settings, write_key: str) -> None:
        self.settings = settings
        self.write_key = write_key

    @property
    def url(self) -> str:
        """Where the collector listens."""
        return f"http://127.0.0.1:{self.settings.api_port}"

    def events(self, *visitors: str) -> list[dict[str, Any]]:
        """What stands in Kafka of these visitors, repetitions included."""
        return [event for event in self._topic("clickstream") if event["visitor"] in visitors]

    def all_events(self) -> list[dict[str, Any]]:
        """All that stands in Kafka."""
        return self._topic("clickstream")

    def dead_letters(self) -> list[dict[str, Any]]:
        """All that was refused."""
        return self._topic("deadletter")

    def await_events(self, visitor: str, types: set[str]) -> list[dict[str, Any]]:
        """The visitor's events once there is one of each of these types."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = self.events(visitor)
            return types <= {event["type"] for event in found}

        wait_for(there, lambda: f"missing: {types - {event['type'] for event in found}}; there are {found}")
        return found

    def suggested(self, visitor: str) -> list[str]:
        """The rules whose suggestions can be fetched, once there is one."""
        found: list[str] = []
        query = urllib.parse.urlencode({"visitor": visitor})
        request = urllib.request.Request(
            f"{self.url}/v1/suggestions?{query}", headers={"authorization": f"Bearer {SERVER_KEY}"}
        )

        def there() -> bool:
            with urllib.request.urlopen(request, timeout=10) as answer:
                found[:] = [suggestion["rule"] for suggestion in json.load(answer)["suggestions"]]
            return bool(found)

        wait_for(there, lambda: f"no suggestion for {visitor}")
        return found

    def results(self) -> dict[str, int]:
        """What the worker has made of events so far, by result."""
        url = f"http://127.0.0.1:{self.settings.worker_http_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        return {result: int(float(value)) for result, value in _EVENTS_METRIC.findall(text)}

    def settled_results(self) -> dict[str, int]:
        """The same once the worker has seen all that stands in Kafka."""
        results: dict[str, int] = {}

        def seen() -> bool:
            results.clear()
            results.update(self.results())
            return sum(results.values()) >= len(self.all_events())

        wait_for(seen, lambda: f"the worker has seen {results} of {len(self.all_events())}")
        return results

    def _topic(self, name: str) -> list[dict[str, Any]]:
        # In a thread: the thread of a browser's test has a running loop, playwright's.
        with ThreadPoolExecutor(1) as pool:
            records = pool.submit(asyncio.run, read_topic(self.settings, name)).result()
        return [json.loads(record.value) for record in records]
