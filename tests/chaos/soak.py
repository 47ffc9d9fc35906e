"""A steady load for a long time: is the memory of worker and API flat? ``python -m tests.chaos.soak --minutes 10``.

Visitors come and go: each lives for ten seconds, sessions end after one minute, and what is left of a visitor (ids,
exposures, suggestions) matters for two minutes more, so that from the fourth minute on as many rows expire as are made.
(With the program's own times that would be hours.) Memory is sampled once a second; of the samples after the warm-up a
straight line is fitted, and what it rises over their time must be a small share of their mean. The last line of the
output is the result as JSON; the exit code is 1 when a memory is not flat.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench._processes import Program, api, leased_port, worker
from bench._workload import TYPES
from streams.embedded.kafka import KafkaNode, fetch_libs
from streams.embedded.local import LocalKeys
from streams.embedded.stack import EmbeddedCache
from streams.settings import Settings
from tests.chaos.house import PAGE_BYTES
from tests.chaos.manyrules import fifty_rules

PER_S = 1_000
BATCH = 50  # events a request
READS_PER_S = 20
VISITORS_AT_ONCE = 2_000
VISITOR_S = 10  # 200 new ones a second
SESSION_MS = 60_000
LATENESS_MS = 60_000
ATTRIBUTION_MS = 120_000
# Until as many rows go as come, the API's cache of partitions (65,536 visitors) is full, and the allocators have seen
# their greatest need.
WARM_UP_S_MIN = 360.0
RISE_MAX = 0.04  # of the mean, over the time after the warm-up
SAMPLE_S = 1.0
QUARTERS = 4  # means of which are told beside the line


@dataclass
class Memory:
    """Resident memory of one process over time."""

    name: str
    program: Program
    samples: list[tuple[float, float]] = field(default_factory=list)  # seconds since the start, MiB

    def sample(self, at_s: float) -> None:
        """Look."""
        pages = int(Path(f"/proc/{self.program.pid}/statm").read_text().split()[1])
        self.samples.append((at_s, pages * PAGE_BYTES / 2**20))

    def judged(self, warm_up_s: float) -> dict[str, Any]:
        """The line through what was sampled after the warm-up."""
        after = [sample for sample in self.samples if sample[0] >= warm_up_s]
        times, sizes = zip(*after, strict=True)
        slope, _ = statistics.linear_regression(times, sizes)
        mean = statistics.fmean(sizes)
        quarter = max(1, len(sizes) // QUARTERS)
        quarters = [round(statistics.fmean(sizes[at * quarter:(at + 1) * quarter]), 1) for at in range(QUARTERS)]
        rise = slope * (times[-1] - times[0]) / mean
        return {
            "mean_mib": round(mean, 1), "max_mib": round(max(sizes), 1), "quarters_mib": quarters,
            "slope_mib_per_h": round(slope * 3600, 2), "rise_share": round(rise, 4), "flat": rise <= RISE_MAX,
        }  # fmt: skip


def batches(seed: int = 1) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(a visitor, events): the population moves on with time."""
    chance, began = random.Random(seed), time.monotonic()
    for number in itertools.count():
        youngest = int((time.monotonic() - began) * VISITORS_AT_ONCE / VISITOR_S)
        events = []
        for index in range(BATCH):
            visitor = f"v{chance.randrange(youngest, youngest + VISITORS_AT_ONCE)}"
            props = {"results": chance.choice((0, 3)), "sku": f"s{index}", "total": chance.uniform(1, 99)}
            events.append({
                "id": f"{number}-{index}", "visitor": visitor, "type": chance.choice(TYPES), "props": props,
                "page": {"path": f"/p/{index}"},
            })  # fmt: skip
        yield visitor, events


async def load(url: str, key: str, seconds: float, memories: list[Memory]) -> int:
    """Send at PER_S and read, for so long; sample the memories. Returns how many events were accepted."""
    accepted, began, made = 0, time.monotonic(), batches()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client:
        for number in itertools.count():
            now_s = time.monotonic() - began
            if now_s >= seconds:
                return accepted
            visitor, events = next(made)
            async with client.post(f"{url}/v1/events", json={"events": events}) as answer:
                assert answer.status == 202, await answer.text()
                accepted += (await answer.json())["accepted"]
            if number % (PER_S // BATCH // READS_PER_S) == 0:
                async with client.get(f"{url}/v1/suggestions", params={"visitor": visitor}) as answer:
                    assert answer.status == 200, await answer.text()
                    await answer.read()
            if not memories[0].samples or now_s - memories[0].samples[-1][0] >= SAMPLE_S:
                for memory in memories:
                    memory.sample(now_s)
            await asyncio.sleep(max(0.0, began + (number + 1) * BATCH / PER_S - time.monotonic()))
    raise AssertionError("unreachable")


def short_lived(folder: Path) -> Path:
    """The fifty rules, with suggestions that expire after a minute."""
    for file in fifty_rules(folder).glob("*.yaml"):
        text = file.read_text().replace("  expires: 10m\n", "")
        file.write_text(text.replace("suggest:\n", "suggest:\n  expires: 1m\n"))
    return folder


def gauge(page: str, name: str) -> float:
    """The sum of a metric over its labels."""
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE))


def soak(minutes: float) -> dict[str, Any]:
    """The result, as it is printed."""
    seconds = minutes * 60
    warm_up_s = max(WARM_UP_S_MIN, seconds / 3)
    if seconds < warm_up_s + 120:
        sys.exit(f"after {WARM_UP_S_MIN:.0f} s of warm-up two minutes at least are needed: --minutes 8")
    with contextlib.ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        node, cache = ends.enter_context(KafkaNode(libs=fetch_libs())), ends.enter_context(EmbeddedCache())
        ports = [ends.enter_context(leased_port()) for _ in range(3)]
        keys = LocalKeys()
        keys.save(folder / "keys.json")
        settings = Settings(
            kafka_bootstrap=node.address, redis_url=cache.url, rules_dir=short_lived(folder / "rules"), partitions=4,
            keys_file=folder / "keys.json", worker_http_port=ports[0], api_port=ports[1], metrics_port=ports[2],
            session_timeout_ms=SESSION_MS, max_lateness_ms=LATENESS_MS, attribution_window_ms=ATTRIBUTION_MS,
            log_level="warning",
        )  # fmt: skip
        one, front = ends.enter_context(worker(settings)).until_ready(), ends.enter_context(api(settings)).until_ready()
        memories = [Memory("worker", one), Memory("api", front)]
        began = time.monotonic()
        accepted = asyncio.run(load(f"http://127.0.0.1:{ports[1]}", keys.server, seconds, memories))
        took_s = time.monotonic() - began
        page = one.metrics()
        result: dict[str, Any] = {
            "minutes": minutes, "warm_up_s": round(warm_up_s), "events": accepted,
            "events_per_s": round(accepted / took_s), "cores": os.cpu_count(),
            "live_visitors": gauge(page, "avert_live_visitors"), "lag": gauge(page, "avert_lag_records"),
        }  # fmt: skip
        for memory in memories:
            result[memory.name] = memory.judged(warm_up_s)
        return result


def main() -> int:
    """Run; 1 when a memory is not flat."""
    parser = argparse.ArgumentParser(description="a steady load for a long time: is the memory flat?")
    parser.add_argument("--minutes", type=float, default=10.0)
    result = soak(parser.parse_args().minutes)
    print(json.dumps(result))
    return 0 if result["worker"]["flat"] and result["api"]["flat"] else 1


if __name__ == "__main__":
    sys.exit(main())
