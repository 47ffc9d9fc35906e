"""Apache Kafka as children: they answer, and what they took survives a crash."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.embedded.kafka import KafkaCluster, KafkaNode, cluster_id, fetch_libs


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


@pytest.mark.kafka
async def test_three_nodes_acknowledge_while_one_is_dead(unique: str) -> None:
    with KafkaCluster(fetch_libs()) as cluster:
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.address)
        await admin.start()
        answer = await admin.create_topics([NewTopic(unique, 1, 3)])
        await admin.close()
        assert [code for _, code, *_ in answer.topic_errors] == [0]
        producer = AIOKafkaProducer(bootstrap_servers=cluster.address, acks="all")
        await producer.start()
        await producer.send_and_wait(unique, b"three")
        cluster.nodes[0].kill()
        written = await producer.send_and_wait(unique, b"two")
        assert written.offset == 1
        await producer.stop()


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    assert not any(cluster_id().startswith("-") for _ in range(1_000))
