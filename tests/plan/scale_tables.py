"""The tables of docs/scale.md made by `avert plan`; ``python -m tests.plan.scale_tables`` writes them there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from streams.plan.costs import costs_with
from streams.plan.demand import Demand
from streams.plan.limits import limits_of
from streams.plan.simulate import Simulated, simulate, trial_of
from streams.plan.sizing import Plan, plan

LOADS = (10_000, 100_000, 1_000_000)
BOT = 0.05
FIRST = 5
COSTS = costs_with({})


def demand_of(load: int, **more: float) -> Demand:
    return Demand(events_per_second=load, **more)  # type: ignore[arg-type]


def tried(demand: Demand, found: Plan) -> Simulated:
    """As `avert plan` simulates."""
    return simulate(trial_of(demand, COSTS, found))


def number(value: float) -> str:
    """Two digits, in words where it is large."""
    for size, word in ((1e9, " billion"), (1e6, " million")):
        if value >= size:
            return f"{value / size:.2g}{word}" if value < 100 * size else f"{value / size:.0f}{word}"
    return f"{value:,.0f}"


def bytes_of(gib: float) -> str:
    """GiB, or TiB."""
    return f"{gib / 1024:,.0f} TiB" if gib >= 10_240 else f"{gib / 1024:.1f} TiB" if gib >= 1024 else f"{gib:,.0f} GiB"


def rate(mb_per_s: float) -> str:
    """MB/s, or GB/s."""
    return f"{mb_per_s / 1000:.1f} GB/s" if mb_per_s >= 1000 else f"{mb_per_s:,.0f} MB/s"


def after(simulated: Simulated) -> str:
    """How long the busiest worker takes to catch up."""
    return "never" if simulated.catch_up_s is None else f"{simulated.catch_up_s:.0f} s"


def topic(found: Plan, name: str, what: Callable[[float, float], str]) -> str:
    """A cell of a topic's, of MB/s and GiB."""
    (one,) = [each for each in found.topics if each.name == name]
    return what(one.mb_per_s, one.disk_gib)


Cell = Callable[[Demand, Plan, Simulated], str]

THREE_LOADS: dict[str, Cell] = {
    "at peak": lambda d, p, s: f"{d.peak:,.0f}",
    "visitors with a row": lambda d, p, s: number(d.visitors),
    "partitions": lambda d, p, s: f"{p.partitions:,}",
    "workers": lambda d, p, s: f"{p.workers:,}",
    "memory of one": lambda d, p, s: f"{p.worker_memory_mib / 1024:.1f} GiB",
    "their memory together": lambda d, p, s: bytes_of(p.worker_memory_all_mib / 1024),
    "API processes": lambda d, p, s: f"{p.api_processes:,}",
    "Kafka brokers": lambda d, p, s: f"{p.brokers:,}",
    "into Kafka at peak, before replication": lambda d, p, s: rate(p.kafka_in_mb_per_s),
    "of it the changelog": lambda d, p, s: topic(p, "changelog", lambda mb, _: rate(mb)),
    "of it the events": lambda d, p, s: topic(p, "clickstream", lambda mb, _: rate(mb)),
    "of it the totals": lambda d, p, s: topic(p, "totals", lambda mb, _: rate(mb)),
    "Kafka's disk, 3 copies": lambda d, p, s: bytes_of(p.kafka_disk_gib),
    "of it events, 7 days": lambda d, p, s: topic(p, "clickstream", lambda _, gib: bytes_of(gib)),
    "of it decisions, outcomes, journeys, 90 days": lambda d, p, s: bytes_of(
        sum(one.disk_gib for one in p.topics if one.name in ("decisions", "outcomes", "journeys"))
    ),
    "of it the changelog, compacted": lambda d, p, s: topic(p, "changelog", lambda _, gib: bytes_of(gib)),
    "cache, memory": lambda d, p, s: bytes_of(p.redis_memory_mib / 1024),
    "cache, commands at peak": lambda d, p, s: f"{p.redis_ops_per_s:,.0f}/s",
    "cells": lambda d, p, s: f"{p.cells:,}",
    "a lost worker's visitors wait at most": lambda d, p, s: f"{p.recovery_s:.0f} s",
    "simulated: busiest worker beside the mean": lambda d, p, s: f"{s.skew:.1f}",
    "simulated: of what its core can do, at peak": lambda d, p, s: f"{s.utilisation:.0%}".replace("%", " %"),
    "simulated: caught up after an outage of a minute": lambda d, p, s: after(s),
}

REMEDIES: dict[str, dict[str, float]] = {
    "as it comes": {},
    "a lost worker's visitors may wait for three minutes (`--recovery-s 180`)": {"recovery_s": 180},
    "the same, and workers of up to 16 GiB": {"recovery_s": 180, "worker_mib": 16_384},
    "outcomes told of within a day instead of three (`AVERT_OUTCOME_DELAY_MS`, `--exposed-s 172800`)": {
        "exposed_s": 172_800,
    },
    "all of it": {"recovery_s": 180, "worker_mib": 16_384, "exposed_s": 172_800},
}


def line(*cells: str) -> str:
    """A row of a table."""
    return "| " + " | ".join(cells) + " |"


def three_loads() -> list[str]:
    """Section "Three loads": all but the head."""
    plans = [(one, found, tried(one, found)) for one in map(demand_of, LOADS) for found in (plan(one, COSTS),)]
    return [line(name, *(cell(*each) for each in plans)) for name, cell in THREE_LOADS.items()]


def remedies() -> list[str]:
    """Workers, with what makes them fewer."""
    return [
        line(name, *(f"{plan(demand_of(load, **more), COSTS).workers:,}" for load in LOADS))
        for name, more in REMEDIES.items()
    ]


def first_to_break() -> list[str]:
    """Section "What breaks first": the limits that are nearest, and how often the load they lie at."""
    rows = []
    for load in LOADS:
        demand = demand_of(load)
        nearest = limits_of(demand, COSTS, plan(demand, COSTS))[:FIRST]
        rows.append(line(f"{load:,}/s", *(f"{one.limit.name} ({one.headroom:.1f})" for one in nearest)))
    return rows


def bots() -> list[str]:
    """Section "Hot keys": one visitor with a twentieth of everything."""
    rows = []
    for load in LOADS:
        cells = []
        for limit in (0, Demand(events_per_second=1).visitor_events_per_minute_max):
            demand = demand_of(load, top_visitor_share=BOT, visitor_events_per_minute_max=limit)
            simulated = tried(demand, plan(demand, COSTS))
            cells.append(f"{simulated.utilisation:.0%}".replace("%", " %") + f", {after(simulated)}")
        rows.append(line(f"{load:,}", f"{demand_of(load).peak * BOT:,.0f}", *cells))
    return rows


TABLES: dict[str, Callable[[], Iterable[str]]] = {
    "three loads": three_loads, "remedies": remedies, "first to break": first_to_break, "bots": bots,
}  # fmt: skip

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


def write() -> None:
    """Put each row in the place of the one that begins with the same cell, in a table as wide."""
    lines = PAGE.read_text().split("\n")
    for table in TABLES.values():
        for row in table():
            begins, wide = row[: row.index(" | ") + 3], row.count(" | ")
            places = [at for at, old in enumerate(lines) if old.startswith(begins) and old.count(" | ") == wide]
            assert len(places) == 1, f"{len(places)} rows of docs/scale.md begin with {begins}"
            lines[places[0]] = row
    PAGE.write_text("\n".join(lines))


if __name__ == "__main__":
    write()
