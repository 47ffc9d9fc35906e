"""What `bench.jobs` compares: the reference, the peers' own logic and Avert's rule files find the same matches."""

from __future__ import annotations

import msgspec
import pytest

from bench._peers import BENCH_JOBS, PARTITIONS, PEERS, PEERS_BY_NAME
from bench._shop import last_visitors, shop_log
from bench.engine import Partition
from bench.jobs import Run, summary
from bench.peers._jobs import ABSENCE_MS, JOBS, absence_role, overdue
from streams.core.effects import Decision
from streams.core.ruleset import EngineOptions
from streams.http.broker import partition_of
from streams.rulefiles.load import load_rules

LOG = shop_log(events=6_000, visitors=100)


@pytest.mark.parametrize("job", BENCH_JOBS)
def test_there_are_matches_to_find(job: str) -> None:
    assert len(LOG.right[job]) > len(LOG.last)


@pytest.mark.parametrize("job", JOBS)
def test_the_peers_logic_finds_what_is_right(job: str) -> None:
    states: dict[str, list[object]] = {}
    found = []
    for record in LOG.records:
        event = msgspec.json.decode(record.value)
        role = JOBS[job].role(event["type"], event["props"])
        if role is not None:
            step = JOBS[job].step(states.get(record.visitor), role, event["ts"])
            if step.state is not None:
                states[record.visitor] = step.state
            if step.match_at is not None:
                found.append((record.visitor, step.match_at))

    assert sorted(LOG.right[job]) == sorted(found)


def test_an_absence_seen_at_the_next_event_is_the_same_one() -> None:
    pending: dict[str, list[int]] = {}
    found = []
    for record in LOG.records:
        event = msgspec.json.decode(record.value)
        role, here = absence_role(event["type"]), pending.get(record.visitor, [])
        due = overdue(here, event["ts"])
        found += [(record.visitor, start + ABSENCE_MS) for start in due]
        left = [] if role == 1 else here[len(due) :]
        pending[record.visitor] = [*left, event["ts"]] if role == 0 else left

    assert sorted(LOG.right["absence"]) == sorted(found)


@pytest.mark.parametrize("job", BENCH_JOBS)
def test_our_rule_file_finds_what_is_right(job: str) -> None:
    partition = Partition(load_rules(PEERS / "avert" / job, EngineOptions()))
    found: list[Decision] = []
    partition._note = lambda effects: found.extend(one for one in effects if type(one) is Decision)

    for record in LOG.records:
        partition.apply([record])

    assert sorted(LOG.right[job]) == sorted((one.visitor, one.at) for one in found)


def test_each_partition_ends_with_a_visitor_of_its_own() -> None:
    assert list(range(PARTITIONS)) == sorted(partition_of(name.encode(), PARTITIONS) for name in last_visitors())


@pytest.mark.parametrize("job", BENCH_JOBS)
def test_each_of_the_last_visitors_has_one_match(job: str) -> None:
    assert sorted(LOG.last) == sorted(visitor for visitor, _ in LOG.right[job] if visitor.startswith("last-"))


def test_a_summary_is_the_median_and_wrong_once_is_wrong() -> None:
    def run(seconds: float, *, right: bool) -> Run:
        return Run("avert", "count", 1000, seconds, 0.01, 1.0, 100.0, 5, right, 1.0)

    (row,) = summary([run(1, right=True), run(4, right=False), run(2, right=True)])

    assert (
        row["events_per_s"], row["events_per_s_min"], row["events_per_s_max"], row["right"],
    ) == (500, 250, 1000, False)


@pytest.mark.parametrize("name", ["quix", "bytewax"])
def test_a_peers_versions_are_exact(name: str) -> None:
    lines = (PEERS / f"requirements-{name}.txt").read_text().split()

    assert lines
    assert all("==" in line for line in lines)


def test_whoever_does_not_do_a_job_exactly_says_so() -> None:
    said = {name for name, peer in PEERS_BY_NAME.items() if "absence" in peer.remarks}

    assert said == {"faust", "quix", "bytewax"}
