"""What must have come out: the log read back in its order, and the pure engine run over it with a clock a partition.

The oracle has no batches, no crashes and no memory limits: each record moves its partition's clock, every timer that is
due by then fires, then the event is applied. Whatever a worker did, in whatever portions and lives, must equal that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import msgspec

from bench._log import read_all
from streams.core.effects import Decision, Effect, EventResult, Journey, OutcomeRecord, Receipt, Refusal, Withdrawal
from streams.core.engine import Position, step, tick
from streams.core.event import Refused, parse_event
from streams.core.ruleset import Ruleset
from streams.core.totals import Totals
from streams.core.visitor import NEVER, Visitor, decode_visitor, row_header
from streams.settings import Settings
from streams.worker.exporting import readable
from streams.worker.topics import changelog_name
from streams.worker.totals import is_line, restore_line

EFFECT_TOPICS = ("decisions", "suggestions", "outcomes", "journeys", "deadletter")
Effects = dict[tuple[str, ...], Any]  # by what identifies them


@dataclass
class Expected:
    """What must be there."""

    results: Counter[EventResult] = field(default_factory=Counter)
    effects: Effects = field(default_factory=dict)
    visitors: dict[str, Visitor] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)


@dataclass
class Found:
    """What is there. `repeats`: how many effects came more than once (allowed: with the same id and content)."""

    effects: Effects
    rows: dict[str, bytes]
    repeats: int
    contradictions: list[str]  # effects of one id that differ; rows of one visitor that went back
    totals: Totals = field(default_factory=Totals)  # of all partitions, as the changelog has them


def expected(records: Iterable[Any], ruleset: Ruleset, topic: str) -> Expected:
    """The end of `records` (aiokafka ConsumerRecords of all partitions, in order within each)."""
    want = Expected()
    partitions: dict[int, list[Any]] = {}
    for record in records:
        partitions.setdefault(record.partition, []).append(record)
    for number, log in partitions.items():
        _Partition(want, ruleset, f"{topic}/{number}").run(log)
    return want


class _Partition:
    def __init__(self, want: Expected, ruleset: Ruleset, name: str) -> None:
        self.want = want
        self.ruleset = ruleset
        self.name = name
        self.clock = 0
        self.timers: list[tuple[int, str]] = []

    def run(self, log: list[Any]) -> None:
        visitors, want = self.want.visitors, self.want
        for record in log:
            self.clock = max(self.clock, record.timestamp)
            self._wake()
            if ("avert-clock", b"advance") in record.headers:
                continue
            event = parse_event(record.value)
            if not isinstance(event, Refused) and record.key != event.visitor.encode():
                event = Refused(Refusal.KEY_MISMATCH if record.key else Refusal.NO_KEY, "")
            if isinstance(event, Refused):
                want.results[EventResult.DEAD_LETTER] += 1
                want.effects["deadletter", f"{self.name}@{record.offset}"] = event.reason.value
                continue
            name = event.visitor
            state, result, effects = step(
                visitors.pop(name, None), event, Position(record.offset, record.timestamp), self.ruleset, self.clock
            )
            want.results[result] += 1
            self._keep(name, state, effects)

    def _wake(self) -> None:
        visitors = self.want.visitors
        while self.timers and self.timers[0][0] <= self.clock:
            _, name = heappop(self.timers)
            if name in visitors and visitors[name].due <= self.clock:
                self._keep(name, *tick(visitors.pop(name), self.ruleset, self.clock))

    def _keep(self, name: str, state: Visitor | None, effects: list[Effect]) -> None:
        for effect in effects:
            self.want.totals.add(effect)
            key, content = _identified(msgspec.json.decode(msgspec.json.encode(effect)))
            assert self.want.effects.setdefault(key, content) == content, (
                f"two different effects have one id: {content}"
            )
        if state is not None:
            self.want.visitors[name] = state
            if state.due < NEVER:
                heappush(self.timers, (state.due, name))


def totals_of(effects: Effects) -> Totals:
    """The totals as the fold over effects (as JSON gave them), each once."""
    totals = Totals()
    kinds = Decision | Receipt | OutcomeRecord | Journey
    for effect in effects.values():
        if isinstance(effect, dict) and effect["record"] in ("decision", "receipt", "outcome", "journey"):
            totals.add(msgspec.convert(effect, kinds))
    return totals


def _identified(effect: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
    """What makes an effect the same one when it comes again, and what must then be equal."""
    if effect["record"] == "dead_letter":
        return ("deadletter", effect["source"]), effect["reason"]
    if effect["record"] == Withdrawal.__struct_config__.tag:
        return ("withdrawal", effect["suggestion"]), effect
    return (effect["record"], effect["id"]), effect


def collect(settings: Settings, partitions: int) -> Found:
    """Everything that left the worker: effects from their topics, rows from the changelog."""
    found = Found({}, {}, 0, [])
    for topic in EFFECT_TOPICS:
        for record in _read(settings, settings.topic(topic), partitions):
            key, content = _identified(msgspec.json.decode(record.value))
            if key in found.effects:
                found.repeats += 1
                if found.effects[key] != content:
                    found.contradictions.append(f"{key}: {found.effects[key]} and {content}")
            found.effects[key] = content
    offsets: dict[str, int] = {}
    lines: dict[int, Totals] = {}
    for record in _read(settings, changelog_name(settings), partitions):
        if is_line(record.key):
            restore_line(lines.setdefault(record.partition, Totals()), record.value)
            continue
        name = record.key.decode()
        if record.value is None:
            found.rows.pop(name, None)
            continue
        offset = row_header(record.value).offset
        if offset < offsets.get(name, -1):
            found.contradictions.append(f"the state of {name} went back from offset {offsets[name]} to {offset}")
        offsets[name] = offset
        found.rows[name] = record.value
    for partition in lines.values():
        found.totals.absorb(partition.lines.values())
    return found


def _read(settings: Settings, topic: str, partitions: int) -> list[Any]:
    return asyncio.run(read_all(settings.kafka_bootstrap, topic, partitions))


def read_log(settings: Settings, partitions: int) -> list[Any]:
    """The clickstream, in the order of each partition."""
    return _read(settings, settings.topic("clickstream"), partitions)


def differences(want: Expected, found: Found, most: int = 5) -> list[str]:
    """What is missing, too much, or other than expected; nothing when all is right."""
    told = list(found.contradictions[:most])
    for word, keys in (
        ("missing", want.effects.keys() - found.effects.keys()),
        ("too much", found.effects.keys() - want.effects.keys()),
        ("other than expected", {key for key in want.effects.keys() & found.effects.keys()
                                 if want.effects[key] != found.effects[key]}),
    ):  # fmt: skip
        if keys:
            by_topic = Counter(key[0] for key in keys)
            told.append(f"effects {word}: {dict(by_topic)}")
            told += [
                f"  {key}: want {want.effects.get(key)}, found {found.effects.get(key)}" for key in sorted(keys)[:most]
            ]
    lines, counted = want.totals.lines, found.totals.lines
    unequal = sorted(key for key in lines.keys() | counted.keys() if lines.get(key) != counted.get(key))
    if unequal:
        told.append(f"totals other than expected: {len(unequal)} of {len(lines)} lines")
        told += [f"  {key}: want {lines.get(key)}, found {counted.get(key)}" for key in unequal[:most]]
    missing, extra = want.visitors.keys() - found.rows.keys(), found.rows.keys() - want.visitors.keys()
    if missing or extra:
        told.append(
            f"rows: {len(missing)} missing {sorted(missing)[:most]}, {len(extra)} too many {sorted(extra)[:most]}"
        )
    wrong = []
    for name in sorted(want.visitors.keys() & found.rows.keys()):
        state, right = decode_visitor(name, found.rows[name]), want.visitors[name]
        if state != right:
            wrong.append(f"  {name}: " + "; ".join(_unequal(readable(right), readable(state))))
    if wrong:
        told += [f"rows other than expected: {len(wrong)} of {len(want.visitors)}", *wrong[:most]]
    return told


def _unequal(right: dict[str, Any], state: dict[str, Any]) -> list[str]:
    return [f"{name}: want {value}, found {state[name]}" for name, value in right.items() if state[name] != value]
