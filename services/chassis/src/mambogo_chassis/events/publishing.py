"""Sending records to Kafka: acknowledged by all in-sync replicas, in order, without gaps.

`KafkaPublisher.publish` returns only when the fate of every record is known. It is what order rests on: a
batch that is not acknowledged in time is withdrawn as a whole, and its producer with it if anything was on
its way, so that what arrived of it is a prefix per partition, never a record whose predecessor is missing.
Which records to send, and remembering that they were sent, is the relay's.

confluent-kafka, because aiokafka's defaults lose messages and FastStream acknowledges before the work.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from mambogo_chassis.events.connecting import CONNECTING
from mambogo_chassis.events.errors import EventError
from mambogo_chassis.events.kafkalog import client_logger
from mambogo_chassis.events.records import OutboundRecord
from mambogo_chassis.events.settings import SOCKET_TIMEOUT_SECONDS

# One batch of the relay is at most 8 MiB; librdkafka's own default would buffer 1 GiB.
_QUEUE_KIB: Final = 32 * 1024
_MESSAGE_BYTES: Final = 2 * 1024 * 1024
# A topic that does not exist is a fact after this long. Below the relay's own bound, which blames nobody.
_UNKNOWN_TOPIC_MS: Final = 3000
_PURGE_SECONDS: Final = 1.0
# Any topic does, and one that every cluster has keeps the answer small.
_PROBE_TOPIC: Final = "__consumer_offsets"
# Below the bound of a health probe (2 s), so that the reason is known.
_PROBE_SECONDS: Final = 1.5

# The connection, the cluster or our own purge: says nothing about the record.
_WEATHER: Final = frozenset(
    {
        KafkaError._FATAL,
        KafkaError._PURGE_QUEUE,
        KafkaError._PURGE_INFLIGHT,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._STATE,
        KafkaError._GAPLESS_GUARANTEE,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.UNKNOWN_PRODUCER_ID,
    }
)


@dataclass(frozen=True, slots=True)
class Published:
    """The fate of a batch: sent, refused by Kafka for the record's own sake, or not now (in neither)."""

    sent: tuple[int, ...]
    refused: tuple[tuple[int, str], ...]
    # Why some records are in neither, for the log; empty when all are accounted for.
    obstacle: str


class Publisher(Protocol):
    """What the relay needs."""

    def open(self) -> None:
        """Begin to connect, in the background; Kafka need not be there."""
        ...

    async def publish(self, records: Sequence[OutboundRecord], *, timeout_seconds: float) -> Published:
        """Send `records`, those of one key in order; returns within `timeout_seconds` and about 1 s."""
        ...

    async def close(self) -> None: ...


class KafkaUnavailableError(EventError):
    """No broker answered in time."""

    code = "kafka-unavailable"


