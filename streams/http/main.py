"""The API process: the public port, the private metrics port, and what runs behind them."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import socket
from collections.abc import Callable
from typing import IO

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from streams.errors import SettingsError
from streams.http.access import ephemeral_keys
from streams.http.admin import private_app
from streams.http.app import build_app, build_services
from streams.http.caller import Services
from streams.http.worth import Worth
from streams.keys import Keys, KeysFile, load_keys
from streams.settings import Settings
from streams.telemetry import READY, configure_logs, log

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# Connections that the kernel holds while the loop is busy: a burst of pages, not a queue to live in.
_BACKLOG = 2048
# Request line and headers. Browsers send 1 to 4 KiB, pixels of trackers up to 16; HTTP/1.1 only: whoever wants HTTP/2
# has a proxy in front, and its streams inside one connection would be bounded by nothing here.
_HEAD_BYTES_MAX = 64 * 1024
_OTHER_FILES = 256  # log, brokers, cache, libraries: what is open besides connections
# Objects more than before, and collections, until the next larger one. What requests leave is in no cycle, but a walk
# over a thousand open streams takes 23 ms, in which nobody is answered.
_GC_THRESHOLDS = (20_000, 20, 50)
_POLL_S = 0.01  # between two looks whether a server listens already


def main(settings: Settings) -> int:
    """Run the API until SIGINT or SIGTERM. Returns the exit code; raises SettingsError for what cannot be run."""
    configure_logs(settings.log_format, settings.log_level)
    # It would repeat at each try what broker.py says once an outage.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    uvloop.run(run_api(settings))
    return 0


async def run_api(
    settings: Settings,
    *,
    ready: Callable[[int, int], None] | None = None,
    given: tuple[Keys, bool] | None = None,
    watched: IO[bytes] | None = None,
) -> None:
    """Serve until the process is told to stop. `ready(api_port, metrics_port)` is called when both listen.

    As one of several (processes.py): `given` are the keys that all of them share, and whether they were made up; the
    port is then shared too. The process stops when `watched` ends.
    """
    keys, development = given or keys_for(settings)
    _allow_files(settings.connections_max)
    api_port = settings.api_port if given else listenable(settings.api_host, settings.api_port)
    metrics_port = listenable(settings.metrics_host, settings.metrics_port)
    services = build_services(settings, keys, development=development)
    worth = Worth(services.totals, settings.worth_every_s)
    await services.log.start()
    following = _follow_keys(settings, services)
    # What is loaded now stays: a full collection would walk all of it, some 15 ms in which nobody is answered.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    servers = [
        server(build_app(services), settings, settings.api_host, api_port),
        server(private_app(services, worth=worth), settings, settings.metrics_host, metrics_port),
    ]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, services, servers)
    if watched is not None:
        loop.add_reader(watched, stop, services, servers)
    running = [asyncio.create_task(server.serve()) for server in servers]
    try:
        await _serve(running, settings, api_port, metrics_port, ready)
    finally:
        READY.labels("api").set(0)
        if following is not None:
            following.cancel()
        if watched is not None:
            loop.remove_reader(watched)
        stop(services, servers)  # one that ended by itself takes the other along
        await asyncio.gather(*running)
        await services.log.close()
        await services.reader.close()
        await worth.close()
        await services.totals.close()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        log.info("api_stopped")


async def _serve(
    running: list[asyncio.Task[None]], settings: Settings, api_port: int, metrics_port: int,
    ready: Callable[[int, int], None] | None,
) -> None:
    """Until one of the servers ends; say when both listen."""
    listening = asyncio.create_task(accept((settings.api_host, api_port), (settings.metrics_host, metrics_port)))
    await asyncio.wait([listening, *running], return_when=asyncio.FIRST_COMPLETED)
    if listening.done():
        log.info("api_listening", host=settings.api_host, port=api_port, metrics_port=metrics_port)
        if ready is not None:
            ready(api_port, metrics_port)
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()


def server(app: ASGIApp, settings: Settings, host: str, port: int) -> Server:
    """One listening server in this process and loop. Lifespan is not used: `run_api` starts and stops things itself.

    What stands here bounds what never reaches the application: half a head, a head without end, idle connections.
    """
    logging.getLogger("_granian").setLevel(logging.WARNING)
    return Server(
        app, address=host, port=port, interface=Interfaces.ASGINL, websockets=False, backlog=_BACKLOG,
        backpressure=settings.connections_max, http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(settings.head_timeout_s * 1000), max_buffer_size=_HEAD_BYTES_MAX
        ),
        log_enabled=False,
    )


def _allow_files(connections: int) -> None:
    """Ask the system for a file descriptor a connection, as far as it gives them; say so when it gives fewer."""
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    given = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < given:
        resource.setrlimit(resource.RLIMIT_NOFILE, (given, hard))
    if given < wanted:
        log.warning("few_file_descriptors", allowed=given, wanted=wanted, hint="ulimit -n")


def stop(services: Services, servers: list[Server]) -> None:
    """Streams first: a server waits for what is under way."""
    services.streams.stop()
    for server in servers:
        server.stop()  # type: ignore[no-untyped-call]


def keys_for(settings: Settings) -> tuple[Keys, bool]:
    """The keys, and whether they were made up for developing: then only this machine may reach the API."""
    if settings.keys_file is not None:
        return load_keys(settings.keys_file), False
    if settings.api_host not in _LOOPBACK:
        raise SettingsError(
            f"AVERT_KEYS_FILE is needed to listen on {settings.api_host}: without it keys are made up, and that is"
            " only for loopback"
        )
    keys = ephemeral_keys()
    log.warning(
        "ephemeral_keys", write_key=keys.write_keys[0].key, server_key=keys.server_keys[0],
        why="no keys file: these end with the process; for developing only",
    )
    return keys, True


def _follow_keys(settings: Settings, services: Services) -> asyncio.Task[None] | None:
    """Put what changes in the keys file into force, as long as the task runs."""
    if settings.keys_file is None:
        return None
    return asyncio.create_task(KeysFile(settings.keys_file, services.access.use).follow())


def listenable(host: str, port: int) -> int:
    """The port (a free one for 0). Raises SettingsError when somebody listens there already.

    The server itself binds with SO_REUSEPORT, under which two processes would silently share one port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        return int(probe.getsockname()[1])


async def accept(*addresses: tuple[str, int]) -> None:
    """Return when connections are accepted at all of these."""
    for host, port in addresses:
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except ConnectionRefusedError:
                await asyncio.sleep(_POLL_S)
                continue
            writer.close()
            break
