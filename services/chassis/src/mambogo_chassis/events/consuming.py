"""The thin edge to confluent-kafka's consumer: fetch, commit, rewind, lag.

Every call blocks and runs in one thread of its own; the consumer's callbacks run there too. What to do with
the records is `consumer`'s.

Assignment is cooperative-sticky: when members come and go only the partitions that move stop, so a rebalance
storm never stops the whole group, and what was fetched for the others stays valid. Every member of a group
has to use it: change it only under a new group id.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from mambogo_chassis.events.connecting import CONNECTING
from mambogo_chassis.events.kafkalog import client_logger
from mambogo_chassis.events.records import InboundRecord
from mambogo_chassis.events.settings import EventSettings

# A batch has to be done within this, or the member is thrown out and its partitions move.
MAX_POLL_SECONDS: Final = 120.0
# A rebalance, in which commits are refused, takes moments to seconds.
_COMMIT_AGAIN_SECONDS: Final = 1.0

Partition = tuple[str, int]
Offsets = Mapping[Partition, int]
_T = TypeVar("_T")

logger = logging.getLogger(__name__)


class ConsumerLostError(Exception):
    """The client broke for good and has to be made anew; nothing is lost, its offsets are in Kafka."""


def consumer_config(settings: EventSettings, group: str) -> dict[str, Any]:
    """librdkafka's settings, each with its reason."""
    instance = settings.consumer_instance_id
    return {
        **({} if instance is None else {"group.instance.id": instance}),
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "group.id": group,
        "client.id": group,
        # Offsets are committed by hand, after the effect: both kinds of automatism lose records at a crash.
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # A new group, or one whose offsets expired, starts at the beginning: the inbox drops what it knows.
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": settings.consumer_session_seconds * 1000,
        "max.poll.interval.ms": int(MAX_POLL_SECONDS * 1000),
        # librdkafka would otherwise fetch 64 MiB ahead.
        "queued.min.messages": 2000,
        "queued.max.messages.kbytes": 8192,
        # The broker answers at the first byte; without one, an idle consumer asks once a second.
        "fetch.wait.max.ms": 1000,
        # A topic that is made later is found within this.
        "topic.metadata.refresh.interval.ms": 10_000,
        "allow.auto.create.topics": False,
        "socket.keepalive.enable": True,
        "socket.timeout.ms": int(settings.kafka_socket_timeout_seconds * 1000),
        **CONNECTING,
        "log_level": 4,
    }


