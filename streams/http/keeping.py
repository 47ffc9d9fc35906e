"""What has been judged goes into the log: accepted events, and a dead letter for each that was refused."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from streams.core.effects import DeadLetter
from streams.core.event import Refused, dead_letter_text, scrub_text
from streams.http.broker import EventLog, Record
from streams.http.intake import Accepted
from streams.http.models import Rejected
from streams.settings import Settings
from streams.telemetry import ACCEPTED_EVENTS, DEAD_LETTERS

_encoder = msgspec.json.Encoder()


class Judged(NamedTuple):
    """The events of one request: those for the log, and those refused with their dead letters."""

    accepted: list[Accepted]
    rejected: list[Rejected]
    dead: list[Record]


class Keeper:
    """Writes judged events, whichever way they came in."""

    def __init__(self, settings: Settings, log: EventLog) -> None:
        self._log = log
        self._clickstream = settings.topic("clickstream")
        self._deadletter = settings.topic("deadletter")

    def refuse(self, judged: Judged, index: int, raw: bytes, refused: Refused, now_ms: int) -> None:
        """Note that the event at `index` was refused: for the sender, and with its bytes for whoever looks for it."""
        text, truncated = dead_letter_text(raw)
        letter = DeadLetter(refused.reason, scrub_text(refused.detail), "http", now_ms, text, truncated)
        judged.rejected.append(Rejected(index, refused.reason, refused.detail))
        judged.dead.append(Record(self._deadletter, None, _encoder.encode(letter), now_ms))

    async def append(self, judged: Judged, now_ms: int) -> dict[tuple[str, int], int]:
        """Write all of it; return when acknowledged: the last offset by topic and partition.

        Raises BrokerUnavailableError; then nothing was promised.
        """
        records = [
            Record(self._clickstream, event.visitor.encode("utf-8"), event.value, now_ms) for event in judged.accepted
        ]
        written = await self._log.append(records + judged.dead)
        ACCEPTED_EVENTS.labels("accepted").inc(len(records))
        for rejected in judged.rejected:
            ACCEPTED_EVENTS.labels("rejected").inc()
            DEAD_LETTERS.labels(rejected.reason.value).inc()
        return written
