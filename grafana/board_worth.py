"""The board for whoever pays: how often anti-conversions happen and what they cost."""

from __future__ import annotations

from grafana.kit import GREEN, RED, Board, Panel, Query, Row, Variable
from grafana.promql import over_range, rate, share, told, total

_ANTI = 'kind="anti_conversion", outcome=~"$outcome"'
_CONVERSION = 'kind="conversion", outcome=~"$outcome"'
_COUNT = "avert_outcomes_total"
_AMOUNT = "avert_outcome_amount_total"
_PER_HOUR = " * 3600"
# Recorded (grafana/prometheus/records.yml): this board is looked at over days and months.
_COUNTED = "outcome:avert_outcomes:rate5m"
_SPENT = "outcome:avert_outcome_amount:rate5m"


def _hourly(record: str, where: str) -> str:
    return f"{record}{{{where}}}{_PER_HOUR}"

_READ_ME = """Amounts are in the currency of `rules/outcomes.yaml`, at the unit costs that are written there. \
What **happened** is counted. What was **averted** cannot be counted, only inferred against the control arm: the row \
*What was averted* shows what `avert impact` says, computed once a minute from the same totals (`docs/proof.md`)."""

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
        (Query(_hourly(_SPENT, _ANTI), "{{outcome}}"),), width=12,
        stacked=True,
    ),
    Panel(
        "Anti-conversions an hour", "How often each happens, as a rate an hour.",
        (Query(_hourly(_COUNTED, _ANTI), "{{outcome}}"),), width=12, stacked=True,
    ),
    Panel(
        "Which ones cost most", "Cost of each anti-conversion in the time shown.",
        (Query(f"sort_desc({over_range(_AMOUNT, 'outcome', _ANTI)})", "{{outcome}}"),),
        kind="bargauge", width=12, decimals=0, base_colour=RED,
    ),
    Panel(
        "Cost of one", "Mean cost of each anti-conversion. A step here is a changed unit cost, not a changed visitor.",
        (Query(share(f"{_SPENT}{{{_ANTI}}}", f"{_COUNTED}{{{_ANTI}}}") + " > 0", "{{outcome}}"),),
        width=12, decimals=2,
    ),
))

