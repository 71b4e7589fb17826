"""The loop that every consumer runs: fetch a batch, take it, commit its offsets, put the rest back.

What taking means is a subclass's: `consumer.EventConsumer` takes effect in a database together with an inbox,
`projecting.Projection` calls handlers that are idempotent by themselves. A record that cannot be taken now
goes back, and polling goes on, so that the group stays whole.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry

from mambogo_chassis import failpoints
from mambogo_chassis.events.consuming import (
    MAX_POLL_SECONDS,
    ConsumerLostError,
    KafkaSource,
    Offsets,
    Partition,
)
from mambogo_chassis.events.deadletters import REDRIVE_FOR, Verdict
from mambogo_chassis.events.envelope import CloudEvent, EventData
from mambogo_chassis.events.errors import RefusedEventError
from mambogo_chassis.events.metrics import ConsumerMetrics
from mambogo_chassis.events.records import InboundRecord
from mambogo_chassis.events.registry import EventRegistry
from mambogo_chassis.events.settings import EventSettings
from mambogo_chassis.pacing import left_seconds
from mambogo_chassis.tracing import NoTracer, Tracer

# How much of a transaction's bound (5 s) a batch may use before it commits what it has.
BATCH_SECONDS: Final = 1.0
# A slow batch is cut here and goes on after the next poll, long before the group would drop this member.
_ONE_BY_ONE_SECONDS: Final = MAX_POLL_SECONDS / 4
_LAG_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class Source(Protocol):
    """Where records come from; `consuming.KafkaSource` in life."""

    async def open(self) -> None: ...
    async def fetch(self, limit: int) -> list[InboundRecord]: ...
    async def commit(self, offsets: Offsets) -> None: ...
    async def rewind(self, offsets: Offsets) -> None: ...
    async def lag(self) -> dict[Partition, int]: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Work:
    """A record and what it turned out to be: an event with its handler, a refusal, or nothing of ours."""

    record: InboundRecord
    event: CloudEvent[Any] | None = None
    handler: Any = None  # of the subclass's own form
    verdict: Verdict | None = None
    is_redriven: bool = False

    @property
    def event_id(self) -> str:
        return self.event.id if self.event is not None else self.record.coordinates


class TryAgainLaterError(Exception):
    """The rest of the batch goes back."""


class Poller:
    """One consumer group's member in this process."""

    def __init__(
        self,
        *,
        group: str,
        events: EventRegistry,
        settings: EventSettings,
        registry: CollectorRegistry,
        tracer: Tracer | None,
    ) -> None:
        self._group = group
        self._events = events
        self._settings = settings
        self._tracer = tracer if tracer is not None else NoTracer()
        self._handlers: dict[str, Any] = {}
        self._topics: set[str] = set()
        self._metrics = ConsumerMetrics(registry, group=group)
        self._stop = asyncio.Event()
        self._backoff_seconds = settings.consumer_backoff_seconds
        self._next_lag = 0.0

    @property
    def topics(self) -> frozenset[str]:
        """What has a handler is read from these."""
        return frozenset(self._topics)

    async def run(self, source: Source | None = None) -> None:
        """Consume until `stop`. Survives any absence of database and Kafka."""
        while not self._stop.is_set():
            source = source or KafkaSource(self._settings, group=self._group, topics=sorted(self._topics))
            try:
                await source.open()
                await self._consume(source)
            except ConsumerLostError as error:
                logger.warning("consumer %s is made anew: %s", self._group, error)
                await self._wait(self._settings.consumer_backoff_max_seconds)
            finally:
                await source.close()

    def stop(self) -> None:
        """End after the batch that is under way has committed; cancel `run` if that takes too long."""
        self._stop.set()

    async def _consume(self, source: Source) -> None:
        while not self._stop.is_set():
            records = await source.fetch(self._settings.consumer_batch_records)
            began = time.monotonic()
            if records:
                await self._process(source, records)
            await self._keep_house(source)
            if 0 < len(records) < self._settings.consumer_batch_records:
                # What comes close behind is one batch.
                pace_seconds = self._settings.consumer_pace_seconds
                await self._wait(left_seconds(began, len(records), least_seconds=pace_seconds))

    async def _process(self, source: Source, records: Sequence[InboundRecord]) -> None:
        """Take as much of a batch as goes, commit its offsets, put the rest back."""
        works = [self._read(record) for record in records]
        await failpoints.reach("consumer.fetched")
        done, started = 0, time.monotonic()
        try:
            while done < len(works):
                if self._stop.is_set() or time.monotonic() - started > _ONE_BY_ONE_SECONDS:
                    await source.rewind(_first_offsets(records[done:]))
                    return
                done += await self._take_some(works[done:])
                await failpoints.reach("consumer.applied")
                await source.commit(_next_offsets(records[:done]))
                await failpoints.reach("consumer.committed")
        except TryAgainLaterError as signal:
            await self._put_back(source, records[done:], signal)
        else:
            self._all_taken()

    async def _take_some(self, works: Sequence[Work]) -> int:
        """Take the first of `works`, at least one; how many they were. Raises TryAgainLaterError."""
        raise NotImplementedError

    def _all_taken(self) -> None:
        self._backoff_seconds = self._settings.consumer_backoff_seconds

    async def _keep_own_house(self) -> None:
        """What a subclass does now and then between two batches."""

    def _register(self, model: type[EventData], handler: object) -> None:
        event_type = self._events.type_of(model)
        self._handlers[event_type.name] = handler
        self._topics.add(event_type.topic)

    def _read(self, record: InboundRecord) -> Work:
        redrive_for = record.header(REDRIVE_FOR)
        if redrive_for is not None and redrive_for != self._group:
            return Work(record)
        try:
            event = self._events.decode(record.value)
        except RefusedEventError as refusal:
            verdict = Verdict(refusal.reason, refusal.message, refusal.event_id or record.coordinates)
            return Work(record, verdict=verdict)
        if event is None:
            return Work(record)
        return Work(record, event, self._handlers.get(event.type), is_redriven=redrive_for is not None)

    async def _put_back(
        self, source: Source, records: Sequence[InboundRecord], signal: TryAgainLaterError
    ) -> None:
        logger.warning("%s puts %d records back: %s", self._group, len(records), signal)
        self._metrics.rewound()
        await source.rewind(_first_offsets(records))
        await self._wait(self._backoff_seconds)
        self._backoff_seconds = min(self._backoff_seconds * 2, self._settings.consumer_backoff_max_seconds)

    async def _keep_house(self, source: Source) -> None:
        now = time.monotonic()
        if now >= self._next_lag:
            self._next_lag = now + _LAG_SECONDS
            self._metrics.show_lag(await source.lag())
        await self._keep_own_house()

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    def _count(self, outcomes: Sequence[str]) -> None:
        for outcome in set(outcomes):
            self._metrics.count(outcome, outcomes.count(outcome))


def _next_offsets(records: Sequence[InboundRecord]) -> dict[Partition, int]:
    return {(record.topic, record.partition): record.offset + 1 for record in records}


def _first_offsets(records: Sequence[InboundRecord]) -> dict[Partition, int]:
    return {(record.topic, record.partition): record.offset for record in reversed(records)}


def describe(error: Exception) -> str:
    """An error's type only, and not its message: it may quote the event's data."""
    return f"{type(error).__module__}.{type(error).__qualname__}"
