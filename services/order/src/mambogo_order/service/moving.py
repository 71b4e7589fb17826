"""Applies facts to stored orders: the row's lock, the move and its event in one transaction.

The transaction is the caller's: a request's, or that of a batch of events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from mambogo_chassis import failpoints
from mambogo_chassis.database import Connection, pipelined
from mambogo_chassis.events import Outbox
from mambogo_order.adapters import orders
from mambogo_order.adapters.events import event_of
from mambogo_order.domain.model import WAITING, Order, State
from mambogo_order.domain.moving import Fact, Move, PaymentRefunded, decide
from mambogo_order.domain.sweeping import Patience


@dataclass(frozen=True, slots=True)
class Applied:
    """The order after a fact, and the state that it had before; the same where nothing was new.

    Its `updated_at` is not known before it is read again: it is the database's.
    """

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

    async def apply(self, connection: Connection, order: Order, fact: Fact) -> Applied:
        """Let `fact` take effect on an order that this transaction has locked. Raises ContradictionError."""
        move = decide(order, fact)
        if move is None:
            return Applied(order, order.state)
        return Applied(await self._store(connection, order, move), order.state)

    async def refund(
        self, connection: Connection, order: Order, *, refund_id: UUID, amount_minor: int
    ) -> Applied:
        """Count a refund of a locked order once; when all has been refunded, a confirmed one is cancelled.

        Raises ContradictionError.
        """
        counted = await orders.add_refund(connection, order, refund_id, amount_minor)
        return await self.apply(connection, counted, PaymentRefunded(counted.refunded_minor))

    async def _store(self, connection: Connection, order: Order, move: Move) -> Order:
        # The row is locked, so this is what it will be.
        moved = replace(
            order,
            state=move.to,
            reason=move.reason,
            payment_id=move.payment_id or order.payment_id,
            sequence=order.sequence + 1,
        )
        async with pipelined(connection):
            await self._outbox.append(connection, event_of(moved), subject=str(order.order_id))
            sweep_after = self._patience().resend_after if move.to in WAITING else None
            await orders.move(connection, moved, sweep_after=sweep_after)
        await failpoints.reach("order.moved")
        return moved
