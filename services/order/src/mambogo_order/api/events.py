"""The events that order-service reads, each as the fact that it tells about an order.

What can never be applied (an order that nobody placed, a contradiction) is a dead letter with its reason.
"""

from __future__ import annotations

from uuid import UUID

from mambogo_chassis.database import Connection
from mambogo_chassis.events import CloudEvent, Events, PermanentEventError
from mambogo_order.adapters import events as told
from mambogo_order.adapters.metrics import OrderMetrics
from mambogo_order.domain import moving
from mambogo_order.service.moving import Applied, Mover, UnknownOrderError


def listen(events: Events, mover: Mover, metrics: OrderMetrics) -> None:
    """Handle every event about orders."""
    handlers = Handlers(mover, metrics)
    events.on(told.InventoryReserved)(handlers.reserved)
    events.on(told.InventoryRefused)(handlers.refused)
    events.on(told.InventoryExpired)(handlers.expired)
    events.on(told.InventoryLost)(handlers.lost)
    events.on(told.PaymentCaptured)(handlers.captured)
    events.on(told.PaymentDeclined)(handlers.declined)
    events.on(told.PaymentRefunded)(handlers.refunded)


class Handlers:
    """One method per event."""

    def __init__(self, mover: Mover, metrics: OrderMetrics) -> None:
        self._mover = mover
        self._metrics = metrics

    async def reserved(self, connection: Connection, event: CloudEvent[told.InventoryReserved]) -> None:
        """Stock is there."""
        await self._apply(connection, event.data.order_id, moving.StockReserved())

    async def refused(self, connection: Connection, event: CloudEvent[told.InventoryRefused]) -> None:
        """Stock is not there."""
        await self._apply(connection, event.data.order_id, moving.StockRefused())

    async def expired(self, connection: Connection, event: CloudEvent[told.InventoryExpired]) -> None:
        """The reservation ran out."""
        await self._apply(connection, event.data.order_id, moving.StockExpired())

    async def lost(self, connection: Connection, event: CloudEvent[told.InventoryLost]) -> None:
        """The reservation ran out before the confirmation came, and the stock is gone."""
        await self._apply(connection, event.data.order_id, moving.StockLost())

    async def captured(self, connection: Connection, event: CloudEvent[told.PaymentCaptured]) -> None:
        """Money is there."""
        data = event.data
        fact = moving.PaymentCaptured(data.payment_id, data.amount_minor, data.currency)
        await self._apply(connection, data.order_id, fact)

    async def declined(self, connection: Connection, event: CloudEvent[told.PaymentDeclined]) -> None:
        """Money is not there."""
        await self._apply(connection, event.data.order_id, moving.PaymentDeclined())

    async def refunded(self, connection: Connection, event: CloudEvent[told.PaymentRefunded]) -> None:
        """Money went back."""
        data = event.data
        try:
            applied = await self._mover.refund(
                connection, data.order_id, refund_id=data.refund_id, amount_minor=data.amount_minor
            )
        except (UnknownOrderError, moving.ContradictionError) as error:
            raise PermanentEventError(str(error)) from error
        self._count(applied)

    async def _apply(self, connection: Connection, order_id: UUID, fact: moving.Fact) -> None:
        try:
            applied = await self._mover.apply(connection, order_id, fact)
        except (UnknownOrderError, moving.ContradictionError) as error:
            raise PermanentEventError(str(error)) from error
        self._count(applied)

    def _count(self, applied: Applied) -> None:
        if applied.is_new:
            self._metrics.moved(applied.before, applied.order)
        else:
            self._metrics.passed_over()
