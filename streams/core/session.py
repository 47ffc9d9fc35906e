"""What is known of a visitor and of a visit while it goes on: the engine's hot state.

Plain classes rather than msgspec's: compiled (see setup.py) their fields are read directly, and the engine reads them
some fifty times an event. Their rows are visitor.py's business. Times are ms of event time.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from streams.core.effects import Arm

NEVER: Final = (1 << 62) - 1  # a time that never comes; fits MessagePack's integers
ID_BYTES: Final = 6  # of an id's digest
HASH_BYTES: Final = 8
RECENT_IDS_MAX: Final = 32  # a client's retry queue resends the last few batches, not more
MINUTE_MS: Final = 60_000
# Records this much older count in the newest minute seen: several collectors, each with its own clock. One that is
# older still says that the newest was wrong (a producer's clock ran ahead), and the count begins anew.
MINUTES_BACK_MAX: Final = 10

WITHDRAWN: Final = 8  # a bit of `LiveSuggestion.answered`
ANSWERED: Final = 7  # all receipts: what is said of a suggestion of which none is known

# A condition's state: a flat list of numbers, strings and small lists; its shape is its condition's business.
State = list[Any]


class Session:
    """One visit, while it goes on."""

    __slots__ = (
        "campaign", "country", "device", "due", "entry_path", "events", "explicit", "fired", "holding", "id", "last",
        "locale", "page_views", "referrer_host", "returning", "start", "states", "timers",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - it has so many fields
        self,
        id: str,  # noqa: A002 - its name
        start: int,
        last: int,
        explicit: bool = False,
        events: int = 0,
        page_views: int = 0,
        returning: bool = False,
        entry_path: str | None = None,
        referrer_host: str | None = None,
        device: str | None = None,
        country: str | None = None,
        locale: str | None = None,
        campaign: dict[str, str] | None = None,
        states: dict[int, State] | None = None,
        holding: list[int] | None = None,
        fired: dict[int, int] | None = None,
        timers: dict[int, int] | None = None,
        due: int = NEVER,
    ) -> None:
        self.id = id
        self.start = start
        self.last = last
        self.explicit = explicit
        self.events = events
        self.page_views = page_views
        self.returning = returning
        self.entry_path = entry_path
        self.referrer_host = referrer_host
        self.device = device
        self.country = country
        self.locale = locale
        self.campaign = {} if campaign is None else campaign
        # By the condition's key; a condition that saw nothing has no entry.
        self.states: dict[int, State] = {} if states is None else states
        # Keys of the rules and outcomes that hold now.
        self.holding: list[int] = [] if holding is None else holding
        # Counted firings in this session, by the rule's key.
        self.fired: dict[int, int] = {} if fired is None else fired
        # The next moment of each condition that waits for one, by its key.
        self.timers: dict[int, int] = {} if timers is None else timers
        self.due = due

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and self.fields() == other.fields()

    __hash__ = None  # type: ignore[assignment]

    def fields(self) -> list[Any]:
        """All of it, in the order of the arguments."""
        return [
            self.id, self.start, self.last, self.explicit, self.events, self.page_views, self.returning,
            self.entry_path, self.referrer_host, self.device, self.country, self.locale, self.campaign, self.states,
            self.holding, self.fired, self.timers, self.due,
        ]  # fmt: skip


class Exposure:
    """The first decision of a rule for this visitor, in either arm, and what it has been credited with since."""

    __slots__ = ("arm", "at", "credits", "rule", "target", "variant", "version")

    def __init__(
        self, rule: str, version: str, arm: Arm, at: int, variant: str | None = None, target: str = "",
        credits: dict[str, list[int]] | None = None,  # noqa: A002 - its name
    ) -> None:  # fmt: skip
        self.rule = rule
        self.version = version
        self.arm: Arm = arm
        self.at = at
        self.variant = variant  # in the treated arm
        self.target = target  # the rule's own outcome when this visitor was exposed
        # Outcome -> [how many, their money in micro-units].
        self.credits: dict[str, list[int]] = {} if credits is None else credits

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exposure) and self.fields() == other.fields()

    __hash__ = None  # type: ignore[assignment]

    def fields(self) -> list[Any]:
        """All of it, in the order of the arguments."""
        return [self.rule, self.version, self.arm, self.at, self.variant, self.target, self.credits]


class LiveSuggestion:
    """A suggestion that the visitor may still be shown, or that he may still answer to.

    A withdrawn one has expired: a receipt may still be on its way.
    """

    __slots__ = ("answered", "expires", "id", "rule", "variant")

    def __init__(
        self, id: str,  # noqa: A002 - its name
        rule: str, expires: int, variant: str | None = None, answered: int = ANSWERED,
    ) -> None:  # fmt: skip
        self.id = id
        self.rule = rule
        self.expires = expires
        self.variant = variant
        self.answered = answered  # bits of the receipts that were counted, and WITHDRAWN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LiveSuggestion) and self.fields() == other.fields()

    __hash__ = None  # type: ignore[assignment]

    def fields(self) -> list[Any]:
        """All of it, in the order of the arguments."""
        return [self.id, self.rule, self.expires, self.variant, self.answered]


class History:
    """What limits need to know of one rule: when it was counted last (a bounded list), when it was dismissed."""

    __slots__ = ("dismissed", "times")

    def __init__(self, times: list[int] | None = None, dismissed: int = 0) -> None:
        self.times: list[int] = [] if times is None else times
        self.dismissed = dismissed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.fields() == other.fields()

    __hash__ = None  # type: ignore[assignment]

    def fields(self) -> list[Any]:
        """All of it, in the order of the arguments."""
        return [self.times, self.dismissed]


class Visitor:
    """Everything that is kept of one visitor."""

    __slots__ = (
        "clock", "due", "exposures", "history", "journeys", "live", "minute", "offset", "programme",
        "recent", "reported", "sessions", "taken", "unmeasured", "visitor", "visits",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - it has so many fields
        self,
        visitor: str = "",
        offset: int = -1,
        due: int = NEVER,
        clock: int = 0,
        visits: int = 0,
        recent: bytes = b"",
        sessions: list[Session] | None = None,
        exposures: list[Exposure] | None = None,
        live: list[LiveSuggestion] | None = None,
        history: dict[str, History] | None = None,
        programme: Exposure | None = None,
        reported: dict[int, int] | None = None,
        unmeasured: bool = False,
        minute: int = 0,
        taken: int = 0,
        journeys: dict[int, State] | None = None,
    ) -> None:
        self.visitor = visitor
        self.offset = offset  # of the last event applied
        self.due = due  # the next moment at which tick() has something to do
        self.clock = clock  # the partition's clock when the last event was applied
        self.visits = visits
        # Digests of the last event ids, oldest first, ID_BYTES each: a quarter of a list's size, and searched by C.
        self.recent = recent
        self.sessions: list[Session] = [] if sessions is None else sessions
        self.exposures: list[Exposure] = [] if exposures is None else exposures
        self.live: list[LiveSuggestion] = [] if live is None else live
        self.history: dict[str, History] = {} if history is None else history
        self.programme = programme  # the exposure to any rule, in the arm of the global holdout
        # Hashed ids of late and reported outcomes -> when they were told of, s.
        self.reported: dict[int, int] = {} if reported is None else reported
        self.unmeasured = unmeasured  # consents to suggestions, not to being counted
        self.minute = minute  # of the log, since the epoch: the newest in which an event was taken
        self.taken = taken  # events in it
        # Journeys that outlive visits, by the funnel's key.
        self.journeys: dict[int, State] = {} if journeys is None else journeys

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Visitor) and self.visitor == other.visitor and self.fields() == other.fields()

    __hash__ = None  # type: ignore[assignment]

    def fields(self) -> list[Any]:
        """All of it but the name, in the order of the arguments."""
        return [
            "", self.offset, self.due, self.clock, self.visits, self.recent,
            [session.fields() for session in self.sessions], self.exposures, self.live, self.history,
            self.programme, self.reported, self.unmeasured, self.minute, self.taken, self.journeys,
        ]  # fmt: skip


def id_digest(event_id: str) -> bytes:
    """ID_BYTES for an event id.

    An event is taken for one of the RECENT_IDS_MAX before it, and lost, with a probability of 32 / 2**48: once in
    10**13 events.
    """
    return blake2b(event_id.encode(), digest_size=HASH_BYTES).digest()[:ID_BYTES]


def text_hash(text: str) -> int:
    """A text as a number of 64 bits."""
    return int.from_bytes(blake2b(text.encode(), digest_size=HASH_BYTES).digest(), "big")


def knows_id(recent: bytes, digest: bytes) -> bool:
    """Whether the digest stands in the ring: at a place of its own, not across two others."""
    at = recent.find(digest)
    while at > 0 and at % ID_BYTES:
        at = recent.find(digest, at + 1)
    return at >= 0


def remember_id(state: Visitor, digest: bytes) -> None:
    """Add an id to the ring; the oldest goes."""
    recent = state.recent
    state.recent = (recent[ID_BYTES:] if len(recent) >= RECENT_IDS_MAX * ID_BYTES else recent) + digest


def take(state: Visitor, timestamp: int, most: int) -> bool:
    """Count one event of the minute of its record's `timestamp` (ms); False, and nothing changes, if it is too many.

    By the record's timestamp, which is the collector's: neither the visitor's own clock nor when the worker comes to
    it (a backlog, a replay, a second try after a crash) makes a difference.
    """
    minute = timestamp // MINUTE_MS
    if 0 <= state.minute - minute <= MINUTES_BACK_MAX:
        if state.taken >= most:
            return False
        state.taken += 1
    else:
        state.minute = minute
        state.taken = 1
    return True
