"""What happens to Kafka: stopped, killed, absent, one node of three gone, a full disk, a partition without a leader."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from streams.embedded.kafka import KafkaCluster, KafkaNode, fetch_libs
from tests.chaos.conftest import Build
from tests.chaos.house import House

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1_500)]

OUTAGE_S = 70.0
DISK_MIB = 384  # many times what the load writes in the time; the rest is filled by the test
FILLER = "filler"
STORAGE_ERROR = "KafkaStorageError"


def stops_meanwhile(house: House, name: str) -> None:
    """A worker is asked to stop now, whatever is down. How long it takes is judged at the end (`judge_times`)."""
    hand = next(hand for hand in house.hands if hand.name == name)
    house.until(lambda: hand.alive, f"{name} lives")
    hand.stop()


@contextmanager
def two_workers(build: Build) -> Iterator[tuple[KafkaNode, House]]:
    """A broker of the test's own, two workers, load."""
    with KafkaNode(libs=fetch_libs()) as node, build(node.address, "1 node").open() as house:
        house.hand("a")
        house.hand("b")
        house.begin()
        house.all_ready()
        yield node, house


def outlast(house: House) -> None:
    """The outage goes on for OUTAGE_S; a worker is asked to stop meanwhile."""
    house.rest(2.0)
    stops_meanwhile(house, "b")
    house.rest(OUTAGE_S - 2.0 - house.stops[-1])


@pytest.mark.fault(f"the broker frozen (SIGSTOP) for {OUTAGE_S:g} s; a worker asked to stop meanwhile")
def test_frozen_broker(build: Build) -> None:
    with two_workers(build) as (node, house):
        house.act("the broker is frozen")
        node.child.signal(signal.SIGSTOP)
        outlast(house)
        house.over()
        node.child.signal(signal.SIGCONT)
        house.finish()


@pytest.mark.fault(f"the broker killed (SIGKILL), and back after {OUTAGE_S:g} s; a worker asked to stop meanwhile")
def test_killed_broker(build: Build) -> None:
    with two_workers(build) as (node, house):
        house.act("the broker is killed")
        node.kill()
        outlast(house)
        node.start()
        house.over()
        house.finish()


@pytest.mark.fault("the broker absent when workers start; one of them asked to stop before it comes")
def test_absent_broker(build: Build) -> None:
    with ExitStack() as ends:
        node = KafkaNode(libs=fetch_libs())
        ends.callback(node.stop)
        house = ends.enter_context(build(node.address, "1 node"))
        house.hand("a")
        house.hand("b")
        for hand in house.hands:
            house.until(lambda hand=hand: "kafka_unreachable" in hand.program.log_text(), "it says what it waits for")
        stops_meanwhile(house, "b")
        node.start()
        house.all_ready()
        house.begin()
        house.over()
        house.finish()
        assert house.hands[0].lives == 1


@pytest.mark.fault("one broker of three killed, and back; then another one")
def test_one_of_three_brokers_killed(build: Build, kafka_cluster: KafkaCluster) -> None:
    replicated = {"replicas": 3}
    with build(kafka_cluster.address, "3 nodes", house=replicated, replication_factor=3).open() as house:
        house.hand("a")
        house.hand("b")
        house.begin()
        house.all_ready()
        for node in kafka_cluster.nodes[:2]:
            house.act(f"node {node.node_id} is killed")
            node.kill()
            house.until(house.works_again, "work goes on without it")
            house.act(f"node {node.node_id} is back")
            node.start()
            house.rest(10.0)
        house.finish()


@pytest.mark.fault("a partition without a leader: its only broker of three is killed; the others go on")
def test_a_partition_without_a_leader(build: Build, kafka_cluster: KafkaCluster) -> None:
    """What is sent for the partition waits at the producers; the others go on all the time."""
    replicated = {"replicas": 3}
    with build(kafka_cluster.address, "3 nodes", house=replicated, replication_factor=3) as house:
        house.open({0: [3], 1: [1], 2: [2], 3: [1]})
        house.hand("a")
        house.hand("b")
        house.begin()
        house.all_ready()
        house.act("node 3 is killed")
        kafka_cluster.nodes[2].kill()
        # The killed node led partitions of other topics, too: their new leaders are there after Kafka's 9 s.
        killed = house.last_fault or 0.0
        house.until(lambda: house.through_since(killed + 10.0).keys() >= {1, 2, 3}, "the others go on")
        house.rest(10.0)
        assert 0 not in house.through_since(killed + 1.0)
        kafka_cluster.nodes[2].start()
        house.over()
        house.finish()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of DISK_MIB of its own; needs the right to mount one."""
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("a full disk needs a file system of its own: run it as root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Take all the room that is left."""
    with (disk / FILLER).open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"\0" * 64 * 1024)


@pytest.mark.fault("Kafka's disk full for 10 s; room is made, and it is started again")
def test_full_disk(build: Build, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, ExitStack() as ends:
        node = KafkaNode(libs=fetch_libs(), data=disk / "data")
        ends.callback(node.stop)
        house = ends.enter_context(build(node.start().address, "1 node, small disk").open())
        house.hand("a")
        house.hand("b")
        house.begin()
        house.all_ready()
        house.act("the disk is full")
        fill(disk)
        house.until(lambda: any(STORAGE_ERROR in hand.program.log_text() for hand in house.hands), "it shows", 90.0)
        house.rest(10.0)
        # If Kafka has not ended itself, it takes a folder that could not be written to for lost until its next start.
        (disk / FILLER).unlink()
        node.kill()
        node.start()
        house.over()
        house.finish()
