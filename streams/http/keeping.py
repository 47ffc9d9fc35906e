"""What has been judged goes into the log: accepted events, and a dead letter for each that was refused."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from streams.core.consent import Permit, permitted_by
from streams.core.effects import DeadLetter
from streams.core.event import Refused, dead_letter_text, scrub_text
from streams.delivery import Refusals
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

    def __init__(self, settings: Settings, log: EventLog, refusals: Refusals) -> None:
        self._log = log
        self._refusals = refusals
        self._consent_default = settings.consent_default == "granted"
        self._clickstream = settings.topic("clickstream")
        self._deadletter = settings.topic("deadletter")

    def refuse(
        self, judged: Judged, index: int, raw: bytes, refused: Refused, now_ms: int, *, refuses_tracking: bool
    ) -> None:
        """Note that the event at `index` was refused: for the sender, and with its bytes for whoever looks for it.

        The bytes are kept only of an event that might have been kept itself.
        """
        kept = not refuses_tracking and may_be_kept(raw, self._consent_default)
        text, truncated = dead_letter_text(raw if kept else None)
        letter = DeadLetter(refused.reason, scrub_text(refused.detail), "http", now_ms, text, truncated)
        judged.rejected.append(Rejected(index, refused.reason, refused.detail))
        judged.dead.append(Record(self._deadletter, None, _encoder.encode(letter), now_ms))

    async def append(self, judged: Judged, now_ms: int) -> dict[tuple[str, int], int]:
        """Write all of it; return when acknowledged: the last offset by topic and partition.

        Raises BrokerUnavailableError; then nothing was promised. Who refuses is heard first, even so.
        """
        refusing = {event.visitor: event.refuses for event in judged.accepted}  # the last word of each counts
        await self._refusals.refuse([visitor for visitor, refuses in refusing.items() if refuses], now_ms)
        records = [
            Record(self._clickstream, event.visitor.encode("utf-8"), event.value, now_ms) for event in judged.accepted
        ]
        written = await self._log.append(records + judged.dead)
        ACCEPTED_EVENTS.labels("accepted").inc(len(records))
        for rejected in judged.rejected:
            ACCEPTED_EVENTS.labels("rejected").inc()
            DEAD_LETTERS.labels(rejected.reason.value).inc()
        return written


class _Context(msgspec.Struct, frozen=True):
    consent: Any = None


class _Told(msgspec.Struct):
    context: _Context = _Context()


_told_decoder = msgspec.json.Decoder(_Told)


def may_be_kept(raw: bytes, consent_default: bool) -> bool:
    """Whether consent permits that bytes are kept which are no event.

    What speaks of consent and cannot be understood (broken, or of a dialect) is not kept.
    """
    if b"consent" not in raw.lower():
        return consent_default
    try:
        said = _told_decoder.decode(raw).context.consent
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return said is not None and bool(permitted_by(said) & Permit.LOG)
