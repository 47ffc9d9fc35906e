"""From POST to a readable suggestion, while others click: p50, p99, and where the milliseconds go.

``python -m bench.latency [--broker both|embedded|kafka] [--rates 500,2000] [--seconds 20] [--probes 20]``. The load is
open-loop: requests leave at their time whether or not the ones before are answered, and a probe's clock starts when
its request should have left. A probe is a visitor whose second empty search makes a rule fire; half of them poll
``GET /v1/suggestions`` every 2 ms until it is there, half ask with ``POST ...?wait=1000``. The load is single events.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import msgspec
import uvloop

from bench import _log as log
from bench._http import Answer, Client
from bench._processes import Program, api, leased_port, seconds_of, worker
from bench._report import last_line, load_average, machine, say, table
from bench._workload import clickstream, jobs, write_rules
from streams.embedded.local import LocalKeys
from streams.embedded.stack import EmbeddedCache
from streams.settings import Settings

VISITORS = 5_000
POLL_S = 0.002
BETWEEN_SEARCHES_S = 0.5  # a probe's two searches; the first is done long before the second
GIVE_UP_S = 10.0
WARM_UP_S = 3.0
BUDGETS_MS = {"kafka": (15, 40), "embedded": (None, 100)}  # p50, p99 at 2,000 events/s


@dataclass
class Place:
    """A running API and worker, and how to reach them."""

    settings: Settings
    keys: LocalKeys
    worker: Program
    api: Program


@dataclass
class Seen:
    """What one run has seen, ms."""

    polled: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)  # every POST of the load, from when it should have left
    probe_post: list[float] = field(default_factory=list)  # a polling probe's own POST
    read: list[float] = field(default_factory=list)  # the GET that found it
    failures: int = 0


@contextlib.contextmanager
def place(kind: str, bootstrap: str, redis_url: str, folder: Path) -> Iterator[Place]:
    """Worker and API, ready, on topics of their own."""
    keys = LocalKeys()
    keys.save(folder / "keys.json")
    with leased_port() as worker_port, leased_port() as api_port, leased_port() as metrics_port:
        settings = Settings(
            kafka_bootstrap=bootstrap,
            redis_url=redis_url,
            rules_dir=write_rules(folder / "rules", jobs(20)),
            app_id=f"l{os.getpid()}",
            topic_prefix=f"l{os.getpid()}-",
            partitions=8,
            keys_file=folder / "keys.json",
            fetch_wait_ms=log.fetch_wait_ms(kind),
            broker_rebalance_timeout_s=6.0,
            worker_http_port=worker_port,
            api_port=api_port,
            metrics_port=metrics_port,
            rate_per_address_per_s=10**6,
            rate_per_key_per_s=10**6,
        )
        with worker(settings) as consuming:
            consuming.until_ready()
            with api(settings) as serving:
                serving.until_ready()
                yield Place(settings, keys, consuming, serving)


class Run:
    """One load for some seconds."""

    def __init__(self, here: Place, per_s: int, seconds: float, probes_per_s: float) -> None:
        self.client = Client(
            here.settings.api_host,
            here.settings.api_port,
            {"Authorization": f"Bearer {here.keys.server}", "Content-Type": "application/json"},
        )
        self.per_s, self.seconds, self.probes_per_s = per_s, seconds, probes_per_s
        self.seen = Seen()
        self.measuring_from = 0.0
        self._name = f"{os.getpid()}x{time.time_ns() % 10**9}"

    async def go(self) -> Seen:
        """Load and probe; the first WARM_UP_S do not count."""
        bodies = self._bodies(int((self.seconds + WARM_UP_S) * self.per_s))
        began = time.perf_counter() + 0.1
        self.measuring_from = began + WARM_UP_S
        pending = [asyncio.create_task(self._probes(began))]
        for number, body in enumerate(bodies):
            due = began + number / self.per_s
            if due - time.perf_counter() > 0.001:
                await asyncio.sleep(due - time.perf_counter())
            pending.append(asyncio.create_task(self._load(body, due)))
        await asyncio.gather(*pending)
        await self.client.close()
        return self.seen

    def _bodies(self, number: int) -> list[bytes]:
        """Events of the shop, as a page sends them: without a time. One page in twenty fires a rule."""
        made = []
        for count, record in enumerate(clickstream(number, VISITORS, seed=self.per_s)):
            event = msgspec.json.decode(record.value)
            made.append(
                msgspec.json.encode(
                    {
                        "id": f"{self._name}-{count}",
                        "visitor": event["visitor"],
                        "type": event["type"],
                        "page": event["page"],
                        "props": event["props"],
                        "context": event["context"],
                    }
                )
            )
        return made

    async def _post(self, body: bytes, query: str = "") -> Answer | None:
        try:
            answer = await self.client.request("POST", "/v1/events" + query, body)
        except (OSError, asyncio.IncompleteReadError):
            answer = Answer(0, b"")
        if answer.status != 202:
            self.seen.failures += 1
            return None
        return answer

    async def _load(self, body: bytes, due: float) -> None:
        if await self._post(body) is not None and due > self.measuring_from:
            self.seen.acknowledged.append(_ms_since(due))

    async def _probes(self, began: float) -> None:
        chance = random.Random(1)
        due, running = began, []
        for number in itertools.count():
            due += chance.expovariate(self.probes_per_s)
            if due > began + WARM_UP_S + self.seconds - 2 * BETWEEN_SEARCHES_S:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            running.append(asyncio.create_task(self._probe(number, due)))
        await asyncio.gather(*running)

    async def _probe(self, number: int, first_due: float) -> None:
        visitor = f"probe-{self._name}-{number}"
        search = '{"id":"%s","visitor":"%s","type":"search","props":{"results":0,"query":"refund"}}'
        await self._post((search % (f"{visitor}a", visitor)).encode())
        due = first_due + BETWEEN_SEARCHES_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        second = (search % (f"{visitor}b", visitor)).encode()
        counts = due > self.measuring_from
        if number % 2:
            answer = await self._post(second, "?wait=1000")
            if answer is not None and counts:
                if msgspec.json.decode(answer.body)["suggestions"]:
                    self.seen.waited.append(_ms_since(due))
                else:
                    self.seen.failures += 1
            return
        if await self._post(second) is None:
            return
        posted = _ms_since(due)
        while time.perf_counter() < due + GIVE_UP_S:
            asked = time.perf_counter()
            answer = await self.client.request("GET", f"/v1/suggestions?visitor={visitor}")
            if answer.status == 200 and msgspec.json.decode(answer.body)["suggestions"]:
                if counts:
                    self.seen.polled.append(_ms_since(due))
                    self.seen.probe_post.append(posted)
                    self.seen.read.append(_ms_since(asked))
                return
            await asyncio.sleep(POLL_S)
        self.seen.failures += 1


def _ms_since(moment: float) -> float:
    return (time.perf_counter() - moment) * 1000


def _percentiles(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return (float("nan"),) * 2
    cuts = quantiles(values, n=100, method="inclusive")
    return round(cuts[49], 2), round(cuts[98], 2)


def measured(here: Place, kind: str, per_s: int, options: argparse.Namespace) -> dict[str, Any]:
    """One run, as a result row."""
    before, cpu = seconds_of(here.worker.metrics(), "avert_hop_seconds", "hop"), (here.worker.cpu_s(), here.api.cpu_s())
    began = time.monotonic()
    seen = uvloop.run(Run(here, per_s, options.seconds, options.probes).go())
    took = time.monotonic() - began
    page = here.worker.metrics()
    hops = {}
    for hop, (total, number) in seconds_of(page, "avert_hop_seconds", "hop").items():
        earlier = before.get(hop, (0.0, 0))
        hops[hop] = round((total - earlier[0]) / max(1, number - earlier[1]) * 1000, 2)
    (p50, p99), (wait_p50, wait_p99) = _percentiles(seen.polled), _percentiles(seen.waited)
    post_p50, post_p99 = _percentiles(seen.acknowledged)
    return {
        "broker": kind, "events_per_s": per_s, "p50_ms": p50, "p99_ms": p99,
        "wait_p50_ms": wait_p50, "wait_p99_ms": wait_p99,
        "probes": len(seen.polled) + len(seen.waited), "failures": seen.failures,
        "hops_ms": {"post_p50": post_p50, "post_p99": post_p99, "probe_post_p50": _percentiles(seen.probe_post)[0],
                    "worker_mean": hops, "read_p50": _percentiles(seen.read)[0]},
        "cpu_cores": {"worker": round((here.worker.cpu_s() - cpu[0]) / took, 2),
                      "api": round((here.api.cpu_s() - cpu[1]) / took, 2),
                      "load_average": load_average()},
        "lag": sum(float(value) for value in re.findall(r"^avert_lag_records\{.*\} (\S+)", page, re.MULTILINE)),
    }  # fmt: skip


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--broker", choices=("both", "embedded", "kafka"), default="both" if log.kafka_is_here() else "embedded"
    )
    parser.add_argument("--rates", default="500,2000", help="events a second, one after the other")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--probes", type=float, default=20, help="a second")
    options = parser.parse_args()
    say(machine())
    rows: list[dict[str, Any]] = []
    kinds = ("embedded", "kafka") if options.broker == "both" else (options.broker,)
    for kind, per_s in itertools.product(kinds, map(int, options.rates.split(","))):
        # A broker of its own for each: the embedded one answers the slower the more it holds.
        with (
            tempfile.TemporaryDirectory() as folder,
            log.broker_of(kind) as bootstrap,
            EmbeddedCache() as cache,
            place(kind, bootstrap, cache.url, Path(folder)) as here,
        ):
            rows.append(measured(here, kind, per_s, options))
            say(f"  {kind} at {per_s}/s: p50 {rows[-1]['p50_ms']} ms, p99 {rows[-1]['p99_ms']} ms")
    head = (
        "broker",
        "events/s",
        "p50 ms",
        "p99 ms",
        "?wait 50",
        "?wait 99",
        "probes",
        "failed",
        "worker",
        "API",
        "load",
    )
    table(head, [  # worker, API: cores; load: the machine's load average
        [row["broker"], row["events_per_s"], row["p50_ms"], row["p99_ms"], row["wait_p50_ms"], row["wait_p99_ms"],
         row["probes"], row["failures"], row["cpu_cores"]["worker"], row["cpu_cores"]["api"],
         row["cpu_cores"]["load_average"]] for row in rows
    ])  # fmt: skip
    say()
    say("where the milliseconds go (client: median; worker: mean of its batches)")
    names = list(dict.fromkeys(hop for row in rows for hop in row["hops_ms"]["worker_mean"]))
    table(("", "events/s", "POST p50", "POST p99", *names, "GET p50"), [
        [row["broker"], row["events_per_s"], row["hops_ms"]["post_p50"], row["hops_ms"]["post_p99"],
         *[row["hops_ms"]["worker_mean"].get(name, 0.0) for name in names], row["hops_ms"]["read_p50"]] for row in rows
    ])  # fmt: skip
    last_line({"budgets_ms": {"kafka_p50": 15, "kafka_p99": 40, "embedded_p99": 100}, "runs": rows})


if __name__ == "__main__":
    main()
