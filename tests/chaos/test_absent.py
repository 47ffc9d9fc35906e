"""Starting while the broker or the cache is absent: a clear message, trying again, and recovery when it comes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench._processes import Program, api, leased_port, worker
from bench._workload import jobs, write_rules
from streams.embedded.local import LocalKeys, answers
from streams.embedded.stack import FETCH_WAIT_MS, EmbeddedBroker, EmbeddedCache
from streams.settings import Settings

WAIT_S_MAX = 40.0
_numbers = itertools.count()


class House:
    """Broker and cache that are not there yet, but have their addresses; worker and API with settings for them."""

    def __init__(self, rules: Path, keys: LocalKeys, settings: Settings) -> None:
        self.rules, self.keys, self.settings = rules, keys, settings
        self.broker, self.cache = EmbeddedBroker(), EmbeddedCache()
        self.url = f"http://127.0.0.1:{settings.api_port}"
        with_addresses = {"kafka_bootstrap": self.broker.address, "redis_url": self.cache.url}
        self.settings = Settings(
            **{name: getattr(settings, name) for name in settings.__struct_fields__} | with_addresses
        )

    def post(self, visitor: str, wait_ms: int = 0) -> httpx.Response:
        """One empty search of a visitor, as his site's server sends it."""
        event = {"id": f"e{next(_numbers)}", "visitor": visitor, "type": "search", "props": {"results": 0}}
        return httpx.post(
            f"{self.url}/v1/events",
            json=event,
            headers={"Authorization": f"Bearer {self.keys.server}"},
            params={"wait": wait_ms} if wait_ms else {},
            timeout=10,
        )

    def suggestions(self, visitor: str) -> Any:
        """What the site would show."""
        answer = httpx.get(
            f"{self.url}/v1/suggestions",
            params={"visitor": visitor},
            timeout=10,
            headers={"Authorization": f"Bearer {self.keys.server}"},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["suggestions"]

    def api_metrics(self) -> str:
        """The API's metrics page."""
        return httpx.get(f"http://127.0.0.1:{self.settings.metrics_port}/metrics", timeout=10).text

    def searches_in_vain_twice(self, visitor: str) -> None:
        for _ in range(2):
            answer = self.post(visitor)
            assert answer.status_code == 202, answer.text


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    rules, keys = write_rules(tmp_path / "rules", jobs(1)), LocalKeys()
    keys.save(tmp_path / "keys.json")
    with leased_port() as worker_port, leased_port() as api_port, leased_port() as metrics_port:
        made = House(
            rules,
            keys,
            Settings(
                rules_dir=rules,
                partitions=2,
                keys_file=tmp_path / "keys.json",
                worker_http_port=worker_port,
                api_port=api_port,
                metrics_port=metrics_port,
                fetch_wait_ms=FETCH_WAIT_MS,
                broker_rebalance_timeout_s=6.0,
            ),
        )
        with contextlib.ExitStack() as ends:
            ends.callback(made.broker.stop)
            ends.callback(made.cache.stop)
            yield made


def until(condition: Callable[[], object], program: Program) -> None:
    """Wait until it is so; the program must go on living."""
    program.child.wait_until(lambda: bool(condition()), WAIT_S_MAX)


def metric(page: str, name: str) -> float:
    """The sum of a metric over its labels."""
    return sum(
        float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith((f"{name} ", f"{name}{{"))
    )


def test_the_worker_waits_for_the_broker_says_so_and_works_when_it_comes(house: House) -> None:
    house.cache.start()
    with worker(house.settings) as program:
        until(lambda: program.log_text().count("kafka_unreachable") >= 2, program)
        assert house.broker.address in program.log_text()
        assert "AVERT_KAFKA_BOOTSTRAP" in program.log_text()
        assert answers(f"{program.url}/healthz")
        assert not answers(f"{program.url}/readyz")

        house.broker.start()
        program.until_ready()

        with api(house.settings) as front:
            front.until_ready()
            house.searches_in_vain_twice("v")
            until(lambda: house.suggestions("v"), program)


def test_the_api_refuses_events_while_the_broker_is_absent_and_takes_them_when_it_comes(house: House) -> None:
    house.cache.start()
    with api(house.settings) as front:
        until(lambda: answers(f"{house.url}/healthz"), front)
        until(lambda: "kafka_unavailable" in front.log_text(), front)
        assert house.broker.address in front.log_text()
        assert not answers(f"{house.url}/readyz")
        refused = house.post("v")
        assert refused.status_code == 503
        assert refused.json()["error"] == "broker_unavailable"

        house.broker.start()
        front.until_ready()
        assert house.post("v").status_code == 202


def test_worker_and_api_work_without_the_cache_and_use_it_when_it_comes(house: House) -> None:
    house.broker.start()
    with worker(house.settings) as program, api(house.settings) as front:
        program.until_ready()
        until(lambda: house.post("warm").status_code == 202, front)

        # No page breaks, and no event is lost: the decision is made and kept, only nothing can be shown.
        house.searches_in_vain_twice("before")
        until(lambda: metric(program.metrics(), "avert_decisions_total") == 1, program)
        assert house.suggestions("before") == []
        assert metric(house.api_metrics(), "avert_redis_errors_total") > 0
        assert metric(program.metrics(), "avert_redis_errors_total") > 0
        assert "redis" in front.log_text()
        assert "redis" in program.log_text()

        house.cache.start()
        served = itertools.count()

        def another_one_is_served() -> bool:
            visitor = f"after{next(served)}"
            house.searches_in_vain_twice(visitor)
            answer = house.post(visitor, wait_ms=500)
            return bool(answer.json().get("suggestions"))

        until(another_one_is_served, program)
