"""Telling of the totals: what, when, again after a failure; and the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from streams.core.effects import CreditedExposure, Decision, Journey, OutcomeRecord, Receipt
from streams.core.ruleset import Ruleset
from streams.core.totals import Totals, decode_line, encode_line
from streams.errors import BrokerUnavailableError
from streams.telemetry import REGISTRY
from streams.worker.partition import PartitionMemory
from streams.worker.publish import ABOUT_KEY, TotalsPublisher, meter
from streams.worker.send import Row, Written
from tests.core.build import compiled, event, rule
from tests.worker.small import SMALL

DECISION = Decision("d", "v", "s", "r", "1", 5, "suggested", "treated", "e", exposure=True, variant="a")
OUTCOME = OutcomeRecord(
    "o", "v", "s", "chat", "anti_conversion", 6, "e", "EUR", 6.5, (CreditedExposure("r", "1", "treated", 5, "a"),),
    price="6.5 #ab",
)  # fmt: skip


class Topic:
    def __init__(self) -> None:
        self.records: list[tuple[int, bytes | None, bytes | None]] = []
        self.away = False

    tenure = 0

    async def send(
        self, partition: int, rows: Mapping[str, Sequence[Row]], tenure: int | None = None
    ) -> list[Written]:
        if self.away:
            raise BrokerUnavailableError("away")
        assert set(rows) == {"totals"}
        self.records += [(partition, row.key, row.value) for some in rows.values() for row in some]
        return []


def memory(partition: int, *effects: object) -> PartitionMemory:
    made = PartitionMemory(partition, SMALL)
    for effect in effects:
        made.totals.add(effect)
    made.unpublished = made.totals.settle()
    return made


def publisher(topic: Topic, *memories: PartitionMemory, rules: Ruleset | None = None) -> TotalsPublisher:
    return TotalsPublisher(topic, "totals", lambda: list(memories), lambda: rules)


@pytest.fixture(autouse=True)
def clean_metrics() -> Iterator[None]:
    yield
    meter([])


async def test_what_has_changed_is_told_once() -> None:
    topic, one = Topic(), memory(3, DECISION)
    tells = publisher(topic, one)
    await tells.publish()
    await tells.publish()
    ((partition, key, value),) = topic.records
    assert (partition, key) == (3, b"3/rule/r/treated/a")
    assert decode_line(value or b"") == one.totals.lines["rule/r/treated/a"]


async def test_what_could_not_be_told_is_told_later_as_it_is_then() -> None:
    topic, one = Topic(), memory(3, DECISION)
    tells = publisher(topic, one)
    topic.away = True
    await tells.publish()
    one.totals.add(DECISION)
    one.unpublished |= one.totals.settle()
    topic.away = False
    await tells.publish()
    ((_, _, value),) = topic.records
    assert decode_line(value or b"").number == 2


async def test_a_recovered_partition_tells_everything() -> None:
    one = PartitionMemory(2, SMALL)
    one.restore_line(0, encode_line(memory(2, DECISION).totals.lines["rule/r/treated/a"]))
    one.recovered()
    topic = Topic()
    await publisher(topic, one).publish()
    assert [key for _, key, _ in topic.records] == [b"2/rule/r/treated/a"]


async def test_who_has_the_first_partition_says_what_the_numbers_mean() -> None:
    rules = [compiled(rule(event("a"))), compiled(rule(event("b")))]
    topic, zero = Topic(), memory(0)
    tells = TotalsPublisher(topic, "totals", lambda: [zero, memory(1)], lambda: rules[0])
    await tells.publish()
    await tells.publish()
    assert [(partition, key) for partition, key, _ in topic.records] == [(0, ABOUT_KEY)]
    del rules[0]
    await tells.publish()
    zero = memory(0)  # the partition was away and has come back
    await tells.publish()
    assert len(topic.records) == 3


async def test_without_the_first_partition_somebody_else_says_it() -> None:
    topic = Topic()
    await publisher(topic, memory(1), rules=compiled(rule(event("a")))).publish()
    assert topic.records == []


def sample(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_metrics_are_sums_over_partitions_and_variants() -> None:
    other = OutcomeRecord("o", "w", "s", "chat", "anti_conversion", 6, "e", "EUR", 1.0, (), price="6.5 #ab")
    plain = Decision("d", "w", "s", "r", "1", 5, "suggested", "treated", "e", exposure=True)
    shown = Receipt("x", "v", "r", "s", "shown", 6)
    meter([memory(0, DECISION, OUTCOME, shown).totals, memory(1, plain, other).totals])
    assert sample("avert_exposed_visitors", rule="r", arm="treated") == 2
    assert sample("avert_credited_visitors", rule="r", arm="treated", outcome="chat") == 1
    assert sample("avert_credited_outcomes", rule="r", arm="treated", outcome="all_costs") == 1
    assert sample("avert_credited_amount", rule="r", arm="treated", outcome="chat") == 6.5
    assert sample("avert_suggestions_answered", rule="r", receipt="shown") == 1
    assert sample("avert_outcome_price_outcomes", outcome="chat", price="6.5 #ab") == 2
    assert sample("avert_outcome_price_amount", outcome="chat", price="6.5 #ab") == 7.5


def test_metrics_of_a_partition_that_is_gone_go_with_it() -> None:
    meter([memory(0, DECISION).totals])
    meter([Totals()])
    assert sample("avert_exposed_visitors", rule="r", arm="treated") is None


def test_metrics_of_funnels_are_those_of_the_version_in_force() -> None:
    told = [Journey("j", "v", "", "buy", version, "treated", 5, 2, (0, 0, 0, 1, 2500, 3)) for version in ("1", "2")]
    meter([memory(0, *told).totals, memory(1, told[1]).totals], frozenset({("buy", "2")}))
    assert sample("avert_funnel_entered", funnel="buy", arm="treated") == 2
    assert sample("avert_funnel_ended", funnel="buy", arm="treated") == 0
    labels = {"funnel": "buy", "step": "2", "arm": "treated"}
    assert sample("avert_funnel_reached", **labels) == sample("avert_funnel_ways", **labels) == 2
    assert sample("avert_funnel_way_seconds", **labels) == 5
    assert sample("avert_funnel_way_clicks", **labels) == 6
    assert sample("avert_funnel_skipped", **labels) == sample("avert_funnel_reverse", **labels) == 0
    meter([memory(0, *told).totals])
    assert sample("avert_funnel_entered", funnel="buy", arm="treated") is None
