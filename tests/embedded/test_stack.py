"""The embedded servers: start, answer, come back on the same port, and leave nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.embedded.child import Child, ChildError, PortLease, kafka_answers, redis_answers
from streams.embedded.stack import EmbeddedBroker, EmbeddedCache, Stack
from tests.support.pids import gone
from tests.support.waiting import wait_for


async def test_broker_gives_back_what_was_sent(broker: str, unique: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    await producer.send_and_wait(unique, b"hello")
    await producer.stop()
    consumer = AIOKafkaConsumer(unique, bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    assert (await consumer.getone()).value == b"hello"
    await consumer.stop()


def test_stack_answers_while_open_and_not_afterwards() -> None:
    with Stack() as stack:
        broker_port, cache_port = stack.broker.port, stack.cache.port
        assert kafka_answers(broker_port)
        assert redis_answers(cache_port)
    assert not kafka_answers(broker_port)
    assert not redis_answers(cache_port)


def test_stack_leaves_no_folder() -> None:
    with Stack() as stack:
        folders = [stack.broker.directory, stack.cache.directory]
        assert all(folder.exists() for folder in folders)
    assert not any(folder.exists() for folder in folders)


def test_killed_cache_is_reported_and_comes_back_on_its_port() -> None:
    with EmbeddedCache() as cache:
        port = cache.port
        cache.kill()
        with pytest.raises(ChildError, match="the embedded cache ended with SIGKILL"):
            cache.child.check()
        cache.start()
        assert redis_answers(port)


def test_port_of_a_running_server_cannot_be_leased() -> None:
    with EmbeddedBroker() as other, pytest.raises(ChildError, match=f"127.0.0.1:{other.port} is taken"):
        PortLease(other.port)


def test_leased_port_is_not_given_to_who_asks_for_any() -> None:
    leases = [PortLease() for _ in range(50)]
    assert len({lease.port for lease in leases}) == 50
    for lease in leases:
        lease.release()


def test_server_that_ends_at_start_says_why(tmp_path) -> None:
    child = Child("the shell", ["/bin/sh", "-c", "echo no luck; exit 3"], tmp_path / "log")
    child.start()
    with pytest.raises(ChildError, match=r"the shell ended with exit code 3; .* ends: no luck"):
        child.wait_until(lambda: False, 10)


def test_child_that_ignores_sigterm_is_killed(tmp_path) -> None:
    child = Child("stubborn", ["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"], tmp_path / "log")
    child.start()
    child.wait_until(lambda: "up" in (tmp_path / "log").read_text(), 10)
    child.stop(timeout_s=0.2)
    assert child.exit_code == -signal.SIGKILL


PARENT = """
import sys, time
from streams.embedded.stack import Stack
stack = Stack().start()
print(stack.broker.child.pid, stack.cache.child.pid, flush=True)
{ending}
"""


@pytest.mark.parametrize(
    "ending", ["import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "raise SystemExit(0)", "1 / 0"],
    ids=["SIGKILL", "exit", "exception"],
)
def test_children_do_not_outlive_their_parent(ending: str) -> None:
    command = [sys.executable, "-c", PARENT.format(ending=ending)]
    parent = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    pids = [int(word) for word in parent.stdout.split()]
    assert len(pids) == 2
    wait_for(lambda: all(gone(pid) for pid in pids), "the children have gone")
