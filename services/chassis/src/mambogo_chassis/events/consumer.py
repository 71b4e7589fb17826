"""Consumers: each event's effect exactly once, in order per partition, whatever dies.

A batch is one transaction: inbox rows, effects, dead letters; then its offsets are committed. If it fails,
its records are taken one by one, each in its own transaction. Three kinds of failure are told apart:

- the database is not there: the batch is put back (the position is rewound) and tried again for as long as it
  takes; polling goes on, so the group stays whole;
- contention (locks, deadlocks, timeouts): put back as well, but a bounded number of times;
- the record's own fault: undecodable, a future version, invalid data, or a handler that raises. A bounded
  number of tries, then it becomes a dead letter with its reason, and the partition moves on.

Handlers only use the connection they are given. They must not call other services: a transaction would wait
for a network, and what the call did is not undone by a rollback. Their statements travel together: each
result that a handler fetches costs a round trip, so a batch's rows are better read by `around_batches`;
`rowcount` says nothing before that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import psycopg
from prometheus_client import REGISTRY, CollectorRegistry

from mambogo_chassis import failpoints
from mambogo_chassis.database.errors import DatabaseContentionError, DatabaseError, DatabaseTimeoutError
from mambogo_chassis.database.pool import Connection, Database, pipelined
from mambogo_chassis.events import inbox as inbox_table
from mambogo_chassis.events.deadletters import DeadLetters, Verdict
from mambogo_chassis.events.envelope import CloudEvent, EventData
from mambogo_chassis.events.errors import PermanentEventError
from mambogo_chassis.events.inbox import Inbox
from mambogo_chassis.events.outbox import Outbox
from mambogo_chassis.events.polling import (
    BATCH_SECONDS,
    Poller,
    TryAgainLaterError,
    Work,
    describe,
)
from mambogo_chassis.events.registry import EventRegistry
from mambogo_chassis.events.settings import EventSettings
from mambogo_chassis.events.spans import handling
from mambogo_chassis.tracing import Tracer

# Records whose inbox rows are claimed at once; what is claimed has to be handled in the same transaction.
_CLAIM_RECORDS: Final = 50
_PURGE_SECONDS: Final = 60.0

DataT = TypeVar("DataT", bound=EventData)
Handler = Callable[[Connection, CloudEvent[DataT]], Awaitable[None]]
BeforeBatch = Callable[[Connection, Sequence[CloudEvent[Any]]], Awaitable[None]]
AfterCommit = Callable[[], None]

logger = logging.getLogger(__name__)


class EventConsumer(Poller):
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
        tracer: Tracer | None = None,
    ) -> None:
        super().__init__(group=group, events=events, settings=settings, registry=registry, tracer=tracer)
        self._database = database
        self._before_batch: BeforeBatch | None = None
        self._after_commit: AfterCommit | None = None
        self._inbox = Inbox(group)
        self._dead_letters = DeadLetters(group, inbox=self._inbox, outbox=outbox)
        self._contention: dict[tuple[str, int, int], int] = {}
        self._next_purge = time.monotonic() + _PURGE_SECONDS

    def on(self, model: type[DataT]) -> Callable[[Handler[DataT]], Handler[DataT]]:
        """Handle events of `model`; a decorator. Raises UnregisteredEventError."""

        def register(handler: Handler[DataT]) -> Handler[DataT]:
            self._register(model, handler)
            return handler

        return register

    def around_batches(self, before: BeforeBatch, committed: AfterCommit) -> None:
        """Call `before` in each transaction, with the events that it will handle, and `committed` after it.

        `before` takes locks that handlers need in one sequence, or loads what they share; records of one
        transaction are then at most 50. `committed` counts, or wakes whoever works on what was written. It is
        not called for a transaction that failed, and not when the process dies between.
        """
        self._before_batch = before
        self._after_commit = committed

    async def _take_some(self, works: Sequence[Work]) -> int:
        try:
            return await self._take_together(works)
        except DatabaseTimeoutError:
            logger.info("a batch of %d took too long: one by one", len(works))
        except DatabaseContentionError as error:
            logger.info("a batch of %d met contention: one by one: %s", len(works), error)
        except DatabaseError as error:
            raise TryAgainLaterError(str(error)) from error
        except Exception as error:  # whatever a handler raises: the single pass finds out whose fault it is
            logger.info("a batch of %d failed: one by one: %r", len(works), error)
        return await self._take_singly(works)

    async def _take_together(self, works: Sequence[Work]) -> int:
        """As many of `works` as fit into the time of one transaction; how many they were."""
        outcomes: list[str] = []
        started = time.monotonic()
        async with self._database.transaction() as connection:
            for chunk in _chunks(works):
                fresh = await self._claim(connection, chunk)
                await self._announce(connection, chunk, fresh)
                # What handlers do not read back is one round trip for all.
                async with pipelined(connection):
                    for work in chunk:
                        outcomes.append(await self._apply(connection, work, fresh))
                # A second chunk's locks would come after the first one's, in no sequence with them.
                if self._before_batch is not None or time.monotonic() - started > BATCH_SECONDS:
                    break
            await failpoints.reach("consumer.effected")
        if self._after_commit is not None:
            self._after_commit()
        self._count(outcomes)
        return len(outcomes)

    async def _take_singly(self, works: Sequence[Work]) -> int:
        started = time.monotonic()
        for number, work in enumerate(works):
            if number and (self._stop.is_set() or time.monotonic() - started > BATCH_SECONDS):
                return number
            try:
                await self._take_one(work)
            except TryAgainLaterError:
                if number == 0:
                    raise
                return number
        return len(works)

    async def _take_one(self, work: Work) -> None:
        """Apply one record, or bury it after its bounded tries."""
        for attempt in range(1, self._settings.consumer_attempts + 1):
            try:
                await self._take_together([work])
            except DatabaseContentionError as error:
                await self._contended(work, error)
                return
            except DatabaseTimeoutError as error:
                if not (await self._database.ping()).up:
                    raise TryAgainLaterError(str(error)) from error
                await self._contended(work, error)
                return
            except DatabaseError as error:
                raise TryAgainLaterError(str(error)) from error
            except PermanentEventError as error:
                await self._bury(work, Verdict("handler-failed", error.message, work.event_id))
                return
            except Exception as error:  # a handler's bug must not stop the partition
                logger.warning("%s: try %d failed: %r", work.record.coordinates, attempt, error)
                last = error
                await self._wait(self._settings.consumer_retry_seconds * 2 ** (attempt - 1))
            else:
                return
        await self._bury(work, Verdict("handler-failed", describe(last), work.event_id))

    async def _contended(self, work: Work, error: DatabaseError) -> None:
        where = (work.record.topic, work.record.partition, work.record.offset)
        tries = self._contention[where] = self._contention.get(where, 0) + 1
        if tries < self._settings.consumer_contention_attempts:
            raise TryAgainLaterError(str(error)) from error
        await self._bury(work, Verdict("contention", f"{tries} tries: {error.message}", work.event_id))
        del self._contention[where]

    async def _bury(self, work: Work, verdict: Verdict) -> None:
        try:
            async with self._database.transaction() as connection:
                is_new = await self._dead_letters.bury(connection, work.record, verdict)
        except (DatabaseError, psycopg.Error) as error:
            raise TryAgainLaterError(str(error)) from error
        logger.error("%s is a dead letter: %s: %s", work.record.coordinates, verdict.reason, verdict.detail)
        self._count(["dead_lettered" if is_new else "duplicate"])

    async def _claim(self, connection: Connection, works: Sequence[Work]) -> set[str]:
        ids = [work.event_id for work in works if work.handler is not None and not work.is_redriven]
        return await self._inbox.claim(connection, ids)

    async def _announce(self, connection: Connection, works: Sequence[Work], fresh: set[str]) -> None:
        if self._before_batch is None:
            return
        handled = [work for work in works if work.handler is not None]
        await self._before_batch(
            connection,
            [
                work.event
                for work in handled
                if work.event is not None and (work.is_redriven or work.event_id in fresh)
            ],
        )

    async def _apply(self, connection: Connection, work: Work, fresh: set[str]) -> str:
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
        with handling(self._tracer, work.event, work.record, group=self._group):
            await work.handler(connection, work.event)
        return "applied"

    def _all_taken(self) -> None:
        super()._all_taken()
        self._contention.clear()

    async def _keep_own_house(self) -> None:
        now = time.monotonic()
        if now < self._next_purge:
            return
        self._next_purge = now + _PURGE_SECONDS
        try:
            await inbox_table.purge(self._database, retention_seconds=self._settings.inbox_retention_seconds)
        # psycopg's own errors too: a table that the migration Job has yet to make is no reason to die.
        except (DatabaseError, psycopg.Error) as error:
            logger.warning("the inbox was not purged: %s", error)


def _chunks(works: Sequence[Work]) -> Iterator[Sequence[Work]]:
    for start in range(0, len(works), _CLAIM_RECORDS):
        yield works[start : start + _CLAIM_RECORDS]
