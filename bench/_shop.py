"""The log of the three jobs: the shop's clickstream, and a visitor a partition whose matches come last."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import msgspec

from bench._peers import BENCH_JOBS, PARTITIONS
from bench._reference import expected_moments
from bench._workload import CLOSING_GAP_MS, MINUTE_MS, SECOND_MS, Record, clickstream
from streams.http.broker import partition_of


class Log(NamedTuple):
    """Records, the matches that are right by job, and the visitors whose matches come last."""

    records: list[Record]
    right: dict[str, set[tuple[str, int]]]
    last: tuple[str, ...]


def shop_log(events: int, visitors: int) -> Log:
    """`events` of the shop, and a handful that end it: of a visitor a partition, each with one match of every job."""
    records = list(clickstream(events, visitors))
    last = last_visitors()
    records += [record for name in last for record in _ending(name, records[-1].timestamp + MINUTE_MS)]
    records.sort(key=lambda record: record.timestamp)
    right = expected_moments(records, tuple(BENCH_JOBS.values()))
    return Log(records, {name: right[job.name] for name, job in BENCH_JOBS.items()}, last)


def last_visitors(partitions: int = PARTITIONS) -> tuple[str, ...]:
    """A name for each partition that Kafka's partitioner puts there."""
    found: dict[int, str] = {}
    for number in itertools.count():
        name = f"last-{number}"
        found.setdefault(partition_of(name.encode(), partitions), name)
        if len(found) == partitions:
            return tuple(found.values())
    raise AssertionError


def _ending(visitor: str, at: int) -> list[Record]:
    """Two empty searches, the way to a checkout, and much later a page: what is due by then has come."""
    kinds = ("search", "search", "product_view", "cart_add", "checkout_started", "page_view")
    made = []
    for number, kind in enumerate(kinds):
        time = at + number * SECOND_MS + (CLOSING_GAP_MS if kind == "page_view" else 0)
        event = {
            "id": f"{visitor}-{number}",
            "visitor": visitor,
            "type": kind,
            "ts": time,
            "received": time,
            "page": {"url": "https://shop.example/p/1", "path": "/p/1"},
            "props": {"results": 0} if kind == "search" else {},
            "context": {"device": "mobile"},
        }
        made.append(Record(time, visitor, msgspec.json.encode(event)))
    return made
