"""The Faust app: its settings, its table, its agent. What Faust does by default and should not is changed here."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterable
from typing import Any

import faust

from streams.errors import AvertError
from streams.settings import Settings
from streams.telemetry import REBALANCES
from streams.worker.link import Link
from streams.worker.machine import Machine
from streams.worker.table import RECOVERY_BUFFER_MESSAGES, SessionsTable
from streams.worker.topics import changelog_name
from streams.worker.transport import Transport

MAX_POLL_INTERVAL_S = 300.0  # a main thread that is stuck for so long loses its partitions to the others
REQUEST_TIMEOUT_S = 40.0  # Kafka's own default; must exceed the session timeout
PARTITION_FETCH_BYTES_MAX = 4 * 1024 * 1024  # a larger batch writes a visitor's row less often; 16,000 events


class WorkerApp(faust.App):
    """A Faust app that carries its `link`."""

    link: Link

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self)

    def on_rebalance_end(self) -> None:
        """Faust: recovery is over, positions are set, the flow is on. No event may come before (see transport.py)."""
        super().on_rebalance_end()
        REBALANCES.inc()
        if self.link.table.complete:
            self.consumer.open()
            self.link.recovered()
        else:
            self.link.fail(AvertError("Faust calls a recovery complete that is not; events would find no state"))


def build_app(settings: Settings, link: Link, machine: Machine, partitions: int, scratch: str) -> WorkerApp:
    """The app, not yet started. `scratch`: a folder for what Faust insists on writing (nothing of ours)."""
    app = WorkerApp(
        settings.app_id,
        # By it Kafka sets quotas and names whom it has trouble with.
        broker_client_id=settings.app_id,
        broker="kafka://" + settings.kafka_bootstrap.replace(",", ";"),
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        datadir=scratch,
        # An unauthenticated web server on all interfaces that serves table rows.
        web_enabled=False,
        # A killed worker's visitors wait for the session timeout; its default is 60 s.
        broker_session_timeout=settings.broker_session_timeout_s,
        broker_heartbeat_interval=settings.broker_heartbeat_s,
        broker_rebalance_timeout=settings.broker_rebalance_timeout_s,
        broker_request_timeout=max(REQUEST_TIMEOUT_S, settings.broker_session_timeout_s),
        broker_max_poll_interval=MAX_POLL_INTERVAL_S,
        broker_max_poll_records=settings.poll_records_max,
        broker_commit_interval=settings.commit_interval_s,
        consumer_max_fetch_size=PARTITION_FETCH_BYTES_MAX,
        consumer_auto_offset_reset="earliest",
        # No leader topic, no reply topic, no topic made by Faust: ours exist already, see topics.py.
        topic_disable_leader=True,
        topic_allow_declare=False,
        reply_create_topic=False,
        topic_partitions=partitions,
        table_standby_replicas=0,
        # What is in hand at the end is finished by us (Link.hand_over).
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        # What is persisted is what this process holds in memory, and may rightly be ahead of what the embedded broker
        # says of the changelog's end.
        recovery_consistency_check=False,
        producer_acks=-1,
        worker_redirect_stdouts=False,
    )
    app.link = link
    table = app.tables.add(SessionsTable(
        app, name="sessions", partitions=partitions, key_type=bytes, value_type=bytes,
        changelog_topic=app.topic(
            changelog_name(settings), key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw",
            partitions=partitions, compacting=True, acks=False, internal=True, allow_empty=True,
        ),
        recovery_buffer_size=RECOVERY_BUFFER_MESSAGES,
    ))
    table.attach(machine, link.clickstream, link.ledger, link.fail)
    link.table = table
    # acks=False: Faust keeps no list of acknowledged offsets, which nobody would ever read.
    clickstream = app.topic(
        link.clickstream, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=False
    )

    async def apply(stream: AsyncIterable[Any]) -> None:
        async for batch in stream:
            link.begin(batch)

    app.agent(clickstream, name="avert-apply")(apply)
    return app


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """Where Faust may write; gone at the end."""
    return tempfile.TemporaryDirectory(prefix="avert-faust-")
