"""What leaves the engine: every effect of a step, as a value with a deterministic id. Times are ms since the epoch."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec


class EventResult(StrEnum):
    """What became of one event; each accepted event gets exactly one. Label `result` of the events metric."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"  # its id is in the visitor's ring of recent ids
    REPLAYED = "replayed"  # at or below the offset in the state: applied before a crash
    LATE = "late"  # older than max_lateness: counted for outcomes only
    REPORTED = "reported"  # an outcome that somebody else reports (a call centre): for outcomes only, whatever its age
    NO_CONSENT = "no_consent"  # counted and forgotten
    SHED = "shed"  # one too many of its visitor in its minute (a bot): counted, and nothing else
    DEAD_LETTER = "dead_letter"


class Refusal(StrEnum):
    """Why an event became a dead letter: the closed set."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    SCHEMA = "schema"  # a required field is missing, or a field has the wrong type
    TOO_DEEP = "too_deep"
    TOO_MANY_KEYS = "too_many_keys"
    STRING_TOO_LONG = "string_too_long"
    BAD_TYPE = "bad_type"  # the event type's name
    NO_KEY = "no_key"  # a record without a key cannot be given to a visitor
    KEY_MISMATCH = "key_mismatch"  # the record's key is not the event's visitor
    ENGINE = "engine"  # the engine itself failed on it: a defect, kept for its author


class Suppression(StrEnum):
    """Why a firing did not become a suggestion: the closed set."""

    NO_CONSENT = "no_consent"
    OFF_SCHEDULE = "off_schedule"
    NOT_IN_AUDIENCE = "not_in_audience"
    LIMIT_SESSION = "limit_session"
    LIMIT_VISITOR = "limit_visitor"
    COOLDOWN = "cooldown"
    DISMISSED = "dismissed"
    OUTRANKED = "outranked"
    TOO_MANY_LIVE = "too_many_live"
    TEMPLATE_FIELD_MISSING = "template_field_missing"
    OUTCOME_HAPPENED = "outcome_happened"  # what the rule prevents happened in the same step: too late


Arm = Literal["treated", "control"]
DecisionKind = Literal["suggested", "control", "shadow", "suppressed"]
ReceiptKind = Literal["shown", "clicked", "dismissed"]
WithdrawalReason = Literal["outcome", "withdraw", "dismissed", "no_consent", "erased"]


class Decision(msgspec.Struct, frozen=True, omit_defaults=True, tag="decision", tag_field="record"):
    """What one firing of a rule led to. `trigger` is the event's id, or ``@DEADLINE`` when a timer fired it."""

    id: str
    visitor: str
    session: str
    rule: str
    version: str
    at: int
    kind: DecisionKind
    arm: Arm
    trigger: str
    exposure: bool = False  # the first decision of this rule for this visitor
    reason: Suppression | None = None
    suggestion: str | None = None
    prevents: str | None = None
    promotes: str | None = None
    variant: str | None = None  # of the suggestion, in the treated arm
    programme: Arm | None = None  # by the global holdout; said at the visitor's first exposure to any rule


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True, tag="receipt", tag_field="record"):
    """The site's word on a suggestion, once of each kind. `cost_micros`: what showing it costs, if that is declared."""

    id: str
    visitor: str
    rule: str
    suggestion: str
    kind: ReceiptKind
    at: int
    variant: str | None = None
    cost_micros: int = 0


class Suggestion(msgspec.Struct, frozen=True, omit_defaults=True, tag="suggestion", tag_field="record"):
    """The content offered. Texts by language; `locale` is the visitor's, as far as it is known."""

    id: str
    visitor: str
    session: str
    rule: str
    version: str
    placement: str
    priority: int
    created: int
    expires: int
    title: dict[str, str]
    body: dict[str, str] = {}
    action_label: dict[str, str] = {}
    action_href: str | None = None
    locale: str | None = None
    variant: str | None = None


class Withdrawal(msgspec.Struct, frozen=True, tag="withdrawal", tag_field="record"):
    """A suggestion that must not be shown any more."""

    suggestion: str
    visitor: str
    rule: str
    at: int
    reason: WithdrawalReason


class CreditedExposure(msgspec.Struct, frozen=True, array_like=True):
    """An exposure within whose attribution window an outcome fell: rule, version, arm, time of exposure.

    `before` and `before_micros` say how many outcomes of this name the exposure had been credited with already, and
    their money: from them follow visitors (`before` is 0) and sums of squares per visitor, without asking the state.
    `instead`: it is the first of its name, and the rule's own outcome has not happened; `also`: it is the first of the
    rule's own, and these others had been credited. `costs_before` and its micros are of all anti-conversions together,
    said with each of them.
    """

    rule: str
    version: str
    arm: Arm
    at: int
    variant: str | None = None
    before: int = 0
    before_micros: int = 0
    instead: bool = False
    also: tuple[str, ...] = ()
    costs_before: int = 0
    costs_before_micros: int = 0


class OutcomeRecord(msgspec.Struct, frozen=True, omit_defaults=True, tag="outcome", tag_field="record"):
    """An outcome happened. `amount` is a value or a cost in `currency`; None when its field was not there.

    `exposures` are those to a rule that it is credited to, `programme` that to any rule; `price` names the version of
    the cost (or value) that made the amount.
    """

    id: str
    visitor: str
    session: str
    outcome: str
    kind: Literal["conversion", "anti_conversion"]
    at: int
    trigger: str
    currency: str
    amount: float | None = None
    exposures: tuple[CreditedExposure, ...] = ()
    programme: CreditedExposure | None = None
    price: str = ""


class Journey(msgspec.Struct, frozen=True, omit_defaults=True, tag="journey", tag_field="record"):
    """What is known now of one way through a funnel, and what had been told of it (`before`; nothing: it begins).

    `steps` are threes of numbers in the order in which the steps were reached: step (from 0), ms and clicks since the
    journey began. None: a journey that was told of was none. `ended`: it is over, and `instead` is the page or the
    outcome (``outcome:NAME``) that followed the step reached last.
    """

    id: str
    visitor: str
    session: str  # empty when it outlives the visit
    funnel: str
    version: str
    arm: Arm
    at: int
    size: int  # how many steps the funnel has
    steps: tuple[int, ...]
    before: tuple[int, ...] = ()
    ended: bool = False
    instead: str = ""


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True, tag="dead_letter", tag_field="record"):
    """An event that could not be used: its bytes (capped, scrubbed, as text), the reason, where it came from."""

    reason: Refusal
    detail: str
    source: str  # "topic/partition@offset", or "http"
    at: int
    raw: str
    truncated: bool = False


Effect = Decision | Receipt | Suggestion | Withdrawal | OutcomeRecord | Journey
