"""Databases with the service's tables, events as order-service writes them, and what came of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

from mambogo_chassis.database import Database, DatabaseSettings
from mambogo_chassis.database.migrate import Migrations, upgrade
from mambogo_chassis.events import CloudEvent, EventData
from mambogo_chassis.events.envelope import new_event_id, utc_now
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from sqlalchemy import URL

from mambogo_payment.adapters import events as models

T = TypeVar("T")
MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"
# Far above what anything here takes on a loaded machine; only a failing test waits that long.
PATIENCE_SECONDS: Final = 60.0


def database_values(database: FreshDatabase) -> dict[str, Any]:
    """The service's settings for a test's database; patient, since the machine may be loaded."""
    return {
        "db_host": database.host,
        "db_port": database.port,
        "db_name": database.name,
        "db_user": database.user,
        "db_password": SecretStr(database.password),
        "db_pool_wait_seconds": 20,
        "db_pool_queue": 1000,
        "db_connect_timeout_seconds": 20,
        "db_transaction_timeout_seconds": 30,
        "db_lock_timeout_seconds": 30,
        "db_statement_timeout_seconds": 30,
    }


def migrate(database: FreshDatabase) -> None:
    """What the migration Job does."""
    url = URL.create(
        "postgresql+psycopg",
        username=database.user,
        password=database.password,
        host=database.host,
        port=database.port,
        database=database.name,
    )
    upgrade(url, Migrations(MIGRATIONS))


@asynccontextmanager
async def opened(database: FreshDatabase, *, connections: int = 10) -> AsyncIterator[Database]:
    """An open pool on a test's database."""
    settings = DatabaseSettings(**database_values(database), db_pool_max=connections)
    pool = Database(settings, application_name="tests", registry=CollectorRegistry())
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def rows(database: Database, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """All rows."""
    async with database.connection() as connection:
        return await (await connection.execute(query, parameters)).fetchall()


async def eventually(what: str, probe: Callable[[], Awaitable[T]]) -> T:
    """The first truthy value of `probe`; fails with the last one seen."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := await probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {PATIENCE_SECONDS:.0f} s; last seen: {value!r}")
        await asyncio.sleep(0.05)
    return value


def event_of(data: EventData) -> CloudEvent[Any]:
    """As order-service sends it."""
    event_type = models.registry.type_of(type(data))
    return event_type.envelope(
        id=new_event_id(),
        source="/mambogo/order-service",
        type=event_type.name,
        subject=str(data.order_id),  # type: ignore[attr-defined] # every model of ours has one
        time=utc_now(),
        data=data,
    )


def reserved(order: UUID, amount_minor: int = 1999, *, user: str = "anna") -> CloudEvent[Any]:
    """`order.reserved`."""
    return event_of(
        models.OrderReserved(order_id=order, user_id=user, currency="EUR", total_minor=amount_minor)
    )


def cancelled(order: UUID) -> CloudEvent[Any]:
    """`order.cancelled`."""
    return event_of(models.OrderCancelled(order_id=order, user_id="anna"))


def rejected(order: UUID) -> CloudEvent[Any]:
    """`order.rejected`."""
    return event_of(models.OrderRejected(order_id=order, user_id="anna"))


async def told(database: Database, order: UUID) -> list[str]:
    """What the order was told, in order: `captured`, `refunded`, ..."""
    found = await rows(database, "SELECT value FROM outbox WHERE key = %s ORDER BY id", str(order).encode())
    return [json.loads(value)["type"].split(".")[3] for (value,) in found]


async def payment_id(database: Database, order: UUID) -> UUID:
    """The order's payment."""
    [(found,)] = await rows(database, "SELECT payment_id FROM payment WHERE order_id = %s", order)
    assert isinstance(found, UUID)
    return found


async def state(database: Database, order: UUID) -> str:
    """Where the order's payment stands."""
    [(found,)] = await rows(database, "SELECT state FROM payment WHERE order_id = %s", order)
    return str(found)


async def until(database: Database, order: UUID, *states: str) -> str:
    """The payment's state, once it is one of these."""

    async def is_there() -> str:
        found = await state(database, order)
        return found if found in states else ""

    return await eventually(f"{order} to be {' or '.join(states)}", is_there)
