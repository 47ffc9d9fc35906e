"""What funnels cost an event: the engine with ``rules/`` as shipped, with and without ``funnels.yaml``, in turns.

``python -m bench.funnels [--events 40000] [--visitors 1400] [--turns 5]``. CPU us an event (the least of the turns, and
the median), and the bytes of a row, with parsing and with the rows encoded once a batch, as in `bench.engine`.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec

from bench._report import last_line, load_average, machine, say
from bench._workload import Record, clickstream
from bench.engine import Partition
from streams.core.ruleset import EngineOptions, Ruleset
from streams.core.visitor import encode_visitor
from streams.rulefiles.load import load_rules

RULES = Path(__file__).parents[1] / "rules"
BATCH = 500
# The benchmarks' clickstream, in the words of the rules as shipped.
_TYPES = {"cart_add": "add_to_cart", "product_view": "page_view"}
_PAGES = ("/", "/list/a", "/list/b", "/about", "/basket")


def shop(events: int, visitors: int) -> Iterator[Record]:
    """The clickstream whose pages have paths."""
    chance = random.Random(3)
    for record in clickstream(events, visitors):
        event = msgspec.json.decode(record.value)
        kind = event["type"]
        if kind in ("product_view", "page_view"):
            path = f"/p/item{chance.randrange(50)}" if kind == "product_view" else chance.choice(_PAGES)
            event["page"] = {"path": path}
        event["type"] = _TYPES.get(kind, kind)
        yield Record(record.timestamp, record.visitor, msgspec.json.encode(event))


def rules(funnels: bool) -> Ruleset:
    """The rules as shipped."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(RULES, Path(folder) / "rules"))
        if not funnels:
            (copy / "funnels.yaml").unlink()
        return load_rules(copy, EngineOptions())


def turn(ruleset: Ruleset, log: list[Record]) -> tuple[float, float]:
    """CPU us an event, bytes of a row in the mean."""
    partition, written, rows = Partition(ruleset), 0, 0
    begun = time.process_time()
    for at in range(0, len(log), BATCH):
        for name in partition.apply(log[at : at + BATCH]):
            state = partition.visitors.get(name)
            if state is not None:
                written += len(encode_visitor(state))
                rows += 1
    return (time.process_time() - begun) / len(log) * 1e6, written / rows


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("events", 40_000), ("visitors", 1_400), ("turns", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    log = list(shop(options.events, options.visitors))
    sets = {"without funnels": rules(funnels=False), "with funnels": rules(funnels=True)}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sets}
    for _ in range(options.turns):
        for name, ruleset in sets.items():
            found[name].append(turn(ruleset, log))
    say(machine())
    rows = {}
    for name, turns in found.items():
        costs = [cost for cost, _ in turns]
        rows[name] = {"us": round(min(costs), 1), "median_us": round(median(costs), 1), "row_bytes": round(turns[0][1])}
        say("{}: {us} us an event, median {median_us}; a row {row_bytes} bytes".format(name, **rows[name]))
    last_line({"events": options.events, "load_average": load_average(), **rows})


if __name__ == "__main__":
    main()
