"""What a rule file says, as typed, immutable values: the model between the YAML and the compiled rules.

``rulefiles/`` builds these from YAML; ``ruleset.py`` compiles them. Two definitions that mean the same are
equal whatever line they stand on: a `Mark` takes no part in comparison or in the definition's key.
All durations are whole milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from streams.core.funnel_definition import FunnelDefinition
from streams.core.prices import Amount, Price
from streams.core.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Mark:
    """Where in a file something was said (lines and columns count from 1)."""

    file: str = "<memory>"
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Mark()


def _mark() -> Any:
    return field(default=NOWHERE, compare=False, repr=False)


class Operator(StrEnum):
    """The tests that a matcher can make on one field."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    NOT_IN = "not_in"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    BETWEEN = "between"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    GLOB = "glob"
    MATCHES = "matches"
    EXISTS = "exists"
    CHANGED = "changed"
    SAME_AS = "same_as"


Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class StepValue:
    """The value that a field had in an earlier, named step of the same sequence. `field` is a full dotted path."""

    step: str
    field: str


@dataclass(frozen=True, slots=True)
class FieldTest:
    """One test on one field. `field` is a full dotted path: ``page.path``, ``props.results``, ``context.device``.

    A bare name in a rule file means ``props.NAME``; the loader has already written it out.
    `value` is a scalar; a tuple of scalars for ``in``, ``not_in`` and ``between`` (low, high, both included);
    a bool for ``exists`` and ``changed``; for ``same_as`` the text ``STEP.FIELD`` with FIELD written out. In a step
    of a sequence, an equality or an order may compare with a `StepValue`.
    """

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...] | StepValue
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Matcher:
    """Which events are meant: any of `types` (names or globs; ``("*",)`` means every type) that pass all tests."""

    types: tuple[str, ...]
    where: tuple[FieldTest, ...] = ()
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class All:
    """Holds when every part holds."""

    parts: tuple[Condition, ...]
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when at least one part holds."""

    parts: tuple[Condition, ...]
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when its part does not."""

    part: Condition
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class EventAtHand:
    """Holds while the event at hand matches, and for no longer."""

    matcher: Matcher
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Count:
    """Holds while the number of matching events in the last `within_ms` (None: in the session) is in range.

    ``seen: M`` is ``at_least=1``; ``never: M`` is ``at_most=0``; ``exactly: n`` is both bounds n. With `distinct`, a
    full dotted path, different values of that field are counted.
    """

    matcher: Matcher
    at_least: int | None = None
    at_most: int | None = None
    within_ms: int | None = None
    distinct: str | None = None
    mark: Mark = _mark()


Function = Literal["sum", "average", "min", "max", "last", "first"]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Holds while `function` over `field` of the events (of the last `within_ms`) passes all `tests` on the result."""

    function: Function
    field: str
    matcher: Matcher
    tests: tuple[FieldTest, ...]
    within_ms: int | None = None
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Ratio:
    """Holds while (events of `matcher`) / (events of `to`) passes every test, with `at_least_events` of `to`."""

    matcher: Matcher
    to: Matcher
    tests: tuple[FieldTest, ...]
    at_least_events: int = 1
    within_ms: int | None = None
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Points:
    """Each time that `when` begins to hold, `points` are added; they halve every `half_life_ms` (None: they stay)."""

    when: Condition
    points: float
    half_life_ms: int | None = None
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Score:
    """Holds while the points of all entries add up to `at_least`."""

    entries: tuple[Points, ...]
    at_least: float
    mark: Mark = _mark()


class SignalName(StrEnum):
    """The built-in frustration signals, computed from plain events; core/signals.py says how."""

    RAGE_CLICK = "rage_click"
    DEAD_CLICK = "dead_click"
    ERROR_CLICK = "error_click"
    U_TURN = "u_turn"
    FORM_ABANDON = "form_abandon"
    SEARCH_REFINE = "search_refine"
    THRASH = "thrash"


@dataclass(frozen=True, slots=True)
class Signal:
    """Holds once the signal was seen in the last `within_ms` (None: in the session)."""

    name: SignalName
    within_ms: int | None = None
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Quiet:
    """Silence after a step: for `for_ms` nothing comes (no event of `of`, if given)."""

    for_ms: int
    of: Matcher | None = None
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sequence: `times` events, at most `within_ms` from the step before to the last of them.

    `forbid` (``not:`` steps before it) must not match between the step before and this; `after`: silence before it.
    """

    matcher: Matcher
    name: str | None = None
    within_ms: int | None = None
    forbid: tuple[Matcher, ...] = ()
    times: int = 1
    after: Quiet | None = None
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Sequence:
    """Holds from the completion of the steps in this order until the first is `within_ms` old or `quiet` ends."""

    steps: tuple[Step, ...]
    within_ms: int | None = None
    contiguity: Literal["relaxed", "strict"] = "relaxed"
    quiet: Quiet | None = None
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Missing:
    """Holds from when `for_ms` (None: the rest of the session) passed after `after` without `matcher`."""

    matcher: Matcher
    after: Matcher
    for_ms: int | None
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Idle:
    """Holds once no event of any kind has come for `for_ms` (after `after` was seen, if given) until the next event."""

    for_ms: int
    after: Matcher | None = None
    mark: Mark = _mark()


