"""A house under load: workers with a supervisor, a load that goes on whatever happens, a watch on what comes out.

A fault's test does to it what the fault is, and then calls `finish`, which checks the law and gives the figures:

1. Every record that Kafka acknowledged is in the log, where Kafka said.
2. Every record of the log became exactly one thing: applied, a duplicate, late, without consent, or a dead letter;
   by the ids that came out, too, without the engine's word.
3. Every effect (decision, suggestion, withdrawal, outcome, dead letter) is the pure engine's, by id and content, and
   none is missing; what came twice came with the same id and content.
4. Every visitor's row is the pure engine's state.
5. The same once more when time has ended every session.
6. Work went on by itself: what was accepted after the last fault was through within RECOVERY_S_MAX. This, and the
   other times, are held to their limits only where the machine has cores to spare: with more than LOAD_MAX processes
   that want a core for each there is, what is measured is the others. The report then says so, and by how much.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench._log import ends, read_all, until_committed
from bench._processes import Program
from bench._workload import jobs, write_rules
from streams.core.effects import EventResult
from streams.embedded.child import PortLease
from streams.embedded.local import answers
from streams.rulefiles.load import load_rules
from streams.rulefiles.options import engine_options
from streams.settings import Settings, settings_environment
from streams.worker.topics import changelog_name
from tests.chaos.load import Load, Sent, mixed
from tests.chaos.oracle import Expected, Found, collect, differences, expected, read_log
from tests.chaos.process import WRITER_HEADER
from tests.chaos.watch import Watch

SEED = 20_261_122
HOUR_MS = 3_600_000
EVENTS_MAX = 1_000_000  # never reached: the load ends with the test
PARTITIONS = 4
VISITORS = 1_000
PER_S = 400
LOAD_MAX = 2.0  # load average a core, above which times are told and not judged
# Waits, not criteria: many times what they take, since a busy machine is no fault of the program.
SETTLE_S_MAX = 240.0
WAIT_S_MAX = 240.0
READY_S_MAX = 300.0
RECOVERY_S_MAX = 60.0  # back at work after the last fault, without a human
PAUSE_P99_S_MAX = 15.0  # of a rebalance
MEMORY_MIB_MAX = 400  # of a worker with this little to remember; it starts at some 110
LOOK_S = 0.1
RESTART_S = 0.5  # the supervisor's patience
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# Every event that is applied makes one outcome which names it: so each id's way can be seen, without the engine's help.
APPLIED = "applied"
_APPLIED_OUTCOME = f'  {APPLIED}: {{{{kind: conversion, when: {{{{event: "{{of}}"}}}}, value: 0}}}}\n'
_LIMITED_RULE = """\
rule: limited
prevents: support_chat
when: {count: {event: product_view}, at_least: 3, within: 10m}
suggest:
  placement: side
  title: {en: "{{ event.props.sku }}?"}
  withdraw: {event: cart_add}
limits: {per_session: 1, per_visitor: {count: 2, within: 1h}, cooldown: 5m}
experiment: {holdout: 20%}
"""

# One within the visit, in the arms of the global holdout; one that outlives visits, in those of a rule.
_FUNNELS = """\
funnels:
  - funnel: buy
    steps: [{event: search}, {event: product_view}, {event: cart_add}, {event: purchase}]
  - funnel: help
    steps: [{event: help_view}, {event: contact_page}, {event: purchase}]
    within: 1h
    rule: limited
