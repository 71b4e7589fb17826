"""Events as order-service writes them, and what came of them in the service's tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from mambogo_chassis.database import Database
from mambogo_chassis.events import CloudEvent, EventData
from mambogo_testkit.serving import event_of, eventually, rows

from mambogo_payment.adapters import events as models

MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"


def of_order(data: EventData, order: UUID) -> CloudEvent[Any]:
    """As order-service sends it."""
    return event_of(models.registry, data, subject=order, source="/mambogo/order-service")


def reserved(order: UUID, amount_minor: int = 1999, *, user: str = "anna") -> CloudEvent[Any]:
    """`order.reserved`."""
    data = models.OrderReserved(order_id=order, user_id=user, currency="EUR", total_minor=amount_minor)
    return of_order(data, order)


def cancelled(order: UUID) -> CloudEvent[Any]:
    """`order.cancelled`."""
    return of_order(models.OrderCancelled(order_id=order, user_id="anna"), order)


def rejected(order: UUID) -> CloudEvent[Any]:
    """`order.rejected`."""
    return of_order(models.OrderRejected(order_id=order, user_id="anna"), order)


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
        found = await rows(database, "SELECT state FROM payment WHERE order_id = %s", order)
        return str(found[0][0]) if found and found[0][0] in states else ""

    return await eventually(f"{order} to be {' or '.join(states)}", is_there)