def producer_config(
    bootstrap_servers: str, client_id: str, *, socket_timeout_seconds: float = SOCKET_TIMEOUT_SECONDS
) -> dict[str, Any]:
    """librdkafka's settings, each with its reason."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "client.id": client_id,
        # Without it the client raises a fatal error out of whatever call comes next, and would end the relay.
        "error_cb": _note_error,
        "acks": "all",
        "enable.idempotence": True,
        # A batch that fails for good in the middle of others is fatal instead of a silent gap in the order.
        "enable.gapless.guarantee": True,
        # Only the relay's own bound ends a wait: records that expire one by one would leave gaps.
        "message.timeout.ms": 0,
        "delivery.report.only.error": True,
        "linger.ms": 5,
        "compression.type": "lz4",
        "message.max.bytes": _MESSAGE_BYTES,
        "queue.buffering.max.kbytes": _QUEUE_KIB,
        "topic.metadata.propagation.max.ms": _UNKNOWN_TOPIC_MS,
        "allow.auto.create.topics": False,
        "socket.keepalive.enable": True,
        "socket.timeout.ms": int(socket_timeout_seconds * 1000),
        **CONNECTING,
        "log_level": 4,
    }


class KafkaPublisher:
    """One idempotent producer, replaced whenever its state is in doubt. For one relay: not thread-safe."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        client_id: str,
        socket_timeout_seconds: float = SOCKET_TIMEOUT_SECONDS,
    ) -> None:
        self._config = producer_config(
            bootstrap_servers, client_id, socket_timeout_seconds=socket_timeout_seconds
        )
        self._producer: Producer | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-publish")

    def open(self) -> None:
        """See Publisher. A producer that is made for its first batch lets that wait for half a second.

        librdkafka asks for its id once, finds no connection yet, and asks again only then.
        """
        self._connected()

    async def publish(self, records: Sequence[OutboundRecord], *, timeout_seconds: float) -> Published:
        """See Publisher. Waits in a thread of its own: librdkafka's flush blocks."""
        producer = self._connected()
        batch = _Batch(records)
        batch.enqueue(producer)
        loop = asyncio.get_running_loop()
        try:
            left = await loop.run_in_executor(self._thread, producer.flush, timeout_seconds)
        except asyncio.CancelledError:
            # Ends the flush in its thread, which else would hold the process's end up. The rows stay pending.
            producer.purge()
            raise
        if left:
            batch.obstacle = batch.obstacle or f"{left} not acknowledged within {timeout_seconds:.0f} s"
            left = await loop.run_in_executor(self._thread, _withdraw, producer)
        if left or batch.is_doubtful:
            self._producer = None
            await loop.run_in_executor(self._thread, _discard, producer)
        return batch.outcome()

    async def probe(self) -> Mapping[str, object]:
        """Ask the cluster who it is; raises KafkaUnavailableError."""
        # Not in the publisher's own thread: that one is busy for as long as a batch waits for its answers.
        try:
            seen = await asyncio.to_thread(self._connected().list_topics, _PROBE_TOPIC, _PROBE_SECONDS)
        except KafkaException as error:
            raise KafkaUnavailableError(
                str(error), hint="events wait in the outbox until it is back"
            ) from error
        return {"brokers": len(seen.brokers)}

    def _connected(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._config, logger=client_logger)
        return self._producer

    async def close(self) -> None:
        """Drop the producer; whatever it still held is in the outbox."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, _discard, producer)
        self._thread.shutdown(wait=False)


class _Batch:
    """Follows one batch from enqueueing to the last error report (successes are not reported)."""

    def __init__(self, records: Sequence[OutboundRecord]) -> None:
        self._records = records
        self._refused: dict[int, str] = {}
        self._unsent: set[int] = set()
        self.is_doubtful = False
        self.obstacle = ""

    def enqueue(self, producer: Producer) -> None:
        """Hand all records over; behind one that is refused here, the rest of its key stays back."""
        held: set[tuple[str, bytes]] = set()
        for record in self._records:
            if (record.topic, record.key) in held or not self._enqueue_one(producer, record):
                held.add((record.topic, record.key))
                if record.outbox_id not in self._refused:
                    self._unsent.add(record.outbox_id)

    def _enqueue_one(self, producer: Producer, record: OutboundRecord) -> bool:
        try:
            producer.produce(
                record.topic,
                record.value,
                record.key,
                headers=list(record.headers),
                on_delivery=functools.partial(self._reported, record.outbox_id),
            )
        except BufferError:
            self.obstacle = "the producer's queue is full"
            return False
        except KafkaException as error:
            self._failed(record.outbox_id, error.args[0])
            return False
        return True

    def _reported(self, outbox_id: int, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed(outbox_id, error)

    def _failed(self, outbox_id: int, error: KafkaError) -> None:
        if error.fatal() or error.retriable() or error.code() in _WEATHER:
            self._unsent.add(outbox_id)
            # What never left the queue says nothing about the producer's state.
            self.is_doubtful |= error.code() != KafkaError._PURGE_QUEUE
            self.obstacle = self.obstacle or str(error)
        else:
            self._refused[outbox_id] = f"{error.name()}: {error.str()}"

    def outcome(self) -> Published:
        """Read after the last report: what failed nowhere was acknowledged."""
        failed = self._unsent | self._refused.keys()
        sent = tuple(record.outbox_id for record in self._records if record.outbox_id not in failed)
        return Published(sent, tuple(self._refused.items()), self.obstacle)


def _note_error(error: KafkaError) -> None:
    # The reports of the records decide what happens; this is for the log.
    client_logger.warning("Kafka says: %s", error)


def _withdraw(producer: Producer) -> int:
    """Take back what was not sent, and wait a little for what was; how many are still on their way.

    A producer that has nothing on its way is kept: it goes on connecting. Making a new one each time would
    never get through to a broker that takes longer to come up than one round lasts.
    """
    producer.purge(in_queue=True, in_flight=False)
    return producer.flush(_PURGE_SECONDS)


def _discard(producer: Producer) -> None:
    producer.purge()
    # Serves the reports of what was purged, so that `outcome` counts it as not sent.
    producer.flush(_PURGE_SECONDS)
