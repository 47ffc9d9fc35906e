"""`avert api --processes N`: several API processes behind one port, supervised by one that serves nobody.

1. All listen on the same port (SO_REUSEPORT): the kernel deals out connections. The supervisor holds the port without
   listening, so that nobody else gets it while a process is started again.
2. Each has a metrics port of its own, counted up from AVERT_METRICS_PORT (0: a free one each): a counter of several
   processes on one page would jump between them, and Prometheus adds up better than we do.
3. Requests and streams are counted in Redis, so that limits hold for all of them together.
4. Starting, restarting and ending: streams/processes.py. What a process cannot get over is its settings.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from typing import IO, Any

import msgspec
import uvloop

from streams.errors import AvertError, SettingsError
from streams.http.main import keys_for, listenable, run_api
from streams.keys import Keys
from streams.processes import Program, builtins_of, keep, refuse_count, settings_of
from streams.settings import Settings
from streams.telemetry import configure_logs, log


class _Order(msgspec.Struct):
    """What a process is told on its standard input."""

    settings: dict[str, Any]
    keys: Keys
    development: bool


def supervise(settings: Settings, processes: int) -> int:
    """Run `processes` of them until SIGINT or SIGTERM. Returns the exit code; raises SettingsError."""
    refuse_count(processes)
    configure_logs(settings.log_format, settings.log_level)
    keys, development = keys_for(settings)
    port = listenable(settings.api_host, settings.api_port)
    with held_port(settings.api_host, port):
        shared = msgspec.structs.replace(settings, api_port=port, limits_in="redis")
        program = _program(shared, keys, processes, development=development)
        return asyncio.run(keep(program, processes))


def held_port(host: str, port: int) -> socket.socket:
    """A socket that holds the port for processes of this user, and accepts nothing."""
    holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((host, port))
    return holder


def _program(settings: Settings, keys: Keys, processes: int, *, development: bool) -> Program:
    metrics_ports: dict[int, int] = {}

    def order(number: int) -> bytes:
        base = settings.metrics_port
        own = msgspec.structs.replace(settings, metrics_port=base + number if base else 0)
        return msgspec.json.encode(_Order(builtins_of(own), keys, development))

    def heard(number: int, line: bytes) -> None:
        """A process says its metrics port when it listens; all of them listening is one line of the log."""
        metrics_ports[number] = int(line)
        if len(metrics_ports) == processes:
            log.info(
                "api_processes_listening", host=settings.api_host, port=settings.api_port,
                metrics_ports=[metrics_ports[each] for each in range(processes)],
            )

    return Program(
        name="api", module="streams.http.processes", order=order, hopeless={SettingsError.exit_code},
        stop_timeout_s=settings.stop_timeout_s, heard=heard,
    )


def _main(said: IO[bytes]) -> int:
    """The body of one process."""
    order = msgspec.json.decode(said.readline(), type=_Order)
    settings = settings_of(order.settings)
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
