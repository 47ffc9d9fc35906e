"""What `assess` makes of totals: every number of the terminal, the JSON and the page, which compute nothing themselves.

Differences are treated minus control. Rates and shares are from 0 to 1, money is in units of the currency.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from streams.impact.bounds import ALPHA, BEST_AT
from streams.impact.model import CostVersion, Note, OutcomeKind
from streams.impact.plan import POWER, Plan
from streams.impact.split import Split

VerdictKind = Literal["too_early", "helps", "harms", "no_effect_larger_than", "broken_split"]
State = Literal["hurt", "safe", "open"]
Measure = Literal["rate", "amount"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader may decide, before looking."""

    alpha: float = ALPHA  # of all questions together
    best_at: float = BEST_AT
    effect: float = 0.1  # the change worth knowing of, as a share of the control arm's figure
    power: float = POWER
    margin: float = 0.05  # a guardrail is safe when at most this share of the control arm's figure can be lost
    dismissals_max: float = 0.2  # of the suggestions shown
    nudge_cost: float | None = None  # of making one suggestion; None: as it was counted when they were shown


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A difference and where it truly lies; no bounds: nothing can be said yet."""

    value: float
    low: float | None = None
    high: float | None = None

    def times(self, factor: float) -> Estimate:
        """The same in another unit; a negative factor turns it round."""
        ends = [None if end is None else end * factor for end in (self.low, self.high)]
        low, high = ends if factor >= 0 else reversed(ends)
        return Estimate(value=self.value * factor, low=low, high=high)


class ArmFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome in one arm: counted, and divided."""

    visitors: int
    with_outcome: int
    rate: float | None  # with_outcome / visitors
    count: int
    count_per_visitor: float | None
    unpriced: int
    amount: float
    amount_per_visitor: float | None
    amount_per_outcome: float | None  # of those that have an amount
    spread: float | None  # standard deviation of a visitor's amount


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome in two arms. `alpha` is the error of both intervals."""

    outcome: str
    label: str
    kind: OutcomeKind
    unit: str
    control: ArmFigures
    treated: ArmFigures
    alpha: float
    rate: Estimate | None
    amount: Estimate | None  # per visitor
    e_value: float | None  # against "no difference", of the measure that is judged


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome that the rule is not about, and must not spoil."""

    comparison: Comparison
    state: State


class Dismissals(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the suggestions shown were sent away."""

    shown: int
    dismissed: int
    share: float | None
    low: float
    high: float
    state: State


class Savings(msgspec.Struct, frozen=True, kw_only=True):
    """What the treated visitors were spared (or what they brought). Above 0 is good, for both kinds of outcome."""

    exposed: int
    unit_cost: float | None  # of one outcome, over both arms and all versions of its price
    outcomes: Estimate | None  # averted (or won): difference of rates x exposed
    gross: Estimate | None  # outcomes x unit cost; where amounts are judged, `measured`
    measured: Estimate | None  # from the amounts per visitor, which know of repeated outcomes and uneven amounts
    suggestions: int
    nudge_cost: float  # of all suggestions made
    net: Estimate | None  # gross - nudge_cost


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What may be said, of a closed set, and the sentence."""

    kind: VerdictKind
    sentence: str


class LookFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The difference of rates as it stood at an earlier look."""

    at: int
    visitors: int
    rate: Estimate


class Suggestions(msgspec.Struct, frozen=True, kw_only=True):
    """What became of what was suggested to an arm."""

    made: int = 0
    shown: int = 0
    clicked: int = 0
    dismissed: int = 0


class ArmReport(msgspec.Struct, frozen=True, kw_only=True):
    """One arm (or one variant of it) against the control arm."""

    arm: str
    variant: str
    verdict: Verdict
    primary: Comparison
    savings: Savings
    plan: Plan | None
    beside: list[Beside]
    dismissals: Dismissals | None
    looks: list[LookFigures]
    suggestions: Suggestions


class Instead(msgspec.Struct, frozen=True, kw_only=True):
    """Of the visitors without the rule's own outcome, those who had this one: by arm, as a share of the exposed."""

    outcome: str
    label: str
    visitors: dict[str, int]
    share: dict[str, float]


class RuleReport(msgspec.Struct, frozen=True, kw_only=True):
    """One rule or recorded experiment."""

    rule: str
    title: str
    versions: list[str]
    target: str
    label: str
    kind: OutcomeKind
    measure: Measure
    unit: str
    control: str
    exposed: dict[str, int]  # visitors by arm
    first_exposure: int | None
    last_exposure: int | None
    split: Split | None
    arms: list[ArmReport]
    instead: list[Instead]


class OutcomeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome and the prices at which it was counted."""

    name: str
    label: str
    kind: OutcomeKind
    unit: str
    versions: list[CostVersion]


class Mean(msgspec.Struct, frozen=True, kw_only=True):
    """A mean of one arm and where the true one lies; `median` is known to an eighth."""

    mean: float | None
    low: float | None
    high: float | None
    median: float | None


class FunnelStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step in one arm; shares are of the journeys that began, `from_before` of those of the step before."""

    reached: int
    share: float | None
    from_before: float | None
    skipped: float | None
    reverse: float | None
    seconds: Mean  # from the step before
    clicks: Mean
    instead: dict[str, int]  # where journeys went that ended here


class FunnelArmReport(msgspec.Struct, frozen=True, kw_only=True):
    """The journeys of one arm."""

    arm: str
    entered: int
    ended: int
    completed: int
    share: float | None
    seconds: Mean  # from the first step to the last
    clicks: Mean
    steps: list[FunnelStep]


class FunnelReport(msgspec.Struct, frozen=True, kw_only=True):
    """One funnel. `difference`: of the shares of journeys that arrived, treated minus control."""

    funnel: str
    title: str
    version: str
    rule: str | None
    within_ms: int | None
    labels: list[str]
    arms: list[FunnelArmReport]
    difference: Estimate | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of it. `questions`: among how many the error is shared."""

    source: str
    at: int | None
    currency: str
    attribution_window_ms: int | None
    options: Options
    questions: int
    rules: list[RuleReport]
    outcomes: list[OutcomeReport]
    notes: list[Note]
    funnels: list[FunnelReport] = []
