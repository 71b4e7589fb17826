"""Events as order-service writes them, and what came of them in the service's tables."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from mambogo_chassis.database import Connection, Database
from mambogo_chassis.events import CloudEvent, EventData, Outbox
from mambogo_chassis.metrics import Metrics
from mambogo_testkit.serving import event_of, rows

from mambogo_inventory.adapters import events as models
from mambogo_inventory.adapters.metrics import InventoryMetrics
from mambogo_inventory.service.reserving import Reserving
from mambogo_inventory.service.stocking import set_initial

MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"


def of_order(data: EventData, order_id: UUID) -> CloudEvent[Any]:
    """As order-service sends it."""
    return event_of(models.registry, data, subject=order_id, source="/mambogo/order-service")


def placed(order_id: UUID, *lines: tuple[UUID, int]) -> CloudEvent[Any]:
    """`order.placed`."""
    asked = [models.PlacedLine(product_id=product, quantity=quantity) for product, quantity in lines]
    return of_order(models.OrderPlaced(order_id=order_id, lines=asked), order_id)


def confirmed(order_id: UUID) -> CloudEvent[Any]:
    """`order.confirmed`."""
    return of_order(models.OrderConfirmed(order_id=order_id), order_id)


def rejected(order_id: UUID) -> CloudEvent[Any]:
    """`order.rejected`."""
    return of_order(models.OrderRejected(order_id=order_id), order_id)


def cancelled(order_id: UUID) -> CloudEvent[Any]:
    """`order.cancelled`."""
    return of_order(models.OrderCancelled(order_id=order_id), order_id)


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
