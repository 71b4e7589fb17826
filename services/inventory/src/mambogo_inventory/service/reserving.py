"""What orders' events do to stock, each batch of them in one transaction.

`begin` locks and reads every row that the batch will touch, in the one sequence that all transactions keep;
the handlers then work on what was read. The decisions are `domain.reservation`'s, the transaction is the
consumer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from mambogo_chassis import failpoints
from mambogo_chassis.database import Connection, Database, pipelined
from mambogo_chassis.events import CloudEvent, Outbox, PermanentEventError

from mambogo_inventory.adapters import tables
from mambogo_inventory.adapters.events import (
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    outcome_of,
)
from mambogo_inventory.adapters.metrics import InventoryMetrics
from mambogo_inventory.domain import reservation as rules
from mambogo_inventory.domain.reservation import Decision, ImpossibleEventError, Line, Reservation, State

# Reservations that one transaction expires: far below its bound of 5 s.
EXPIRY_BATCH: Final = 100


@dataclass(slots=True)
class WorkingSet:
    """The rows that one transaction has locked, as they are after what it has done so far."""

    reservations: dict[UUID, Reservation] = field(default_factory=dict)
    on_hand: dict[UUID, int] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)


class Reserving:
    """Takes orders' events. One consumer uses it, one transaction at a time."""

    def __init__(
        self,
        outbox: Outbox,
        metrics: InventoryMetrics,
        *,
        hold_seconds: Callable[[], float],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._hold_seconds = hold_seconds
        self._clock = clock
        self._rows = WorkingSet()

    async def begin(self, connection: Connection, events: Sequence[CloudEvent[Any]]) -> None:
        """Lock what the events of one transaction will touch."""
        reservations = await tables.lock_reservations(connection, (event.data.order_id for event in events))
        products = _products(reservations.values())
        for event in events:
            if isinstance(event.data, OrderPlaced):
                products.update(line.product_id for line in event.data.lines)
        self._rows = WorkingSet(reservations, await tables.lock_stock(connection, products))

    def committed(self) -> None:
        """The transaction that `begin` began has committed."""
        self._metrics.count(self._rows.decisions)

    async def placed(self, connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        """Reserve all lines, or refuse the order."""
        lines = rules.merged(Line(line.product_id, line.quantity) for line in event.data.lines)
        request = Reservation(
            event.data.order_id,
            uuid4(),
            State.RESERVED,
            lines,
            expires_at=self._clock() + timedelta(seconds=self._hold_seconds()),
        )
        existing = self._rows.reservations.get(request.order_id)
        await self._carry_out(connection, self._rows, rules.place(existing, request, self._rows.on_hand))

    async def confirmed(self, connection: Connection, event: CloudEvent[OrderConfirmed]) -> None:
        """Sell what was reserved; raises PermanentEventError where nothing was."""
        existing = self._rows.reservations.get(event.data.order_id)
        try:
            decision = rules.confirm(existing, self._rows.on_hand)
        except ImpossibleEventError as error:
            raise PermanentEventError(f"order {event.data.order_id} was {error}") from error
        await self._carry_out(connection, self._rows, decision)

    async def rejected(self, connection: Connection, event: CloudEvent[OrderRejected]) -> None:
        """Release what was reserved."""
        await self._give_back(connection, event.data.order_id, "order-rejected")

    async def cancelled(self, connection: Connection, event: CloudEvent[OrderCancelled]) -> None:
        """Release what was reserved, restock what was sold."""
        await self._give_back(connection, event.data.order_id, "order-cancelled")

    async def expire_due(self, database: Database) -> int:
        """Free what was held for too long, at most a batch; how many reservations that were."""
        async with database.transaction() as connection:
            due = await tables.lock_due(connection, EXPIRY_BATCH)
            rows = WorkingSet(due, await tables.lock_stock(connection, _products(due.values())))
            for reservation in list(due.values()):
                await self._carry_out(connection, rows, rules.expire(reservation))
            await failpoints.reach("inventory.expired")
        self._metrics.count(rows.decisions)
        return len(due)

    async def _give_back(self, connection: Connection, order_id: UUID, reason: str) -> None:
        existing = self._rows.reservations.get(order_id)
        absent = Reservation(order_id, uuid4(), State.RELEASED)
        await self._carry_out(connection, self._rows, rules.give_back(existing, absent, reason))

    async def _carry_out(self, connection: Connection, rows: WorkingSet, decision: Decision) -> None:
        """Write what was decided, in one round trip, and keep `rows` true."""
        reservation, movement = decision.reservation, decision.movement
        async with pipelined(connection):
            if movement is not None:
                await tables.move(connection, reservation.order_id, reservation.lines, movement)
                for line in reservation.lines:
                    rows.on_hand[line.product_id] += line.quantity * movement.change.on_hand
                await failpoints.reach("inventory.moved")
            if decision.is_new:
                await tables.write_reservation(connection, reservation)
                rows.reservations[reservation.order_id] = reservation
            if decision.is_told:
                subject = str(reservation.order_id)
                await self._outbox.append(connection, outcome_of(reservation), subject=subject)
        rows.decisions.append(decision)


def _products(reservations: Iterable[Reservation]) -> set[UUID]:
    return {line.product_id for reservation in reservations for line in reservation.lines}
