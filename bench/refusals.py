"""Whether the time of a refusal says why: guessed tokens of several kinds over HTTP, one after the other, in turns.

Each kind is asked once a round, the order of each round is by chance, and the medians of the kinds are compared with
the difference between the halves of one kind, which is noise. `known`: somebody who has a suggestion; `nobody`: no such
visitor.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import _log as log
from bench._http import Client
from bench._report import last_line, load_average, machine, say, table
from bench.http import LIVES_MS, avert, fill
from streams.embedded.local import LocalKeys
from streams.embedded.stack import EmbeddedCache
from streams.errors import AvertError
from streams.http.access import Access
from streams.keys import load_keys

KNOWN, NOBODY, OTHER = "visitor-0", "nobody-here", "visitor-2"
WARM_ROUNDS = 100


def guesses(access: Access, now_s: int) -> dict[str, tuple[str, str]]:
    """By kind, the visitor and the token that is refused for him."""
    good, nobodys = access.issue_token(KNOWN, now_s)[0], access.issue_token(NOBODY, now_s)[0]
    ended = access.issue_token(KNOWN, now_s - 2 * LIVES_MS // 1000)[0]
    return {
        "known, wrong signature": (KNOWN, _forged(good)),
        "nobody, wrong signature": (NOBODY, _forged(nobodys)),
        "known, ended": (KNOWN, ended),
        "known, another's token": (KNOWN, access.issue_token(OTHER, now_s)[0]),
        "known, unknown secret": (KNOWN, "none" + good[good.index("."):]),
    }


def _forged(token: str) -> str:
    return token[:-1] + ("A" if token[-1] != "A" else "B")


async def measure(port: int, asked: dict[str, tuple[str, str]], rounds: int) -> dict[str, list[float]]:
    """Microseconds of each refusal, by kind, in the order in which they came."""
    client = Client("127.0.0.1", port, {})
    order, chance = list(asked), random.Random(1)
    took: dict[str, list[float]] = {kind: [] for kind in asked}
    for number in range(WARM_ROUNDS + rounds):
        chance.shuffle(order)
        for kind in order:
            visitor, token = asked[kind]
            began_s = time.perf_counter()
            answer = await client.request("GET", f"/v1/suggestions?visitor={visitor}&token={token}")
            took_us = (time.perf_counter() - began_s) * 1e6
            if answer.status != 401:
                raise AvertError(f"{kind}: {answer.status} instead of 401")
            if number >= WARM_ROUNDS:
                took[kind].append(took_us)
    await client.close()
    return took


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--guesses", type=int, default=10_000, help="of all kinds together")
    options = parser.parse_args()
    say(machine())
    with tempfile.TemporaryDirectory() as name, log.broker_of("embedded") as bootstrap, EmbeddedCache() as cache:
        folder = Path(name)
        LocalKeys().save(folder / "keys.json")
        access = Access(load_keys(folder / "keys.json"), "minted", LIVES_MS // 1000)
        asyncio.run(fill(cache.url, access))
        with avert("Avert", folder, bootstrap, cache.url) as way:
            asked = guesses(access, int(time.time()))
            port = int(way.url.rpartition(":")[2])
            took = asyncio.run(measure(port, asked, max(1, options.guesses // len(asked))))
    rows = [
        {
            "kind": kind, "median_us": round(median(each), 1),
            "halves_differ_us": round(abs(median(each[::2]) - median(each[1::2])), 1),
        }
        for kind, each in took.items()
    ]
    table(("refused", "median µs", "its halves differ by"), [[*row.values()] for row in rows])
    medians = [float(str(row["median_us"])) for row in rows]
    last_line({
        "guesses": sum(map(len, took.values())), "kinds": rows, "spread_us": round(max(medians) - min(medians), 1),
        "load_average": load_average(),
    })
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AvertError as error:
        sys.exit(f"bench.refusals: {error}")
