"""What operations ask: ``/healthz`` and ``/readyz`` (for ``/metrics`` see worth.py)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from streams.http.answers import answer
from streams.http.caller import Services
from streams.http.models import HealthOut, ReadyOut
from streams.telemetry import READY


class Operations:
    """The probes."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def healthz(self, _request: Request) -> Response:
        """200 as long as the process can answer at all."""
        return answer(HealthOut("ok"))

    async def readyz(self, _request: Request) -> Response:
        """200 when events can be taken, that is when Kafka can be reached, else 503; and what Redis says is in it too.

        Redis is told of and not asked for: without it pages get ``[]`` and events go in all the same, and a balancer
        that took the process away for it would stop them.
        """
        kafka, redis = self._services.log.available, await self._services.reader.ping()
        READY.labels("api").set(kafka)
        return answer(ReadyOut(kafka, kafka, redis), 200 if kafka else 503)
