"""The command ``avert plan``: wiring and nothing else."""

from __future__ import annotations

from dataclasses import asdict
from math import ceil
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from streams.cli_shared import AsJson, say, say_json, table
from streams.errors import SettingsError
from streams.plan.costs import COSTS, costs_with
from streams.plan.costs_file import read_costs
from streams.plan.demand import Demand
from streams.plan.limits import limits_of
from streams.plan.simulate import Simulated, simulate, trial_of
from streams.plan.sizing import Plan, plan

Compiled = Annotated[bool, Parameter(negative="", help="The workers' core is compiled (make compiled).")]

plan_app = cyclopts.App(name="plan", help="How much of everything a load needs, and what breaks first.")


@plan_app.default
def plan_load(
    demand: Annotated[Demand, Parameter(name="*")],
    *,
    given: Annotated[
        list[str] | None,
        Parameter(name="--set", negative="", help="COST=VALUE in the place of ours; `avert plan costs` lists them."),
    ] = None,
    file: Annotated[
        Path | None,
        Parameter(name="--costs", help="File of costs in the place of ours, a line NAME: VALUE; --set goes before it."),
    ] = None,
    compiled: Compiled = False,
    json: AsJson = False,
) -> int:
    """What a load needs: partitions, workers, API processes, memory, network, disk; and what breaks first."""
    from_file = {} if file is None else read_costs(file)
    costs = costs_with(from_file | dict(_cost(text) for text in given or []), compiled)
    found = plan(demand, costs)
    limits = [
        {
            "limit": one.limit.name, "at events/s": f"{one.ceiling:,.0f}", "headroom": f"{one.headroom:.1f} x",
            "then": one.limit.remedy,
        }
        for one in limits_of(demand, costs, found)
    ]  # fmt: skip
    tried = simulate(trial_of(demand, costs, found))
    if json:
        say_json({
            "demand": asdict(demand) | {"live_visitors": demand.visitors}, "plan": asdict(found),
            "limits": [
                {"name": one.limit.name, "events_per_second": one.ceiling, "headroom": one.headroom}
                for one in limits_of(demand, costs, found)
            ],
            "simulated": asdict(tried),
        })  # fmt: skip
        return 0
    visitors = f"{demand.visitors:,.0f} visitors with a row"
    say(f"{demand.events_per_second:,.0f} events/s, at peak {demand.peak:,.0f}; {visitors}\n")
    table([{"what": what, "how much": much, "": of} for what, much, of in _figures(demand, found)])
    say("\nKafka, by topic (at peak; disk with replicas):\n")
    table([
        {
            "topic": one.name, "records/s": f"{one.records_per_s:,.0f}", "MB/s": f"{one.mb_per_s:,.1f}",
            "disk GiB": f"{one.disk_gib:,.0f}", "kept": one.kept,
        }
        for one in found.topics
    ])  # fmt: skip
    say("\nWhat breaks first:\n")
    table(limits)
    _say_simulated(tried)
    if tried.utilisation > demand.utilisation:
        say(f"That is more of a core than was asked for: plan again with --skew {ceil(tried.skew * 10) / 10:g}.")
    return 0


@plan_app.command(name="costs")
def plan_costs(*, compiled: Compiled = False, json: AsJson = False) -> int:
    """The costs that `avert plan` calculates with, as a file for its `--costs`, with the command that measured each."""
    if json:
        say_json({name: asdict(cost) | {"measured": cost.measured} for name, cost in COSTS.items()})
        return 0
    values = costs_with({}, compiled)
    for name, cost in COSTS.items():
        say(f"# {cost.unit}: {cost.source}")
        say(f"# {f'measured by {cost.command}' if cost.measured else 'assumed, not measured'}")
        say(f"{name}: {values[name]:g}\n")
    return 0


def _cost(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise SettingsError(f"--set {text}: write COST=NUMBER") from error


def _say_simulated(tried: Simulated) -> None:
    after = "never" if tried.catch_up_s is None else f"{tried.catch_up_s:.0f} s"
    say(
        f"\nSimulated at peak: the busiest worker has {tried.skew:.2f} x the mean load ({tried.utilisation:.0%} of what"
        f" a core can do); its events wait {tried.wait_p50_s * 1000:.0f} ms (median), {tried.wait_p99_s * 1000:.0f} ms"
        f" (p99); after an outage of a minute it has caught up in: {after}."
    )


def _figures(demand: Demand, found: Plan) -> list[tuple[str, str, str]]:
    each = f"{found.worker_us:.0f} us an event, {found.worker_memory_mib:,.0f} MiB each"
    brokers = f"{found.broker_mb_per_s:,.1f} MB/s each at peak, replication {demand.replication}"
    kafka = f"{found.kafka_in_mb_per_s:,.1f} / {found.kafka_out_mb_per_s:,.1f} MB/s"
    return [
        ("partitions", f"{found.partitions:,}", "at least twice the workers: room to grow without new topics"),
        ("workers", f"{found.workers:,}", f"processes of one core; {each}"),
        ("API processes", f"{found.api_processes:,}", f"{found.api_memory_all_mib:,.0f} MiB together"),
        ("Kafka brokers", f"{found.brokers:,}", brokers),
        ("Kafka in / out", kafka, "at peak, before replication"),
        ("Kafka disk", f"{found.kafka_disk_gib:,.0f} GiB", "with replicas; by topic below"),
        ("cells", f"{found.cells:,}", "independent parts of the visitors: a cache and a Prometheus each"),
        ("cache", f"{found.redis_memory_mib:,.0f} MiB", f"{found.redis_ops_per_s:,.0f} commands/s at peak, all cells"),
        (
            "a lost worker", f"{found.recovery_s:.0f} s",
            f"at most, for its {found.visitors_a_worker:,.0f} visitors: {found.rows_a_worker:,.0f} rows are read",
        ),
        ("series", f"{found.series:,}", "in Prometheus"),
    ]  # fmt: skip
