"""The relay: moves what transactions appended to the outbox into Kafka.

One round is one transaction: lock shards, read their oldest pending rows, send them, wait for every
acknowledgement, mark them, commit. Wherever it dies, the rows are pending again and are sent again; consumers
dedupe. There is no cursor: a row counts until it is marked, so one that commits late, below ids that were
sent long ago, is found like any other. Each shard is in one relay's hands (a transaction-level advisory lock,
which writes nothing and dies with its session), and an aggregate is always in one shard: that keeps its order
with any number of relays. A relay that was frozen and robbed of its locks can only repeat rows in order,
never overtake them.

Polling and not LISTEN/NOTIFY: a notifying commit takes a lock that all of the server's commits share. Appends
of the same process wake the relay up; others' are found within `relay_idle_seconds`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

import psycopg
from prometheus_client import REGISTRY, CollectorRegistry

from mambogo_chassis import failpoints
from mambogo_chassis.database.errors import DatabaseError
from mambogo_chassis.database.pool import Connection, Database, Ends
from mambogo_chassis.events.metrics import Backlog, OutboxMetrics
from mambogo_chassis.events.outbox import Outbox, stored_headers
from mambogo_chassis.events.publishing import Published, Publisher
from mambogo_chassis.events.records import EVENT_HEADERS, SHARDS, OutboundRecord
from mambogo_chassis.events.settings import EventSettings
from mambogo_chassis.events.spans import Sending
from mambogo_chassis.pacing import left_seconds
from mambogo_chassis.tracing import NoTracer, Tracer

# Half of the shards per round: two relays can share a backlog, and one alone needs two rounds for all.
_SHARDS_PER_ROUND: Final = SHARDS // 2
# What one round may hold in memory, whatever the events' size.
_ROUND_BYTES: Final = 8 * 1024 * 1024
# Any number, the same in every relay; the class of the advisory locks ("outb").
_LOCK_CLASS: Final = 0x6F757462
_FAILURE_PAUSE_SECONDS: Final = 0.1
_FAILURE_PAUSE_MAX_SECONDS: Final = 5.0
_FIRST_PAUSE_SECONDS: Final = 0.05
_MEASURE_SECONDS: Final = 5.0
_PURGE_SECONDS: Final = 30.0
_PURGE_ROWS: Final = 5000
# Counting goes no further: a number that big says enough, and counting more would take longer than it may.
_DEPTH_LIMIT: Final = 100_000

# CASE, because PostgreSQL may evaluate the two sides of AND in any order and would lock shards without rows.
_CLAIM: Final = """
SELECT shard FROM (SELECT (%(first)s + n) %% %(shards)s AS shard FROM generate_series(0, %(shards)s - 1) AS n)
AS s WHERE CASE WHEN EXISTS (SELECT 1 FROM outbox AS o WHERE o.shard = s.shard AND o.published_at IS NULL)
           THEN pg_try_advisory_xact_lock(%(lock_class)s, s.shard) ELSE false END
LIMIT %(limit)s
"""
_PENDING: Final = "SELECT EXISTS (SELECT 1 FROM outbox WHERE published_at IS NULL)"
# Per shard through its partial index, so that a backlog of a million rows is never sorted. Rows behind a
# refused one of their aggregate wait with it; a pause that ends later than any could (60 s, and a round of
# another relay) was set by a clock that has stepped back since, and counts for nothing.
_FETCH: Final = """
SELECT id, topic, key, value, headers FROM (
    SELECT p.*, sum(octet_length(p.value)) OVER (ORDER BY p.shard, p.id) AS running,
           row_number() OVER (ORDER BY p.shard, p.id) AS position
    FROM unnest(%(claimed)s::int[]) AS s (shard)
    CROSS JOIN LATERAL (
        SELECT o.* FROM outbox AS o
        WHERE o.shard = s.shard AND o.published_at IS NULL
          AND NOT EXISTS (
              SELECT 1 FROM outbox AS b
              WHERE b.topic = o.topic AND b.key = o.key AND b.id <= o.id
                AND b.published_at IS NULL AND b.not_before IS NOT NULL
                AND b.not_before > now() AND b.not_before < now() + interval '90 seconds')
        ORDER BY o.id LIMIT %(per_shard)s) AS p
) AS q
WHERE running <= %(bytes)s OR position = 1
ORDER BY shard, id
"""
_MARK: Final = "UPDATE outbox SET published_at = now(), not_before = NULL WHERE id = ANY(%s)"
_REFUSE: Final = """
UPDATE outbox SET attempts = attempts + 1, last_error = left(%(error)s, 500),
       not_before = clock_timestamp() + least(60, power(2, least(attempts, 10))) * interval '1 second'