"""


def chaos_rules(folder: Path) -> Path:
    """Twenty rules of many kinds, one with every limit, two funnels, and the outcome that names each applied event."""
    rules = write_rules(folder, jobs(20))
    (rules / "funnels.yaml").write_text(_FUNNELS)
    (rules / "limited.yaml").write_text(_LIMITED_RULE)
    add_applied_outcome(rules)
    return rules


def add_applied_outcome(rules: Path, of: str = "*") -> None:
    """Have every applied event (of a type) name itself."""
    outcomes = rules / "outcomes.yaml"
    outcomes.write_text(outcomes.read_text() + _APPLIED_OUTCOME.format(of=of))


def chaos_settings(bootstrap: str, redis_url: str, unique: str, folder: Path, **more: Any) -> Settings:
    """Settings of one test's own topics and group, with Kafka's shortest session timeout."""
    return Settings(**{
        "kafka_bootstrap": bootstrap, "redis_url": redis_url, "rules_dir": chaos_rules(folder / "rules"),
        "app_id": unique, "topic_prefix": f"{unique}-", "partitions": PARTITIONS, "commit_interval_s": 0.5,
        "broker_session_timeout_s": 6.0, "broker_heartbeat_s": 1.5, "broker_rebalance_timeout_s": 6.0, **more,
    })  # fmt: skip


class Hand:
    """One worker as its supervisor sees it: a port, and one process after the other."""

    def __init__(self, house: House, name: str, environment: dict[str, str]) -> None:
        self.name = name
        self._house = house
        self._environment = environment
        self._lease = PortLease()
        self.url = f"http://127.0.0.1:{self._lease.port}"
        self.lives = 0
        self.wanted = False
        self._ended_at: float | None = None
        self.exits: list[int] = []
        self.program: Program

    @property
    def writer(self) -> str:
        """What this life's rows are signed with."""
        return f"{self.name}.{self.lives}"

    def start(self, *fate: object) -> Self:
        """A new life; `fate` as in `process.py`."""
        self.lives += 1
        self.wanted, self._ended_at = True, None
        environment = settings_environment(self._house.settings) | self._environment
        environment["AVERT_WORKER_HTTP_PORT"] = self.url.rpartition(":")[2]
        self.program = Program(
            self.writer, ["-m", "tests.chaos.process", self.writer, *map(str, fate)], environment, self.url
        ).start()
        return self

    @property
    def alive(self) -> bool:
        """Whether the process runs (or is frozen)."""
        return self.program.child.exit_code is None

    @property
    def ready(self) -> bool:
        """Whether it says that it works."""
        return self.alive and answers(f"{self.url}/readyz")

    @property
    def frozen(self) -> bool:
        """Whether its process is stopped, as by SIGSTOP."""
        return Path(f"/proc/{self.program.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.program.child.signal(number)

    def stop(self) -> int:
        """SIGTERM, and no new life; its exit code. Asserts that it ends within its stop timeout."""
        self.wanted = False
        self.signal(signal.SIGTERM)
        began = time.monotonic()
        self._house.until(lambda: not self.alive, f"{self.writer} ends")
        self._house.stops.append(time.monotonic() - began)
        return self.tend() or 0

    def kill(self) -> None:
        """SIGKILL; the supervisor starts it again."""
        self.program.child.kill()

    def tend(self) -> int | None:
        """What a supervisor does: start again what has ended. Returns the exit code of what has ended."""
        if self.alive:
            return None
        code = self.program.child.exit_code or 0
        if self._ended_at is None:
            self._ended_at = time.monotonic()
            self.exits.append(code)
        elif self.wanted and time.monotonic() - self._ended_at > RESTART_S:
            self.start()
        return code

    def memory_mib(self) -> float:
        """Resident memory; 0 when it does not run."""
        try:
            return int(Path(f"/proc/{self.program.pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20
        except (AssertionError, OSError):
            return 0.0

    def close(self) -> None:
        """End it in any case."""
        if self.lives:
            self.signal(signal.SIGKILL)
            self.program.child.stop(1.0)
        self._lease.release()


@dataclass
class Figures:
    """What is told of one fault."""

    broker: str
    seed: int
    acknowledged: int = 0
    in_log: int = 0  # more than acknowledged: what an outage left unanswered
    results: dict[str, int] = field(default_factory=dict)
    repeats: int = 0
    pause_p50_s: float = 0.0
    pause_p99_s: float = 0.0
    recovery_s: float = 0.0
    stop_s: float = 0.0
    memory_mib: float = 0.0
    restarts: int = 0
    load: float = 0.0  # greatest load average (1 minute) a core meanwhile
    timely: bool = True  # whether recovery, pauses and stops were within their limits
    note: str = ""


class House:
    """See the module. A context manager; the broker and the cache belong to the test."""

    def __init__(
        self, settings: Settings, *, broker: str, replicas: int = 1, seed: int = SEED,
        records: Iterator[Sent] | None = None, per_s: int = PER_S, headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """`broker`: its name, for the report. `records`: another load than the mixed one; `headers` of its records."""
        self.settings = settings
        self.topic = settings.topic("clickstream")
        self.figures = Figures(broker, seed)
        self._replicas = replicas
        self.hands: list[Hand] = []
        self.stops: list[float] = []  # seconds that each SIGTERM took
        self._acts: list[tuple[float, str]] = []
        self.last_fault: float | None = None
        start_ms = time.time_ns() // 1_000_000 - 6 * HOUR_MS
        self.load = Load(
            settings.kafka_bootstrap, self.topic, settings.partitions,
            mixed(EVENTS_MAX, VISITORS, seed, start_ms) if records is None else records, per_s,
            **({} if headers is None else {"headers": headers}),
        )  # fmt: skip
        self.watch = Watch(
            settings.kafka_bootstrap, settings.topic("outcomes"), settings.partitions, APPLIED
        )
        self._ends = contextlib.ExitStack()
        self._begun = False
        self._loads = [os.getloadavg()[0]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for hand in self.hands:
            hand.close()
        if kind is not None and self._begun:
            self.load.abandon()
        self._ends.close()

    # --- the parts ------------------------------------------------------------------------------------------------

    def open(self, assignments: dict[int, list[int]] | None = None) -> Self:
        """Make the clickstream (`assignments`: partition -> the nodes that hold it, of which one is enough)."""
        asyncio.run(self._create_topic(assignments))
        return self

    async def _create_topic(self, assignments: dict[int, list[int]] | None) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka_bootstrap)
        await admin.start()
        try:
            count, replicas = (-1, -1) if assignments else (self.settings.partitions, self._replicas)
            configuration = {"retention.ms": "-1"} | ({"min.insync.replicas": "1"} if assignments else {})
            topic = NewTopic(self.topic, count, replicas, assignments, configuration)
            answer = await admin.create_topics([topic])
            assert [code for _, code, *_ in answer.topic_errors] == [0], answer
        finally:
            await admin.close()

    def hand(self, name: str, *fate: object, environment: dict[str, str] | None = None) -> Hand:
        """One more worker, started."""
        hand = Hand(self, name, environment or {})
        self.hands.append(hand)
        return hand.start(*fate)

    def begin(self) -> None:
        """Start load and watch; return when something has come through every partition."""
        self._ends.enter_context(self.watch)
        self._ends.enter_context(self.load)
        self._begun = True
        self.until(lambda: len(self.watch.times) == self.settings.partitions, "the first events are through")

    # --- time goes by ---------------------------------------------------------------------------------------------

    def tend(self) -> None:
        """What goes on beside the test."""
        self._loads.append(os.getloadavg()[0])
        for hand in self.hands:
            hand.tend()
            self.figures.memory_mib = max(self.figures.memory_mib, hand.memory_mib())

    def rest(self, seconds: float) -> None:
        """Let the load go on: this is how long a fault lasts, not a wait for something."""
        self.until(lambda: False, "", seconds, must=False)

    def until(
        self, condition: Callable[[], object], what: str, within_s: float = WAIT_S_MAX, *, must: bool = True
    ) -> None:
        """Wait until it is so, and look after the workers meanwhile."""
        deadline = time.monotonic() + within_s
        while not condition():
            self.tend()
            if time.monotonic() > deadline:
                assert not must, f"not within {within_s:g} s: {what}; " + "; ".join(
                    hand.program.child.last_words() for hand in self.hands if hand.lives
                )
                return
            time.sleep(LOOK_S)

    def act(self, what: str) -> None:
        """The next fault is `what`: it begins now."""
        self.last_fault = time.monotonic()
        self._acts.append((self.last_fault, what))

    def over(self) -> None:
        """The last fault ends now: from here on work has to go on."""
        self.last_fault = time.monotonic()

    def all_ready(self) -> None:
        """Wait until every wanted worker works."""
        self.until(lambda: all(hand.ready for hand in self.hands if hand.wanted), "all workers are ready", READY_S_MAX)

    def through_since(self, moment: float) -> dict[int, float]:
        """Partition -> seconds from `moment` until the first event that was accepted after it was through."""
        found: dict[int, float] = {}
        for at, accepted_at in self.load.accepted_at.copy().items():  # the load goes on in its thread
            arrived = self.watch.arrived.get(self.load.accepted[at].id)
            if arrived is not None and min(accepted_at, arrived) >= moment:
                found[at[0]] = min(found.get(at[0], arrived), arrived)
        return {partition: arrived - moment for partition, arrived in found.items()}

    def works_again(self) -> bool:
        """Whether something that was accepted since the last fault began (or was over) is through, everywhere."""
        since = self.last_fault
        return since is not None and len(self.through_since(since)) == self.settings.partitions

    def writers(self) -> dict[int, list[str]]:
        """Partition -> who wrote its changelog, in the order of the log, each spell once."""
        found: dict[int, list[str]] = {}
        topic, partitions = changelog_name(self.settings), self.settings.partitions
        for record in asyncio.run(read_all(self.settings.kafka_bootstrap, topic, partitions)):
            writer = dict(record.headers)[WRITER_HEADER].decode()
            spells = found.setdefault(record.partition, [])
            if not spells or spells[-1] != writer:
                spells.append(writer)
        return found

    # --- the law --------------------------------------------------------------------------------------------------

    def finish(self, *, pauses: bool = False) -> None:
        """Check the law (see the module). `pauses`: hold the rebalances' pauses to their limit, too."""
        if self.last_fault is None:
            self.over()
        self.until(self.works_again, "work goes on in every partition after the last fault")
        ended = time.monotonic()
        recovery = self.through_since(self.last_fault or ended)
        self.load.stop()
        found, want = self.settled()
        self._count(found, want)
        self.load.advance(self.load.latest + 2 * HOUR_MS)
        self.settled()
        self._measure(recovery, ended)
        self.judge_times(RECOVERY_S_MAX, PAUSE_P99_S_MAX if pauses else None)
        assert self.figures.memory_mib < MEMORY_MIB_MAX, self.figures

    def judge_times(self, recovery_s_max: float, pause_p99_s_max: float | None = None) -> None:
        """Hold recovery, pauses and stops to their limits, unless the machine is too busy to tell."""
        figures, stop_s_max = self.figures, self.settings.stop_timeout_s
        figures.load = max(self._loads) / (os.cpu_count() or 1)
        figures.timely = (
            figures.recovery_s <= recovery_s_max
            and figures.stop_s <= stop_s_max
            and (pause_p99_s_max is None or figures.pause_p99_s <= pause_p99_s_max)
        )
        assert figures.timely or figures.load > LOAD_MAX, figures

    def count_without_a_reference(self) -> None:
        """Laws 1 and 2, and the figures, by the ids alone: where wall time moves timers there is no reference."""
        self.until(self.works_again, "work goes on in every partition after the last fault")
        ended, recovery = time.monotonic(), self.through_since(self.last_fault or 0.0)
        self.load.stop()
        self._all_committed()
        self.log = read_log(self.settings, self.settings.partitions)
        found = collect(self.settings, self.settings.partitions)
        assert found.contradictions == []
        ids = Counter(msgspec.json.decode(record.value)["id"] for record in self.log)
        want = Expected(Counter({EventResult.APPLIED: len(ids)}))
        if ids.total() > len(ids):
            want.results[EventResult.DUPLICATE] = ids.total() - len(ids)
        self._count(found, want)
        self._measure(recovery, ended)
        self.judge_times(RECOVERY_S_MAX)

    def measured(self) -> Figures:
        """The figures but for the law's, since the last fault; something has to have come through."""
        self._measure(self.through_since(self.last_fault or 0.0), time.monotonic())
        return self.figures

    def _all_committed(self) -> None:
        goal = asyncio.run(ends(self.settings.kafka_bootstrap, self.topic, self.settings.partitions))
        asyncio.run(asyncio.wait_for(
            until_committed(self.settings.kafka_bootstrap, self.settings.app_id, goal, self.tend), SETTLE_S_MAX
        ))  # fmt: skip

    def settled(self) -> tuple[Found, Expected]:
        """Wait until all is committed and nothing differs (timers and tombstones come a little later); laws 3 and 4."""
        self._all_committed()
        ruleset = load_rules(self.settings.rules_dir, engine_options(self.settings))
        self.log = read_log(self.settings, self.settings.partitions)
        want = expected(self.log, ruleset, self.topic)
        deadline = time.monotonic() + SETTLE_S_MAX
        while True:
            found = collect(self.settings, self.settings.partitions)
            different = differences(want, found)
            if not different:
                return found, want
            assert time.monotonic() < deadline, "\n".join([*(f"{what}" for _, what in self._acts), *different])
            self.tend()

    def _count(self, found: Found, want: Expected) -> None:
        accepted, log = self.load.accepted, {(record.partition, record.offset) for record in self.log}
        assert accepted.keys() <= log, f"acknowledged and not in the log: {sorted(accepted.keys() - log)[:5]}"  # 1
        assert want.results.total() == len(log)  # 2
        assert want.results[EventResult.REPLAYED] == 0
        through = Counter(
            outcome["trigger"] for (record, *_), outcome in found.effects.items()
            if record == "outcome" and outcome["outcome"] == APPLIED
        )  # fmt: skip
        twice = [id_ for id_, times in through.items() if times > 1]
        assert not twice, f"applied more than once: {twice[:5]}"
        useful = {sent.id for sent in accepted.values() if sent.kind in ("event", "repeat", "late")}
        assert useful <= through.keys(), f"accepted and not applied: {sorted(useful - through.keys())[:5]}"
        dead = {key[1] for key in found.effects if key[0] == "deadletter"}
        garbage = {f"{self.topic}/{number}@{offset}" for (number, offset), sent in accepted.items()
                   if sent.kind == "garbage"}  # fmt: skip
        assert garbage <= dead
        assert len(dead) == want.results[EventResult.DEAD_LETTER]
        self.figures.acknowledged, self.figures.in_log = len(accepted), len(log)
        self.figures.results = {result.value: number for result, number in want.results.items()}
        self.figures.repeats = found.repeats

    def _measure(self, recovery: dict[int, float], ended: float) -> None:
        moments = [at for at, _ in self._acts]
        spans = list(itertools.pairwise([*moments, ended]))
        pauses = sorted(pause for began, end in spans for pause in self.watch.pauses(began, end))
        figures = self.figures
        if pauses:
            figures.pause_p50_s = statistics.median(pauses)
            figures.pause_p99_s = pauses[min(len(pauses) - 1, int(0.99 * len(pauses)))]
        figures.recovery_s = max(recovery.values())
        figures.stop_s = max(self.stops, default=0.0)
        figures.restarts = sum(hand.lives - 1 for hand in self.hands)
