"""Sends only while the last answered heartbeat is younger than the session timeout."""

from __future__ import annotations

import asyncio

import pytest

from streams.worker import lease as lease_module
from streams.worker.lease import Lease, LeaseLostError

TIMEOUT_S = 10.0


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lease_module, "now_s", clock)
    return clock


class Coordinator:
    """As much of aiokafka's as the lease sees."""

    def __init__(self, clock: Clock) -> None:
        self.member_id = "me"
        self.answers = True
        self.takes_s = 0.0
        self.forgets = False
        self._clock = clock

    async def _do_heartbeat(self) -> bool:
        self._clock.now_s += self.takes_s
        if self.forgets:
            self.member_id = ""
        return self.answers


@pytest.mark.parametrize(("age_s", "valid"), [(9.9, True), (10.0, False), (10.1, False)])
def test_lease_is_valid_for_less_than_the_session_timeout(clock: Clock, age_s: float, valid: bool) -> None:
    lease = Lease(TIMEOUT_S, 0)
    lease.renew("me")
    clock.now_s += age_s
    assert lease.valid == valid


async def test_expired_lease_refuses_loudly(clock: Clock) -> None:
    lease = Lease(TIMEOUT_S, 0)
    with pytest.raises(LeaseLostError, match="another worker"):
        await lease.require()


async def test_answered_heartbeat_counts_from_its_sending(clock: Clock) -> None:
    lease, coordinator = Lease(TIMEOUT_S, 0), Coordinator(clock)
    lease.observe(coordinator)
    coordinator.takes_s = 4.0
    assert await coordinator._do_heartbeat()
    clock.now_s += 6.0
    assert not lease.valid


async def test_unanswered_heartbeat_does_not_renew(clock: Clock) -> None:
    lease, coordinator = Lease(TIMEOUT_S, 0), Coordinator(clock)
    lease.observe(coordinator)
    await coordinator._do_heartbeat()
    clock.now_s += 6.0
    coordinator.answers = False
    await coordinator._do_heartbeat()
    clock.now_s += 4.0
    assert not lease.valid


async def test_coordinator_that_does_not_know_us_ends_the_lease_at_once(clock: Clock) -> None:
    lease, coordinator = Lease(TIMEOUT_S, 0), Coordinator(clock)
    lease.observe(coordinator)
    await coordinator._do_heartbeat()
    coordinator.answers, coordinator.forgets = False, True
    await coordinator._do_heartbeat()
    assert not lease.valid


async def test_late_heartbeat_within_the_grace_lets_the_send_go_on() -> None:
    lease = Lease(TIMEOUT_S, 5.0)
    waiting = asyncio.create_task(lease.require())
    await asyncio.sleep(0)
    lease.renew("me")
    await waiting


async def test_what_began_in_an_earlier_tenure_is_not_sent_in_a_later_one(clock: Clock) -> None:
    lease, coordinator = Lease(TIMEOUT_S, 0), Coordinator(clock)
    lease.observe(coordinator)
    await coordinator._do_heartbeat()
    began = lease.tenure
    await lease.require(began)
    clock.now_s += 5 * TIMEOUT_S  # frozen; then it joins again, before anybody has looked at the lease
    coordinator.member_id = "me, anew"
    await coordinator._do_heartbeat()
    assert lease.valid
    with pytest.raises(LeaseLostError, match="out of its group"):
        await lease.require(began)
    await lease.require(lease.tenure)


async def test_the_first_heartbeat_begins_no_other_tenure(clock: Clock) -> None:
    lease, coordinator = Lease(TIMEOUT_S, 0), Coordinator(clock)
    lease.observe(coordinator)
    began = lease.tenure
    for _ in range(3):
        await coordinator._do_heartbeat()
    await lease.require(began)


def test_another_member_id_ends_the_tenure_before_the_lease_is_valid_again() -> None:
    lease = Lease(TIMEOUT_S, 0)
    lease.renew("me")
    began = lease.tenure
    lease.lose()
    lease.renew("me, anew")  # let in again, without a heartbeat
    assert (lease.valid, lease.tenure == began) == (True, False)
