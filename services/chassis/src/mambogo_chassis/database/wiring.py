"""The database as a part of a service: when it opens and closes, and where it shows.

What a transaction is, and what may go wrong in it, is `pool`'s and `errors`'.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mambogo_chassis.database.errors import DatabaseUnavailableError
from mambogo_chassis.database.pool import Database
from mambogo_chassis.database.settings import DatabaseSettings
from mambogo_chassis.settings.model import part_of

if TYPE_CHECKING:
    from mambogo_chassis.service import Service


def use_database(service: Service[Any], *, readiness: bool = False) -> Database:
    """The database of a service whose settings mix DatabaseSettings in.

    Opened at start, with or without a server, and closed after every task has ended; `database` in the
    health, `db_pool_...` in the metrics. `readiness`: without it no request at all can be served. Register it
    before what uses it. Raises MissingSettingsError.
    """
    settings = part_of(service.settings.current, DatabaseSettings)
    database = Database(
        settings,
        application_name=service.settings.current.application_name,
        registry=service.metrics.registry,
    )
    service.resource("database", lambda: _opened(database))
    service.health.add("database", lambda: _probe(database), readiness=readiness)
    return database


@asynccontextmanager
async def _opened(database: Database) -> AsyncIterator[None]:
    await database.open()
    try:
        yield
    finally:
        await database.close()


async def _probe(database: Database) -> Mapping[str, object]:
    seen = await database.ping()
    if not seen.up:
        raise DatabaseUnavailableError(seen.detail)
    return {"milliseconds": round(seen.milliseconds, 1)}
