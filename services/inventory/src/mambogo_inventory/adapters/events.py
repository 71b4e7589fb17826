"""The events that inventory-service reads and writes: models of its own, see services/README.md.

What it reads names only the fields that it uses. A field that others add is passed over.
"""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from mambogo_chassis.events import EventData, EventRegistry
from pydantic import AwareDatetime, Field

from mambogo_inventory.domain.reservation import Reservation, State
from mambogo_inventory.domain.stock import MAX_UNITS

ORDERS: Final = "orders"
INVENTORY: Final = "inventory"
# More than order-service ever takes; it bounds what one event can cost.
MAX_LINES: Final = 1000

Quantity = Annotated[int, Field(ge=1, le=MAX_UNITS)]


class PlacedLine(EventData):
    """What is ordered of one product."""

    product_id: UUID
    quantity: Quantity


class OrderPlaced(EventData):
    """Stock is asked for."""

    order_id: UUID
    lines: Annotated[list[PlacedLine], Field(min_length=1, max_length=MAX_LINES)]


class OrderConfirmed(EventData):
    """The order is paid."""

    order_id: UUID


class OrderRejected(EventData):
    """The order ended without a sale."""

    order_id: UUID


class OrderCancelled(EventData):
    """The order was given up, whatever had become of it."""

    order_id: UUID


class InventoryReserved(EventData):
    """All lines are held until `expires_at`."""

    order_id: UUID
    reservation_id: UUID
    expires_at: AwareDatetime


class ShortLine(EventData):
    """A line that could not be had."""

    product_id: UUID
    requested: int
    available: int


class InventoryRefused(EventData):
    """Nothing is held."""

    order_id: UUID
    reason: str
    short: list[ShortLine]


class InventorySold(EventData):
    """What was reserved is sold."""

    order_id: UUID
    reservation_id: UUID


class InventoryReleased(EventData):
    """Nothing is held or sold any more, and never will be."""

    order_id: UUID
    reservation_id: UUID
    reason: str


class InventoryExpired(EventData):
    """The reservation was not used in time."""

    order_id: UUID
    reservation_id: UUID


class InventoryLost(EventData):
    """The order was confirmed after its reservation had expired, and the stock was gone."""

    order_id: UUID
    reservation_id: UUID


_READ: Final = (
    ("order.placed", OrderPlaced),
    ("order.confirmed", OrderConfirmed),
    ("order.rejected", OrderRejected),
    ("order.cancelled", OrderCancelled),
)
_WRITTEN: Final = (
    ("inventory.reserved", InventoryReserved),
    ("inventory.refused", InventoryRefused),
    ("inventory.sold", InventorySold),
    ("inventory.released", InventoryReleased),
    ("inventory.expired", InventoryExpired),
    ("inventory.lost", InventoryLost),
)


def _registry() -> EventRegistry:
    made = EventRegistry()
    for topic, models in ((ORDERS, _READ), (INVENTORY, _WRITTEN)):
        for name, model in models:
            made.event(f"com.mambogo.{name}.v1", topic=topic)(model)
    return made


registry: Final = _registry()


def outcome_of(reservation: Reservation) -> EventData:
    """The event that says what holds now."""
    order_id, reservation_id = reservation.order_id, reservation.reservation_id
    match reservation.state:
        case State.RESERVED:
            assert reservation.expires_at is not None  # noqa: S101 - written with the state
            return InventoryReserved(
                order_id=order_id, reservation_id=reservation_id, expires_at=reservation.expires_at
            )
        case State.REFUSED:
            short = [
                ShortLine(product_id=line.product_id, requested=line.requested, available=line.available)
                for line in reservation.short
            ]
            return InventoryRefused(order_id=order_id, reason=reservation.reason, short=short)
        case State.RELEASED:
            return InventoryReleased(
                order_id=order_id, reservation_id=reservation_id, reason=reservation.reason
            )
        case State.SOLD:
            return InventorySold(order_id=order_id, reservation_id=reservation_id)
        case State.EXPIRED:
            return InventoryExpired(order_id=order_id, reservation_id=reservation_id)
        case State.LOST:
            return InventoryLost(order_id=order_id, reservation_id=reservation_id)
