"""`avert worker --processes N`: several workers of one group, one a core, supervised by one that applies nothing.

1. Each worker is a member of the group like any other, on this machine or elsewhere; the partitions are dealt out to
   all of them.
2. AVERT_WORKER_HTTP_PORT is the supervisor's: /readyz when every worker is ready, /metrics with all their pages in one
   (a label `number` more on every series, so that nothing jumps between processes), /v1/explain from whoever has the
   visitor's partition. The workers themselves answer on loopback, on ports of their own.
3. Starting, restarting and ending: streams/processes.py. What a worker cannot get over is its settings, the rules, the
   topics, and rows of a newer program. One that is killed because it does not end in time loses nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
from aiohttp import web

from streams.processes import Program, builtins_of, keep, refuse_count, settings_of
from streams.settings import Settings
from streams.telemetry import METRICS_CONTENT_TYPE, configure_logs, log, merged_pages
from streams.worker.main import main

ASK_S_MAX = 5.0
ELSEWHERE = 421  # a worker's answer about a visitor of another one
HOPELESS = frozenset({2, 3, 4, 6})  # exit codes: settings, rule files, a row's version, topics that contradict


def supervise(settings: Settings, processes: int) -> int:
    """Run `processes` of them until SIGINT or SIGTERM. Returns the exit code; raises SettingsError."""
    refuse_count(processes)
    configure_logs(settings.log_format, settings.log_level)
    leases = [_leased() for _ in range(processes)]
    ports: list[int] = [lease.getsockname()[1] for lease in leases]
    return asyncio.run(keep(_program(settings, ports), processes, _Front(settings, ports).served()))


def _leased() -> socket.socket:
    """A free loopback port, bound and never listened on: nobody else gets it while a worker is started again."""
    lease = socket.socket()
    lease.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    lease.bind(("127.0.0.1", 0))
    return lease


def _program(settings: Settings, ports: list[int]) -> Program:
    def order(number: int) -> bytes:
        own = msgspec.structs.replace(settings, worker_http_port=ports[number], worker_http_host="127.0.0.1")
        return msgspec.json.encode(builtins_of(own))

    def started(number: int, pid: int) -> None:
        log.info("worker_process_started", number=number, pid=pid, port=ports[number])

    return Program(
        name="worker", module="streams.worker.processes", order=order, hopeless=HOPELESS,
        stop_timeout_s=settings.stop_timeout_s, started=started,
    )


class _Front:
    """What the supervisor answers, for the workers on `ports`."""

    def __init__(self, settings: Settings, ports: list[int]) -> None:
        self._settings = settings
        self._ports = ports

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Answers while it is open."""
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/explain", self._explain)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, self._settings.worker_http_host, self._settings.worker_http_port).start()
        host, port = runner.addresses[0][:2]
        log.info("worker_processes_http", address=f"http://{host}:{port}", processes=len(self._ports))
        try:
            yield
        finally:
            await runner.cleanup()

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.Response:
        answers = await asyncio.gather(*(self._ask(port, "/readyz") for port in self._ports))
        ready = sum(status == web.HTTPOk.status_code for status, _ in answers)
        text = f"{ready} of {len(answers)} ready\n"
        return web.Response(text=text, status=200 if ready == len(answers) else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        """All pages in one; of a worker that does not answer there is none."""
        answers = await asyncio.gather(*(self._ask(port, "/metrics") for port in self._ports))
        pages = {
            str(number): body.decode() for number, (status, body) in enumerate(answers)
            if status == web.HTTPOk.status_code
        }
        return web.Response(body=merged_pages(pages).encode(), headers={"Content-Type": METRICS_CONTENT_TYPE})

    async def _explain(self, request: web.Request) -> web.Response:
        """Ask one after the other, until one is responsible."""
        keep = {name: value for name, value in request.headers.items() if name.lower() == "authorization"}
        status, body = 503, b'{"error": "no worker answers"}'
        for port in self._ports:
            asked = await self._ask(port, request.path_qs, keep)
            if asked[0]:
                status, body = asked
            if status not in (ELSEWHERE, 503):
                break
        return web.Response(body=body, status=status, content_type="application/json")

    @staticmethod
    async def _ask(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """(status, body) of a worker; status 0 when it does not answer."""
        timeout = aiohttp.ClientTimeout(total=ASK_S_MAX)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
                session.get(f"http://127.0.0.1:{port}{path}") as answer,
            ):
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, b""


# --- one worker ---------------------------------------------------------------------------------------------------


def _end_with_supervisor() -> None:
    while os.read(0, 1):  # nothing more is ever written: this is the end of the supervisor
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _main() -> int:
    """The body of one worker process."""
    line = bytearray()
    while not line.endswith(b"\n"):  # not through sys.stdin, whose buffer the thread would wait on at the end
        line += os.read(0, 1) or b"\n"
    settings = settings_of(msgspec.json.decode(bytes(line)))
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    return main(settings)


if __name__ == "__main__":
    sys.exit(_main())
