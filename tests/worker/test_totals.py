"""The totals of a partition agree with its rows wherever a crash cuts the changelog, and count each effect once.

A world in memory: record batches are appended whole or not at all, and a worker may die at any of them. What is left
is what the next one recovers from. In the end the totals must be the fold over the effects that the pure engine makes
of the log, each once.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from streams.core.definition import Amount, Limits
from streams.core.effects import Suggestion, Withdrawal
from streams.core.engine import Position, step
from streams.core.event import parse_event
from streams.core.ruleset import EngineOptions, Ruleset
from streams.core.totals import Totals, decode_line
from streams.errors import BrokerUnavailableError, RowVersionError
from streams.worker import totals as module
from streams.worker.apply import Applier
from streams.worker.commit import BatchProcedure
from streams.worker.ledger import Batch, Ledger
from streams.worker.machine import Machine, core_machine
from streams.worker.partition import PartitionMemory
from streams.worker.send import Row, Written
from streams.worker.table import _tombstone_offset
from streams.worker.totals import TOTALS_MARK, is_line, portions, restore_line
from tests.chaos.oracle import expected, totals_of
from tests.core.build import DAY, HOUR, MINUTE, compiled, count, event, funnel, missing, outcome, rule

CHANGELOG = "changelog"
FICKLE = ("v0", "v1")  # these withdraw their consent; they repeat nothing, as nobody would know it again
NOW = 1_700_000_000_000


def ruleset() -> Ruleset:
    free = Limits(per_session=None)
    return compiled(
        rule(count("search", at_least=2), "searches", holdout=0.3),
        rule(event("cart"), "carts", limits=free, prevents="left", holdout=0.5),
        outcomes=[
            outcome(),
            outcome("left", missing("purchase", "cart", None)),
            outcome("purchase", event("purchase"), "conversion", amount=Amount(of="props.total")),
        ],
        funnels=(
            funnel("search", "cart", "purchase", name="visit"),
            funnel("chat_opened", "search", "purchase", name="days", within_ms=6 * HOUR, rule="carts"),
        ),
        global_holdout=0.2,
        nudge_cost=0.01,
        options=EngineOptions(attribution_window_ms=2 * HOUR, outcome_delay_ms=HOUR),
    )


def log_of(seed: int, rules: Ruleset, events: int = 250, visitors: int = 12) -> list[Any]:
    """Records of one partition: visits, repeats, reports, receipts to what the engine suggests, consents withdrawn."""
    chance = random.Random(seed)
    records: list[Any] = []
    states: dict[str, Any] = {}
    receipts: list[dict[str, Any]] = []
    at = NOW - DAY
    while len(records) < events:
        at += chance.choice([1, 1000, MINUTE, 5 * MINUTE])
        visitor = f"v{chance.randrange(visitors)}"
        body: dict[str, Any] = {
            "id": f"e{len(records)}", "visitor": visitor, "ts": at,
            "props": {"total": chance.choice([1.15, 20, "7.5"])},
            "type": chance.choice(["search", "search", "cart", "purchase", "chat_opened", "page_view"]),
            "page": {"path": f"/{chance.choice('abc')}"},
        }  # fmt: skip
        kind = chance.random()
        if receipts and kind < 0.15:
            body = receipts.pop(chance.randrange(len(receipts))) | {"id": f"e{len(records)}", "ts": at}
        elif visitor not in FICKLE and kind < 0.2 and records and records[-1].key.decode() not in FICKLE:
            body = msgspec.json.decode(records[-1].value)
        elif kind < 0.25:
            body |= {"context": {"source": "report"}, "ts": at - chance.randrange(3 * HOUR)}
        elif kind < 0.4 and visitor in FICKLE:
            body["context"] = {"consent": False}
        value = msgspec.json.encode(body)
        record = SimpleNamespace(
            partition=0, offset=len(records), key=body["visitor"].encode(), value=value, timestamp=at, headers=()
        )
        records.append(record)
        found = parse_event(value)
        name = body["visitor"]
        states[name], _, effects = step(states.get(name), found, Position(record.offset, at), rules, at)
        receipts += [
            {"visitor": name, "type": f"suggestion_{word}", "props": {"suggestion": effect.id}}
            for effect in effects if isinstance(effect, Suggestion)
            for word in ("shown", "shown", "clicked", "dismissed")
        ]  # fmt: skip
    return [*records, SimpleNamespace(
        partition=0, offset=len(records), key=b"x", value=b"", timestamp=at + 2 * DAY,
        headers=(("avert-clock", b"advance"),),
    )]  # fmt: skip


class World:
    """Kafka, as far as it outlives a worker. `appends_left`: record batches until the worker dies; None: never."""

    def __init__(self, batch_rows: int) -> None:
        self.batch_rows = batch_rows  # the most rows of a record batch of rows alone
        self.changelog: list[Row] = []
        self.effects: list[bytes] = []
        self.appends_left: int | None = None
        self.committed = (0, "")

    tenure = 0

    async def send(
        self, partition: int, rows: Mapping[str, Sequence[Row]], tenure: int | None = None
    ) -> list[Written]:
        written = []
        for topic, some in rows.items():
            target = self.changelog if topic == CHANGELOG else self.effects
            for batch in self._batches(list(some)):
                if self.appends_left is not None:
                    if not self.appends_left:
                        raise BrokerUnavailableError("the worker is dead")
                    self.appends_left -= 1
                written.append(Written(len(self.changelog), len(batch)))
                target.extend(batch if topic == CHANGELOG else [row.value for row in batch])
        return written

    def _batches(self, rows: list[Row]) -> list[list[Row]]:
        """A portion's rows and lines stay together, as they do in a record batch; what comes after may be cut off."""
        last = max((number for number, row in enumerate(rows) if is_line(row.key or b"")), default=-1)
        whole, rest = rows[: last + 1], rows[last + 1 :]
        parts = [rest[at : at + self.batch_rows] for at in range(0, len(rest), self.batch_rows)]
        return [part for part in (whole, *parts) if part]

    async def deliver(self, changes: Sequence[Suggestion | Withdrawal], progress: Mapping[int, int]) -> bool:
        return True


