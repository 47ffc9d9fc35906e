"""Kafka's part of a plan, topic by topic: records and bytes a second at peak, and what lies on the disks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from streams.plan.demand import Demand

Costs = Mapping[str, float]

_DAY_S = 86_400
_GIB = 1024**3
TOPICS = 9  # with the plan's partitions: those below, and `erasures`, on which there is next to nothing
UNCOMPACTED_S = 3_600  # of the changelog: its min.compaction.lag.ms, and about what stands in the file that is written
_TOTALS_UNCOMPACTED_S = 1_200  # segment.ms is 600,000, and the cleaner comes after that
_LINES_BESIDE = 10  # of outcomes, and of the programme
_ARMS = 2


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. MB are 10^6 bytes, GiB 2^30."""

    name: str
    records_per_s: float  # at peak
    mb_per_s: float  # at peak, before replication
    disk_gib: float  # with replicas
    kept: str


def counted_per_event(demand: Demand, costs: Costs) -> float:
    """Effects that change a line of the totals."""
    return costs["decisions_per_event"] + costs["outcomes_per_event"] + _journeys(demand, costs)


def row_bytes(demand: Demand, costs: Costs) -> float:
    """A visitor's row during a visit: what is written."""
    return costs["visitor_row_bytes"] + demand.funnels * costs["row_bytes_a_funnel"]


def resting_bytes(demand: Demand, costs: Costs) -> float:
    """A row in the mean of all that there are: of visits, and of those who have left."""
    in_visits = min(demand.events_per_second / demand.visit_events * demand.visit_s / demand.visitors, 1.0)
    kept = costs["kept_row_bytes"] + demand.funnels * costs["row_bytes_a_funnel"]
    return in_visits * row_bytes(demand, costs) + (1 - in_visits) * kept


def lines(demand: Demand) -> int:
    """Lines of the totals of one partition: one for each rule and arm, funnel and arm, and outcome."""
    return (demand.rules + demand.funnels) * _ARMS + _LINES_BESIDE


def changelog_rows(demand: Demand, costs: Costs) -> float:
    """Rows that lie in the changelog: each visitor's, as often as the cleaner leaves them, and the last hour whole."""
    return demand.visitors * costs["changelog_copies"] + _last_hour(demand, costs)


def _last_hour(demand: Demand, costs: Costs) -> float:
    return demand.events_per_second * costs["rows_per_event"] * UNCOMPACTED_S


def topics(demand: Demand, costs: Costs, partitions: int) -> list[Topic]:
    """All topics that matter."""
    return [*_kept_by_time(demand, costs), _totals(demand, costs, partitions), _changelog(demand, costs)]


# Topic -> (records an event, bytes of one, days that it is kept).
_BY_TIME: Mapping[str, Callable[[Demand, Costs], tuple[float, float, float]]] = {
    "clickstream": lambda d, _: (1, d.bytes_per_event, d.retention_days),
    "decisions": lambda d, c: (c["decisions_per_event"], c["decision_bytes"], d.results_retention_days),
    "suggestions": lambda d, c: (c["suggestions_per_event"], c["suggestion_bytes"], d.retention_days),
    "outcomes": lambda d, c: (c["outcomes_per_event"], c["outcome_bytes"], d.results_retention_days),
    "journeys": lambda d, c: (_journeys(d, c), c["journey_bytes"], d.results_retention_days),
    "deadletter": lambda d, c: (c["deadletters_per_event"], c["deadletter_bytes"], 2 * d.retention_days),
}


def _journeys(demand: Demand, costs: Costs) -> float:
    return demand.funnels * costs["journeys_per_event"]


def _kept_by_time(demand: Demand, costs: Costs) -> Iterator[Topic]:
    for name, of in _BY_TIME.items():
        number, size, days = of(demand, costs)
        yield Topic(
            name, demand.peak * number, demand.peak * number * size / 1e6,
            demand.events_per_second * number * size * days * _DAY_S * demand.replication / _GIB, f"{days:g} days",
        )  # fmt: skip


def _totals(demand: Demand, costs: Costs, partitions: int) -> Topic:
    """A line is told at most once a second and partition."""
    most = partitions * lines(demand)
    at_peak, in_the_mean = (
        min(most, rate * counted_per_event(demand, costs)) for rate in (demand.peak, demand.events_per_second)
    )
    disk = (in_the_mean * _TOTALS_UNCOMPACTED_S + most * costs["changelog_copies"]) * costs["line_bytes"]
    return Topic(
        "totals", at_peak, at_peak * costs["line_bytes"] / 1e6, disk * demand.replication / _GIB, "compacted"
    )


def _changelog(demand: Demand, costs: Costs) -> Topic:
    """A visitor's row for an event (or a batch with more of his); and with each effect that is counted, its line."""
    rows, counted = costs["rows_per_event"], counted_per_event(demand, costs)
    an_event = rows * row_bytes(demand, costs) + counted * costs["line_bytes"]
    disk = demand.visitors * costs["changelog_copies"] * resting_bytes(demand, costs)
    disk += _last_hour(demand, costs) * row_bytes(demand, costs)
    disk += demand.events_per_second * UNCOMPACTED_S * counted * costs["line_bytes"]
    return Topic(
        "changelog", demand.peak * (rows + counted), demand.peak * an_event / 1e6,
        disk * demand.replication / _GIB, "compacted",
    )  # fmt: skip
