"""What came out of the pipeline, counted from its topics: nothing here is taken from what was put in.

An effect that is repeated after a crash carries the same id and is counted once.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streams.core.effects import DeadLetter, Decision, OutcomeRecord, Receipt, Suggestion, Withdrawal
from streams.replay import CLOCK_HEADER
from streams.settings import Settings

TOPICS = ("clickstream", "decisions", "suggestions", "outcomes", "deadletter")
POLL_MS = 200
POLL_RECORDS_MAX = 5_000
FEED_MAX = 50
RATE_WINDOW_S = 3.0


class _Visit(msgspec.Struct):
    session: str | None = None


@dataclass
class Tally:
    """The counts. `money`: outcome -> sum of its amounts, in the rules' currency."""

    events: int = 0
    visitors: set[bytes] = field(default_factory=set)
    sessions: set[tuple[bytes, str | None]] = field(default_factory=set)
    decisions: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    suggestions: int = 0
    withdrawn: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    anti_conversions: set[str] = field(default_factory=set)
    money: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    dead_letters: int = 0
    feed: deque[Suggestion] = field(default_factory=lambda: deque(maxlen=FEED_MAX))
    _rates: deque[tuple[float, int]] = field(default_factory=deque)
    _ids: set[str] = field(default_factory=set)

    @property
    def anti_conversion_cost(self) -> float:
        """What all anti-conversions cost."""
        return round(sum(self.money[name] for name in self.anti_conversions), 2)

    def events_per_s(self) -> float:
        """Events a second, over the last RATE_WINDOW_S."""
        now = time.monotonic()
        self._rates.append((now, self.events))
        while self._rates[0][0] < now - RATE_WINDOW_S:
            self._rates.popleft()
        since, before = self._rates[0]
        return (self.events - before) / (now - since) if now > since else 0.0

    def count(self, topic: str, record: Any) -> None:
        """Take in one record of one of TOPICS."""
        _COUNT[topic](self, record)

    def _clickstream(self, record: Any) -> None:
        if (CLOCK_HEADER, b"advance") in record.headers:
            return
        self.events += 1
        if record.key is None:
            return
        self.visitors.add(record.key)
        try:
            session = _visit.decode(record.value or b"").session
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # it will be a dead letter
        self.sessions.add((record.key, session))

    def _decision(self, record: Any) -> None:
        decision = _decision.decode(record.value)
        if isinstance(decision, Decision) and self._new(decision.id):
            self.decisions[decision.kind] += 1
            if decision.reason is not None:
                self.suppressed[decision.reason.value] += 1

    def _suggestion(self, record: Any) -> None:
        what = _suggestion.decode(record.value)
        if isinstance(what, Withdrawal):
            self.withdrawn += self._new(f"withdrawn {what.suggestion}")
        elif self._new(f"suggestion {what.id}"):
            self.suggestions += 1
            self.feed.appendleft(what)

    def _outcome(self, record: Any) -> None:
        outcome = _outcome.decode(record.value)
        if not self._new(outcome.id):
            return
        self.outcomes[outcome.outcome] += 1
        self.money[outcome.outcome] += outcome.amount or 0.0
        if outcome.kind == "anti_conversion":
            self.anti_conversions.add(outcome.outcome)

    def _dead_letter(self, record: Any) -> None:
        letter = _dead_letter.decode(record.value)
        self.dead_letters += letter.source == "http" or self._new(f"dead {letter.source}")

    def _new(self, effect_id: str) -> bool:
        before = len(self._ids)
        self._ids.add(effect_id)
        return len(self._ids) > before


_visit = msgspec.json.Decoder(_Visit)
_decision = msgspec.json.Decoder(Decision | Receipt)
_suggestion = msgspec.json.Decoder(Suggestion | Withdrawal)
_outcome = msgspec.json.Decoder(OutcomeRecord)
_dead_letter = msgspec.json.Decoder(DeadLetter)
_COUNT: dict[str, Callable[[Tally, Any], None]] = {
    "clickstream": Tally._clickstream,
    "decisions": Tally._decision,
    "suggestions": Tally._suggestion,
    "outcomes": Tally._outcome,
    "deadletter": Tally._dead_letter,
}


class Watcher:
    """Reads all topics from their beginning into a Tally, and asks for the worker's lag."""

    def __init__(self, settings: Settings) -> None:
        self.tally = Tally()
        self._settings = settings
        self._names = {settings.topic(name): name for name in TOPICS}
        self._partitions: list[TopicPartition] = []
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap, enable_auto_commit=False, auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        )
        self._admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)

    async def start(self, partitions: int) -> None:
        """Connect; the topics have that many partitions."""
        await self._consumer.start()
        await self._admin.start()
        self._partitions = [TopicPartition(topic, number) for topic in self._names for number in range(partitions)]
        self._consumer.assign(self._partitions)

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()
        await self._admin.close()

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            await self.read()

    async def read(self) -> int:
        """Count what a poll brings; returns how many records that were."""
        polled = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX)
        for partition, records in polled.items():
            name = self._names[partition.topic]
            for record in records:
                self.tally.count(name, record)
        return sum(map(len, polled.values()))

    async def unread(self) -> int:
        """How many records are in the topics that have not been counted yet."""
        return await self._behind(self._partitions, [await self._consumer.position(one) for one in self._partitions])

    async def lag(self) -> int:
        """How many records of the clickstream the workers have not committed yet."""
        topic = self._settings.topic("clickstream")
        partitions = [one for one in self._partitions if one.topic == topic]
        # By name: asked for all of a group's partitions, the embedded broker closes the connection.
        committed = await self._admin.list_consumer_group_offsets(self._settings.app_id, partitions=partitions)
        return await self._behind(
            partitions, [max(0, committed[one].offset) if one in committed else 0 for one in partitions]
        )

    async def _behind(self, partitions: list[TopicPartition], positions: Iterable[int]) -> int:
        ends = await self._consumer.end_offsets(partitions)
        return sum(max(0, ends[one] - position) for one, position in zip(partitions, positions, strict=True))
