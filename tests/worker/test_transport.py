"""What the transport takes from Faust and aiokafka under their private names is there, and is what it is taken for.

Versions are pinned; these tests say what to look at when the pins move.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import aiokafka
import faust
import pytest
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from streams.worker.table import skipped
from streams.worker.transport import Consumer, ConsumerThread, Transport, check_coordination
from tests.worker.small import record


def test_versions_are_the_ones_that_were_read() -> None:
    assert (faust.__version__, aiokafka.__version__) == ("0.15.3", "0.14.0")


def test_transport_uses_the_consumer_and_its_thread() -> None:
    assert Transport.Consumer is Consumer
    assert "_create_worker_consumer" in vars(AIOKafkaConsumerThread)
    assert issubclass(ConsumerThread, AIOKafkaConsumerThread)


@pytest.mark.parametrize(("owner", "name", "words"), [
    # the fetch wait is read when the consumer starts, not when it is made
    (aiokafka.AIOKafkaConsumer.start, "fetch wait", "fetch_max_wait_ms=self._fetch_max_wait_ms"),
    (GroupCoordinator._heartbeat_routine, "heartbeat", "await self._do_heartbeat()"),
    (Fetcher._proc_fetch_request, "time of the last answer", "tp_state.timestamp = now_ms"),
    (Fetcher.fetched_records, "polls", "waiter = self._create_fetch_waiter()"),
    (Fetcher.fetched_records, "a drain without a wait", "if drained or not timeout:"),
    (FaustConsumer.commit, "commit", "await self.force_commit("),
    (FaustConsumer._drain_messages, "polls", "getmany(timeout=1.0)"),
    (Recovery.on_recovery_completed, "positions before flow", "consumer.perform_seek()"),
    (Recovery._slurp_changelogs.fun, "recovery's bookkeeping", "if seen_offset is None or offset > seen_offset"),
    (Recovery.on_rebalance, "which recovery is the last", "self._generation_id = generation_id"),
    (Recovery.on_rebalance, "a recovery that is overtaken", "self.signal_recovery_start.set()"),
    (Recovery._seek_offsets, "recovery's positions", "await consumer.seek_wait(new_offsets)"),
])
def test_what_the_worker_relies_on_is_in_their_source(owner: Any, name: str, words: str) -> None:
    assert words in inspect.getsource(owner), name


def test_recovery_sets_positions_before_it_says_that_the_rebalance_is_over() -> None:
    source = inspect.getsource(Recovery.on_recovery_completed)
    assert source.index("perform_seek") < source.index("consumer.resume_flow()") < source.index("on_rebalance_end()")


@pytest.mark.parametrize(("first", "after", "arrived", "lost"), [
    (5, 4, 4, False),  # follows on
    (9, 4, 4, False),  # compaction's gap
    (5, 4, 2, True),  # 3 and 4 came out of the fetcher and did not arrive
    (5, -1, 2, False),  # the position was set
    (3, 7, 2, False),  # the position was set back
])
def test_records_that_got_lost_on_the_way_are_noticed(first: int, after: int, arrived: int, lost: bool) -> None:
    assert skipped([record(first, "v")], after, arrived) == lost


class Coordination:
    """As much of aiokafka's group coordinator as is asked."""

    def __init__(self, *, ended: bool = False, closing: bool = False, pending: Exception | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._coordination_task, self._closing = loop.create_future(), loop.create_future()
        for future, done in ((self._coordination_task, ended), (self._closing, closing)):
            if done:
                future.set_result(None)
        self._pending = pending

    def check_errors(self) -> None:
        if self._pending is not None:
            raise self._pending


async def test_a_group_coordinator_that_gave_up_is_noticed() -> None:
    check_coordination(Coordination())
    check_coordination(Coordination(ended=True, closing=True))
    with pytest.raises(KafkaError, match="ended by itself"):
        check_coordination(Coordination(ended=True))
    with pytest.raises(GroupAuthorizationFailedError):
        check_coordination(Coordination(pending=GroupAuthorizationFailedError("g")))
