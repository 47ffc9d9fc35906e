"""The board for product teams: which rules fire, what their firings lead to, and what visitors make of it."""

from __future__ import annotations

from grafana.kit import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Board, Panel, Query, Row, Variable
from grafana.promql import over_range, rate, share, told, total

_MINE = 'rule=~"$rule"'
_DECISIONS = "avert_decisions_total"
_KINDS = (("suggested", GREEN), ("control", BLUE), ("shadow", PURPLE), ("suppressed", GREY))


# Recorded (grafana/prometheus/records.yml): a rule has up to twenty series a worker.
_RECORD = "rule:avert_decisions:rate5m"


def _rate(by: str, where: str) -> str:
    return f"sum by ({by}) ({_RECORD}{{{where}}})"


def _of_kind(kind: str) -> str:
    return f'{_MINE}, kind="{kind}"'


_GLANCE = Row("In the time shown", (
    Panel(
        "Firings", "How often a rule began to hold for a visitor, in every arm and mode.",
        (Query(over_range(_DECISIONS, where=_MINE)),), kind="stat", width=4, height=5, decimals=0,
    ),
    Panel(
        "Suggestions made", "Firings that became a suggestion.",
        (Query(over_range(_DECISIONS, where=_of_kind("suggested"))),), kind="stat", width=4, height=5, decimals=0,
        base_colour=GREEN,
    ),
    Panel(
        "Held back for comparison", "Firings in the control arm: without them nobody could say what the others were "
        "worth.",
        (Query(over_range(_DECISIONS, where=_of_kind("control"))),), kind="stat", width=4, height=5, decimals=0,
    ),
    Panel(
        "Shown", "Receipts: the site did show the suggestion. Far fewer than made: the placement is not on the page, "
        "or visitors have left it.",
        (Query(over_range("avert_receipts_total", where='kind="shown"')),), kind="stat", width=4, height=5, decimals=0,
    ),
    Panel(
        "Clicked of shown", "Share of the shown suggestions that were clicked. A help, not a goal: the goal is on "
        "the board of what it is worth.",
        (Query(share(over_range("avert_receipts_total", where='kind="clicked"'),
                     over_range("avert_receipts_total", where='kind="shown"'))),), unit="percentunit", kind="stat",
        width=4, height=5, decimals=1,
    ),
    Panel(
        "Dismissed of shown", "Share that visitors closed. High: the suggestion is in the way. Rethink the rule.",
        (Query(share(over_range("avert_receipts_total", where='kind="dismissed"'),
                     over_range("avert_receipts_total", where='kind="shown"'))),), unit="percentunit", kind="stat",
        width=4, height=5, decimals=1, thresholds=((0.2, ORANGE), (0.5, RED)),
    ),
))

_TABLE = Row("Rule by rule", (
    Panel(
        "Rules", "Every rule that fired in the time shown, and what its firings led to.",
        (Query(over_range(_DECISIONS, "rule", _MINE)), *(
            Query(over_range(_DECISIONS, "rule", _of_kind(kind))) for kind, _ in _KINDS)),
        kind="table", width=24, height=9, decimals=0, minimum=None,
        columns=(("rule", "Rule"), ("Value #A", "Fired"), ("Value #B", "Suggested"), ("Value #C", "Control"),
                 ("Value #D", "Shadow"), ("Value #E", "Suppressed")),
    ),
))

_FIRINGS = Row("Firings", (
    Panel(
        "Firings by rule", "Firings per second of each rule. A rule that falls silent after a change of the site has "
        "lost the events that it listens to.",
        (Query(_rate("rule", _MINE), "{{rule}}"),), unit="ops", width=12, stacked=True,
    ),
    Panel(
        "Firings by what they led to", "`suggested`, `control`, `shadow` or `suppressed`.",
        (Query(_rate("kind", _MINE), "{{kind}}"),), unit="ops", width=12, stacked=True, colours=_KINDS,
    ),
    Panel(
        "Why firings were suppressed", "Limits and cooldowns are the rule's own wish. `outranked`: another rule won "
        "the placement. `template_field_missing`: a text names a field that the event does not have.",
        (Query(_rate("reason", _of_kind("suppressed")), "{{reason}}"),), unit="ops", width=12, stacked=True,
    ),
    Panel(
        "Firings by arm", "Treated and control, as the hash deals them. The shares should be those of `experiment` in "
        "the rule file.",
        (Query(_rate("arm", _MINE), "{{arm}}"),), unit="ops", width=12, stacked=True,
        colours=(("treated", GREEN), ("control", BLUE)),
    ),
    Panel(
        "Control arm by rule", "Share of the firings in the control arm. Drifting away from the rule's holdout is a "
        "reason to distrust its result.",
        (Query(share(_rate("rule", _MINE + ', arm="control"'), _rate("rule", _MINE)),
               "{{rule}}"),), unit="percentunit", maximum=1, width=24,
    ),
))

