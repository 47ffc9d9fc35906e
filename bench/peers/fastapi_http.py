"""The two busiest routes as plain FastAPI on uvicorn would have them: models by pydantic, one call a thing to be done.

Events are checked against the model and acknowledged by Kafka before the answer; suggestions are read from Redis after
the token's signature was checked. No limits, no masking, no dead letters, no metrics.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import redis.asyncio as redis
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, Field

SECRET = os.environ["PEER_SECRET"].encode()
SECRET_ID = os.environ["PEER_SECRET_ID"]
WRITE_KEY = os.environ["PEER_WRITE_KEY"]


class Event(BaseModel):
    """One event."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    visitor: Annotated[str, Field(min_length=1, max_length=128)]
    type: Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,64}$")]
    ts: int
    session: str | None = None
    page: dict[str, Any] = {}
    props: dict[str, Any] = {}
    context: dict[str, Any] = {}


class Events(BaseModel):
    """A request's events."""

    events: Annotated[list[Event], Field(max_length=500)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connections."""
    app.state.redis = redis.Redis.from_url(os.environ["PEER_REDIS_URL"])
    app.state.producer = AIOKafkaProducer(bootstrap_servers=os.environ["PEER_BOOTSTRAP"], acks="all")
    await app.state.producer.start()
    yield
    await app.state.producer.stop()
    await app.state.redis.aclose()


app = FastAPI(lifespan=lifespan)


@app.get("/readyz")
async def readyz() -> dict[str, bool]:
    """It answers."""
    return {"ready": True}


@app.post("/v1/events", status_code=202)
async def events(body: Events, x_write_key: Annotated[str, Header()]) -> dict[str, Any]:
    """Events in."""
    if not hmac.compare_digest(x_write_key, WRITE_KEY):
        raise HTTPException(401)
    producer = app.state.producer
    received = int(time.time() * 1000)
    acknowledged = []
    for event in body.events:
        value = event.model_dump(exclude_none=True) | {"received": received}
        acknowledged.append(await producer.send(
            os.environ["PEER_TOPIC"], json.dumps(value).encode(), key=event.visitor.encode(), timestamp_ms=received
        ))
    await asyncio.gather(*acknowledged)
    return {"accepted": len(body.events), "rejected": []}


@app.get("/v1/suggestions")
async def suggestions(
    visitor: str, response: Response, authorization: Annotated[str, Header()], placement: str | None = None
) -> dict[str, Any]:
    """Suggestions out."""
    secret_id, expires, signature = authorization.removeprefix("Bearer ").split(".")
    signed = f"avert-visitor-token-1\0{secret_id}\0{expires}\0{visitor}".encode()
    genuine = base64.urlsafe_b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).rstrip(b"=").decode()
    if secret_id != SECRET_ID or not hmac.compare_digest(genuine, signature) or int(expires, 16) < time.time():
        raise HTTPException(401)
    now = int(time.time() * 1000)
    stored = [json.loads(value) for value in (await app.state.redis.hgetall(f"avert:s:{visitor}")).values()]
    response.headers["Cache-Control"] = "no-store"
    return {"suggestions": [
        {
            "id": one["id"], "rule": one["rule"], "placement": one["placement"], "title": one["title"]["en"],
            "body": "", "action": None, "expires": one["expires"],
        }
        for one in sorted(stored, key=lambda one: -one["priority"])
        if one["expires"] > now and placement in (None, one["placement"])
    ]}