class SessionField(StrEnum):
    """What ``session: {FIELD: TEST}`` and ``{{ session.FIELD }}`` know; ``campaign.NAME`` besides."""

    DURATION = "duration"  # ms from the first event to the latest
    EVENTS = "events"
    PAGE_VIEWS = "page_views"
    ENTRY_PATH = "entry_path"
    REFERRER_HOST = "referrer_host"
    DEVICE = "device"
    COUNTRY = "country"
    LOCALE = "locale"
    RETURNING = "returning"


@dataclass(frozen=True, slots=True)
class SessionTests:
    """Holds while every test on the session's fields holds. `FieldTest.field` is a SessionField or campaign.NAME."""

    tests: tuple[FieldTest, ...]
    mark: Mark = _mark()


_OnEvents = EventAtHand | Count | Sequence | Aggregate | Ratio | Score | Signal
_OnTime = Missing | Idle
Condition = All | AnyOf | Not | _OnEvents | _OnTime | SessionTests


@dataclass(frozen=True, slots=True)
class OutcomeDefinition:
    """A declared result: a conversion with a value, or an anti-conversion with a cost.

    `amount` is in force until the first of `prices` is. `attribution_ms`: for how long after an exposure the outcome is
    credited to it; None: as the settings say.
    """

    name: str
    kind: Literal["conversion", "anti_conversion"]
    when: Condition
    amount: Amount
    label: str = ""
    prices: tuple[Price, ...] = ()  # ascending
    attribution_ms: int | None = None
    mark: Mark = _mark()


# Text in several languages: (language tag, template) pairs in the file's order; the first is the fallback.
Text = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """One of several texts of a suggestion, for its share (`weight` over all weights) of the treated visitors."""

    name: str
    weight: float
    title: Text
    body: Text = ()
    action_label: Text = ()
    action_href: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What is offered: texts are templates with ``{{ event.* }}``, ``{{ session.* }}``, ``{{ steps.NAME.* }}``."""

    placement: str
    title: Text
    body: Text = ()
    action_label: Text = ()
    action_href: str | None = None
    expires_ms: int = 600_000
    withdraw: Matcher | None = None
    variants: tuple[Variant, ...] = ()


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a rule is for: sessions that pass the tests, and this share of all visitors."""

    tests: tuple[FieldTest, ...] = ()
    visitors: float = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How often one visitor may get it. Both arms and the shadow mode count the same way."""

    per_session: int | None = 1
    per_visitor: int | None = None
    per_visitor_within_ms: int | None = None
    cooldown_ms: int | None = None
    stop_after_dismissal: bool = True


Mode = Literal["draft", "shadow", "live", "off"]


@dataclass(frozen=True, slots=True)
class RuleDefinition:
    """When a visitor seems headed for an anti-conversion, suggest something.

    Exactly one of `prevents` and `promotes` names a declared outcome. `holdout` is a share, 0 to 1.
    """

    id: str
    when: Condition
    suggest: Content
    prevents: str | None = None
    promotes: str | None = None
    title: str = ""
    owner: str = ""
    mode: Mode = "live"
    limits: Limits = Limits()
    priority: int = 50
    holdout: float = 0.0
    salt: str | None = None
    restart_on_edit: bool = False
    schedule: Schedule | None = None
    audience: Audience | None = None
    mark: Mark = _mark()


@dataclass(frozen=True, slots=True)
class Program:
    """Everything that ``rules/`` says. `global_holdout`: share whom no rule treats; `nudge_cost`: of one shown."""

    currency: str
    outcomes: tuple[OutcomeDefinition, ...]
    rules: tuple[RuleDefinition, ...] = ()
    global_holdout: float = 0.0
    global_salt: str = "avert"
    nudge_cost: float = 0.0
    funnels: tuple[FunnelDefinition, ...] = ()
