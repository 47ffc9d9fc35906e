"""`bench.sizes` measures what a plan takes, under the plan's names."""

from __future__ import annotations

from bench.sizes import sizes
from streams.plan.costs import COSTS


def test_what_is_measured_is_called_as_in_the_plan() -> None:
    _lines, found = sizes("shipped", visitors=60, visit_events=12, batch=20)

    assert [name for name in found if name not in COSTS] == []
    assert {"visitor_row_bytes", "kept_row_bytes", "journeys_per_event", "suggestion_redis_bytes"} <= set(found)
    assert [name for name, value in found.items() if value <= 0] == []
