"""Apache Kafka as a child: it answers, and what it took survives its own crash."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.embedded.kafka import KafkaNode


@pytest.mark.kafka
async def test_acknowledged_records_survive_sigkill(apache_kafka: KafkaNode, unique: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka.address)
    await admin.start()
    await admin.create_topics([NewTopic(unique, 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=apache_kafka.address)
    await producer.start()
    await producer.send_and_wait(unique, b"kept")
    await producer.stop()

    apache_kafka.kill()
    apache_kafka.start()

    consumer = AIOKafkaConsumer(unique, bootstrap_servers=apache_kafka.address, auto_offset_reset="earliest")
    await consumer.start()
    assert (await consumer.getone()).value == b"kept"
    await consumer.stop()
