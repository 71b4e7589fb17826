"""The events that payment-service reads and writes: models of its own, see services/README.md."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from mambogo_chassis.events import EventData, EventRegistry
from mambogo_chassis.http.types import MAX_INTEGER
from pydantic import Field

from mambogo_payment.domain.payment import Payment, Told

ORDERS: Final = "orders"
PAYMENTS: Final = "payments"

Minor = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
UserId = Annotated[str, Field(min_length=1, max_length=255)]


class OrderReserved(EventData):
    """The order's stock is held: its money may be taken."""

    order_id: UUID
    user_id: UserId
    currency: CurrencyCode
    total_minor: Minor


class OrderRejected(EventData):
    """The order ended without a sale."""

    order_id: UUID
    user_id: UserId


class OrderCancelled(EventData):
    """The order was given up, whatever had become of it."""

    order_id: UUID
    user_id: UserId


class PaymentCaptured(EventData):
    """The money is taken."""

    order_id: UUID
    payment_id: UUID
    amount_minor: Minor
    currency: CurrencyCode


class PaymentDeclined(EventData):
    """The money is not to be had."""

    order_id: UUID
    payment_id: UUID
    reason: str


class PaymentVoided(EventData):
    """No money was taken, and none will be."""

    order_id: UUID
    payment_id: UUID


class PaymentRefunded(EventData):
    """The money is given back."""

    order_id: UUID
    payment_id: UUID
    refund_id: UUID
    amount_minor: Minor
    currency: CurrencyCode


_READ: Final = (
    ("order.reserved", OrderReserved),
    ("order.rejected", OrderRejected),
    ("order.cancelled", OrderCancelled),
)
_WRITTEN: Final = (
    ("payment.captured", PaymentCaptured),
    ("payment.declined", PaymentDeclined),
    ("payment.voided", PaymentVoided),
    ("payment.refunded", PaymentRefunded),
)


def _registry() -> EventRegistry:
    made = EventRegistry()
    for topic, models in ((ORDERS, _READ), (PAYMENTS, _WRITTEN)):
        for name, model in models:
            made.event(f"com.mambogo.{name}.v1", topic=topic)(model)
    return made


registry: Final = _registry()


def told(payment: Payment, what: Told) -> EventData:
    """The event that tells the order."""
    order_id, payment_id = payment.order_id, payment.payment_id
    assert payment.money is not None  # noqa: S101 - without money there was nothing to tell of
    amount_minor, currency = payment.money.amount_minor, payment.money.currency
    match what:
        case Told.CAPTURED:
            return PaymentCaptured(
                order_id=order_id, payment_id=payment_id, amount_minor=amount_minor, currency=currency
            )
        case Told.DECLINED:
            reason = payment.decline_reason or "declined"
            return PaymentDeclined(order_id=order_id, payment_id=payment_id, reason=reason)
        case Told.VOIDED:
            return PaymentVoided(order_id=order_id, payment_id=payment_id)
        case Told.REFUNDED:
            assert payment.refund_id is not None  # noqa: S101 - the table sees to it
            return PaymentRefunded(
                order_id=order_id,
                payment_id=payment_id,
                refund_id=payment.refund_id,
                amount_minor=amount_minor,
                currency=currency,
            )
