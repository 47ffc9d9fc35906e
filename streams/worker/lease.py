"""May this process still write? Only while its last answered heartbeat is younger than the session timeout.

A process that was frozen (SIGSTOP, a paused virtual machine) and thaws does not know that its partitions have gone
to somebody else. The broker gives them away at the earliest one session timeout after it saw the last heartbeat, so
a send that begins before then is the owner's. What was on its way already when the process froze is harmless: rows
carry their offset, effects have deterministic ids.

A process that thaws may join the group again before it looks at its lease, and have a new one. So each batch holds
the *tenure* in which it began. It ends when the group comes to know the process by another member id, and when a
hand-over gives a batch up: what began before somebody else may have had the partitions is not sent after.
"""

from __future__ import annotations

import asyncio
from typing import Any

from streams.errors import BrokerUnavailableError
from streams.worker.clock import now_s


class LeaseLostError(BrokerUnavailableError):
    """The group coordinator has not answered for a session timeout: somebody else may own the partitions."""

    reason = "lease_lost"


class Lease:
    """Renewed in the consumer's thread, asked in the main one; a float is read and written atomically."""

    def __init__(self, session_timeout_s: float, grace_s: float) -> None:
        """`grace_s`: how long a send may wait for a late heartbeat, before it is too late."""
        self._timeout_s = session_timeout_s
        self._grace_s = grace_s
        self._renewed_s = float("-inf")
        self._member = ""
        self.tenure = 0

    def end_tenure(self) -> None:
        """What has begun is not to be sent any more."""
        self.tenure += 1

    def renew(self, member: str, at_s: float | None = None) -> None:
        """The coordinator has answered a request of `member` that was sent at `at_s` (default: now)."""
        if self._member and member != self._member:
            self.end_tenure()  # before anybody may find the lease valid
        self._member = member
        self._renewed_s = max(self._renewed_s, now_s() if at_s is None else at_s)

    def lose(self) -> None:
        """The coordinator does not know us any more."""
        self._renewed_s = float("-inf")

    @property
    def valid(self) -> bool:
        """Whether a send that begins now is the owner's."""
        return now_s() - self._renewed_s < self._timeout_s

    async def require(self, tenure: int | None = None) -> None:
        """Return when the lease is valid. Raises LeaseLostError when it is not and stays so for the grace.

        `tenure`: of what is to be sent; another one than ours by now is a lease that was lost, whatever came after.
        """
        await self._wait()
        if tenure is not None and tenure != self.tenure:
            raise LeaseLostError(
                "this process was out of its group meanwhile: the partition may have belonged to another worker, so "
                "what began before is not written"
            )

    async def _wait(self) -> None:
        if self.valid:
            return
        deadline_s = now_s() + self._grace_s
        while now_s() < deadline_s:
            # A broker that was away for a moment answers the next heartbeat, and nobody else has had the partitions.
            await asyncio.sleep(0.05)
            if self.valid:
                return
        raise LeaseLostError(
            f"no heartbeat was answered for {self._timeout_s:g} s: the partitions may belong to another worker by "
            "now, so nothing more is written; this process ends and has to be started again"
        )

    def observe(self, coordinator: Any) -> None:
        """Have every heartbeat of an aiokafka group coordinator renew this lease (or lose it)."""
        beat = coordinator._do_heartbeat  # aiokafka has no hook; tests hold its name

        async def observed() -> bool:
            sent_s = now_s()
            member = coordinator.member_id
            answered: bool = await beat()
            if answered:
                self.renew(member, sent_s)
            elif member and coordinator.member_id != member:
                self.lose()
            return answered

        coordinator._do_heartbeat = observed