class KafkaSource:
    """One member of a consumer group."""

    def __init__(self, settings: EventSettings, *, group: str, topics: Sequence[str]) -> None:
        self._config = {**consumer_config(settings, group), "on_commit": self._answered}
        self._poll_seconds = settings.consumer_poll_seconds
        self._topics = list(topics)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-consume")
        self._consumer: Consumer | None = None
        # Refused offsets of partitions that are still ours. Only the thread touches what follows.
        self._owed: dict[Partition, int] = {}
        self._commit_again_at = 0.0

    async def open(self) -> None:
        """Join the group, in the background; Kafka need not be there."""
        consumer = Consumer(self._config, logger=client_logger)
        consumer.subscribe(self._topics, on_revoke=self._given_up, on_lost=self._given_up)
        self._consumer, self._owed = consumer, {}

    async def fetch(self, limit: int) -> list[InboundRecord]:
        """Up to `limit` records; none after `consumer_poll_seconds`. Raises ConsumerLostError."""
        messages = await self._call(lambda consumer: self._fetch(consumer, limit))
        return [record for message in messages if (record := _record(message)) is not None]

    async def commit(self, offsets: Offsets) -> None:
        """Commit the offsets to read next.

        What is refused, as in a rebalance, is committed with one of the next fetches, if its partition is
        still ours: nothing else would until its next record, and the group would seem to be behind. A new
        owner reads it again; the inbox knows it.
        """
        await self._call(lambda consumer: self._commit(consumer, offsets))

    async def rewind(self, offsets: Offsets) -> None:
        """Read on at these offsets. A partition that is no longer ours is left to its new owner."""
        await self._call(lambda consumer: _rewind(consumer, offsets))

    async def lag(self) -> dict[Partition, int]:
        """Records behind the end, of the partitions that have been read from; asks no broker."""
        return await self._call(_lag)

    async def close(self) -> None:
        """Leave the group, so that others take over at once."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, consumer.close)

    async def _call(self, function: Callable[[Consumer], _T]) -> _T:
        consumer = self._consumer
        if consumer is None:
            raise ConsumerLostError("the consumer is closed")
        # Shielded: a cancelled task must not leave a blocking call behind that the next one would queue
        # after.
        call = asyncio.get_running_loop().run_in_executor(self._thread, function, consumer)
        try:
            return await asyncio.shield(call)
        except KafkaException as error:
            raise ConsumerLostError(str(error)) from error
        except RuntimeError as error:  # confluent-kafka's answer from a closed consumer
            raise ConsumerLostError(str(error)) from error

    def _fetch(self, consumer: Consumer, limit: int) -> list[Message]:
        self._commit_again(consumer)
        # `consume` alone would wait out its time whenever there are fewer records than asked for.
        first = consumer.poll(self._poll_seconds)
        return [] if first is None else [first, *consumer.consume(limit - 1, 0)]

    def _commit_again(self, consumer: Consumer) -> None:
        if not self._owed or time.monotonic() < self._commit_again_at:
            return
        self._commit_again_at = time.monotonic() + _COMMIT_AGAIN_SECONDS
        try:
            # Not waited for: while no broker answers, a stop would wait, too.
            consumer.commit(offsets=_positions(self._owed), asynchronous=True)
        except KafkaException as error:
            logger.info("offsets are not committed yet: %s", error)

    def _commit(self, consumer: Consumer, offsets: Offsets) -> None:
        try:
            answered = consumer.commit(offsets=_positions(offsets), asynchronous=False)
        except KafkaException as error:
            logger.warning("offsets were not committed yet: %s", error)
            self._owe(offsets)
            return
        refused = {(one.topic, one.partition): one.error for one in answered if one.error is not None}
        if refused:
            logger.warning("offsets were not committed yet: %s", next(iter(refused.values())))
            self._owe({partition: offsets[partition] for partition in refused})
        for partition in offsets.keys() - refused.keys():
            self._owed.pop(partition, None)

    def _owe(self, offsets: Offsets) -> None:
        self._owed.update(offsets)
        self._commit_again_at = time.monotonic() + _COMMIT_AGAIN_SECONDS

    def _answered(self, error: KafkaError | None, positions: Sequence[TopicPartition]) -> None:
        """Strike what was committed; called for every commit, also for those that were waited for."""
        for one in positions if error is None else ():
            partition = (one.topic, one.partition)
            if one.error is None and self._owed.get(partition) == one.offset:
                del self._owed[partition]

    def _given_up(self, consumer: Consumer, positions: Sequence[TopicPartition]) -> None:
        # Committed later, it could set back whoever has the partition now.
        for one in positions:
            self._owed.pop((one.topic, one.partition), None)


def _record(message: Message) -> InboundRecord | None:
    error = message.error()
    if error is not None:
        if error.fatal():
            raise ConsumerLostError(str(error))
        client_logger.warning("Kafka says: %s", error)
        return None
    return to_record(message)


def to_record(message: Message) -> InboundRecord:
    """A message that is no error, free of the client's types."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None  # noqa: S101 - only errors have none
    assert partition is not None  # noqa: S101
    assert offset is not None  # noqa: S101
    return InboundRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=message.timestamp()[1],
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=tuple((name, _bytes(value) or b"") for name, value in _header_pairs(message)),
    )


def _header_pairs(message: Message) -> list[tuple[str, str | bytes | None]]:
    # The client declares a mapping too, for what is produced; what is consumed is a list.
    headers = message.headers()
    return headers if isinstance(headers, list) else []


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _rewind(consumer: Consumer, offsets: Offsets) -> None:
    for position in _positions(offsets):
        try:
            consumer.seek(position)
        except KafkaException as error:
            code = error.args[0].code()
            if code not in (
                KafkaError._UNKNOWN_PARTITION,
                KafkaError._STATE,
                KafkaError.UNKNOWN_TOPIC_OR_PART,
            ):
                raise
            logger.info("%s is no longer ours: %s", position, error)


def _positions(offsets: Offsets) -> list[TopicPartition]:
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]


def _lag(consumer: Consumer) -> dict[Partition, int]:
    lag = {}
    for position in consumer.position(consumer.assignment()):
        low, high = consumer.get_watermark_offsets(position, cached=True)
        if high >= 0:
            reached = position.offset if position.offset >= 0 else low
            lag[(position.topic, position.partition)] = max(high - reached, 0)
    return lag
