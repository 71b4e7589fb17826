"""The events that order-service reads, each as the fact that it tells about an order.

What can never be applied (an order that nobody placed, a contradiction) is a dead letter with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from mambogo_chassis.database import Connection
from mambogo_chassis.events import CloudEvent, Events, PermanentEventError
from mambogo_order.adapters import events as told
from mambogo_order.adapters import orders
from mambogo_order.adapters.metrics import OrderMetrics
from mambogo_order.domain import moving
from mambogo_order.domain.model import Order
from mambogo_order.service.moving import Applied, Mover


def listen(events: Events, mover: Mover, metrics: OrderMetrics) -> None:
    """Handle every event about orders."""
    handlers = Handlers(mover, metrics)
    events.consumer.around_batches(handlers.begin, handlers.committed)
    events.on(told.InventoryReserved)(handlers.reserved)
    events.on(told.InventoryRefused)(handlers.refused)
    events.on(told.InventoryExpired)(handlers.expired)
    events.on(told.InventoryLost)(handlers.lost)
    events.on(told.PaymentCaptured)(handlers.captured)
    events.on(told.PaymentDeclined)(handlers.declined)
    events.on(told.PaymentRefunded)(handlers.refunded)


class Handlers:
    """One method per event. One consumer uses it, one transaction at a time."""

    def __init__(self, mover: Mover, metrics: OrderMetrics) -> None:
        self._mover = mover
        self._metrics = metrics
        # The orders that the transaction has locked, as they are after what it has done so far.
        self._orders: dict[UUID, Order] = {}
        self._applied: list[Applied] = []

    async def begin(self, connection: Connection, events: Sequence[CloudEvent[Any]]) -> None:
        """Lock and read the orders that the events of one transaction are about."""
        self._applied = []
        self._orders = await orders.locked_all(connection, (event.data.order_id for event in events))

    def committed(self) -> None:
        """The transaction that `begin` began has committed."""
        for applied in self._applied:
            if applied.is_new:
                self._metrics.moved(applied.before, applied.order)
            else:
                self._metrics.passed_over()

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
        order = self._known(data.order_id)
        try:
            applied = await self._mover.refund(
                connection, order, refund_id=data.refund_id, amount_minor=data.amount_minor
            )
        except moving.ContradictionError as error:
            raise PermanentEventError(str(error)) from error
        self._note(applied)

    async def _apply(self, connection: Connection, order_id: UUID, fact: moving.Fact) -> None:
        order = self._known(order_id)
        try:
            applied = await self._mover.apply(connection, order, fact)
        except moving.ContradictionError as error:
            raise PermanentEventError(str(error)) from error
        self._note(applied)

    def _known(self, order_id: UUID) -> Order:
        order = self._orders.get(order_id)
        if order is None:
            raise PermanentEventError(f"there is no order {order_id}")
        return order

    def _note(self, applied: Applied) -> None:
        self._orders[applied.order.order_id] = applied.order
        self._applied.append(applied)
