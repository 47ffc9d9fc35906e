"""The plan tried out: visitors hashed to partitions, partitions given to workers, load that comes in bursts.

Seeded, so that equal arguments give equal figures. What it is for: the two figures of a plan that arithmetic only
guesses, how much busier the busiest worker is than the mean, and what that does to the wait before a worker.

1. Visitors have Zipf-distributed activity (a few are very busy); each goes to the partition that its hash says.
2. Partitions go to workers in turn, as the group's assignor does.
3. The busiest worker is simulated in steps: a step's arrivals are normally distributed about a rate that itself moves
   between bursts and lulls; what is not worked off waits for the next step.
4. An outage stops the worker and not the visitors; how long it takes until nothing waits any more is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import log
from random import Random

from streams.plan.demand import Demand
from streams.plan.sizing import Plan, top_visitor_cost

STEP_S = 0.01  # about a batch: below it there is nothing to see
_STEPS = 30_000  # five minutes
_BURST = 0.25  # the rate swings by so much about its mean
_BURST_STEPS = 500  # 5 s
_CATCH_UP_STEPS_MAX = 20 * 60 * 100
_HASHED_MAX = 100_000  # visitors beyond this rank are too small, each, to load a partition more than another


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is tried. `events_per_second` of the whole system; `exponent` of Zipf's law: 0 makes all visitors alike."""

    events_per_second: float
    event_us: float  # CPU of a worker
    partitions: int
    workers: int
    visitors: int = 100_000
    exponent: float = 0.8
    top_share: float = 0.0  # of all events that one more visitor sends
    top_cost: float = 1.0  # of one of his events beside another's: less where they are shed
    outage_s: float = 60.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came out. Times in seconds."""

    skew: float  # events of the busiest worker beside the mean
    busiest_partition: float  # events of the busiest partition beside the mean
    utilisation: float  # of the busiest worker
    wait_p50_s: float  # before the busiest worker, beyond the work itself
    wait_p99_s: float
    catch_up_s: float | None  # after the outage; None: it never catches up at this load


def trial_of(demand: Demand, costs: Mapping[str, float], found: Plan) -> Trial:
    """A plan's trial."""
    return Trial(
        events_per_second=demand.peak, event_us=found.worker_us, partitions=found.partitions, workers=found.workers,
        visitors=int(max(demand.visitors, found.partitions)),
        top_share=demand.top_visitor_share, top_cost=top_visitor_cost(demand, costs),
    )  # fmt: skip


def shares(trial: Trial) -> list[float]:
    """Each partition's share of all work. The busiest visitors are hashed; the rest are many, and spread evenly."""
    seed, partitions = trial.seed, trial.partitions
    loads = [0.0] * partitions
    for rank in range(1, min(trial.visitors, _HASHED_MAX) + 1):
        loads[_partition(f"{seed}:{rank}", partitions)] += rank**-trial.exponent
    rest = _weight_between(_HASHED_MAX, trial.visitors, trial.exponent) / partitions
    loads = [load + rest for load in loads]
    total = sum(loads)
    loads = [load / total * (1 - trial.top_share) for load in loads]
    loads[_partition(f"{seed}:bot", partitions)] += trial.top_share * trial.top_cost
    return loads


def _weight_between(first: int, last: int, exponent: float) -> float:
    """Weight of the ranks after `first` up to `last` by Zipf's law, its sum taken as an integral."""
    if last <= first:
        return 0.0
    if exponent == 1:
        return log(last / first)
    return float(last ** (1 - exponent) - first ** (1 - exponent)) / (1 - exponent)


def _partition(visitor: str, partitions: int) -> int:
    return int.from_bytes(blake2b(visitor.encode(), digest_size=8).digest(), "big") % partitions


def by_worker(loads: Sequence[float], workers: int) -> list[float]:
    """The shares of the workers, when partitions are handed out in turn."""
    return [sum(loads[worker::workers]) for worker in range(workers)]


def simulate(trial: Trial) -> Simulated:
    """Try a plan."""
    loads = shares(trial)
    busiest = max(by_worker(loads, trial.workers))
    rate, capacity = trial.events_per_second * busiest, 1e6 / trial.event_us
    waits = sorted(waiting / capacity for waiting in _backlog(rate, capacity, Random(trial.seed)))
    return Simulated(
        skew=busiest * trial.workers,
        busiest_partition=max(loads) * trial.partitions,
        utilisation=rate / capacity,
        wait_p50_s=waits[len(waits) // 2],
        wait_p99_s=waits[len(waits) * 99 // 100],
        catch_up_s=_catch_up_s(rate, capacity, trial.outage_s, Random(trial.seed)),
    )


def _arrivals(rate: float, chance: Random) -> Iterator[float]:
    """Events of one step after the other, without end: bursts of seconds, and the noise of counting in them."""
    while True:
        now = rate * STEP_S * (1 + chance.uniform(-_BURST, _BURST))
        for _ in range(_BURST_STEPS):
            yield max(chance.gauss(now, now**0.5), 0.0)


def _backlog(rate: float, capacity: float, chance: Random) -> Iterator[float]:
    """Events waiting at the end of each step."""
    waiting = 0.0
    for _, come in zip(range(_STEPS), _arrivals(rate, chance), strict=False):
        waiting = max(waiting + come - capacity * STEP_S, 0.0)
        yield waiting


def _catch_up_s(rate: float, capacity: float, outage_s: float, chance: Random) -> float | None:
    """Until nothing waits any more after an outage; the rule of thumb is outage x utilisation / (1 - utilisation)."""
    waiting = rate * outage_s
    for step, come in zip(range(_CATCH_UP_STEPS_MAX), _arrivals(rate, chance), strict=False):
        waiting += come - capacity * STEP_S
        if waiting <= 0:
            return step * STEP_S
    return None
