"""The worker's own small HTTP server: /metrics, /healthz, /readyz, /v1/explain, /v1/visitors. Loopback by default."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from streams.telemetry import METRICS_CONTENT_TYPE, log, metrics_page

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StatusServer:
    """Answers while the process lives; ready only while `is_ready` says so."""

    def __init__(
        self,
        host: str,
        port: int,
        is_ready: Callable[[], bool],
        explain: Handler | None = None,
        export: Handler | None = None,
    ) -> None:
        """What answers to /v1/explain (see explaining.py), and to /v1/visitors (see exporting.py)."""
        self._host = host
        self._port = port
        self._is_ready = is_ready
        self._asked = {"/v1/explain": explain, "/v1/visitors": export}
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def start(self) -> None:
        """Listen. Port 0 takes a free one; `address` says which."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._ready)
        for path, handler in self._asked.items():
            if handler is not None:
                app.router.add_get(path, handler)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        port = self._runner.addresses[0][1]
        self.address = f"http://{self._host}:{port}"
        log.info("worker_http", address=self.address)

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=metrics_page(), headers={"Content-Type": METRICS_CONTENT_TYPE})

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.Response:
        ready = self._is_ready()
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)
