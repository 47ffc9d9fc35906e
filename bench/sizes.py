"""How large things are: a visitor's row and memory, the records that leave the worker, a suggestion in the cache.

``python -m bench.sizes [--rules 50|shipped|shipped-without-funnels] [--visitors 2000] [--visit-events 12]``. The
worker's own loop without a broker, and a real cache. Sizes do not depend on how fast the machine is; half a minute. The
last line has them under the names that they have in a file for ``avert plan --costs``.

1. Each visitor comes twice, for a visit of `--visit-events` each, in time order and in batches so small that each event
   is a batch of its visitor: a row is written for each event, as where little waits.
2. Then the clock goes on until visits have ended and nothing comes late any more: whose row stays was exposed.
3. Memory is what Python's allocators gave (tracemalloc), of the live objects first, then of what is kept beside rows.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, quantiles
from typing import Any, NamedTuple

import msgspec
import redis.asyncio as redis

from bench._fifty import write_fifty
from bench._report import last_line, machine, say, table
from bench._workload import SESSION_TIMEOUT_MS, Record, clickstream
from bench.funnels import rules as shipped
from bench.funnels import shop
from streams.core import build
from streams.core.effects import Suggestion
from streams.core.ruleset import EngineOptions, Ruleset
from streams.delivery import Delivery
from streams.embedded.stack import EmbeddedCache
from streams.rulefiles.load import load_rules
from streams.worker.apply import EFFECT_TOPIC, Applier, Work
from streams.worker.machine import core_machine
from streams.worker.partition import PartitionMemory
from streams.worker.totals import portions

RULES = ("50", "shipped", "shipped-without-funnels")
BATCH = 20  # events of one partition and poll: a live load leaves few
RECORD_BYTES = 12  # of a Kafka record beside key and value: lengths, deltas; its batch's head shared by many
_AFTER_MS = SESSION_TIMEOUT_MS + 60 * 60_000  # visits have ended, and what was late has come
_CACHED_MAX = 2_000


class Taken(NamedTuple):
    """A record as the worker's loop takes it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[()] = ()


class Site:
    """One partition of a site whose visitors come and go, and what left it."""

    def __init__(self, ruleset: Ruleset, batch: int) -> None:
        machine = core_machine(ruleset)
        self._applier = Applier(machine, "clickstream")
        self.memory = PartitionMemory(0, machine)
        self.rows: list[int] = []
        self.records: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()
        self.suggestions: list[Suggestion] = []
        self.lines: list[int] = []  # of the totals, in the changelog
        self._batch = batch
        self._at = 0

    def play(self, log: Iterator[Record] | list[Record]) -> int:
        """Apply all, in small batches; how many there were."""
        taken = [Taken(self._at + n, one.timestamp, one.visitor.encode(), one.value) for n, one in enumerate(log)]
        for first in range(0, len(taken), self._batch):
            batch = taken[first : first + self._batch]
            self._note(self._applier.apply(self.memory, batch, batch[-1].timestamp, None))
            self.memory.done = batch[-1].offset
        self._at += len(taken)
        return len(taken)

    def let_time_pass(self, ms: int) -> None:
        """Everything is committed; then nobody does anything for so long."""
        self.memory.commit(self._at)
        until = self.memory.clock + ms
        while self._note(self._applier.apply(self.memory, [], until, until)):
            pass

    def _note(self, work: Work) -> int:
        self.rows += [len(row.value) for row in work.rows if row.value]
        for topic, rows in work.records(str).items():
            self.records[topic] += len(rows)
            self.sizes[topic] += sum(len(row.key or b"") + len(row.value or b"") + RECORD_BYTES for row in rows)
        for portion in portions(work.rows, work.counted, self.memory.totals):
            self.lines += [len(key) + 1 + len(value) + RECORD_BYTES for key, value in portion.lines.items()]
        self.suggestions += [one for one in work.changes if isinstance(one, Suggestion)]
        return work.woken


def ruleset_of(name: str) -> Ruleset:
    """The rules that are asked for: see RULES."""
    if name != "50":
        return shipped(funnels=name == "shipped")
    with tempfile.TemporaryDirectory() as folder:
        return load_rules(write_fifty(Path(folder)), EngineOptions(session_timeout_ms=SESSION_TIMEOUT_MS))


