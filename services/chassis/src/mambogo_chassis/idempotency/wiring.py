"""Idempotency keys as a part of a service: the store, and the task that forgets expired keys."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import psycopg

from mambogo_chassis.database.errors import DatabaseError
from mambogo_chassis.database.pool import Database
from mambogo_chassis.idempotency.store import PURGE_ROWS, IdempotencyStore

if TYPE_CHECKING:
    from mambogo_chassis.service import Service

_PURGE_SECONDS: Final = 60.0

logger = logging.getLogger(__name__)


def use_idempotency(service: Service[Any], database: Database) -> IdempotencyStore:
    """The service's keys in its own database, kept for 24 h."""
    store = IdempotencyStore(database)
    service.task("idempotency-purge", lambda: _purge(store))
    return store


async def _purge(store: IdempotencyStore) -> None:
    while True:
        await asyncio.sleep(_PURGE_SECONDS)
        try:
            while await store.purge() == PURGE_ROWS:
                pass  # the next batch at once
        # psycopg's own errors too: a table that the migration Job has yet to make is no reason to die.
        except (DatabaseError, psycopg.Error) as error:
            logger.warning("expired keys were not purged: %s", error)