_AFTER = Row("After the firing", (
    Panel(
        "Suggestions: handed out and answered", "Suggestions read by sites, and receipts for them.",
        (Query(rate("avert_suggestions_read_total", where=""), "read"),
         Query(rate("avert_receipts_total", "kind", ""), "{{kind}}")), unit="ops", width=12,
        colours=(("read", GREY), ("shown", BLUE), ("clicked", GREEN), ("dismissed", RED)),
    ),
    Panel(
        "Withdrawals by reason", "`outcome`: it happened after all. `withdraw`: the visitor found the way without us. "
        "`dismissed`: the visitor said no. `no_consent`: consent was taken back.",
        (Query(rate("avert_withdrawals_total", "reason", ""), "{{reason}}"),), unit="ops", width=12, stacked=True,
    ),
))

_ANSWERED = "avert_suggestions_answered"


def _answers(receipt: str) -> str:
    return total(_ANSWERED, "rule", f'{_MINE}, receipt="{receipt}"')


_BY_RULE = Row("What visitors make of each rule, since the beginning", (
    Panel(
        "Suggestions by rule", "Shown, clicked and dismissed suggestions of each rule, and what may be said of the "
        "rule (docs/proof.md). Many dismissals: the rule is in the way, whatever it averts.",
        (
            *(Query(_answers(receipt)) for receipt in ("shown", "clicked", "dismissed")),
            Query(f"{_answers('clicked')} / ({_answers('shown')} > 0)"),
            Query(f"{_answers('dismissed')} / ({_answers('shown')} > 0)"),
            Query(f"max by (rule, verdict) (avert_verdict{{{_MINE}}} == 1)"),
        ),
        kind="table", width=24, height=9, decimals=2, minimum=None,
        columns=(("rule", "Rule"), ("verdict", "Verdict"), ("Value #A", "Shown"), ("Value #B", "Clicked"),
                 ("Value #C", "Dismissed"), ("Value #D", "Clicked of shown"), ("Value #E", "Dismissed of shown")),
    ),
))

_FILES = Row("The rule files", (
    Panel(
        "Rules by mode", "`live` rules speak to visitors, `shadow` rules only decide, `draft` and `off` do nothing.",
        (Query(told("avert_rules_loaded", "mode", 'job="avert-worker"'), "{{mode}}"),), kind="stat", width=6,
        height=6,
    ),
    Panel(
        "Changes of the files", "Sets of rule files that came along in the time shown, by what became of them. "
        "`broken`: the log says file, line and column, and so does `avert rules check`.",
        (Query(over_range("avert_rules_reloads_total", "result", 'job="avert-worker"'), "{{result}}"),),
        kind="stat", width=6, height=6, decimals=0,
    ),
    Panel(
        "Findings", "1 while the newest files cannot be used (those in the directory, those on the topic), or while a "
        "worker's directory is not what is in force. The rules from before go on.",
        (
            Query(told("avert_rules_broken", "source", 'job="avert-worker"'), "broken: {{source}}"),
            Query('max (avert_rules_directory_differs{job="avert-worker"})', "directory differs"),
        ),
        kind="stat", width=6, height=6, decimals=0, base_colour=GREEN, thresholds=((1, RED),),
    ),
    Panel(
        "Age of the rules", "Time since the rules in force were loaded, by the worker that did it last.",
        (Query('time() - max (avert_rules_loaded_timestamp_seconds{job="avert-worker"} > 0)', "age"),), unit="s",
        kind="stat", width=6, height=6,
    ),
    Panel(
        "Versions", "The version of the rules that each worker has in force. Suggestions and decisions carry it.",
        (Query('avert_rules_info{job="avert-worker"} == 1'),), kind="table", width=24, height=6, minimum=None,
        columns=(("instance", "Worker"), ("version", "Version")),
    ),
))

BOARD = Board(
    uid="avert-rules",
    title="Avert: the rules",
    about="For product teams: which rules fire, what their firings lead to, and what visitors make of it.",
    tags=("product",),
    rows=(_GLANCE, _TABLE, _FIRINGS, _AFTER, _BY_RULE, _FILES),
    variables=(Variable("rule", "Rule", _DECISIONS, "rule"),),
    time_from="now-6h",
    refresh="30s",
)
