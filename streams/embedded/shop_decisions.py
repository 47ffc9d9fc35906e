"""What the engine decided, by visitor, for the demo shop's panel: the newest few, of the visitors seen last."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import OrderedDict, deque
from typing import Any, Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.core.effects import Decision, Receipt
from streams.settings import Settings

VISITORS_MAX = 2000  # a demo has some hundred at a time
DECISIONS_MAX = 20  # of a visitor: more than a panel shows
POLL_MS = 100  # how late the panel may be, beside its own second between two looks
AGAIN_S = 1.0  # after the broker has gone
_STOP_S = 5.0

_decoder = msgspec.json.Decoder(Decision | Receipt)


class DecisionFeed:
    """Reads the topic `decisions` from its beginning, in a thread with a loop of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: OrderedDict[str, deque[Decision]] = OrderedDict()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="decisions", daemon=True)

    def __enter__(self) -> Self:
        """Start reading."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading."""
        self._ending.set()
        self._thread.join(_STOP_S)

    def of(self, visitor: str) -> list[dict[str, Any]]:
        """The visitor's decisions, oldest first: id, rule, kind, arm, reason, at (ms)."""
        return [
            {
                "id": one.id, "rule": one.rule, "kind": one.kind, "arm": one.arm, "at": one.at,
                "reason": one.reason.value if one.reason else None,
            }
            for one in tuple(self._found.get(visitor, ()))
        ]

    def take(self, raw: bytes) -> None:
        """Note one record of the topic; after a crash of the worker the same decision may come twice."""
        decision = _decoder.decode(raw)
        if isinstance(decision, Receipt):
            return
        known = self._found.setdefault(decision.visitor, deque(maxlen=DECISIONS_MAX))
        self._found.move_to_end(decision.visitor)
        if all(one.id != decision.id for one in known):
            known.append(decision)
        if len(self._found) > VISITORS_MAX:
            self._found.popitem(last=False)

    async def _run(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(KafkaError, OSError):  # the embedded broker is being restarted
                await self._read()
            await asyncio.sleep(AGAIN_S)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap, enable_auto_commit=False, auto_offset_reset="earliest",
            fetch_max_wait_ms=POLL_MS,
        )
        await consumer.start()
        try:
            topic = self._settings.topic("decisions")
            consumer.assign([TopicPartition(topic, number) for number in range(self._settings.partitions)])
            while not self._ending.is_set():
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        self.take(record.value)
        finally:
            await consumer.stop()
