"""Fifty rules of every kind of condition, and visitors whose rows they make: what recovery and memory are judged on."""

from __future__ import annotations

from pathlib import Path

from bench._workload import jobs, write_rules

RULES = 50
_JOBS = 30

# Twenty more, of the kinds that the benchmarks' jobs leave out. `{n}` makes each one's condition its own.
_KINDS = (
    "score: [{{when: {{event: search}}, points: 2, half_life: {n}m}}]\n  at_least: {n}0",
    "ratio: {{of: {{event: form_error}}, to: {{event: page_view}}}}\n  gt: 0.{n}\n  at_least_events: 8",
    "sum: props.total\n  of: {{event: cart_add}}\n  gt: {n}00\n  within: {n}m",
    "count: {{event: product_view}}\n  distinct: props.sku\n  at_least: {n}\n  within: 1{n}m",
    "all:\n    - session: {{page_views: {{gte: 1{n}}}}}\n    - never: {{event: purchase}}",
)


def fifty_rules(folder: Path) -> Path:
    """A rules' directory of RULES rules."""
    rules = write_rules(folder, jobs(_JOBS))
    more = [
        f"rule: kind-{index}\nprevents: support_chat\nwhen:\n  {_KINDS[index % len(_KINDS)].format(n=2 + index // 5)}\n"
        "suggest:\n  placement: side\n  title: {en: Help}\n"
        for index in range(RULES - _JOBS)
    ]
    (rules / "kinds.yaml").write_text("---\n".join(more))
    return rules
