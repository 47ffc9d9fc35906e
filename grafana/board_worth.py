"""The board for whoever pays: how often anti-conversions happen and what they cost."""

from __future__ import annotations

from grafana.kit import GREEN, RED, Board, Panel, Query, Row, Variable
from grafana.promql import over_range, rate, share

_ANTI = 'kind="anti_conversion", outcome=~"$outcome"'
_CONVERSION = 'kind="conversion", outcome=~"$outcome"'
_COUNT = "avert_outcomes_total"
_AMOUNT = "avert_outcome_amount_total"
_PER_HOUR = " * 3600"

_READ_ME = """Amounts are in the currency of `rules/outcomes.yaml`, at the unit costs that are written there. \
What is counted here is what **happened**. What was **averted** cannot be counted, only inferred against the control \
arm: see `docs/architecture.md`, "Proof"."""

_GLANCE = Row("In the time shown", (
    Panel(
        "Cost of anti-conversions", "What visitors did that they would rather not have had to do, at its unit cost.",
        (Query(over_range(_AMOUNT, where=_ANTI)),), kind="stat", width=6, height=5, decimals=0,
        base_colour=RED,
    ),
    Panel(
        "Anti-conversions", "How many there were.",
        (Query(over_range(_COUNT, where=_ANTI)),), kind="stat", width=6, height=5, decimals=0, base_colour=RED,
    ),
    Panel(
        "Value of conversions", "What visitors did that they came for, at its value.",
        (Query(over_range(_AMOUNT, where=_CONVERSION)),), kind="stat", width=6, height=5, decimals=0,
        base_colour=GREEN,
    ),
    Panel(
        "Anti-conversions per 1,000 events", "Independent of the traffic: rises when the site gets worse for visitors.",
        (Query("1000 * " + share(over_range(_COUNT, where=_ANTI),
                                 over_range("avert_events_total", where='result="applied"'))),),
        kind="stat", width=6, height=5, decimals=2,
    ),
))

_COST = Row("Anti-conversions", (
    Panel(
        "Cost an hour", "Cost of each anti-conversion, as a rate an hour. Stacked: the top edge is the whole.",
        (Query(rate(_AMOUNT, "outcome", _ANTI) + _PER_HOUR, "{{outcome}}"),), width=12,
        stacked=True,
    ),
    Panel(
        "Anti-conversions an hour", "How often each happens, as a rate an hour.",
        (Query(rate(_COUNT, "outcome", _ANTI) + _PER_HOUR, "{{outcome}}"),), width=12, stacked=True,
    ),
    Panel(
        "Which ones cost most", "Cost of each anti-conversion in the time shown.",
        (Query(f"sort_desc({over_range(_AMOUNT, 'outcome', _ANTI)})", "{{outcome}}"),),
        kind="bargauge", width=12, decimals=0, base_colour=RED,
    ),
    Panel(
        "Cost of one", "Mean cost of each anti-conversion. A step here is a changed unit cost, not a changed visitor.",
        (Query(share(rate(_AMOUNT, "outcome", _ANTI), rate(_COUNT, "outcome", _ANTI)) + " > 0", "{{outcome}}"),),
        width=12, decimals=2,
    ),
))

_VALUE = Row("Conversions", (
    Panel(
        "Value an hour", "Value of each conversion, as a rate an hour.",
        (Query(rate(_AMOUNT, "outcome", _CONVERSION) + _PER_HOUR, "{{outcome}}"),), width=12,
        stacked=True,
    ),
    Panel(
        "Conversions an hour", "A guardrail: a suggestion that averts chats and loses sales has averted nothing.",
        (Query(rate(_COUNT, "outcome", _CONVERSION) + _PER_HOUR, "{{outcome}}"),), width=12, stacked=True,
    ),
))

_DONE = Row("What was done about it", (
    Panel(
        "Suggestions made, and held back", "Firings in the treated and in the control arm. Both arms are needed: the "
        "difference between them is the proof.",
        (Query(rate("avert_decisions_total", "kind", 'kind=~"suggested|control"') + _PER_HOUR, "{{kind}} an hour"),),
        width=12,
    ),
    Panel(
        "Shown and clicked", "What visitors saw, and what they followed.",
        (Query(rate("avert_receipts_total", "kind", 'kind=~"shown|clicked"') + _PER_HOUR, "{{kind}} an hour"),),
        width=12,
    ),
    Panel("", "", kind="text", width=24, height=3, text=_READ_ME),
))

BOARD = Board(
    uid="avert-worth",
    title="Avert: what it is worth",
    about="For whoever pays: how often anti-conversions happen, what they cost, and what was done about it.",
    tags=("business",),
    rows=(_GLANCE, _COST, _VALUE, _DONE),
    variables=(Variable("outcome", "Outcome", _COUNT, "outcome"),),
    time_from="now-24h",
    refresh="1m",
)
