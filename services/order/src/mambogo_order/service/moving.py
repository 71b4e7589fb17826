"""Applies facts to stored orders: the row's lock, the move and its event in one transaction.

The transaction is the caller's: a request's, or that of a batch of events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from mambogo_chassis import failpoints
from mambogo_chassis.database import Connection
from mambogo_chassis.events import Outbox
from mambogo_order.adapters import orders
from mambogo_order.adapters.events import event_of
from mambogo_order.domain.model import WAITING, Order, State
from mambogo_order.domain.moving import Fact, Move, PaymentRefunded, decide
from mambogo_order.domain.sweeping import Patience


class UnknownOrderError(Exception):
    """Nobody placed this order here."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The order after a fact, and the state that it had before; the same where nothing was new."""

    order: Order
    before: State

    @property
    def is_new(self) -> bool:
        """Whether the order moved."""
        return self.order.state is not self.before


class Mover:
    """Moves orders; nothing else does. `patience` is asked each time, because settings change."""

    def __init__(self, outbox: Outbox, patience: Callable[[], Patience]) -> None:
        self._outbox = outbox
        self._patience = patience

    async def apply(self, connection: Connection, order_id: UUID, fact: Fact) -> Applied:
        """Let `fact` take effect. Raises UnknownOrderError and ContradictionError."""
        return await self.apply_to(connection, await self._locked(connection, order_id), fact)

    async def apply_to(self, connection: Connection, order: Order, fact: Fact) -> Applied:
        """The same for an order that this transaction has locked."""
        move = decide(order, fact)
        if move is None:
            return Applied(order, order.state)
        return Applied(await self._store(connection, order, move), order.state)

    async def refund(
        self, connection: Connection, order_id: UUID, *, refund_id: UUID, amount_minor: int
    ) -> Applied:
        """Count a refund once; when all has been refunded, a confirmed order is cancelled.

        Raises UnknownOrderError and ContradictionError.
        """
        before = await self._locked(connection, order_id)
        order = await orders.add_refund(connection, before, refund_id, amount_minor)
        return await self.apply_to(connection, order, PaymentRefunded(order.refunded_minor))

    async def _locked(self, connection: Connection, order_id: UUID) -> Order:
        order = await orders.locked(connection, order_id)
        if order is None:
            raise UnknownOrderError(f"there is no order {order_id}")
        return order

    async def _store(self, connection: Connection, order: Order, move: Move) -> Order:
        patience = self._patience()
        payment_id = move.payment_id or order.payment_id
        event = event_of(
            replace(
                order, state=move.to, reason=move.reason, payment_id=payment_id, sequence=order.sequence + 1
            )
        )
        # The row is locked, so this is what it will be; the event waits for its statement: one round trip.
        async with connection.pipeline():
            await self._outbox.append(connection, event, subject=str(order.order_id))
            moved = await orders.move(
                connection,
                order.order_id,
                to=move.to,
                reason=move.reason,
                payment_id=move.payment_id,
                sweep_after=patience.resend_after if move.to in WAITING else None,
            )
        await failpoints.reach("order.moved")
        return moved
