"""Consumers: each event's effect exactly once, in order per partition, whatever dies.

A batch is one transaction: inbox rows, effects, dead letters; then its offsets are committed. If it fails,
its records are taken one by one, each in its own transaction. Three kinds of failure are told apart:

- the database is not there: the batch is put back (the position is rewound) and tried again for as long as it
  takes; polling goes on, so the group stays whole;
- contention (locks, deadlocks, timeouts): put back as well, but a bounded number of times;
- the record's own fault: undecodable, a future version, invalid data, or a handler that raises. A bounded
  number of tries, then it becomes a dead letter with its reason, and the partition moves on.

Handlers only use the connection they are given. They must not call other services: a transaction would wait
for a network, and what the call did is not undone by a rollback.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import psycopg
from prometheus_client import REGISTRY, CollectorRegistry

from mambogo_chassis import failpoints, tracing
from mambogo_chassis.database.errors import DatabaseContentionError, DatabaseError, DatabaseTimeoutError
from mambogo_chassis.database.pool import Connection, Database
from mambogo_chassis.events import inbox as inbox_table
from mambogo_chassis.events.consuming import (
    MAX_POLL_SECONDS,
    ConsumerLostError,
    KafkaSource,
    Offsets,
    Partition,
)
from mambogo_chassis.events.deadletters import REDRIVE_FOR, DeadLetters, Verdict
from mambogo_chassis.events.envelope import CloudEvent, EventData
from mambogo_chassis.events.errors import PermanentEventError, RefusedEventError
from mambogo_chassis.events.inbox import Inbox
from mambogo_chassis.events.metrics import ConsumerMetrics
from mambogo_chassis.events.outbox import Outbox
from mambogo_chassis.events.records import InboundRecord
from mambogo_chassis.events.registry import EventRegistry
from mambogo_chassis.events.settings import EventSettings
from mambogo_chassis.http import context
from mambogo_chassis.http.deadlines import deadline_in

# How much of a transaction's bound (5 s) a batch may use before it commits what it has.
_BATCH_SECONDS: Final = 1.0
# Records whose inbox rows are claimed at once; what is claimed has to be handled in the same transaction.
_CLAIM_RECORDS: Final = 50
# A slow batch is cut here and goes on after the next poll, long before the group would drop this member.
_ONE_BY_ONE_SECONDS: Final = MAX_POLL_SECONDS / 4
# A handler has no caller who waits; this is far above a transaction's own bound.
_HANDLER_SECONDS: Final = 30.0
_LAG_SECONDS: Final = 5.0
_PURGE_SECONDS: Final = 60.0

DataT = TypeVar("DataT", bound=EventData)
Handler = Callable[[Connection, CloudEvent[DataT]], Awaitable[None]]

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
class _Work:
    """A record and what it turned out to be: an event with its handler, a refusal, or nothing of ours."""

    record: InboundRecord
    event: CloudEvent[Any] | None = None
    handler: Handler[Any] | None = None
    verdict: Verdict | None = None
    is_redriven: bool = False

    @property
    def event_id(self) -> str:
        return self.event.id if self.event is not None else self.record.coordinates


class _TryAgainLaterError(Exception):
    """The rest of the batch goes back."""


class EventConsumer:
    """One consumer group's member in this process. `outbox` carries its dead letters."""

    def __init__(
        self,
        database: Database,
        *,
        group: str,
        events: EventRegistry,
        outbox: Outbox,
        settings: EventSettings,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._database = database
        self._group = group
        self._events = events
        self._settings = settings
        self._handlers: dict[str, Handler[Any]] = {}
        self._topics: set[str] = set()
        self._inbox = Inbox(group)
        self._dead_letters = DeadLetters(group, inbox=self._inbox, outbox=outbox)
        self._metrics = ConsumerMetrics(registry, group=group)
        self._stop = asyncio.Event()
        self._backoff_seconds = settings.consumer_backoff_seconds
        self._contention: dict[tuple[str, int, int], int] = {}
        self._next_lag = 0.0
        self._next_purge = time.monotonic() + _PURGE_SECONDS

    def on(self, model: type[DataT]) -> Callable[[Handler[DataT]], Handler[DataT]]:
        """Handle events of `model`; a decorator. Raises UnregisteredEventError."""
        event_type = self._events.type_of(model)

        def register(handler: Handler[DataT]) -> Handler[DataT]:
            self._handlers[event_type.name] = handler
            self._topics.add(event_type.topic)
            return handler

        return register

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
            if records:
                await self._process(source, records)
            await self._keep_house(source)

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
        except _TryAgainLaterError as signal:
            await self._put_back(source, records[done:], signal)
        else:
            self._contention.clear()
            self._backoff_seconds = self._settings.consumer_backoff_seconds

    async def _take_some(self, works: Sequence[_Work]) -> int:
        try:
            return await self._take_together(works)
        except DatabaseTimeoutError:
            logger.info("a batch of %d took too long: one by one", len(works))
        except DatabaseContentionError as error:
            logger.info("a batch of %d met contention: one by one: %s", len(works), error)
        except DatabaseError as error:
            raise _TryAgainLaterError(str(error)) from error
        except Exception as error:  # whatever a handler raises: the single pass finds out whose fault it is
            logger.info("a batch of %d failed: one by one: %r", len(works), error)
        return await self._take_singly(works)

    async def _take_together(self, works: Sequence[_Work]) -> int:
        """As many of `works` as fit into the time of one transaction; how many they were."""
        outcomes: list[str] = []
        started = time.monotonic()
        async with self._database.transaction() as connection:
            for chunk in _chunks(works):
                fresh = await self._claim(connection, chunk)
                for work in chunk:
                    outcomes.append(await self._apply(connection, work, fresh))
                if time.monotonic() - started > _BATCH_SECONDS:
                    break
            await failpoints.reach("consumer.effected")
        self._count(outcomes)
        return len(outcomes)

    async def _take_singly(self, works: Sequence[_Work]) -> int:
        started = time.monotonic()
        for number, work in enumerate(works):
            if number and (self._stop.is_set() or time.monotonic() - started > _BATCH_SECONDS):
                return number
            try:
                await self._take_one(work)
            except _TryAgainLaterError:
                if number == 0:
                    raise
                return number
        return len(works)

    async def _take_one(self, work: _Work) -> None:
        """Apply one record, or bury it after its bounded tries."""
        for attempt in range(1, self._settings.consumer_attempts + 1):
            try:
                await self._take_together([work])
            except DatabaseContentionError as error:
                await self._contended(work, error)
                return
            except DatabaseTimeoutError as error:
                if not (await self._database.ping()).up:
                    raise _TryAgainLaterError(str(error)) from error
                await self._contended(work, error)
                return
            except DatabaseError as error:
                raise _TryAgainLaterError(str(error)) from error
            except PermanentEventError as error:
                await self._bury(work, Verdict("handler-failed", error.message, work.event_id))
                return
            except Exception as error:  # a handler's bug must not stop the partition
                logger.warning("%s: try %d failed: %r", work.record.coordinates, attempt, error)
                last = error
                await self._wait(self._settings.consumer_retry_seconds * 2 ** (attempt - 1))
            else:
                return
        # The type only, and not the message: it may quote the event's data.
        await self._bury(work, Verdict("handler-failed", _describe(last), work.event_id))

    async def _contended(self, work: _Work, error: DatabaseError) -> None:
        where = (work.record.topic, work.record.partition, work.record.offset)
        tries = self._contention[where] = self._contention.get(where, 0) + 1
        if tries < self._settings.consumer_contention_attempts:
            raise _TryAgainLaterError(str(error)) from error
        await self._bury(work, Verdict("contention", f"{tries} tries: {error.message}", work.event_id))
        del self._contention[where]

    async def _bury(self, work: _Work, verdict: Verdict) -> None:
        try:
            async with self._database.transaction() as connection:
                is_new = await self._dead_letters.bury(connection, work.record, verdict)
        except (DatabaseError, psycopg.Error) as error:
            raise _TryAgainLaterError(str(error)) from error
        logger.error("%s is a dead letter: %s: %s", work.record.coordinates, verdict.reason, verdict.detail)
        self._count(["dead_lettered" if is_new else "duplicate"])

    async def _claim(self, connection: Connection, works: Sequence[_Work]) -> set[str]:
        ids = [work.event_id for work in works if work.handler is not None and not work.is_redriven]
        return await self._inbox.claim(connection, ids)

    async def _apply(self, connection: Connection, work: _Work, fresh: set[str]) -> str:
        """One record's part of a transaction; the outcome it will have had when that commits."""
        if work.verdict is not None:
            is_new = await self._dead_letters.bury(connection, work.record, work.verdict)
            return "dead_lettered" if is_new else "duplicate"
        if work.handler is None or work.event is None:
            return "ignored"
        if work.is_redriven:
            if not await self._inbox.claim_again(connection, work.event_id):
                return "duplicate"
        elif work.event_id not in fresh:
            return "duplicate"
        fresh.discard(work.event_id)
        with _context_of(work.event):
            await work.handler(connection, work.event)
        return "applied"

    def _read(self, record: InboundRecord) -> _Work:
        redrive_for = record.header(REDRIVE_FOR)
        if redrive_for is not None and redrive_for != self._group:
            return _Work(record)
        try:
            event = self._events.decode(record.value)
        except RefusedEventError as refusal:
            verdict = Verdict(refusal.reason, refusal.message, refusal.event_id or record.coordinates)
            return _Work(record, verdict=verdict)
        if event is None:
            return _Work(record)
        return _Work(record, event, self._handlers.get(event.type), is_redriven=redrive_for is not None)

    async def _put_back(
        self, source: Source, records: Sequence[InboundRecord], signal: _TryAgainLaterError
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
        if now >= self._next_purge:
            self._next_purge = now + _PURGE_SECONDS
            try:
                await inbox_table.purge(
                    self._database, retention_seconds=self._settings.inbox_retention_seconds
                )
            except DatabaseError as error:
                logger.warning("the inbox was not purged: %s", error)

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    def _count(self, outcomes: Sequence[str]) -> None:
        for outcome in set(outcomes):
            self._metrics.count(outcome, outcomes.count(outcome))


@contextmanager
def _context_of(event: CloudEvent[Any]) -> Iterator[None]:
    """What a handler logs and appends belongs to the trace that the event came with, under its id."""
    trace = tracing.child_of(tracing.parse(event.traceparent))
    request_id = context.request_id_of(event.id.encode())
    context.enter(context.RequestContext(request_id, trace, deadline_in(_HANDLER_SECONDS)))
    try:
        yield
    finally:
        context.enter(None)


def _next_offsets(records: Sequence[InboundRecord]) -> dict[Partition, int]:
    return {(record.topic, record.partition): record.offset + 1 for record in records}


def _first_offsets(records: Sequence[InboundRecord]) -> dict[Partition, int]:
    return {(record.topic, record.partition): record.offset for record in reversed(records)}


def _chunks(works: Sequence[_Work]) -> Iterator[Sequence[_Work]]:
    for start in range(0, len(works), _CLAIM_RECORDS):
        yield works[start : start + _CLAIM_RECORDS]


def _describe(error: Exception) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"