def recovered(world: World, machine: Machine) -> PartitionMemory:
    memory = PartitionMemory(0, machine)
    for position, row in enumerate(world.changelog):
        if is_line(row.key or b""):
            memory.restore_line(position, row.value)
        else:
            tombstone = _tombstone_offset(row.headers) if row.value is None else -1
            memory.restore(position, (row.key or b"").decode(), row.value, tombstone)
    memory.recovered()
    memory.retained = False
    offset, clock = world.committed
    memory.set_clock(clock)
    memory.commit(offset)
    return memory


async def live(world: World, machine: Machine, log: list[Any], chance: random.Random) -> bool:
    """One worker's life, from the commit on. False when it died."""
    ledger = Ledger()
    ledger.open()
    procedure = BatchProcedure(Applier(machine, "clicks"), world, world, ledger, lambda name: name, CHANGELOG)
    memory = recovered(world, machine)
    at = world.committed[0]
    while at < len(log) or (memory.timers.next_due() or memory.clock) < memory.clock:  # an empty batch wakes timers
        size = chance.choice([1, 3, 10, 60])
        batch = Batch(0, log[at : at + size], 0)
        ledger.take(batch)
        ledger.begin(batch)
        try:
            await procedure.run(batch, memory)
        except BrokerUnavailableError:
            return False
        at += len(batch.records)
        if batch.records and chance.random() < 0.5:
            (world.committed,) = ledger.committable().values()
            memory.commit(world.committed[0])
    return True


async def after_deaths(world: World, machine: Machine, log: list[Any], chance: random.Random) -> PartitionMemory:
    """What is recovered after a dozen lives, some cut off at a record batch, and one that did all that was left."""
    deaths = 0
    for _ in range(12):
        world.appends_left = chance.randrange(25)
        deaths += not await live(world, machine, log, chance)
    world.appends_left = None
    assert await live(world, machine, log, chance)
    assert deaths > 0
    return recovered(world, machine)


