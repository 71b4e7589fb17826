"""The events that order-service writes and reads (services/README.md), as models of its own.

What it writes is closed. Of what others write it declares only the fields that it uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import Field, PositiveInt

from mambogo_chassis.events import EventData, EventRegistry
from mambogo_order.domain.model import MAX_LINES, MAX_QUANTITY, MAX_TOTAL_MINOR, Line, Order, Reason, State

registry = EventRegistry()

# What readers can rely on; each is a promise that `contract-tests/` holds.
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
Minor = Annotated[int, Field(ge=1, le=MAX_TOTAL_MINOR)]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
UserId = Annotated[str, Field(min_length=1, max_length=255)]


class PlacedLine(EventData):
    """A line of a placed order."""

    product_id: UUID
    quantity: Quantity
    unit_price_minor: Minor


class _OrderEvent(EventData):
    order_id: UUID
    sequence: PositiveInt
    user_id: UserId


@registry.event("com.mambogo.order.placed.v1", topic="orders")
class OrderPlaced(_OrderEvent):
    """An order exists and wants its stock reserved."""

    currency: CurrencyCode
    total_minor: Minor
    lines: Annotated[list[PlacedLine], Field(min_length=1, max_length=MAX_LINES)]


@registry.event("com.mambogo.order.reserved.v1", topic="orders")
class OrderReserved(_OrderEvent):
    """The stock is reserved, the money is wanted."""

    currency: CurrencyCode
    total_minor: Minor


@registry.event("com.mambogo.order.confirmed.v1", topic="orders")
class OrderConfirmed(_OrderEvent):
    """Stock and money are there."""

    payment_id: UUID
    currency: CurrencyCode
    total_minor: Minor


@registry.event("com.mambogo.order.rejected.v1", topic="orders")
class OrderRejected(_OrderEvent):
    """There was no stock, or no money."""

    reason: str


@registry.event("com.mambogo.order.cancelled.v1", topic="orders")
class OrderCancelled(_OrderEvent):
    """What was done for this order is to be undone."""

    reason: str


class _AboutOrder(EventData):
    order_id: UUID


@registry.event("com.mambogo.inventory.reserved.v1", topic="inventory")
class InventoryReserved(_AboutOrder):
    """All lines are reserved."""


@registry.event("com.mambogo.inventory.refused.v1", topic="inventory")
class InventoryRefused(_AboutOrder):
    """No line is reserved."""


@registry.event("com.mambogo.inventory.expired.v1", topic="inventory")
class InventoryExpired(_AboutOrder):
    """The reservation ran out."""


@registry.event("com.mambogo.inventory.lost.v1", topic="inventory")
class InventoryLost(_AboutOrder):
    """The confirmed order's goods are gone."""


@registry.event("com.mambogo.payment.captured.v1", topic="payments")
class PaymentCaptured(_AboutOrder):
    """The money is there."""

    payment_id: UUID
    amount_minor: PositiveInt
    currency: str


@registry.event("com.mambogo.payment.declined.v1", topic="payments")
class PaymentDeclined(_AboutOrder):
    """There will be no money."""


@registry.event("com.mambogo.payment.refunded.v1", topic="payments")
class PaymentRefunded(_AboutOrder):
    """Some money went back."""

    refund_id: UUID
    amount_minor: PositiveInt


def event_of(order: Order, lines: Sequence[Line] = ()) -> EventData:
    """The event that says where `order` stands; `lines` are told of a PENDING one."""
    about = {"order_id": order.order_id, "sequence": order.sequence, "user_id": order.user_id}
    money = {"currency": order.currency, "total_minor": order.total_minor}
    match order.state:
        case State.PENDING:
            placed = [
                PlacedLine(
                    product_id=line.product_id, quantity=line.quantity, unit_price_minor=line.unit_price_minor
                )
                for line in lines
            ]
            return OrderPlaced.model_validate({**about, **money, "lines": placed})
        case State.RESERVED:
            return OrderReserved.model_validate({**about, **money})
        case State.CONFIRMED:
            return OrderConfirmed.model_validate({**about, **money, "payment_id": order.payment_id})
        case State.REJECTED:
            return OrderRejected.model_validate({**about, "reason": _text(order.reason)})
        case State.CANCELLED:
            return OrderCancelled.model_validate({**about, "reason": _text(order.reason)})


def _text(reason: Reason | None) -> str | None:
    return reason.value if reason is not None else None
