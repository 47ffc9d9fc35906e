"""What doctor asks of its own accord; that it is wired in is in test_cli.py."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from streams.doctor import Finding, examine, looks_guessable
from streams.http.access import mint_visitor
from streams.settings import Settings


async def finding(settings: Settings, subject: str) -> Finding:
    return next(found for found in await examine(settings) if found.subject == subject)


@pytest.mark.parametrize(
    "visitor",
    [
        "1", "4711", "1795000000000", "customer-4711", "anna", "anna.rossi@example.com", "Anna Rossi", "visitor",
        "00000000000", "user_12", "aaaaaaaaaaaaaaaaaaaaaaaa1", "deadbeef",
    ],
)
def test_ids_that_somebody_counts_or_knows_are_guessable(visitor: str) -> None:
    assert looks_guessable(visitor)


def test_random_ids_are_not() -> None:
    ids = [str(uuid.uuid4()) for _ in range(500)] + [uuid.uuid4().hex for _ in range(500)]
    assert [visitor for visitor in ids if looks_guessable(visitor)] == []
    minted = [mint_visitor() for _ in range(1000)]
    assert sum(map(looks_guessable, minted)) < 100  # chance leaves some without a digit


async def test_capability_with_ids_that_can_be_guessed_is_a_problem(broker: str, unique: str) -> None:
    settings = Settings(kafka_bootstrap=broker, topic_prefix=f"{unique}.", visitor_ids="capability")
    assert (await finding(settings, "visitor ids")).state == "warning"
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    for number in range(30):
        visitor = str(uuid.uuid4()) if number % 3 else f"customer-{number}"
        await producer.send_and_wait(settings.topic("clickstream"), b"{}", key=visitor.encode())
    await producer.stop()
    found = await finding(settings, "visitor ids")
    assert (found.state, "10 of the last 30" in found.text) == ("problem", True)
    assert "customer" not in found.text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"admin_keys": [{"key": "short", "id": "carla"}]}, "carla"),
        ({"write_keys": [{"key": "wk"}]}, "no origin"),
    ],
)
async def test_keys_that_invite_are_named_by_their_ids(
    tmp_path: Path, fields: dict[str, object], said: str
) -> None:
    path = tmp_path / "keys.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"token_secrets": [{"id": "k", "secret": "0123456789abcdef"}], **fields}))
    found = await finding(msgspec.structs.replace(Settings(kafka_bootstrap="127.0.0.1:1"), keys_file=path), "keys")
    assert (found.state, said in found.text) == ("warning", True)
