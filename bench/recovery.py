"""How fast a worker reads its visitors again: rows a second of the changelog, on Apache Kafka.

``python -m bench.recovery [--visitors 60000] [--visit-events 4] [--partitions 4] [--turns 2]``. A worker with the fifty
rules of every kind applies a log, so that each visitor has some rows in the changelog, of which the last counts; it is
stopped, and another is started in its place. Seconds are those that the worker tells of its recovery (until the last
row is read and the timers are set), without its start and without the group's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from bench import _log as log
from bench._fifty import write_fifty
from bench._processes import leased_port, worker
from bench._report import last_line, load_average, machine, say, table
from bench._workload import SESSION_TIMEOUT_MS, Record, clickstream
from streams.embedded.stack import EmbeddedCache
from streams.settings import Settings


def sample(page: str, name: str) -> float:
    """A sample of a metrics page."""
    found = re.search(rf"^{name} (\S+)$", page, re.MULTILINE)
    assert found, name
    return float(found[1])


async def fill(settings: Settings, records: list[Record]) -> float:
    """Have a worker apply the log, and end; bytes of the rows that it wrote."""
    topic, partitions = settings.topic("clickstream"), settings.partitions
    await log.create_topic(settings.kafka_bootstrap, topic, partitions)
    await log.preload(settings.kafka_bootstrap, topic, partitions, records)
    goal = await log.ends(settings.kafka_bootstrap, topic, partitions)
    with worker(settings) as program:
        await asyncio.to_thread(program.until_ready)
        await log.until_committed(settings.kafka_bootstrap, settings.app_id, goal, program.child.check)
        return sample(await asyncio.to_thread(program.metrics), "avert_changelog_bytes_total")


def again(settings: Settings) -> dict[str, Any]:
    """Start another in its place; what it tells of its recovery."""
    with worker(settings) as program:
        page = program.until_ready().metrics()
    rows, seconds = sample(page, "avert_recovered_rows_total"), sample(page, "avert_recovery_seconds")
    return {
        "rows": int(rows), "visitors": int(sample(page, "avert_live_visitors")), "seconds": seconds,
        "rows_per_s": round(rows / seconds), "load_average": load_average(),
    }  # fmt: skip


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=60_000)
    parser.add_argument("--visit-events", type=int, default=4, help="of each visitor, in all")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    say(machine())
    records = list(clickstream(options.visitors * options.visit_events, options.visitors))
    with (
        tempfile.TemporaryDirectory() as folder, log.broker_of("kafka") as bootstrap, EmbeddedCache() as cache,
        leased_port() as port,
    ):  # fmt: skip
        name = f"r{os.getpid()}"
        settings = Settings(
            kafka_bootstrap=bootstrap, redis_url=cache.url, rules_dir=write_fifty(Path(folder)), app_id=name,
            topic_prefix=f"{name}-", partitions=options.partitions, session_timeout_ms=SESSION_TIMEOUT_MS,
            worker_http_port=port,
        )  # fmt: skip
        written = asyncio.run(fill(settings, records))
        turns = [again(settings) for _ in range(options.turns)]
    table(("rows read", "visitors", "seconds", "rows/s", "load"), [
        [turn["rows"], turn["visitors"], turn["seconds"], turn["rows_per_s"], turn["load_average"]] for turn in turns
    ])  # fmt: skip
    say(f"a row {written / turns[0]['rows']:,.0f} bytes in the mean, the lines of the totals in it")
    last_line({
        "turns": turns, "row_bytes": written / turns[0]["rows"],
        "costs": {"recovery_rows_per_s": median(turn["rows_per_s"] for turn in turns)},
    })  # fmt: skip


if __name__ == "__main__":
    main()