WHERE id = %(id)s
"""
_MEASURE: Final = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE published_at IS NULL LIMIT %(limit)s) AS pending),
       coalesce((SELECT extract(epoch FROM clock_timestamp() - min(oldest.created_at))
                 FROM generate_series(0, %(shards)s - 1) AS s
                 CROSS JOIN LATERAL (SELECT created_at FROM outbox
                                     WHERE shard = s AND published_at IS NULL ORDER BY id LIMIT 1) AS oldest),
                                     0),
       (SELECT count(*) FROM outbox WHERE published_at IS NULL AND not_before IS NOT NULL)
"""
# The oldest ids only: the inner limit bounds what is looked at, not just what is deleted.
_PURGE: Final = """
DELETE FROM outbox WHERE id IN (
    SELECT id FROM (SELECT id, published_at FROM outbox ORDER BY id LIMIT %(rows)s) AS head
    WHERE published_at < now() - %(seconds)s * interval '1 second')
"""

logger = logging.getLogger(__name__)


class Relay:
    """Runs rounds until it is stopped. Any number of relays, in any number of processes, may run at once."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        *,
        settings: EventSettings,
        outbox: Outbox | None = None,
        registry: CollectorRegistry = REGISTRY,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer if tracer is not None else NoTracer()
        self._database = database
        self._publisher = publisher
        self._settings = settings
        self._metrics = OutboxMetrics(registry)
        # As it was read last; None before that, and when it could not be read.
        self.backlog: Backlog | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        # Whether the last round left anything that it could have taken, were it not for its bounds.
        self._has_more = False
        self._first_shard = 0
        self._next_measure = 0.0
        self._next_purge = time.monotonic() + _PURGE_SECONDS
        if outbox is not None:
            outbox.on_append(self._wake.set)

    async def run(self) -> None:
        """Relay until `stop`. Survives any absence of database and Kafka."""
        idle, failed = _Pauses(_FIRST_PAUSE_SECONDS, self._settings.relay_idle_seconds), _failure_pauses()
        is_awake = True
        self._publisher.open()
        while not self._stopping:
            began = time.monotonic()
            try:
                progressed = await self.round() if is_awake or await self._has_pending() else 0
                await self._keep_house()
            # psycopg's own errors too: a table that the migration Job has yet to make is no reason to die.
            except (DatabaseError, psycopg.Error, failpoints.InjectedError) as error:
                logger.warning("outbox round failed: %s", error)
                self.backlog = None
                self._metrics.forget()
                await self._pause(failed.next())
                continue
            if progressed is None:
                await self._pause(failed.next())
                continue
            failed.reset()
            if progressed:
                idle.reset()
            is_awake = self._has_more or await self._pause(idle.next())
            if is_awake and not self._has_more:
                idle.reset()
                pause = left_seconds(began, progressed, least_seconds=self._settings.relay_pace_seconds)
                await asyncio.sleep(max(pause, self._settings.relay_gather_seconds))
        await self._publisher.close()

    def stop(self) -> None:
        """End after the round that is under way; what it has not sent stays in the outbox."""
        self._stopping = True
        self._wake.set()

    async def round(self) -> int | None:
        """Send one batch; the number of rows dealt with, or None when Kafka was not there for some."""
        timeout = self._settings.relay_publish_timeout_seconds
        self._has_more = False
        ends = self._claim()
        # Twice: publishing, and the statements around it, each with its bound.
        async with self._database.transaction(timeout_seconds=2 * timeout, ends=ends) as connection:
            records = await self._fetch(connection, ends)
            if not records:
                return 0
            await failpoints.reach("relay.claimed")
            sending = Sending(self._tracer, records)
            published = await self._publisher.publish(records, timeout_seconds=timeout)
            sending.finish(published)
            await failpoints.reach("relay.published")
            await self._refuse(connection, published)
            if published.sent:
                ends.last = (_MARK, (list(published.sent),))
            await failpoints.reach("relay.marked")
        await failpoints.reach("relay.committed")
        return self._account(records, published)

    async def _has_pending(self) -> bool:
        """One statement instead of a round of three: what an idle relay spends its CPU on."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(_PENDING)
            row = await cursor.fetchone()
            return bool(row and row[0])

    def _claim(self) -> Ends:
        """The lock on shards; it travels with BEGIN, and what marks the rows with COMMIT."""
        parameters: dict[str, Any] = {
            "first": self._first_shard,
            "shards": SHARDS,
            "lock_class": _LOCK_CLASS,
            "limit": _SHARDS_PER_ROUND,
        }
        return Ends(first=(_CLAIM, parameters))

    async def _fetch(self, connection: Connection, ends: Ends) -> list[OutboundRecord]:
        claimed = [row[0] for row in ends.rows or ()]
        if not claimed:
            return []
        self._first_shard = (claimed[-1] + 1) % SHARDS
        # A statement of its own: its snapshot is taken after the locks, so it sees what their last owner
        # marked.
        per_shard = -(-self._settings.relay_batch_events // len(claimed))
        cursor = await connection.execute(
            _FETCH, {"claimed": claimed, "per_shard": per_shard, "bytes": _ROUND_BYTES}, binary=True
        )
        rows = await cursor.fetchall()
        # Not where nothing could be taken: shards whose rows all wait behind a refused one come again after a
        # pause.
        self._has_more = bool(rows) and (
            len(claimed) == _SHARDS_PER_ROUND
            or len(rows) >= per_shard
            or sum(len(row[3]) for row in rows) > _ROUND_BYTES // 2
        )
        return [
            OutboundRecord(
                row[0], row[1], row[2], row[3], EVENT_HEADERS if row[4] is None else stored_headers(row[4])
            )
            for row in rows
        ]

    async def _refuse(self, connection: Connection, published: Published) -> None:
        for outbox_id, error in published.refused:
            logger.error("Kafka refused outbox row %d: %s", outbox_id, error)
            await connection.execute(_REFUSE, {"id": outbox_id, "error": error})

    def _account(self, records: list[OutboundRecord], published: Published) -> int | None:
        held_up = len(records) - len(published.sent) - len(published.refused)
        self._metrics.events.labels("published").inc(len(published.sent))
        self._metrics.events.labels("refused").inc(len(published.refused))
        self._metrics.events.labels("held_up").inc(held_up)
        if published.obstacle:
            logger.warning("%d events are held up: %s", held_up, published.obstacle)
            return None
        return len(records) - held_up

    async def _keep_house(self) -> None:
        now = time.monotonic()
        if now >= self._next_measure:
            self._next_measure = now + _MEASURE_SECONDS
            async with self._database.connection() as connection:
                cursor = await connection.execute(_MEASURE, {"limit": _DEPTH_LIMIT, "shards": SHARDS})
                depth, age, refused = await cursor.fetchone() or (0, 0, 0)
            self.backlog = Backlog(depth, max(float(age), 0.0), refused)
            self._metrics.show(self.backlog)
        if now >= self._next_purge:
            self._next_purge = now + _PURGE_SECONDS
            await self.purge()

    async def purge(self) -> int:
        """Delete published rows past their retention, at most 5,000; how many they were."""
        parameters = {"rows": _PURGE_ROWS, "seconds": self._settings.outbox_retention_seconds}
        async with self._database.connection() as connection:
            cursor = await connection.execute(_PURGE, parameters)
            if cursor.rowcount == _PURGE_ROWS:
                self._next_purge = 0.0
            return cursor.rowcount

    async def _pause(self, seconds: float) -> bool:
        """Wait for `seconds` or until something was appended; whether it was."""
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return False
        self._wake.clear()
        return True


class _Pauses:
    """Pauses that double from the first to the last."""

    __slots__ = ("_first", "_last", "_next")

    def __init__(self, first: float, last: float) -> None:
        self._first, self._last = first, last
        self._next = first

    def next(self) -> float:
        pause = min(self._next, self._last)
        self._next = min(pause * 2, self._last)
        return pause

    def reset(self) -> None:
        self._next = self._first


def _failure_pauses() -> _Pauses:
    return _Pauses(_FAILURE_PAUSE_SECONDS, _FAILURE_PAUSE_MAX_SECONDS)
