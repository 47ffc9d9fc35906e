"""The two busiest routes of the API, one process, beside the same two in plain FastAPI on uvicorn; in one run.

`GET /v1/suggestions` by token from Redis, 1,000 visitors of whom every other has a suggestion; `POST /v1/events` in
batches of 10. Load by wrk (Debian: wrk), which shares the machine's cores with what it measures; runs alternate, and
the median is told. CPU time (of a suggestion read, of an event taken in) is the process's own. Avert is measured as it
comes; with its limits counted in Redis, as for several processes; and with open streams of suggestions beside.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import _log as log
from bench._peers import CACHE, set_up_venv
from bench._processes import Program, api, leased_port
from bench._report import last_line, load_average, machine, say, table
from streams.core.effects import Suggestion
from streams.delivery import Delivery
from streams.embedded.local import LocalKeys
from streams.embedded.stack import EmbeddedCache
from streams.errors import AvertError
from streams.http.access import Access
from streams.keys import load_keys
from streams.settings import Settings

VISITORS = 1_000
BATCH = 10
LIVES_MS = 3_600_000
BUDGETS = {"suggestions_per_s": 8_000, "suggestions_p99_ms": 10, "events_per_s": 15_000}
UNLIMITED = 10**9  # what is measured is the work, and every request of the load comes from one address

_GET = """
local paths = {}
for line in io.lines("%s") do paths[#paths + 1] = line end
local at = math.random(#paths)
request = function()
  at = at %% #paths + 1
  local visitor, token = paths[at]:match("(%%S+) (%%S+)")
  return wrk.format("GET", "/v1/suggestions?visitor=" .. visitor, {["Authorization"] = "Bearer " .. token})
end
"""
_POST = """
local number = 0
local name = tostring(math.random(1e9)) .. tostring(os.time())
request = function()
  local events = {}
  for i = 1, %d do
    number = number + 1
    events[i] = string.format('{"id":"%%s-%%d","visitor":"visitor-%%d","type":"page_view","ts":%%d,' ..
      '"page":{"path":"/product/%%d","title":"A product"},"props":{"sku":"A-%%d","price":12.5,"query":"blue shoes"},' ..
      '"context":{"device":"mobile","locale":"en-GB","consent":true}}',
      name, number, number %% 5000, os.time() * 1000, number %% 100, number %% 100)
  end
  return wrk.format("POST", "/v1/events", {["X-Write-Key"] = "%s", ["Content-Type"] = "application/json"},
    '{"events":[' .. table.concat(events, ",") .. ']}')
end
done = function(summary, latency)
  io.write(string.format("refused %%d\\n", summary.errors.status))
end
"""


class NoWrkError(AvertError):
    """The load generator is missing."""


@dataclass
class Way:
    """One way to serve the two routes, running."""

    name: str
    program: Program
    url: str


@dataclass(frozen=True)
class Load:
    """What wrk said: requests a second, ms, how many were not a success; and the process's CPU time a request."""

    per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    cpu_us: float


def wrk(way: Way, script: Path, connections: int, seconds: float) -> Load:
    """One load. Raises NoWrkError."""
    program = shutil.which("wrk")
    if program is None:
        raise NoWrkError("wrk is not installed (Debian: apt-get install wrk)")
    before_s = way.program.cpu_s()
    said = subprocess.run(
        [program, "-t2", f"-c{connections}", f"-d{seconds:g}s", "--latency", "-s", str(script), way.url],
        capture_output=True, text=True, check=True,
    ).stdout
    spent_s = way.program.cpu_s() - before_s
    (requests,) = re.findall(r"(\d+) requests in", said)
    (per_s,) = re.findall(r"Requests/sec:\s+(\S+)", said)
    percent = dict(re.findall(r"^\s+(50|99)%\s+(\S+) *$", said, re.MULTILINE))
    failed = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", said)))
    errors = re.findall(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    failed += sum(int(number) for each in errors for number in each)
    return Load(float(per_s), _ms(percent["50"]), _ms(percent["99"]), failed, spent_s / max(1, int(requests)) * 1e6)


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # wrk's own form
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}[unit]


async def fill(redis_url: str, access: Access) -> list[str]:
    """Suggestions for every other visitor; a line `visitor token` for each."""
    delivery = Delivery(redis_url, 5_000)
    now_ms = int(time.time() * 1000)
    visitors = [f"visitor-{number}" for number in range(VISITORS)]
    await delivery.deliver([
        Suggestion(
            id=f"s-{visitor}", visitor=visitor, session="visit-1", rule="search-dead-end", version="0123456789ab",
            placement="help-banner", priority=60, created=now_ms, expires=now_ms + LIVES_MS,
            title={"en": "Can't find it?", "it": "Non lo trovi?"},
        )
        for visitor in visitors[::2]
    ], {})
    await delivery.close()
    return [f"{visitor} {access.issue_token(visitor, now_ms // 1000)[0]}" for visitor in visitors]


def _settings(folder: Path, bootstrap: str, redis_url: str, **ports: Any) -> Settings:
    return Settings(
        kafka_bootstrap=bootstrap, redis_url=redis_url, topic_prefix=f"h{os.getpid()}-", partitions=4,
        keys_file=folder / "keys.json", rate_per_key_per_s=UNLIMITED, rate_per_address_per_s=UNLIMITED,
        rate_per_visitor_per_s=UNLIMITED, token_ttl_s=LIVES_MS // 1000, log_level="warning", **ports,
    )


@contextlib.contextmanager
def avert(name: str, folder: Path, bootstrap: str, redis_url: str, **changes: Any) -> Iterator[Way]:
    """The API, one process."""
    with leased_port() as port, leased_port() as metrics:
        settings = _settings(folder, bootstrap, redis_url, api_port=port, metrics_port=metrics, **changes)
        with api(settings) as program:
            program.until_ready()
            yield Way(name, program, f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def fastapi(bootstrap: str, redis_url: str, keys: LocalKeys) -> Iterator[Way]:
    """The peer, one process."""
    set_up_venv("fastapi")
    with leased_port() as port:
        environment = {
            "PEER_SECRET": keys.secret, "PEER_SECRET_ID": "local", "PEER_WRITE_KEY": keys.write,
            "PEER_REDIS_URL": redis_url, "PEER_BOOTSTRAP": bootstrap, "PEER_TOPIC": f"h{os.getpid()}-clickstream",
        }
        argv = ["-m", "uvicorn", "bench.peers.fastapi_http:app", "--port", str(port), "--no-access-log"]
        python = str(CACHE / "venv-fastapi" / "bin/python")
        url = f"http://127.0.0.1:{port}"
        with Program("fastapi", argv, environment, url, executable=python) as program:
            program.until_ready()
            yield Way("FastAPI on uvicorn", program, url)


@contextlib.contextmanager
def streams_open(way: Way, tokens: list[str], count: int) -> Iterator[None]:
    """A process that holds `count` streams open and reads what comes."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as lines:
        lines.write("\n".join(tokens[number % len(tokens)] for number in range(count)))
        lines.flush()
        with Program("streams", ["-m", "bench._streams", way.url, lines.name], {}) as holder:
            holder.child.wait_until(lambda: "open" in holder.log_text(), 60)
            yield


def measure(way: Way, scripts: dict[str, Path], options: argparse.Namespace) -> dict[str, Load]:
    """Both routes, one after the other."""
    found = {}
    for route, script in scripts.items():
        wrk(way, script, options.connections, 1)  # warm
        found[route] = wrk(way, script, options.connections, options.seconds)
    return found


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All ways, alternating; a row each."""
    kind = "kafka" if options.kafka else "embedded"
    loads: dict[str, list[dict[str, Load]]] = {}
    with tempfile.TemporaryDirectory() as name, log.broker_of(kind) as bootstrap, EmbeddedCache() as cache:
        folder, keys = Path(name), LocalKeys()
        keys.save(folder / "keys.json")
        tokens = asyncio.run(fill(cache.url, Access(load_keys(folder / "keys.json"), "minted", LIVES_MS // 1000)))
        (folder / "tokens.txt").write_text("\n".join(tokens))
        scripts = {"suggestions": folder / "get.lua", "events": folder / "post.lua"}
        scripts["suggestions"].write_text(_GET % (folder / "tokens.txt"))
        scripts["events"].write_text(_POST % (options.batch, keys.write))
        with (
            avert("Avert", folder, bootstrap, cache.url) as plain,
            avert("Avert, limits in Redis", folder, bootstrap, cache.url, limits_in="redis") as shared,
            fastapi(bootstrap, cache.url, keys) as peer,
        ):
            for number in range(options.runs):
                for way in (plain, shared, peer):
                    loads.setdefault(way.name, []).append(measure(way, scripts, options))
                with streams_open(plain, tokens, options.streams):
                    busy = f"Avert, {options.streams:,} streams open"
                    loads.setdefault(busy, []).append(measure(plain, scripts, options))
                say(f"  run {number + 1} of {options.runs}, load average {load_average()}")
    return [_row(name, runs, options.batch) for name, runs in loads.items()]


def _row(name: str, runs: list[dict[str, Load]], batch: int) -> dict[str, Any]:
    reads, writes = [each["suggestions"] for each in runs], [each["events"] for each in runs]
    return {
        "way": name,
        "suggestions_per_s": round(median(load.per_s for load in reads)),
        "suggestions_p50_ms": round(median(load.p50_ms for load in reads), 2),
        "suggestions_p99_ms": round(median(load.p99_ms for load in reads), 2),
        "suggestions_cpu_us": round(median(load.cpu_us for load in reads), 1),
        "events_per_s": round(median(load.per_s for load in writes) * batch),
        "events_p99_ms": round(median(load.p99_ms for load in writes), 2),
        "events_cpu_us": round(median(load.cpu_us for load in writes) / batch, 1),
        "failed": sum(load.failed for load in reads + writes),
        "runs": [[round(read.per_s), round(write.per_s * batch)] for read, write in zip(reads, writes, strict=True)],
    }


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8, help="of each load")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--batch", type=int, default=BATCH, help="events of a POST; the budget is of ten")
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of the embedded broker")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    say(machine())
    rows = run(options)
    table(
        ("one process", "suggestions/s", "p50 ms", "p99 ms", "CPU us", "events/s", "p99 ms", "CPU us", "failed"),
        [[row[name] for name in (
            "way", "suggestions_per_s", "suggestions_p50_ms", "suggestions_p99_ms", "suggestions_cpu_us",
            "events_per_s", "events_p99_ms", "events_cpu_us", "failed",
        )] for row in rows],
    )
    last_line({
        "budgets": BUDGETS, "broker": "kafka" if options.kafka else "embedded", "connections": options.connections,
        "load_average": load_average(), "ways": rows,
    })
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AvertError as error:
        sys.exit(f"bench.http: {error}")
