"""What an event is on the wire: its fields and their types, and where it stands; event.py reads it.

Apart because a msgspec Struct cannot be compiled (see setup.py), and the reading of events can.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import msgspec

from streams.core.effects import Refusal


class Event(msgspec.Struct, gc=False, omit_defaults=True):
    """One thing that a visitor did (wire format: section "The event" of docs/architecture.md). Times in ms."""

    id: str
    visitor: str
    type: str
    ts: int
    session: str | None = None
    received: int | None = None
    page: dict[str, Any] = {}
    props: dict[str, Any] = {}
    context: dict[str, Any] = {}


class Refused(NamedTuple):
    """Why bytes are not an event: the reason from the closed set, and a sentence for whoever sent it."""

    reason: Refusal
    detail: str


class Position(NamedTuple):
    """Where in its partition a record stands: its offset, and its timestamp in ms."""

    offset: int
    timestamp: int


class Placed(Protocol):
    """A `Position`, or anything else that knows it: a record itself."""

    @property
    def offset(self) -> int:
        """Its offset."""

    @property
    def timestamp(self) -> int:
        """Its timestamp, ms."""