@pytest.mark.parametrize("seed", range(30))
async def test_totals_are_exact_after_deaths_at_any_record_batch(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(module, "PORTION_BYTES_MAX", chance.choice([1, 2_000, 10_000, 10**6]))
    rules = ruleset()
    machine = core_machine(rules)
    log = log_of(seed, rules)
    world = World(chance.choice([1, 2, 100]))
    memory = await after_deaths(world, machine, log, chance)

    want = expected(log, rules, "clicks")
    assert memory.totals.lines == want.totals.lines
    # The same for whoever reads the topics: each id once.
    found = {effect.get("id", "w" + effect.get("suggestion", "")): effect for effect in map(_decoded, world.effects)}
    assert totals_of(found).lines == totals_of(want.effects).lines


def _decoded(value: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(value)
    return found


async def test_the_log_has_everything_in_it() -> None:
    """Else the property above would show less than it says."""
    rules = ruleset()
    lines = totals_of(expected(log_of(1, rules), rules, "clicks").effects).lines
    programme = [line for key, line in lines.items() if key.startswith("rule/programme")]
    assert {line.arm for line in programme} == {"treated", "control"}
    receipts = {word for key, line in lines.items() if key.startswith("rule/") for word in line.receipts}
    assert receipts == {"shown", "clicked", "dismissed"}
    assert lines["outcome/purchase"].unattributed > 0
    funnels = [line for key, line in lines.items() if key.startswith("funnel/")]
    assert {(line.funnel, line.arm) for line in funnels} == {
        (name, arm) for name in ("visit", "days") for arm in ("treated", "control")
    }
    assert all(line.ended > line.completed > 0 for line in funnels)
    assert all(sum(step.skipped + step.reverse for step in line.steps) for line in funnels)
    assert sum(share.visitors for line in programme for share in line.outcomes.values()) > 0


async def test_a_batch_that_counts_nothing_writes_no_line() -> None:
    world, machine = World(100), core_machine(ruleset())
    log = [record for record in log_of(1, machine.rules) if b'"page_view"' in record.value][:3]
    assert await live(world, machine, log, random.Random(1))
    assert world.changelog
    assert not any(is_line(row.key or b"") for row in world.changelog)


async def test_what_is_to_be_published_stands_in_the_changelog() -> None:
    world, machine = World(100), core_machine(ruleset())
    await live(world, machine, log_of(1, machine.rules), random.Random(1))
    memory = recovered(world, machine)
    stored = {(row.key or b"")[1:].decode(): row.value for row in world.changelog if is_line(row.key or b"")}
    assert memory.unpublished == stored


async def test_a_retained_partition_takes_no_older_line() -> None:
    world, machine = World(100), core_machine(ruleset())
    await live(world, machine, log_of(1, machine.rules), random.Random(1))
    memory = recovered(world, machine)
    before = dict(memory.totals.lines)
    for position, row in enumerate(world.changelog, memory.persisted + 1):
        if is_line(row.key or b""):
            memory.restore_line(position, row.value)
    memory.restore_line(memory.persisted + 1, None)
    assert memory.totals.lines == before
    assert memory.persisted > len(world.changelog)


def test_no_visitor_can_have_a_lines_key() -> None:
    with pytest.raises(UnicodeDecodeError):
        (TOTALS_MARK + b"rule/r/treated/").decode()


def test_a_line_of_a_newer_program_is_refused_with_a_message() -> None:
    with pytest.raises(RowVersionError, match="upgrade"):
        restore_line(Totals(), b'{"line":"funnels_of_the_future"}')


def test_rows_without_effects_ride_with_the_last_portion() -> None:
    rows = [Row(b"a", b"1"), Row(b"b", None)]
    assert [portion.rows for portion in portions(rows, {}, Totals())] == [rows]
    assert list(portions([], {}, Totals())) == []


async def test_the_lines_of_a_portion_count_its_rows_and_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PORTION_BYTES_MAX", 1)
    rules = ruleset()
    machine = core_machine(rules)
    work = Applier(machine, "clicks").apply(PartitionMemory(0, machine), log_of(3, rules)[:100], NOW, None)
    totals, counted = Totals(), Totals()
    found = list(portions(work.rows, work.counted, totals))
    assert len(found) == len(work.counted) > 1
    for portion in found:
        for row in portion.rows:
            for effect in work.counted.get(row.key or b"", ()):
                counted.add(effect)
        assert {key: decode_line(value) for key, value in portion.lines.items()} == {
            key: counted.lines[key] for key in portion.lines
        }
    assert [row for portion in found for row in portion.rows if not is_line(row.key or b"")].__len__() == len(work.rows)
