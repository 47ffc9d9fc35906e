"""Telling of the totals: the compacted topic `totals`, and the metrics.

1. A record of the topic is one line of one partition's totals, as JSON: key ``PARTITION/LINE``, in the partition of
   that number. What it says is absolute: the last record of a key is the whole truth, and readers add up partitions.
2. Only what stands in the changelog already is told (`PartitionMemory.unpublished`), so no crash takes it back.
3. What has changed is told once a second; a partition that has just been recovered tells everything, as whoever had it
   before may have ended before he told.
4. Who has partition 0 tells under the key ``about`` what the numbers mean, whenever that has changed.
5. A telling that fails is tried again a second later: nothing depends on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from streams.core.about import about
from streams.core.funnel_totals import FunnelLine
from streams.core.outcome import ALL_COSTS, PROGRAMME
from streams.core.ruleset import Ruleset
from streams.core.totals import OutcomeLine, RuleLine, Totals
from streams.errors import AvertError
from streams.telemetry import (
    CREDITED_AMOUNT,
    CREDITED_OUTCOMES,
    CREDITED_VISITORS,
    EXPOSED_VISITORS,
    FUNNEL_ENDED,
    FUNNEL_ENTERED,
    FUNNEL_REACHED,
    FUNNEL_REVERSE,
    FUNNEL_SKIPPED,
    FUNNEL_WAY_CLICKS,
    FUNNEL_WAY_SECONDS,
    FUNNEL_WAYS,
    OTHER,
    OUTCOME_PRICE_AMOUNT,
    OUTCOME_PRICE_OUTCOMES,
    RECEIPTS_COUNTED,
    TOTALS_REFUSED,
    log,
    outcome_label,
    rule_label,
)
from streams.worker.commit import Sender
from streams.worker.partition import PartitionMemory
from streams.worker.send import Row

PUBLISH_S = 1.0
ABOUT_KEY = b"about"
_MICROS = 1_000_000

_encode_json = msgspec.json.Encoder().encode


class TotalsPublisher:
    """See the module. `memories`: the partitions that may be told of now; `rules`: the set in force, if known."""

    def __init__(
        self, sender: Sender, topic: str, memories: Callable[[], list[PartitionMemory]],
        rules: Callable[[], Ruleset | None],
    ) -> None:
        self._sender = sender
        self._topic = topic
        self._memories = memories
        self._rules = rules
        self._about: tuple[PartitionMemory, str] | None = None  # whose partition 0, which version was told
        self._failing = False

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            await asyncio.sleep(PUBLISH_S)
            await self.publish()

    async def publish(self) -> None:
        """Tell what has not been told."""
        memories = self._memories()
        rules = self._rules()
        meter([memory.totals for memory in memories], frozenset() if rules is None else versions_of(rules))
        try:
            for memory in memories:
                await self._tell(memory)
        except AvertError as error:
            if not self._failing:
                log.warning("totals_not_published", error=str(error))
            self._failing = True
        else:
            self._failing = False

    async def _tell(self, memory: PartitionMemory) -> None:
        if memory.unpublished:
            lines, memory.unpublished = memory.unpublished, {}
            rows = [Row(f"{memory.partition}/{key}".encode(), value) for key, value in lines.items()]
            try:
                await self._sender.send(memory.partition, {self._topic: rows}, self._sender.tenure)
            except AvertError:
                memory.unpublished = lines | memory.unpublished  # what came meanwhile is newer
                raise
        rules = self._rules()
        if memory.partition == 0 and rules is not None and self._about != (memory, rules.version):
            await self._sender.send(
                0, {self._topic: [Row(ABOUT_KEY, _encode_json(about(rules)))]}, self._sender.tenure
            )
            self._about = memory, rules.version


def versions_of(rules: Ruleset) -> frozenset[tuple[str, str]]:
    """Name and version of each funnel in force."""
    return frozenset((funnel.name, funnel.version) for funnel in rules.funnels.all)


def meter(totals: list[Totals], funnels: frozenset[tuple[str, str]] = frozenset()) -> None:
    """Show the sums over these partitions in the metrics: absolute values, which every worker shows of its own.

    Of funnels only those versions: a few, as files hold few, and edited ones leave their lines behind.
    """
    whole = Totals()
    for one in totals:
        whole.absorb(one.lines.values())
    for gauge in _GAUGES:
        gauge.clear()
    for line in whole.lines.values():
        if isinstance(line, FunnelLine):
            if (line.funnel, line.version) in funnels:
                _meter_funnel(line)
        elif isinstance(line, RuleLine):
            _meter_rule(line)
        else:
            _meter_prices(line)
    TOTALS_REFUSED.set(sum(one.refused for one in totals))


_GAUGES: tuple[Any, ...] = (
    CREDITED_AMOUNT, CREDITED_OUTCOMES, CREDITED_VISITORS, EXPOSED_VISITORS, FUNNEL_ENDED, FUNNEL_ENTERED,
    FUNNEL_REACHED, FUNNEL_REVERSE, FUNNEL_SKIPPED, FUNNEL_WAY_CLICKS, FUNNEL_WAY_SECONDS, FUNNEL_WAYS,
    OUTCOME_PRICE_AMOUNT, OUTCOME_PRICE_OUTCOMES, RECEIPTS_COUNTED,
)


def _meter_funnel(line: FunnelLine) -> None:
    """Steps are numbered from 1."""
    FUNNEL_ENTERED.labels(line.funnel, line.arm).set(line.entered)
    FUNNEL_ENDED.labels(line.funnel, line.arm).set(line.ended)
    for number, step in enumerate(line.steps, 1):
        labels = line.funnel, str(number), line.arm
        FUNNEL_REACHED.labels(*labels).set(step.reached)
        FUNNEL_SKIPPED.labels(*labels).set(step.skipped)
        FUNNEL_REVERSE.labels(*labels).set(step.reverse)
        FUNNEL_WAYS.labels(*labels).set(step.between.count)
        FUNNEL_WAY_SECONDS.labels(*labels).set(step.between.ms / 1000)
        FUNNEL_WAY_CLICKS.labels(*labels).set(step.between.clicks)


def _meter_rule(line: RuleLine) -> None:
    """Variants of an arm are added up, and so are the rules beyond the cap (telemetry.py), as `other`.

    The programme is no rule among others: adding it to them would count everybody twice.
    """
    rule = line.rule if line.rule == PROGRAMME else rule_label(line.rule)
    EXPOSED_VISITORS.labels(rule, line.arm).inc(line.exposed)
    for kind, count in line.receipts.items():
        RECEIPTS_COUNTED.labels(rule, kind).inc(count)
    for name, share in line.outcomes.items():
        outcome = name if name == ALL_COSTS else outcome_label(name)
        CREDITED_VISITORS.labels(rule, line.arm, outcome).inc(share.visitors)
        CREDITED_OUTCOMES.labels(rule, line.arm, outcome).inc(share.outcomes)
        CREDITED_AMOUNT.labels(rule, line.arm, outcome).inc(share.micros / _MICROS)


def _meter_prices(line: OutcomeLine) -> None:
    outcome = outcome_label(line.outcome)
    for version, priced in line.prices.items():  # bounded where they are counted: PRICES_MAX
        price = OTHER if outcome == OTHER else version
        OUTCOME_PRICE_OUTCOMES.labels(outcome, price).inc(priced.outcomes)
        OUTCOME_PRICE_AMOUNT.labels(outcome, price).inc(priced.micros / _MICROS)