_VALUE = Row("Conversions", (
    Panel(
        "Value an hour", "Value of each conversion, as a rate an hour.",
        (Query(_hourly(_SPENT, _CONVERSION), "{{outcome}}"),), width=12,
        stacked=True,
    ),
    Panel(
        "Conversions an hour", "A guardrail: a suggestion that averts chats and loses sales has averted nothing.",
        (Query(_hourly(_COUNTED, _CONVERSION), "{{outcome}}"),), width=12, stacked=True,
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

_ARM = "{{rule}}: {{arm}}"
_OF_RULE = 'rule!="programme", rule=~"$rule"'
_EXPOSED = total("avert_exposed_visitors", "rule, arm", 'rule=~"$rule"')

_SAVED = "avert_saved_amount"
_SAVED_NOW = tuple(
    Query(told(_SAVED, "rule", f'rule=~"$rule", bound="{bound}"'), "{{rule}}: " + name)
    for bound, name in (("estimate", "estimate"), ("low", "at least"), ("high", "at most"))
)

_AVERTED = Row("What was averted, against the control group, since the beginning", (
    Panel(
        "Cost averted by the programme", "All rules together, by the global holdout: the estimate, and the ends of "
        "an interval that stays valid however often one looks. The truth lies between them; an interval that "
        "contains 0 has proved nothing yet.",
        tuple(
            Query(told(_SAVED, "rule", f'rule="programme", bound="{bound}"'), name)
            for bound, name in (("low", "at least"), ("estimate", "estimate"), ("high", "at most"))
        ), kind="stat", width=12, height=6, decimals=0, minimum=None, base_colour=RED, thresholds=((0, GREEN),),
    ),
    Panel(
        "Split as declared?", "The sample-ratio check: how often chance alone would split visitors as oddly between "
        "the arms; the oddest rule. Below 0.001 something sorts visitors, and no figure of that rule may be believed.",
        (Query('min (avert_split_p_value{rule=~"$rule"})', "p"),), kind="stat", width=6, height=6, decimals=4,
        base_colour=RED, thresholds=((0.001, GREEN),),
    ),
    Panel(
        "Held back", "Share of all exposed visitors who are in the global holdout. Without it the programme as a whole "
        "can prove nothing.",
        (Query(told("avert_control_share", "kind", 'rule="programme"'), "{{kind}}"),), unit="percentunit",
        kind="stat", width=6, height=6, decimals=1,
    ),
    Panel(
        "Rule by rule", "What may be said of each rule: the verdict, the cost that it averted (or the value that it "
        "brought) with its interval, what its suggestions cost, and the sample-ratio check. No interval: too early.",
        (
            Query('max by (rule, verdict) (avert_verdict{rule=~"$rule"} == 1)'),
            *(Query(told(_SAVED, "rule", f'rule=~"$rule", bound="{bound}"')) for bound in ("low", "estimate", "high")),
            Query(told("avert_nudge_cost_amount", "rule", 'rule=~"$rule"')),
            Query(told("avert_split_p_value", "rule", 'rule=~"$rule"')),
        ),
        kind="table", width=24, height=9, decimals=2, minimum=None,
        columns=(("rule", "Rule"), ("verdict", "Verdict"), ("Value #B", "At least"), ("Value #C", "Estimate"),
                 ("Value #D", "At most"), ("Value #E", "Suggestions cost"), ("Value #F", "Split, p")),
    ),
    Panel(
        "Cost averted, as it was known", "The interval narrows as visitors come. It may be looked at at any time.",
        _SAVED_NOW, width=12, decimals=0, minimum=None,
    ),
    Panel(
        "Control arm, declared and observed", "Share of a rule's exposed visitors in the control arm, beside what the "
        "rule files say. Apart from each other: see the sample-ratio check.",
        (Query(told("avert_control_share", "rule, kind", 'rule=~"$rule"'), "{{rule}}: {{kind}}"),),
        unit="percentunit", width=12, maximum=1, decimals=1,
    ),
))

_EXPERIMENT = Row("Against the control group, since the beginning", (
    Panel(
        "Exposed visitors", "Visitors whom a rule would have helped: half of the comparison is that nobody did. "
        "`programme` is all rules together, by the global holdout.",
        (Query(_EXPOSED, _ARM),), width=12,
    ),
    Panel(
        "Cost of an exposed visitor", "All anti-conversions within their windows, per exposed visitor. The distance of "
        "the arms is what a rule saves; whether it is more than chance, the row above says.",
        (Query(
            total("avert_credited_amount", "rule, arm", 'outcome="all_costs", rule=~"$rule"') + f" / ({_EXPOSED} > 0)",
            _ARM,
        ),),
        width=12, decimals=2,
    ),
    Panel(
        "Visitors with the outcome", "Share of the exposed visitors who had it within its window, by arm.",
        (Query(
            total("avert_credited_visitors", "rule, arm, outcome", f'outcome=~"$outcome", {_OF_RULE}')
            + f" / on (rule, arm) group_left () ({_EXPOSED} > 0)", "{{outcome}}, " + _ARM,
        ),),
        unit="percentunit", width=12, decimals=1,
    ),
    Panel(
        "Outcomes of an exposed visitor", "How often each happens to them, by arm. Other outcomes than the rule's own "
        "show what visitors do instead.",
        (Query(
            total("avert_credited_outcomes", "rule, arm, outcome", f'outcome=~"$outcome", {_OF_RULE}')
            + f" / on (rule, arm) group_left () ({_EXPOSED} > 0)", "{{outcome}}, " + _ARM,
        ),),
        width=12, decimals=2,
    ),
    Panel(
        "Suggestions shown, clicked, dismissed", "Each suggestion once of each kind.",
        (Query(total("avert_suggestions_answered", "rule, receipt", 'rule=~"$rule"'), "{{rule}}: {{receipt}}"),),
        width=12,
    ),
    Panel(
        "Outcomes at each version of their cost", "A cost that was changed in `rules/outcomes.yaml` counts from then "
        "on, under another version; what was counted before stays.",
        (Query(total("avert_outcome_price_outcomes", "outcome, price", ""), "{{outcome}} at {{price}}"),), width=12,
    ),
    Panel(
        "Money at each version", "Value or cost counted at each version.",
        (Query(total("avert_outcome_price_amount", "outcome, price", ""), "{{outcome}} at {{price}}"),),
        kind="bargauge", width=12, decimals=0,
    ),
    Panel(
        "Counted nowhere", "What the totals had no room for since a worker's start. Anything but 0: docs/proof.md, "
        "\"Bounds\".",
        (Query(total("avert_totals_refused", "", "")),), kind="stat", width=12, base_colour=GREEN,
        thresholds=((1, RED),),
    ),
))

_STEP = "{{funnel}} {{step}}: {{arm}}"
_ALL = "funnel, step, arm"
_ENTERED = total("avert_funnel_entered", "funnel, arm", "")
_WAYS = total("avert_funnel_ways", _ALL, "")


def _of_entered(metric: str) -> str:
    return total(metric, _ALL, "") + f" / on (funnel, arm) group_left () ({_ENTERED} > 0)"


_FUNNELS = Row("Funnels, since the beginning", (
    Panel(
        "Journeys", "Journeys that began, and those that are over for good: `rules/funnels.yaml` says what they are.",
        (
            Query(_ENTERED, "{{funnel}}: {{arm}} began"),
            Query(total("avert_funnel_ended", "funnel, arm", ""), "{{funnel}}: {{arm}} ended"),
        ),
        width=12,
    ),
    Panel(
        "Reached each step", "Share of the journeys that began which reached a step. Young ones still go on.",
        (Query(_of_entered("avert_funnel_reached"), _STEP),), kind="bargauge", unit="percentunit", width=12, decimals=1,
    ),
    Panel(
        "Time to a step", "Mean time from the step before, of those who reached both in this order.",
        (Query(total("avert_funnel_way_seconds", _ALL, "") + f" / ({_WAYS} > 0)", _STEP),), unit="s", width=12,
    ),
    Panel(
        "Clicks to a step",
        "Mean clicks from the step before: fewer in the treated arm means that suggestions shortened the way.",
        (Query(total("avert_funnel_way_clicks", _ALL, "") + f" / ({_WAYS} > 0)", _STEP),), width=12, decimals=1,
    ),
    Panel(
        "Skipped", "Share of the journeys that reached a later step without this one.",
        (Query(_of_entered("avert_funnel_skipped"), _STEP),), unit="percentunit", width=12, decimals=1,
    ),
    Panel(
        "In reverse", "Share of the journeys that reached this step after a later one.",
        (Query(_of_entered("avert_funnel_reverse"), _STEP),), unit="percentunit", width=12, decimals=1,
    ),
))

BOARD = Board(
    uid="avert-worth",
    title="Avert: what it is worth",
    about="For whoever pays: how often anti-conversions happen, what they cost, and what was done about it.",
    tags=("business",),
    rows=(_GLANCE, _AVERTED, _COST, _VALUE, _EXPERIMENT, _FUNNELS, _DONE),
    variables=(
        Variable("outcome", "Outcome", _COUNT, "outcome"), Variable("rule", "Rule", "avert_exposed_visitors", "rule"),
    ),
    time_from="now-24h",
    refresh="1m",
)
