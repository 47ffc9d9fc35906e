"""`avert worker --processes N`: several workers of one group, one a core, supervised by one that applies nothing.

1. Each worker is a member of the group like any other, on this machine or elsewhere; the partitions are dealt out to
   all of them.
2. AVERT_WORKER_HTTP_PORT is the supervisor's: /readyz when every worker is ready, /metrics with all their pages in one
   (a label `number` more on every series, so that nothing jumps between processes), /v1/explain from whoever has the
   visitor's partition. The workers themselves answer on loopback, on ports of their own.
3. A worker that ends by itself is started again after a pause that doubles. What it cannot get over (settings, rules,
   topics, rows of a newer program) ends all of them, with its exit code.
4. SIGTERM or SIGINT ends all of them at once, each as gracefully as one alone; whoever is not done within the stop
   timeout is killed, which loses nothing. A supervisor that is killed takes them along: they see their input end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from streams.errors import SettingsError
from streams.settings import Settings
from streams.telemetry import METRICS_CONTENT_TYPE, configure_logs, log, merged_pages
from streams.worker.main import main

PROCESSES_MAX = 64
ASK_S_MAX = 5.0
ELSEWHERE = 421  # a worker's answer about a visitor of another one
HOPELESS = frozenset({2, 3, 4, 6})  # exit codes: settings, rule files, a row's version, topics that contradict
_PAUSE_FIRST_S, _PAUSE_MAX_S = 0.5, 30.0
_STEADY_S = 60.0  # a life of this long resets the pause


def supervise(settings: Settings, processes: int) -> int:
    """Run `processes` of them until SIGINT or SIGTERM. Returns the exit code; raises SettingsError."""
    if not 1 <= processes <= PROCESSES_MAX:
        raise SettingsError(f"--processes takes 1 to {PROCESSES_MAX} and not {processes}")
    configure_logs(settings.log_format, settings.log_level)
    return asyncio.run(Supervisor(settings, processes).run())


class Supervisor:
    """See the module."""

    def __init__(self, settings: Settings, processes: int) -> None:
        self._settings = settings
        self._leases = [_leased() for _ in range(processes)]
        self._ports: list[int] = [lease.getsockname()[1] for lease in self._leases]
        self._stop = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Start all, keep them, end all."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        runner = await self._serve()
        try:
            await asyncio.gather(*(self._keep(number) for number in range(len(self._ports))))
        finally:
            await runner.cleanup()
        log.info("worker_processes_stopped")
        return self._code

    # --- processes --------------------------------------------------------------------------------------------

    async def _keep(self, number: int) -> None:
        """One worker, and its successors."""
        pause_s = _PAUSE_FIRST_S
        while not self._stop.is_set():
            began = time.monotonic()
            code = await self._live(number)
            if self._stop.is_set():
                return
            if code in HOPELESS:
                self._code = code
                self._stop.set()
                return
            steady = time.monotonic() - began > _STEADY_S
            pause_s = _PAUSE_FIRST_S if steady else min(pause_s * 2, _PAUSE_MAX_S)
            log.error("worker_process_ended", number=number, exit_code=code, again_in_s=pause_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stop.wait()

    async def _live(self, number: int) -> int:
        """One life of a worker; how it ended."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streams.worker.processes", stdin=asyncio.subprocess.PIPE,
            process_group=0,  # Ctrl-C is for the supervisor
        )
        assert process.stdin is not None  # noqa: S101  # asked for above
        own = msgspec.structs.replace(
            self._settings, worker_http_port=self._ports[number], worker_http_host="127.0.0.1"
        )
        process.stdin.write(msgspec.json.encode(msgspec.to_builtins(own, enc_hook=str)) + b"\n")
        log.info("worker_process_started", number=number, pid=process.pid, port=self._ports[number])
        stopping = asyncio.create_task(self._stop.wait())
        ended = asyncio.create_task(process.wait())
        await asyncio.wait((stopping, ended), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
            try:
                async with asyncio.timeout(self._settings.stop_timeout_s):
                    await asyncio.shield(ended)
            except TimeoutError:
                log.warning("worker_process_killed", number=number, after_s=self._settings.stop_timeout_s)
                process.kill()
        stopping.cancel()
        return await ended

    # --- HTTP -------------------------------------------------------------------------------------------------

    async def _serve(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/explain", self._explain)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        await web.TCPSite(
            runner, self._settings.worker_http_host, self._settings.worker_http_port, shutdown_timeout=0.5
        ).start()
        host, port = runner.addresses[0][:2]
        log.info("worker_processes_http", address=f"http://{host}:{port}", processes=len(self._ports))
        return runner

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


def _leased() -> socket.socket:
    """A free loopback port, bound and never listened on: nobody else gets it while a worker is started again."""
    lease = socket.socket()
    lease.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    lease.bind(("127.0.0.1", 0))
    return lease


# --- one worker ---------------------------------------------------------------------------------------------------


def _settings_of(given: bytes) -> Settings:
    found: dict[str, Any] = msgspec.json.decode(given)
    return msgspec.convert(found, Settings, dec_hook=lambda kind, value: Path(value) if kind is Path else value)


def _end_with_supervisor() -> None:
    while os.read(0, 1):  # nothing more is ever written: this is the end of the supervisor
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _main() -> int:
    """The body of one worker process."""
    line = bytearray()
    while not line.endswith(b"\n"):  # not through sys.stdin, whose buffer the thread would wait on at the end
        line += os.read(0, 1) or b"\n"
    settings = _settings_of(bytes(line))
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    return main(settings)


if __name__ == "__main__":
    sys.exit(_main())
