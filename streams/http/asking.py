"""Asking the worker that has a visitor, over its private port."""

from __future__ import annotations

import time
from collections.abc import Mapping

import aiohttp
import msgspec

from streams.core.event import VISITOR_CHARS_MAX
from streams.errors import RequestError
from streams.http.broker import partition_of
from streams.http.workers import Workers, WorkersUnknownError

_WORKER_TIMEOUT_S = 5.0
_WORKER_BYTES_MAX = 4 * 1024 * 1024  # of an answer: a thousand rules with all their conditions


def visitor_named(visitor: str) -> str:
    """The visitor that a call is about. Raises RequestError for what no visitor is called."""
    if not 1 <= len(visitor) <= VISITOR_CHARS_MAX:
        raise RequestError(f"`visitor` is needed: 1 to {VISITOR_CHARS_MAX} characters")
    return visitor


async def ask_worker(
    workers: Workers, path: str, visitor: str, authorization: str, query: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """The status and the body of the worker's answer; a refusal's in the form of ours.

    Raises WorkersUnknownError when nobody says that he has the visitor.
    """
    notes = await workers.notes(int(time.time() * 1000))
    key = visitor.encode("utf-8", "surrogatepass")
    having = [note for note in notes if note.of and partition_of(key, note.of) in note.partitions]
    if not having:
        raise WorkersUnknownError(f"none of {len(notes)} workers has the partition of this visitor at the moment")
    # While a partition moves two may say so; the one that said it last is asked first.
    refusals = []
    for note in sorted(having, key=lambda note: -note.until):
        try:
            status, body = await _ask(note.address + path, {"visitor": visitor, **(query or {})}, authorization)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            refusals.append(f"{note.address}: {type(error).__name__}")
            continue
        if status != 421:  # it has moved on
            return status, body
        refusals.append(f"{note.address}: moved on")
    raise WorkersUnknownError("; ".join(refusals))


async def _ask(url: str, query: Mapping[str, str], authorization: str) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(total=_WORKER_TIMEOUT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,  # no proxy of the environment: the port is private
        session.get(url, params=query, headers={"Authorization": authorization}) as answer,
    ):
        body = await answer.content.read(_WORKER_BYTES_MAX)
        return answer.status, body if answer.status < 400 else _refusal(answer.status, body)


class _Refusal(msgspec.Struct):
    error: str


def _refusal(status: int, body: bytes) -> bytes:
    """A worker's refusal in the form of ours."""
    try:
        why = msgspec.json.decode(body, type=_Refusal).error
    except msgspec.DecodeError:
        why = "the worker refused"
    reasons = {400: "bad_request", 401: "unauthorized", 404: "not_found", 421: "moved"}
    return msgspec.json.encode({"error": reasons.get(status, "worker"), "message": why})
