"""The orders' tables. Every statement runs in the transaction that the caller opened.

Deciding what to write is the domain's and the services'. `locked` and `due` hold the rows that they return
until the transaction ends: that lock is what keeps the events of one order in their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.rows import dict_row

from mambogo_chassis.database import Connection
from mambogo_order.domain.model import Line, Order, Reason, State, Step

# Order and lines in one statement and so in one round trip.
_INSERT: Final = """
WITH placed AS (
    INSERT INTO orders (order_id, user_id, state, sequence, currency, total_minor, sweep_at)
    VALUES (%(order_id)s, %(user_id)s, 'PENDING', 1, %(currency)s, %(total_minor)s,
            now() + %(sweep_after)s)
    RETURNING *
), lines AS (
    INSERT INTO order_lines (order_id, position, product_id, quantity, unit_price_minor)
    SELECT %(order_id)s, line.* FROM unnest(%(positions)s::smallint[], %(products)s::uuid[],
                                            %(quantities)s::bigint[], %(prices)s::bigint[]) AS line
)
SELECT * FROM placed
"""
_FIND: Final = "SELECT * FROM orders WHERE order_id = %s"
_LOCK: Final = "SELECT * FROM orders WHERE order_id = %s FOR NO KEY UPDATE"
# In one sequence, so that two transactions cannot wait for each other in a circle.
_LOCK_ALL: Final = "SELECT * FROM orders WHERE order_id = ANY(%s) ORDER BY order_id FOR NO KEY UPDATE"
_LINES: Final = """
SELECT product_id, quantity, unit_price_minor FROM order_lines WHERE order_id = %s ORDER BY position
"""
_HISTORY: Final = (
    "SELECT sequence, state, reason, at FROM order_history WHERE order_id = %s ORDER BY sequence"
)
_PAGE: Final = """
SELECT * FROM orders
WHERE user_id = %(user_id)s
  AND (%(before_at)s::timestamptz IS NULL
       OR (placed_at, order_id) < (%(before_at)s::timestamptz, %(before_id)s::uuid))
ORDER BY placed_at DESC, order_id DESC LIMIT %(limit)s
"""
# `updated_at` never goes back, also when the server's clock does.
_MOVE: Final = """
UPDATE orders SET state = %(state)s, reason = %(reason)s, sequence = %(sequence)s,
    payment_id = %(payment_id)s, updated_at = greatest(updated_at, clock_timestamp()), resends = 0,
    sweep_at = now() + %(sweep_after)s::interval
WHERE order_id = %(order_id)s
"""
_DUE: Final = """
SELECT *, now() AS now FROM orders WHERE sweep_at <= now()
ORDER BY sweep_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
_REPEAT: Final = """
UPDATE orders SET sequence = sequence + 1, resends = resends + 1, sweep_at = %(sweep_at)s
WHERE order_id = %(order_id)s RETURNING *
"""
_REFUND: Final = """
INSERT INTO order_refunds (refund_id, order_id, amount_minor) VALUES (%s, %s, %s)
ON CONFLICT (refund_id) DO NOTHING RETURNING refund_id
"""
_REFUNDED: Final = """
UPDATE orders
SET refunded_minor = refunded_minor + %s, updated_at = greatest(updated_at, clock_timestamp())
WHERE order_id = %s RETURNING *
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A waiting order whose time has come; `now` is the database's clock, as in all its rows."""

    order: Order
    resends: int
    now: datetime


async def insert(
    connection: Connection, order: Order, lines: Sequence[Line], *, sweep_after: object
) -> Order:
    """Store a new order; it comes back with the database's times. `sweep_after` is a timedelta."""
    parameters = {
        "order_id": order.order_id,
        "user_id": order.user_id,
        "currency": order.currency,
        "total_minor": order.total_minor,
        "sweep_after": sweep_after,
        "positions": list(range(len(lines))),
        "products": [line.product_id for line in lines],
        "quantities": [line.quantity for line in lines],
        "prices": [line.unit_price_minor for line in lines],
    }
    return _order(await _one(connection, _INSERT, parameters))


