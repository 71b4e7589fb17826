"""Connections to Kafka through an outage: the same afterwards as before."""

from __future__ import annotations

from pathlib import Path

from mambogo_testkit.dependencies.kafka import KafkaBroker, TopicSpace

from mambogo_chassis.events import KafkaPublisher
from mambogo_chassis.events.consuming import KafkaSource
from mambogo_chassis.events.records import OutboundRecord
from support.data import event_settings, eventually

# What a publisher tries for; a broker that refuses is known to be away long before.
_TRIED_SECONDS = 3.0


async def test_a_publisher_keeps_its_connections_through_an_outage(
    kafka_broker: KafkaBroker, kafka_topics: TopicSpace
) -> None:
    topic = kafka_topics.create("orders")
    with kafka_broker.proxied() as proxy:
        publisher = KafkaPublisher(proxy.address, client_id="tests")
        record = [OutboundRecord(1, topic, b"o-1", b"{}", ())]

        async def is_sent() -> bool:
            return (await publisher.publish(record, timeout_seconds=_TRIED_SECONDS)).sent == (1,)

        try:
            await eventually("the record is sent", is_sent)
            before = _connections()
            with proxy.refuse():
                assert not await is_sent()
            await eventually("the record is sent again", is_sent)
            assert _connections() >= before
        finally:
            await publisher.close()


async def test_a_consumer_keeps_its_connections_through_an_outage(
    kafka_broker: KafkaBroker, kafka_topics: TopicSpace
) -> None:
    topic = kafka_topics.create("orders")
    with kafka_broker.proxied() as proxy:
        settings = event_settings(proxy.address, consumer_poll_seconds=0.2)
        source = KafkaSource(settings, group=kafka_topics.name("readers"), topics=[topic])
        publisher = KafkaPublisher(kafka_broker.bootstrap_servers, client_id="tests")
        sent = 0

        async def is_read() -> bool:
            return len(await source.fetch(10)) > 0

        async def send() -> None:
            nonlocal sent
            sent += 1
            await publisher.publish([OutboundRecord(sent, topic, b"o-1", b"{}", ())], timeout_seconds=30)

        try:
            await source.open()
            await send()
            await eventually("the record is read", is_read)
            before = _connections()
            with proxy.refuse():
                for _ in range(round(_TRIED_SECONDS / 0.2)):
                    await source.fetch(10)
            await send()
            await eventually("the next record is read", is_read)
            assert _connections() >= before
        finally:
            await source.close()
            await publisher.close()


def _connections() -> set[int]:
    """The threads of librdkafka's brokers in this process, each with one connection.

    What it sets aside in an outage may stay and look for its end a thousand times a second.
    """
    tasks = Path("/proc/self/task")
    named = [(one, (one / "comm").read_text(encoding="utf-8")) for one in tasks.iterdir()]
    return {int(one.name) for one, name in named if name.startswith("rdk:broker")}
