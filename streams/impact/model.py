"""Totals: what was counted, exactly, and nothing that was computed from it. The input of everything in this room.

The running system publishes them (``GET /v1/impact``), `recorded` makes them of recorded events. Money is kept in
whole micro-units of the currency (6.50 EUR is 6,500,000), so that sums are exact whatever their order; the squares are
those of a *visitor's* whole amount, so that the spread between visitors is known. Times are ms since the epoch, UTC.
"""

from __future__ import annotations

from typing import Literal

import msgspec

MICROS = 1_000_000
PROGRAMME = "programme"  # the pseudo rule of the global holdout: everybody who could have got anything, of any rule
ALL_COSTS = "all_costs"  # the pseudo outcome of all anti-conversions together, where somebody counts it
CONTROL = "control"
TREATED = "treated"

OutcomeKind = Literal["conversion", "anti_conversion"]


class CostVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One price of an outcome, and what was counted at it. `since`: the moment from which it applied, if declared."""

    version: str
    text: str = ""  # the price as declared: `6.50`, `0.12 of cart_total`
    since: int | None = None
    count: int = 0
    micros: int = 0


class OutcomeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One declared outcome."""

    name: str
    kind: OutcomeKind
    label: str = ""
    unit: str = ""  # of its amounts, where they are not money
    versions: list[CostVersion] = []


class OutcomeTotals(msgspec.Struct, kw_only=True):
    """What was credited to the exposed visitors of one arm."""

    visitors: int = 0  # with at least one
    count: int = 0
    unpriced: int = 0  # of them, those without an amount
    micros: int = 0
    micros_squared: int = 0  # sum over visitors of the square of a visitor's micros; far beyond 64 bits


class SuggestionCounts(msgspec.Struct, kw_only=True):
    """What became of the suggestions made to an arm."""

    made: int = 0
    shown: int = 0
    clicked: int = 0
    dismissed: int = 0
    micros: int = 0  # what the shown ones cost, at the nudge cost of their time


class ArmTotals(msgspec.Struct, kw_only=True):
    """One arm of one rule; several with the same arm differ by their variant, and no visitor is in two of them."""

    arm: str
    variant: str = ""
    visitors: int = 0  # exposed
    outcomes: dict[str, OutcomeTotals] = {}
    suggestions: SuggestionCounts = msgspec.field(default_factory=SuggestionCounts)
    instead: dict[str, int] = {}  # visitors without the rule's own outcome who had this one within the window
    first_exposure: int | None = None
    last_exposure: int | None = None


class LookArm(msgspec.Struct, frozen=True, array_like=True):
    """Of one arm at one look: visitors exposed, and of them those with the rule's own outcome."""

    arm: str
    visitors: int
    happened: int


class Look(msgspec.Struct, frozen=True):
    """The rule's own outcome as it stood at an earlier moment."""

    at: int
    arms: list[LookArm]


class RuleTotals(msgspec.Struct, kw_only=True):
    """One rule, or one recorded experiment."""

    rule: str
    title: str = ""
    versions: list[str] = []
    target: str  # the outcome that it prevents (an anti-conversion) or promotes (a conversion)
    measure: Literal["rate", "amount"] = "rate"  # what is judged: the share of visitors, or the amount per visitor
    control: str = CONTROL
    shares: dict[str, float] = {}  # declared share of visitors by arm; they need not sum to 1
    arms: list[ArmTotals] = []
    looks: list[Look] = []


class WayTotals(msgspec.Struct, kw_only=True):
    """Ways between two steps. Buckets as `core.funnel_totals.bucket_of` makes them: four to every doubling."""

    count: int = 0
    ms: int = 0
    ms_squared: int = 0
    clicks: int = 0
    clicks_squared: int = 0
    ms_buckets: dict[int, int] = {}
    clicks_buckets: dict[int, int] = {}


class FunnelStepTotals(msgspec.Struct, kw_only=True):
    """One step in one arm. `way`: from the step before. `instead`: where journeys went that ended after this step."""

    reached: int = 0
    skipped: int = 0
    reverse: int = 0
    way: WayTotals = msgspec.field(default_factory=WayTotals)
    instead: dict[str, int] = {}


class FunnelArm(msgspec.Struct, kw_only=True):
    """The journeys of one arm."""

    arm: str
    entered: int = 0
    ended: int = 0
    completed: int = 0
    steps: list[FunnelStepTotals] = []
    whole: WayTotals = msgspec.field(default_factory=WayTotals)
    first_at: int | None = None
    last_at: int | None = None


class FunnelTotals(msgspec.Struct, kw_only=True):
    """One version of a funnel. `rule`: whose arms split it; None: the global holdout's."""

    funnel: str
    version: str
    title: str = ""
    labels: list[str] = []
    within_ms: int | None = None  # None: the visit
    rule: str | None = None
    arms: list[FunnelArm] = []


class Note(msgspec.Struct, frozen=True):
    """Something that was counted and left out, or that a reader has to know."""

    text: str
    count: int | None = None


class Totals(msgspec.Struct, kw_only=True):
    """Everything that was counted up to one moment."""

    schema: Literal[1] = 1
    source: str = ""
    at: int | None = None  # up to when; None where it is not known
    currency: str
    attribution_window_ms: int | None = None  # None: without end
    nudge_micros: int = 0  # what showing one suggestion costs now, as declared
    outcomes: list[OutcomeInfo] = []
    rules: list[RuleTotals] = []
    funnels: list[FunnelTotals] = []
    notes: list[Note] = []


def pooled(arms: list[ArmTotals], arm: str) -> ArmTotals:
    """All variants of one arm together."""
    total = ArmTotals(arm=arm)
    for part in arms:
        if part.arm == arm:
            _take_in(total, part)
    return total


def _take_in(total: ArmTotals, part: ArmTotals) -> None:
    total.visitors += part.visitors
    for name, outcome in part.outcomes.items():
        _add(total.outcomes.setdefault(name, OutcomeTotals()), outcome)
    _add(total.suggestions, part.suggestions)
    for name, visitors in part.instead.items():
        total.instead[name] = total.instead.get(name, 0) + visitors
    firsts = [at for at in (total.first_exposure, part.first_exposure) if at is not None]
    lasts = [at for at in (total.last_exposure, part.last_exposure) if at is not None]
    total.first_exposure, total.last_exposure = min(firsts, default=None), max(lasts, default=None)


def _add(mine: msgspec.Struct, theirs: msgspec.Struct) -> None:
    for name in mine.__struct_fields__:
        setattr(mine, name, getattr(mine, name) + getattr(theirs, name))
