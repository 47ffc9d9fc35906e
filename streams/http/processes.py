"""`avert api --processes N`: several API processes behind one port, supervised by one that serves nobody.

1. All listen on the same port (SO_REUSEPORT): the kernel deals out connections. The supervisor holds the port without
   listening, so that nobody else gets it while a process is started again.
2. Each has a metrics port of its own, counted up from AVERT_METRICS_PORT (0: a free one each): a counter of several
   processes on one page would jump between them, and Prometheus adds up better than we do.
3. Requests and streams are counted in Redis, so that limits hold for all of them together.
4. A process that ends by itself is started again after a pause that doubles. What it cannot get over (settings) ends
   all of them, with its exit code.
5. SIGTERM or SIGINT ends all of them, each as gracefully as one alone. A supervisor that is killed takes them along:
   they see their standard input end.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec
import uvloop

from streams.errors import AvertError, SettingsError
from streams.http.main import keys_for, listenable, run_api
from streams.keys import Keys
from streams.settings import Settings
from streams.telemetry import configure_logs, log

PROCESSES_MAX = 64
_PAUSE_FIRST_S, _PAUSE_MAX_S = 0.5, 30.0
_STEADY_S = 60.0  # a life of this long resets the pause


class _Order(msgspec.Struct):
    """What a process is told on its standard input."""

    settings: dict[str, Any]
    keys: Keys
    development: bool


def supervise(settings: Settings, processes: int) -> int:
    """Run `processes` of them until SIGINT or SIGTERM. Returns the exit code; raises SettingsError."""
    if not 1 <= processes <= PROCESSES_MAX:
        raise SettingsError(f"--processes takes 1 to {PROCESSES_MAX} and not {processes}")
    configure_logs(settings.log_format, settings.log_level)
    keys, development = keys_for(settings)
    port = listenable(settings.api_host, settings.api_port)
    with held_port(settings.api_host, port):
        shared = msgspec.structs.replace(settings, api_port=port, limits_in="redis")
        supervisor = _Supervisor(shared, keys, processes, development=development)
        return asyncio.run(supervisor.run())


def held_port(host: str, port: int) -> socket.socket:
    """A socket that holds the port for processes of this user, and accepts nothing."""
    holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((host, port))
    return holder


class _Supervisor:
    def __init__(self, settings: Settings, keys: Keys, processes: int, *, development: bool) -> None:
        self._settings = settings
        self._keys = keys
        self._processes = processes
        self._development = development
        self._stop = asyncio.Event()
        self._metrics_ports: dict[int, int] = {}
        self._code = 0

    async def run(self) -> int:
        """Start all, keep them, end all."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        await asyncio.gather(*(self._keep(number) for number in range(self._processes)))
        log.info("api_processes_stopped")
        return self._code

    async def _keep(self, number: int) -> None:
        """One process, and its successors."""
        pause_s = _PAUSE_FIRST_S
        while not self._stop.is_set():
            began = time.monotonic()
            code = await self._live(number)
            if self._stop.is_set():
                return
            if code == SettingsError.exit_code:
                self._code = code
                self._stop.set()
                return
            pause_s = _PAUSE_FIRST_S if time.monotonic() - began > _STEADY_S else min(pause_s * 2, _PAUSE_MAX_S)
            log.error("api_process_ended", number=number, exit_code=code, again_in_s=pause_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stop.wait()

    async def _live(self, number: int) -> int:
        """One life of a process; how it ended."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streams.http.processes", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, process_group=0,  # Ctrl-C is for the supervisor
        )
        assert process.stdin is not None  # noqa: S101  # asked for above
        base = self._settings.metrics_port
        own = msgspec.structs.replace(self._settings, metrics_port=base + number if base else 0)
        order = _Order(msgspec.to_builtins(own, enc_hook=str), self._keys, self._development)
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        said = asyncio.create_task(self._hear(number, process.stdout))
        stopping = asyncio.create_task(self._stop.wait())
        ended = asyncio.create_task(process.wait())
        await asyncio.wait((stopping, ended), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
            try:
                async with asyncio.timeout(self._settings.stop_timeout_s):
                    await asyncio.shield(ended)
            except TimeoutError:
                log.warning("api_process_killed", number=number, after_s=self._settings.stop_timeout_s)
                process.kill()
        stopping.cancel()
        code = await ended
        await said
        return code

    async def _hear(self, number: int, said: asyncio.StreamReader | None) -> None:
        """A process says its metrics port when it listens; all of them listening is one line of the log."""
        assert said is not None  # noqa: S101  # asked for above
        async for line in said:
            self._metrics_ports[number] = int(line)
            if len(self._metrics_ports) == self._processes:
                log.info(
                    "api_processes_listening", host=self._settings.api_host, port=self._settings.api_port,
                    metrics_ports=[self._metrics_ports[each] for each in range(self._processes)],
                )


def _settings_of(given: dict[str, Any]) -> Settings:
    return msgspec.convert(given, Settings, dec_hook=lambda kind, value: Path(value) if kind is Path else value)


def _main(said: IO[bytes]) -> int:
    """The body of one process."""
    order = msgspec.json.decode(said.readline(), type=_Order)
    settings = _settings_of(order.settings)
    configure_logs(settings.log_format, settings.log_level)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # as in main.py

    def ready(_port: int, metrics_port: int) -> None:
        sys.stdout.write(f"{metrics_port}\n")
        sys.stdout.flush()

    try:
        uvloop.run(run_api(settings, ready=ready, given=(order.keys, order.development), watched=said))
    except AvertError as error:
        log.error("api_ends", reason=error.reason, error=str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.stdin.buffer))
