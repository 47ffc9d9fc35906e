"""docs/scale.md says what `avert plan` says."""

from __future__ import annotations

import pytest

from streams.plan.costs import COSTS
from tests.plan import scale_tables
from tests.plan.scale_tables import TABLES

PAGE = scale_tables.PAGE.read_text()


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_those_of_the_plan(name: str) -> None:
    """Where they differ: ``python -m tests.plan.scale_tables`` writes them; the text around them is for you."""
    missing = [row for row in TABLES[name]() if row not in PAGE]

    assert missing == []


def test_the_figures_of_the_assumed_costs_stand_there() -> None:
    named = ("broker_mb_per_s", "broker_partitions", "redis_ops_per_s", "prometheus_series", "changelog_copies")

    assert [name for name in named if f"`{name}`" not in PAGE or COSTS[name].measured] == []
