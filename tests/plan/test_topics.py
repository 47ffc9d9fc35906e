"""Kafka's topics in a plan, counted by hand."""

from __future__ import annotations

import pytest

from streams.plan import sizing
from streams.plan.costs import costs_with
from streams.plan.demand import Demand
from streams.plan.topics import TOPICS, Topic, topics
from streams.retention import KEPT_BY_TIME
from streams.settings import Settings
from streams.worker.partition import HOT_VISITORS_MAX
from streams.worker.topics import topic_names

DAY_MS = 86_400_000


def found(demand: Demand, costs: dict[str, float], partitions: int = 8) -> dict[str, Topic]:
    return {topic.name: topic for topic in topics(demand, costs_with(costs), partitions)}


def test_a_topic_that_is_kept_by_time() -> None:
    # 100 events/s with a tenth of a decision of 500 bytes each: 5,000 B/s, 90 days, twice. At peak twice of that.
    demand = Demand(events_per_second=100, peak_factor=2, replication=2, results_retention_days=90)
    decisions = found(demand, {"decisions_per_event": 0.1, "decision_bytes": 500})["decisions"]

    assert decisions.records_per_s == pytest.approx(20)
    assert decisions.mb_per_s == pytest.approx(0.01)
    assert decisions.disk_gib == pytest.approx(5000 * 90 * 86_400 * 2 / 2**30)


def test_journeys_come_with_funnels() -> None:
    costs = {"journeys_per_event": 0.1}
    three = Demand(events_per_second=100, peak_factor=1, funnels=3)

    assert found(three, costs)["journeys"].records_per_s == pytest.approx(30)
    assert found(Demand(events_per_second=100, funnels=0), costs)["journeys"].mb_per_s == 0


def test_a_line_of_the_totals_is_told_once_a_second_and_partition() -> None:
    # 2 rules and 1 funnel in two arms, and 10 beside: 16 lines; of 8 partitions 128.
    costs = {"decisions_per_event": 1, "outcomes_per_event": 1, "journeys_per_event": 1}
    demand = Demand(events_per_second=1000, peak_factor=1, rules=2, funnels=1)

    assert found(demand, costs)["totals"].records_per_s == 128


def test_few_effects_tell_few_lines() -> None:
    costs = {"decisions_per_event": 0.001, "outcomes_per_event": 0.001}

    assert found(Demand(events_per_second=1000, peak_factor=1, funnels=0), costs)["totals"].records_per_s == 2


def test_the_changelog_has_rows_and_lines() -> None:
    costs = {
        "rows_per_event": 0.5, "visitor_row_bytes": 600, "kept_row_bytes": 300, "row_bytes_a_funnel": 200,
        "line_bytes": 1000,
        "decisions_per_event": 0.1, "outcomes_per_event": 0.1, "journeys_per_event": 0.1, "changelog_copies": 2,
    }  # fmt: skip
    # Of a million visitors 100 x 2,500 s are in a visit.
    demand = Demand(
        events_per_second=1000, visit_events=10, visit_s=2500, peak_factor=1, funnels=1, live_visitors=1e6,
        replication=1,
    )  # fmt: skip
    changelog = found(demand, costs)["changelog"]

    assert changelog.records_per_s == pytest.approx(500 + 300)
    assert changelog.mb_per_s == pytest.approx(0.4 + 0.3)
    assert changelog.disk_gib * 2**30 == pytest.approx(
        2 * (250_000 * 800 + 750_000 * 500) + 1.8e6 * 800 + 3600 * 300 * 1000
    )


def test_all_topics_are_counted() -> None:
    assert len(topic_names(Settings())) == TOPICS


def test_topics_are_kept_as_the_settings_come() -> None:
    planned = {name: topic.kept for name, topic in found(Demand(events_per_second=1), {}).items()}
    settings = {
        name: f"{getattr(Settings(), setting) / DAY_MS:g} days"
        for name, setting in KEPT_BY_TIME.items() if name in planned
    }  # fmt: skip

    assert {name: kept for name, kept in planned.items() if kept != "compacted"} == settings


def test_the_bound_of_live_objects_is_the_workers() -> None:
    assert sizing.HOT_VISITORS_MAX == HOT_VISITORS_MAX
