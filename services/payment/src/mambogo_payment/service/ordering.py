"""What orders' events do to payments. No call is made here: the worker makes them, after the commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from mambogo_chassis.database import Connection
from mambogo_chassis.events import CloudEvent, Outbox

from mambogo_payment.adapters import tables
from mambogo_payment.adapters.events import OrderCancelled, OrderRejected, OrderReserved
from mambogo_payment.adapters.metrics import PaymentMetrics
from mambogo_payment.domain import payment as rules
from mambogo_payment.domain.payment import Change, Money, Payment, State
from mambogo_payment.service.recording import record


class Ordering:
    """Takes orders' events. One consumer uses it, one transaction at a time."""

    def __init__(self, outbox: Outbox, metrics: PaymentMetrics, *, wake: Callable[[], None]) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._wake = wake
        self._changes: list[Change] = []

    async def begin(self, connection: Connection, events: Sequence[CloudEvent[Any]]) -> None:
        """A transaction begins: what an earlier one left uncounted was rolled back."""
        self._changes = []

    def committed(self) -> None:
        """The transaction that `begin` began has committed."""
        self._metrics.count(self._changes)
        if any(change.is_work for change in self._changes):
            self._wake()

    async def reserved(self, connection: Connection, event: CloudEvent[OrderReserved]) -> None:
        """A payment for the order, unless it has one."""
        data = event.data
        money = Money(data.total_minor, data.currency)
        candidate = Payment(uuid4(), data.order_id, data.user_id, money, State.OPEN)
        payment, is_new = await tables.obtain(
            connection, candidate, is_due=True, traceparent=event.traceparent
        )
        if is_new:
            self._changes.append(Change(payment, is_new=True))
            return
        await self._record(connection, rules.reserved(payment, money))

    async def rejected(self, connection: Connection, event: CloudEvent[OrderRejected]) -> None:
        """Void it, or give it back."""
        await self._ended(connection, event.data.order_id, event.data.user_id)

    async def cancelled(self, connection: Connection, event: CloudEvent[OrderCancelled]) -> None:
        """Void it, or give it back."""
        await self._ended(connection, event.data.order_id, event.data.user_id)

    async def _ended(self, connection: Connection, order_id: UUID, user_id: str) -> None:
        absent = Payment(uuid4(), order_id, user_id, None, State.VOIDED)
        payment, is_new = await tables.obtain(connection, absent, is_due=False, traceparent=None)
        if not is_new:
            await self._record(connection, rules.order_ended(payment, uuid4()))

    async def _record(self, connection: Connection, change: Change) -> None:
        await record(connection, self._outbox, change)
        self._changes.append(change)
