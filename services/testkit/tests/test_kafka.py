"""Kafka: each test has topics and groups of its own, on a real broker."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer

from mambogo_testkit import KafkaBroker, TopicSpace
from mambogo_testkit.records import read, send

_TIMEOUT_SECONDS = 20.0


def produce(topics: TopicSpace, topic: str, values: list[bytes], **config: str) -> None:
    failures: list[object] = []

    def report(error: object, _: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(
        {"bootstrap.servers": topics.bootstrap_servers, "acks": "all", "enable.idempotence": True, **config}
    )
    for value in values:
        producer.produce(topic, value, on_delivery=report)
    assert producer.flush(_TIMEOUT_SECONDS) == 0
    assert failures == []


def consume(topics: TopicSpace, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer(
        {
            "bootstrap.servers": topics.bootstrap_servers,
            "group.id": topics.name("readers"),
            "auto.offset.reset": "earliest",
        }
    )
    try:
        consumer.subscribe([topic])
        return [message.value() for message in consumer.consume(count, _TIMEOUT_SECONDS)]
    finally:
        consumer.close()


# snappy and zstd unpack native code in the broker: they fail where its scratch directory is not executable.
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_records_are_delivered_with_every_codec(kafka_topics: TopicSpace, codec: str) -> None:
    topic = kafka_topics.create("orders", partitions=1)
    values = [f"order {number}".encode() for number in range(20)]
    produce(kafka_topics, topic, values, **{"compression.type": codec})

    assert consume(kafka_topics, topic, len(values)) == values


def test_the_same_name_is_another_topic_in_another_test(kafka_broker: KafkaBroker) -> None:
    with kafka_broker.topics() as one, kafka_broker.topics() as other:
        assert one.create("orders") != other.create("orders")


def test_a_topic_that_nobody_created_does_not_come_by_itself(kafka_topics: TopicSpace) -> None:
    absent = kafka_topics.name("absent")
    producer = Producer({"bootstrap.servers": kafka_topics.bootstrap_servers})
    error = producer.list_topics(absent, timeout=_TIMEOUT_SECONDS).topics[absent].error
    assert error is not None
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_acknowledged_records_survive_a_kill_of_the_broker(own_kafka: KafkaBroker) -> None:
    with own_kafka.topics() as topics:
        topic = topics.create("orders", partitions=1)
        produce(topics, topic, [b"paid"])
        own_kafka.kill()
        own_kafka.start()
        assert consume(topics, topic, 1) == [b"paid"]


def test_what_was_sent_is_read_with_its_keys(kafka_topics: TopicSpace) -> None:
    kafka_topics.create("orders", partitions=2)
    sent = [(f"order-{number}", b"%d" % number) for number in range(20)]
    send(kafka_topics, "orders", *sent)
    found = [((record.key or b"").decode(), record.value) for record in read(kafka_topics, "orders")]
    assert sorted(found) == sorted(sent)


def test_nothing_is_read_from_a_topic_without_records(kafka_topics: TopicSpace) -> None:
    kafka_topics.create("orders", partitions=2)
    assert read(kafka_topics, "orders") == []
