"""The whole of Avert on this machine: broker, cache, worker, API on free loopback ports, supervised.

1. Starting: broker and cache until they answer; then (`before_worker`) whatever has to be in the log first; then worker
   and API, at once, until both are ready.
2. Supervising: what ends by itself is started again, after a pause that doubles; a life of STEADY_S resets the pause.
3. When the broker ends, its memory goes: the worker is ended too, since its state speaks of offsets that are no more.
4. Stopping: API and worker get SIGTERM together and up to STOP_S; then cache and broker go.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

import msgspec

from streams.embedded.child import Child, ChildError, PortLease, describe_exit
from streams.embedded.stack import FETCH_WAIT_MS, Stack
from streams.settings import Settings, settings_environment

READY_TIMEOUT_S = 60.0  # a first join of the consumer group takes seconds
STOP_S = 7.0  # of the 10 s within which Ctrl-C has to have stopped everything; the rest is for broker and cache
PAUSE_FIRST_S, PAUSE_MAX_S = 0.5, 30.0
STEADY_S = 60.0
PROBE_TIMEOUT_S = 2.0
# On one machine nobody else is in the group: a short rebalance timeout makes the first join short, and one
# worker's heartbeat is never late for long.
REBALANCE_TIMEOUT_S = 6.0


@dataclass
class LocalKeys:
    """Keys made for this run; the file is readable by its owner only and goes with the run."""

    write: str = field(default_factory=lambda: "wk_" + secrets.token_urlsafe(16))
    server: str = field(default_factory=lambda: "sk_" + secrets.token_urlsafe(32))
    admin: str = field(default_factory=lambda: "ak_" + secrets.token_urlsafe(32))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def save(self, path: Path, origins: tuple[str, ...] = ()) -> None:
        """Write the keys file that the API reads. Pages of `origins` may use the write key."""
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode({
            # "*": trackers that send no key may come too, as on a developer's machine any app is his own.
            "write_keys": [{"key": self.write, "origins": origins, "revoked": False, "apps": ["*"]}],
            "server_keys": [self.server],
            "admin_keys": [self.admin],
            "token_secrets": [{"id": "local", "secret": self.secret}],
        }))


@dataclass
class _Unit:
    """One supervised process: when it was last started, and when it may be again."""

    child: Child
    started: float = 0.0
    pause_s: float = PAUSE_FIRST_S
    restart_at: float | None = None


class Local:
    """Context manager of a whole local pipeline. Start it from a thread that lives as long as it does."""

    def __init__(
        self,
        settings: Settings,
        *,
        api_port: int = 0,
        before_worker: Callable[[Settings], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        if not any(settings.rules_dir.glob("**/*.y*ml")):
            raise ChildError(f"no rule files in {settings.rules_dir}/: give a folder with --rules DIR")
        self._say = say
        self._before_worker = before_worker
        self.keys = LocalKeys()
        self.stack = Stack()
        self._leases = [PortLease(api_port), PortLease(), PortLease(), PortLease()]
        api, api_metrics, worker, self.shop_port = (lease.port for lease in self._leases)
        self.directory = Path(tempfile.mkdtemp(prefix="avert-local-"))
        keys_file = self.directory / "keys.json"
        self.keys.save(keys_file, (f"http://127.0.0.1:{self.shop_port}",))
        self.settings = msgspec.structs.replace(
            settings, kafka_bootstrap=self.stack.bootstrap, redis_url=self.stack.redis_url,
            rules_dir=settings.rules_dir.resolve(), keys_file=keys_file, fetch_wait_ms=FETCH_WAIT_MS,
            broker_rebalance_timeout_s=REBALANCE_TIMEOUT_S, replication_factor=1, stop_timeout_s=STOP_S - 1,
            api_port=api, metrics_port=api_metrics, worker_http_port=worker,
        )
        self._units = {
            "broker": _Unit(self.stack.broker.child),
            "cache": _Unit(self.stack.cache.child),
            "worker": _Unit(self._own("worker")),
            "api": _Unit(self._own("api")),
        }

    @property
    def api_url(self) -> str:
        """Where sites send events and read suggestions."""
        return f"http://{self.settings.api_host}:{self.settings.api_port}"

    @property
    def worker_url(self) -> str:
        """The worker's /metrics, /healthz and /readyz."""
        return f"http://{self.settings.worker_http_host}:{self.settings.worker_http_port}"

    @property
    def api_metrics_url(self) -> str:
        """The API's /metrics."""
        return f"http://{self.settings.metrics_host}:{self.settings.metrics_port}"

    @property
    def restarts(self) -> int:
        """How often something had to be started again."""
        return sum(unit.child.restarts for unit in self._units.values())

    def pid(self, name: str) -> int | None:
        """The process id of ``broker``, ``cache``, ``worker`` or ``api`` while it runs."""
        return self._units[name].child.pid

    def start(self) -> Self:
        """Start everything and return when it is ready. Raises ChildError; then nothing is left behind."""
        try:
            self.stack.start()
            self._say("broker and cache answer; starting worker and API")
            self._before_worker(self.settings)
            for name in ("worker", "api"):
                self._units[name].child.start()
            for name, url in (("worker", self.worker_url), ("api", self.api_url)):
                self._units[name].child.wait_until(partial(answers, f"{url}/readyz"), READY_TIMEOUT_S)
            now = time.monotonic()
            for unit in self._units.values():
                unit.started = now
        except BaseException:  # also when it is interrupted: nothing is left behind
            self.stop()
            raise
        return self

    def supervise(self) -> None:
        """Look once at every process, and start again what has ended and has waited. Returns at once."""
        now = time.monotonic()
        for name, unit in self._units.items():
            code = unit.child.exit_code
            if code is None:
                continue
            if unit.restart_at is None:
                unit.pause_s = PAUSE_FIRST_S if now - unit.started > STEADY_S else min(unit.pause_s * 2, PAUSE_MAX_S)
                unit.restart_at = now + unit.pause_s
                how = describe_exit(code)
                self._say(f"{unit.child.name} ended with {how}; starting it again in {unit.pause_s:g} s")
                if name == "broker":
                    self._say("the broker's memory is gone: events, decisions and states begin anew")
                    self._units["worker"].child.kill()
            elif now >= unit.restart_at:
                unit.restart_at, unit.started = None, now
                unit.child.restarts += 1
                unit.child.start()

    def stop(self) -> None:
        """End everything, in the order that loses least, within STOP_S and a little."""
        own = [self._units["api"].child, self._units["worker"].child]
        for child in own:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for child in own:
            child.stop(max(0.1, deadline - time.monotonic()))
        self.stack.stop()
        for lease in self._leases:
            lease.release()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def curl_line(self) -> str:
        """A line to paste into a shell: become a visitor who searches in vain twice, and read what is suggested.

        Each time a new visitor, so that the events' ids may stay the same.
        """
        searches = ",".join(
            f'{{"id":"{name}","type":"search","props":{{"query":"refund","results":0}}}}' for name in "ab"
        )
        return f"curl -s '{self.api_url}/v1/events?wait=1000&key={self.keys.write}' -d '[{searches}]'"

    def _own(self, command: str) -> Child:
        """One of our own programs, with all settings given; it gets SIGTERM when we are gone, and stops by itself."""
        environment = settings_environment(self.settings) | {"PATH": os.defpath, "HOME": str(Path.home())}
        return Child(
            f"the {command}", [sys.executable, "-m", "streams.cli", command], self.directory / f"{command}.log",
            environment=environment, death_signal=signal.SIGTERM,
        )


def answers(url: str) -> bool:
    """True when `url` answers with a 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as answer:  # noqa: S310  # loopback, our own
            return bool(200 <= answer.status < 300)
    except (OSError, urllib.error.URLError):
        return False
