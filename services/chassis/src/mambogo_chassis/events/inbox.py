"""Taking each event once: its id is written in the transaction of its effect.

The insert also settles the race of two owners of one partition (a rebalance, a frozen process that wakes up):
the second waits for the first's commit and then finds the row. An event that was given up is remembered as
`dead`, so that its duplicates stay away, and a re-drive can claim it exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mambogo_chassis.database.pool import Connection, Database

# Sorted, so that two transactions with the same events wait for each other instead of deadlocking.
_CLAIM: Final = """
INSERT INTO inbox (consumer, event_id, outcome)
SELECT %(consumer)s, event_id, 'applied' FROM unnest(%(ids)s::text[]) AS event_id ORDER BY event_id
ON CONFLICT DO NOTHING RETURNING event_id
"""
_CLAIM_AGAIN: Final = """
INSERT INTO inbox (consumer, event_id, outcome) VALUES (%(consumer)s, %(id)s, 'applied')
ON CONFLICT (consumer, event_id) DO UPDATE SET outcome = 'applied', received_at = now()
WHERE inbox.outcome = 'dead' RETURNING event_id
"""
_BURY: Final = """
INSERT INTO inbox (consumer, event_id, outcome) VALUES (%(consumer)s, %(id)s, 'dead')
ON CONFLICT DO NOTHING RETURNING event_id
"""
_PURGE: Final = """
DELETE FROM inbox WHERE (consumer, event_id) IN (
    SELECT consumer, event_id FROM inbox WHERE received_at < now() - %(seconds)s * interval '1 second'
    LIMIT %(rows)s)
"""
_PURGE_ROWS: Final = 5000


class Inbox:
    """The inbox of one consumer group. Every method works in the caller's transaction."""

    def __init__(self, consumer: str) -> None:
        self._consumer = consumer

    async def claim(self, connection: Connection, event_ids: Iterable[str]) -> set[str]:
        """Those of `event_ids` that this transaction is the first to take."""
        ids = sorted(set(event_ids))
        if not ids:
            return set()
        cursor = await connection.execute(_CLAIM, {"consumer": self._consumer, "ids": ids})
        return {row[0] for row in await cursor.fetchall()}

    async def claim_again(self, connection: Connection, event_id: str) -> bool:
        """Take a re-driven event, once, if it was given up or never seen."""
        cursor = await connection.execute(_CLAIM_AGAIN, {"consumer": self._consumer, "id": event_id})
        return await cursor.fetchone() is not None

    async def bury(self, connection: Connection, delivery_id: str) -> bool:
        """Remember that a delivery was given up; whether this transaction is the first to say so."""
        cursor = await connection.execute(_BURY, {"consumer": self._consumer, "id": delivery_id})
        return await cursor.fetchone() is not None


async def purge(database: Database, *, retention_seconds: float) -> int:
    """Forget events older than the retention, at most 5,000; how many they were.

    The retention has to be longer than Kafka's: a record that can still be delivered must be remembered.
    """
    async with database.connection() as connection:
        cursor = await connection.execute(_PURGE, {"seconds": retention_seconds, "rows": _PURGE_ROWS})
        return cursor.rowcount
