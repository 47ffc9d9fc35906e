"""The busiest endpoints without the framework: what they raise is answered all the same."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from streams.errors import OverloadedError, RequestError
from streams.http.answers import Direct, answer

GET = {"type": "http", "method": "GET", "path": "/busy", "headers": []}


async def _framework(scope: Any, receive: Any, send: Any) -> None:
    await answer("framework")(scope, receive, send)


def _raising(error: Exception) -> Any:
    async def handler(_request: Request) -> Response:
        raise error

    return handler


async def _asked(direct: Direct, **changes: Any) -> tuple[int, dict[bytes, bytes], Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        await direct({**GET, **changes}, None, send)  # type: ignore[arg-type]
    except ZeroDivisionError:
        sent[0]["headers"].append((b"raised", b"too"))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), msgspec.json.decode(body) if body else None


async def test_only_what_is_listed_is_answered_without_the_framework() -> None:
    async def handler(_request: Request) -> Response:
        return answer("direct")

    direct = Direct(_framework, {("GET", "/busy"): handler})
    answers = [await _asked(direct), await _asked(direct, path="/other"), await _asked(direct, method="POST")]
    assert [body for _, _, body in answers] == ["direct", "framework", "framework"]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [(RequestError("why"), 400, "bad_request"), (OverloadedError("why", 3), 503, "overloaded")],
)
async def test_an_expected_failure_is_answered_from_the_table(error: Exception, status: int, reason: str) -> None:
    got, headers, body = await _asked(Direct(_framework, {("GET", "/busy"): _raising(error)}))
    assert (got, body) == (status, {"error": reason, "message": "why"})
    assert headers.get(b"retry-after") == (b"3" if status == 503 else None)


async def test_a_client_that_went_is_a_400_in_the_metrics() -> None:
    status, _, body = await _asked(Direct(_framework, {("GET", "/busy"): _raising(ClientDisconnect())}))
    assert (status, body) == (400, None)


async def test_a_defect_is_answered_without_a_word_of_it_and_reaches_the_server() -> None:
    status, headers, body = await _asked(Direct(_framework, {("GET", "/busy"): _raising(ZeroDivisionError("secret"))}))
    assert status == 500
    assert body["error"] == "internal"
    assert "secret" not in str(body)
    assert headers[b"raised"] == b"too"
