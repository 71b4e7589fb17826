"""Databases with the service's tables, events as order-service writes them, and what came of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

from mambogo_chassis.database import Connection, Database, DatabaseSettings
from mambogo_chassis.database.migrate import Migrations, upgrade
from mambogo_chassis.events import CloudEvent, EventData, Outbox
from mambogo_chassis.events.envelope import new_event_id, utc_now
from mambogo_chassis.metrics import Metrics
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from sqlalchemy import URL

from mambogo_inventory.adapters import events as models
from mambogo_inventory.adapters.metrics import InventoryMetrics
from mambogo_inventory.service.reserving import Reserving
from mambogo_inventory.service.stocking import set_initial

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
async def opened(database: FreshDatabase, *, connections: int = 4) -> AsyncIterator[Database]:
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


def event_of(data: EventData, *, event_id: str | None = None) -> CloudEvent[Any]:
    """As order-service sends it."""
    event_type = models.registry.type_of(type(data))
    return event_type.envelope(
        id=event_id or new_event_id(),
        source="/mambogo/order-service",
        type=event_type.name,
        subject=str(data.order_id),  # type: ignore[attr-defined] # every model of ours has one
        time=utc_now(),
        data=data,
    )


def placed(order_id: UUID, *lines: tuple[UUID, int]) -> CloudEvent[Any]:
    """`order.placed`."""
    asked = [models.PlacedLine(product_id=product, quantity=quantity) for product, quantity in lines]
    return event_of(models.OrderPlaced(order_id=order_id, lines=asked))


def confirmed(order_id: UUID) -> CloudEvent[Any]:
    """`order.confirmed`."""
    return event_of(models.OrderConfirmed(order_id=order_id))


def rejected(order_id: UUID) -> CloudEvent[Any]:
    """`order.rejected`."""
    return event_of(models.OrderRejected(order_id=order_id))


def cancelled(order_id: UUID) -> CloudEvent[Any]:
    """`order.cancelled`."""
    return event_of(models.OrderCancelled(order_id=order_id))


class Pod:
    """The part of a pod that takes events, without Kafka: a batch is one transaction, as the consumer's."""

    def __init__(self, database: Database, *, hold_seconds: float = 900.0) -> None:
        self.database = database
        self.metrics = Metrics()
        outbox = Outbox(models.registry, source="/mambogo/inventory-service")
        self.reserving = Reserving(outbox, InventoryMetrics(self.metrics), hold_seconds=lambda: hold_seconds)

    async def take(self, *events: CloudEvent[Any]) -> None:
        """Apply a batch."""
        async with self.database.transaction() as connection:
            await self.reserving.begin(connection, events)
            for event in events:
                await self._handle(connection, event)
        self.reserving.committed()

    async def _handle(self, connection: Connection, event: CloudEvent[Any]) -> None:
        handlers: dict[type[EventData], Callable[[Connection, Any], Awaitable[None]]] = {
            models.OrderPlaced: self.reserving.placed,
            models.OrderConfirmed: self.reserving.confirmed,
            models.OrderRejected: self.reserving.rejected,
            models.OrderCancelled: self.reserving.cancelled,
        }
        await handlers[type(event.data)](connection, event)


async def stocked(database: Database, *quantities: int) -> list[UUID]:
    """New products with that much of each."""
    products = [uuid4() for _ in quantities]
    for product, quantity in zip(products, quantities, strict=True):
        await set_initial(database, product, quantity)
    return products


async def numbers(database: Database, product: UUID) -> tuple[int, int, int]:
    """What is on hand, reserved and sold of a product."""
    found = await rows(database, "SELECT on_hand, reserved, sold FROM stock WHERE product_id = %s", product)
    on_hand, reserved, sold = found[0]
    return on_hand, reserved, sold


async def told(database: Database, order_id: UUID) -> list[str]:
    """What the order was told, in order: `reserved`, `sold`, ..."""
    found = await rows(
        database, "SELECT value FROM outbox WHERE key = %s ORDER BY id", str(order_id).encode()
    )
    return [json.loads(value)["type"].split(".")[3] for (value,) in found]


async def last_told(database: Database, order_id: UUID) -> dict[str, Any]:
    """The data of the last event."""
    found = await rows(
        database, "SELECT value FROM outbox WHERE key = %s ORDER BY id DESC LIMIT 1", str(order_id).encode()
    )
    data: dict[str, Any] = json.loads(found[0][0])["data"]
    return data


async def audit(database: Database) -> None:
    """The books are right: stock adds up, and is what the ledger and the reservations say."""
    assert not await rows(
        database,
        "SELECT 1 FROM stock WHERE initial <> on_hand + reserved + sold OR on_hand < 0 OR reserved < 0",
    )
    ledger = """
        SELECT product_id, sum(on_hand), sum(reserved), sum(sold) FROM movement GROUP BY product_id
    """
    kept = "SELECT product_id, on_hand, reserved, sold FROM stock"
    assert not await rows(database, f"({ledger}) EXCEPT ({kept})")
    assert not await rows(database, f"({kept}) EXCEPT ({ledger})")
    held = """
        SELECT (line ->> 0)::uuid, sum((line ->> 1)::bigint) FILTER (WHERE state = 'reserved'),
            sum((line ->> 1)::bigint) FILTER (WHERE state = 'sold')
        FROM reservation, jsonb_array_elements(lines) AS line WHERE state IN ('reserved', 'sold') GROUP BY 1
    """
    given = "SELECT product_id, nullif(reserved, 0), nullif(sold, 0) FROM stock WHERE reserved + sold > 0"
    assert not await rows(database, f"({held}) EXCEPT ({given})")
    assert not await rows(database, f"({given}) EXCEPT ({held})")
