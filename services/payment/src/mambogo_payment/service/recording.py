"""Writes a change of a payment and tells the order, in the caller's transaction."""

from __future__ import annotations

from mambogo_chassis.database import Connection
from mambogo_chassis.events import Outbox

from mambogo_payment.adapters import tables
from mambogo_payment.adapters.events import told
from mambogo_payment.domain.payment import Change


async def record(
    connection: Connection, outbox: Outbox, change: Change, *, traceparent: str | None = None
) -> None:
    """Nothing is written for what changes nothing; the order is told all the same, if it is to be."""
    async with connection.pipeline():
        if change.is_new:
            await tables.write(connection, change.payment, is_due=change.is_work)
        for what in change.told:
            await outbox.append(
                connection,
                told(change.payment, what),
                subject=str(change.payment.order_id),
                traceparent=traceparent,
            )