def allocated() -> int:
    """Bytes that live Python objects take now."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def memory_of(site: Site) -> tuple[float, float]:
    """Bytes a visitor: of its live object, and of what is kept beside a row's own bytes. Takes both away."""
    visitors, rows = len(site.memory.rows), sum(map(len, site.memory.rows.values()))
    full = allocated()
    site.memory.hot.clear()
    cold = allocated()
    site.memory.rows.clear()
    site.memory.timers.__init__()  # type: ignore[misc]
    site.memory._sessions_of.clear()
    return (full - cold) / visitors, (cold - allocated() - rows) / visitors


async def cached_bytes(suggestions: list[Suggestion], url: str) -> float:
    """Bytes of the cache for one suggestion, its key and its share of a visitor's hash."""
    far = 4_000_000_000_000
    some = [msgspec.structs.replace(one, expires=far) for one in suggestions[:_CACHED_MAX]]
    client, delivery = redis.Redis.from_url(url), Delivery(url, 5_000)
    await delivery.start()
    try:
        before = (await client.info("memory"))["used_memory"]
        for first in range(0, len(some), 200):
            await delivery.deliver(some[first : first + 200], {})
        return float((await client.info("memory"))["used_memory"] - before) / len(some)
    finally:
        await delivery.close()
        await client.aclose()


def sizes(name: str, visitors: int, visit_events: int, batch: int) -> tuple[list[list[Any]], dict[str, float]]:
    """The lines of the table, and the figures that a plan takes."""
    ruleset, made = ruleset_of(name), clickstream if name == "50" else shop
    log = list(made(2 * visit_events * visitors, visitors))
    site = Site(ruleset, batch)
    events = site.play(log)
    live, largest = mean(site.rows), quantiles(site.rows, n=100)[98]
    site.let_time_pass(_AFTER_MS)
    kept = list(map(len, site.memory.rows.values()))
    again = Site(ruleset, batch)
    tracemalloc.start()
    again.play(log[: len(log) // 2])
    hot, beside = memory_of(again)
    tracemalloc.stop()
    with EmbeddedCache() as cache:
        cached = asyncio.run(cached_bytes(site.suggestions, cache.url))
    lines: list[list[Any]] = [
        ["an event in the log, bytes", mean(len(one.value) + len(one.visitor) + RECORD_BYTES for one in log), ""],
        ["a row during a visit, bytes", live, f"99 % up to {largest:,.0f}"],
        ["a row after it", mean(kept) if kept else 0, f"{len(kept) / visitors:.0%} of the visitors have one"],
        ["a live object, bytes of memory", hot, ""],
        ["beside a row, bytes of memory", beside, ""],
        ["a suggestion in the cache, bytes", cached, ""],
        ["lines of the totals: written an event", len(site.lines) / events, f"{mean(site.lines):,.0f} bytes each"],
    ]
    costs = {
        "visitor_row_bytes": live, "kept_row_bytes": mean(kept) if kept else 0.0, "visitor_hot_bytes": hot,
        "visitor_overhead_bytes": beside, "suggestion_redis_bytes": cached,
        "line_bytes": mean(site.lines),
    }  # fmt: skip
    for topic in dict.fromkeys(EFFECT_TOPIC.values()):
        if number := site.records[topic]:
            each = site.sizes[topic] / number
            lines.append([f"{topic}: records an event", number / events, f"{each:,.0f} bytes each"])
            of = len(ruleset.funnels.all) if topic == "journeys" else 1
            costs |= {f"{topic}_per_event": number / events / of, f"{topic.removesuffix('s')}_bytes": each}
    return lines, {key: round(value, 3) for key, value in costs.items()}


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", choices=RULES, default=RULES[0])
    parser.add_argument("--visitors", type=int, default=2_000)
    parser.add_argument("--visit-events", type=int, default=12)
    parser.add_argument("--batch", type=int, default=BATCH)
    options = parser.parse_args()
    say(f"{machine()}; core {build()}")
    lines, costs = sizes(options.rules, options.visitors, options.visit_events, options.batch)
    table(("what", "how much", ""), lines)
    last_line({"rules": options.rules, "visit_events": options.visit_events, "costs": costs})


if __name__ == "__main__":
    main()
