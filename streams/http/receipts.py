"""``POST /v1/receipts`` (shown, clicked, dismissed) and ``POST /v1/tokens``."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from streams.core.event import Event, encode_event
from streams.errors import RequestError
from streams.http.access import mint_visitor
from streams.http.answers import answer
from streams.http.body import read_body
from streams.http.broker import Record
from streams.http.caller import Caller, Services
from streams.http.models import ReceiptIn, ReceiptOut, TokenIn, TokenOut
from streams.telemetry import RECEIPTS

_BODY_BYTES_MAX = 4096  # a receipt or a token request has a few hundred

T = TypeVar("T")
_receipt_decoder = msgspec.json.Decoder(ReceiptIn)
_token_decoder = msgspec.json.Decoder(TokenIn)


def receipt_event(receipt: ReceiptIn, received: int, *, refuses_tracking: bool) -> Event:
    """A receipt as an event like any other. A repeated receipt has the same id: the engine counts it once."""
    named = hashlib.sha256(f"{receipt.suggestion}\0{receipt.kind}".encode("utf-8", "surrogatepass")).hexdigest()
    context: dict[str, Any] = {"consent": False} if refuses_tracking else {}
    return Event(
        id=f"receipt-{named[:40]}",
        visitor=receipt.visitor,
        type=f"suggestion_{receipt.kind}",
        ts=received,
        session=receipt.session,
        received=received,
        props={"suggestion": receipt.suggestion},
        context=context,
    )


class Receipts:
    """Takes the site's word on suggestions."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clickstream = services.settings.topic("clickstream")

    async def post(self, request: Request) -> Response:
        """Answer ``POST /v1/receipts``: 202 once the receipt is in the log."""
        caller = Caller(request, self._services)
        receipt = await _read(request, _receipt_decoder)
        await caller.admit_reader(receipt.visitor)
        event = receipt_event(receipt, caller.now_ms, refuses_tracking=caller.refuses_tracking)
        if caller.refuses_tracking:
            await self._services.refusals.refuse([receipt.visitor], caller.now_ms)
        key = receipt.visitor.encode("utf-8")
        await self._services.log.append([Record(self._clickstream, key, encode_event(event), caller.now_ms)])
        RECEIPTS.labels(receipt.kind).inc()
        return answer(ReceiptOut(1), 202)


class Tokens:
    """Gives tokens to the site's own server."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def post(self, request: Request) -> Response:
        """Answer ``POST /v1/tokens`` (server key): a token for the visitor named, or for a new one."""
        caller = Caller(request, self._services)
        await caller.admit()
        caller.require_server("tokens")
        asked = await _read(request, _token_decoder)
        access, now_s = self._services.access, caller.now_ms // 1000
        visitor = asked.visitor or mint_visitor()
        token, expires_s = access.issue_token(visitor, now_s)
        renewal = None if asked.visitor else access.issue_renewal(visitor, now_s)
        return answer(TokenOut(visitor, token, expires_s * 1000, renewal))


async def _read(request: Request, decoder: msgspec.json.Decoder[T]) -> T:
    body = await read_body(request, _BODY_BYTES_MAX)
    try:
        return decoder.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"the body: {error}") from error