async def find(connection: Connection, order_id: UUID) -> Order | None:
    """The order, without holding it."""
    rows = await _all(connection, _FIND, (order_id,))
    return _order(rows[0]) if rows else None


async def locked(connection: Connection, order_id: UUID) -> Order | None:
    """The order, held until the transaction ends."""
    rows = await _all(connection, _LOCK, (order_id,))
    return _order(rows[0]) if rows else None


async def locked_all(connection: Connection, order_ids: Iterable[UUID]) -> dict[UUID, Order]:
    """Those of the orders that there are, held until the transaction ends."""
    rows = await _all(connection, _LOCK_ALL, (sorted(set(order_ids)),))
    return {row["order_id"]: _order(row) for row in rows}


async def lines(connection: Connection, order_id: UUID) -> list[Line]:
    """What was ordered, in the client's order."""
    rows = await _all(connection, _LINES, (order_id,))
    return [Line(row["product_id"], row["quantity"], row["unit_price_minor"]) for row in rows]


async def history(connection: Connection, order_id: UUID) -> list[Step]:
    """Every state that the order has had, the first one first."""
    rows = await _all(connection, _HISTORY, (order_id,))
    return [Step(row["sequence"], State(row["state"]), _reason(row["reason"]), row["at"]) for row in rows]


async def page(
    connection: Connection, user_id: str, before: tuple[datetime, UUID] | None, limit: int
) -> list[Order]:
    """The user's orders, the newest first, from the one before `before` on."""
    before_at, before_id = before if before is not None else (None, None)
    parameters = {"user_id": user_id, "before_at": before_at, "before_id": before_id, "limit": limit}
    return [_order(row) for row in await _all(connection, _PAGE, parameters)]


async def move(connection: Connection, moved: Order, *, sweep_after: object) -> None:
    """Write a move of a locked order; `sweep_after` is a timedelta, or None where it waits for nobody.

    Reads nothing back, so that the moves of a batch can travel together.
    """
    parameters = {
        "order_id": moved.order_id,
        "state": moved.state.value,
        "reason": moved.reason.value if moved.reason is not None else None,
        "sequence": moved.sequence,
        "payment_id": moved.payment_id,
        "sweep_after": sweep_after,
    }
    await connection.execute(_MOVE, parameters)


async def due(connection: Connection, limit: int) -> list[Due]:
    """Waiting orders whose time has come, held, without those that somebody else holds."""
    rows = await _all(connection, _DUE, (limit,))
    return [Due(_order(row), row["resends"], row["now"]) for row in rows]


async def repeat(connection: Connection, order_id: UUID, sweep_at: datetime) -> Order:
    """Give a locked order its next sequence, for its event to be sent again."""
    return _order(await _one(connection, _REPEAT, {"order_id": order_id, "sweep_at": sweep_at}))


async def add_refund(connection: Connection, order: Order, refund_id: UUID, amount_minor: int) -> Order:
    """The locked order with a refund counted; unchanged if that refund was counted before."""
    if not await _all(connection, _REFUND, (refund_id, order.order_id, amount_minor)):
        return order
    return _order(await _one(connection, _REFUNDED, (amount_minor, order.order_id)))


async def _all(
    connection: Connection, query: str, parameters: Mapping[str, object] | Sequence[object]
) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, parameters)
        return await cursor.fetchall()


async def _one(
    connection: Connection, query: str, parameters: Mapping[str, object] | Sequence[object]
) -> dict[str, Any]:
    rows = await _all(connection, query, parameters)
    return rows[0]


def _order(row: Mapping[str, Any]) -> Order:
    return Order(
        order_id=row["order_id"],
        user_id=row["user_id"],
        state=State(row["state"]),
        sequence=row["sequence"],
        currency=row["currency"],
        total_minor=row["total_minor"],
        placed_at=row["placed_at"],
        updated_at=row["updated_at"],
        reason=_reason(row["reason"]),
        payment_id=row["payment_id"],
        refunded_minor=row["refunded_minor"],
    )


def _reason(value: str | None) -> Reason | None:
    return Reason(value) if value is not None else None
