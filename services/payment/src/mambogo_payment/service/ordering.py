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
        # The payments that the transaction has locked, by order, as they are after what it has done so far.
        self._payments: dict[UUID, Payment] = {}
        self._changes: list[Change] = []

    async def begin(self, connection: Connection, events: Sequence[CloudEvent[Any]]) -> None:
        """Lock and read the payments that the events of one transaction are about."""
        self._changes = []
        self._payments = await tables.lock(connection, (event.data.order_id for event in events))

    def committed(self) -> None:
        """The transaction that `begin` began has committed."""
        self._metrics.count(self._changes)
        if any(change.is_work for change in self._changes):
            self._wake()

    async def reserved(self, connection: Connection, event: CloudEvent[OrderReserved]) -> None:
        """A payment for the order, unless it has one."""
        data = event.data
        money = Money(data.total_minor, data.currency)
        existing = self._payments.get(data.order_id)
        if existing is not None:
            await self._record(connection, rules.reserved(existing, money))
            return
        payment = Payment(uuid4(), data.order_id, data.user_id, money, State.OPEN)
        await tables.add(connection, payment, is_due=True, traceparent=event.traceparent)
        self._note(Change(payment, is_new=True))

    async def rejected(self, connection: Connection, event: CloudEvent[OrderRejected]) -> None:
        """Void it, or give it back."""
        await self._ended(connection, event.data.order_id, event.data.user_id)

    async def cancelled(self, connection: Connection, event: CloudEvent[OrderCancelled]) -> None:
        """Void it, or give it back."""
        await self._ended(connection, event.data.order_id, event.data.user_id)

    async def _ended(self, connection: Connection, order_id: UUID, user_id: str) -> None:
        existing = self._payments.get(order_id)
        if existing is not None:
            await self._record(connection, rules.order_ended(existing, uuid4()))
            return
        absent = Payment(uuid4(), order_id, user_id, None, State.VOIDED)
        await tables.add(connection, absent, is_due=False, traceparent=None)
        self._note(Change(absent))

    async def _record(self, connection: Connection, change: Change) -> None:
        await record(connection, self._outbox, change)
        self._note(change)

    def _note(self, change: Change) -> None:
        self._payments[change.payment.order_id] = change.payment
        self._changes.append(change)
