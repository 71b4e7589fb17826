"""Reading and writing stock, reservations and the ledger; every function works in the caller's transaction.

Whoever changes stock locks reservations first, then stock, each in ascending order: transactions that do so
cannot wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from mambogo_chassis.database import Connection
from psycopg.types.json import Jsonb

from mambogo_inventory.domain.reservation import Line, Reservation, Shortage, State
from mambogo_inventory.domain.stock import Movement, Stock

_COLUMNS: Final = "order_id, reservation_id, state, lines, reason, short, expires_at"
_LOCK_RESERVATIONS: Final = f"""
SELECT {_COLUMNS} FROM reservation WHERE order_id = ANY(%(orders)s) ORDER BY order_id FOR UPDATE
"""  # noqa: S608 - a constant
# In no order: what another transaction holds is skipped, so this waits for nobody.
_LOCK_DUE: Final = f"""
SELECT {_COLUMNS} FROM reservation WHERE state = 'reserved' AND expires_at <= now()
ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - a constant
_LOCK_STOCK: Final = """
SELECT product_id, on_hand FROM stock WHERE product_id = ANY(%(products)s) ORDER BY product_id FOR UPDATE
"""
_WRITE_RESERVATION: Final = """
INSERT INTO reservation (order_id, reservation_id, state, lines, reason, short, expires_at)
VALUES (%(order_id)s, %(reservation_id)s, %(state)s, %(lines)s, %(reason)s, %(short)s, %(expires_at)s)
ON CONFLICT (order_id) DO UPDATE
SET state = excluded.state, reason = excluded.reason, updated_at = now()
"""
# Stock and ledger in one statement: neither can be written without the other.
_MOVE: Final = """
WITH line AS (
    SELECT * FROM unnest(%(products)s::uuid[], %(quantities)s::bigint[]) AS line (product_id, quantity)
), moved AS (
    UPDATE stock
    SET on_hand = on_hand + line.quantity * %(on_hand)s,
        reserved = reserved + line.quantity * %(reserved)s,
        sold = sold + line.quantity * %(sold)s,
        version = version + 1
    FROM line WHERE stock.product_id = line.product_id
    RETURNING stock.product_id, line.quantity
)
INSERT INTO movement (product_id, order_id, kind, on_hand, reserved, sold)
SELECT product_id, %(order_id)s, %(kind)s,
    quantity * %(on_hand)s, quantity * %(reserved)s, quantity * %(sold)s
FROM moved
"""
_OPEN: Final = """
INSERT INTO stock (product_id, initial, on_hand, reserved, sold, version)
VALUES (%(product_id)s, 0, 0, 0, 0, 0) ON CONFLICT (product_id) DO NOTHING
"""
_READ: Final = """
SELECT product_id, initial, on_hand, reserved, sold, version FROM stock WHERE product_id = %(product_id)s
"""
_WRITE_STOCK: Final = """
UPDATE stock SET initial = %(initial)s, on_hand = %(on_hand)s, version = %(version)s
WHERE product_id = %(product_id)s
"""
_NOTE: Final = """
INSERT INTO movement (product_id, kind, on_hand, reserved, sold) VALUES (%s, %s, %s, 0, 0)
"""


async def lock_reservations(connection: Connection, orders: Iterable[UUID]) -> dict[UUID, Reservation]:
    """Those that there are, by order."""
    cursor = await connection.execute(_LOCK_RESERVATIONS, {"orders": sorted(set(orders))})
    return {row[0]: _reservation(row) for row in await cursor.fetchall()}


async def lock_due(connection: Connection, limit: int) -> dict[UUID, Reservation]:
    """Reservations whose time is over and that nobody else is working on."""
    cursor = await connection.execute(_LOCK_DUE, {"limit": limit})
    return {row[0]: _reservation(row) for row in await cursor.fetchall()}


async def lock_stock(connection: Connection, products: Iterable[UUID]) -> dict[UUID, int]:
    """What is on hand of each product that is known."""
    wanted = sorted(set(products))
    if not wanted:
        return {}
    cursor = await connection.execute(_LOCK_STOCK, {"products": wanted})
    return dict(await cursor.fetchall())


async def write_reservation(connection: Connection, reservation: Reservation) -> None:
    """Insert it, or change the state of the one that is there."""
    await connection.execute(
        _WRITE_RESERVATION,
        {
            "order_id": reservation.order_id,
            "reservation_id": reservation.reservation_id,
            "state": reservation.state.value,
            "lines": Jsonb([[str(line.product_id), line.quantity] for line in reservation.lines]),
            "reason": reservation.reason,
            "short": Jsonb(
                [[str(short.product_id), short.requested, short.available] for short in reservation.short]
            ),
            "expires_at": reservation.expires_at,
        },
    )


async def move(connection: Connection, order_id: UUID, lines: Sequence[Line], movement: Movement) -> None:
    """Move the lines' units; the caller has locked the stock and knows that it suffices."""
    change = movement.change
    parameters: Mapping[str, Any] = {
        "products": [line.product_id for line in lines],
        "quantities": [line.quantity for line in lines],
        "on_hand": change.on_hand,
        "reserved": change.reserved,
        "sold": change.sold,
        "order_id": order_id,
        "kind": movement.value,
    }
    await connection.execute(_MOVE, parameters)


async def find_stock(connection: Connection, product_id: UUID) -> Stock | None:
    """A product's numbers as they are committed."""
    cursor = await connection.execute(_READ, {"product_id": product_id})
    row = await cursor.fetchone()
    return Stock(*row) if row is not None else None


async def open_stock(connection: Connection, product_id: UUID) -> bool:
    """Make a product known, with nothing of it; whether it was not before."""
    cursor = await connection.execute(_OPEN, {"product_id": product_id})
    return cursor.rowcount == 1


async def lock_one(connection: Connection, product_id: UUID) -> Stock | None:
    """A product's numbers, which nobody else can change until the end of the transaction."""
    cursor = await connection.execute(_READ + " FOR UPDATE", {"product_id": product_id})
    row = await cursor.fetchone()
    return Stock(*row) if row is not None else None


async def write_stock(connection: Connection, before: Stock, after: Stock, *, kind: str) -> None:
    """Change what there is of a product, and note it in the ledger."""
    await connection.execute(
        _WRITE_STOCK,
        {
            "product_id": after.product_id,
            "initial": after.initial,
            "on_hand": after.on_hand,
            "version": after.version,
        },
    )
    await connection.execute(_NOTE, (after.product_id, kind, after.on_hand - before.on_hand))


def _reservation(row: Sequence[Any]) -> Reservation:
    order_id, reservation_id, state, lines, reason, short, expires_at = row
    return Reservation(
        order_id,
        reservation_id,
        State(state),
        tuple(Line(UUID(product_id), quantity) for product_id, quantity in lines),
        reason,
        tuple(Shortage(UUID(product_id), requested, available) for product_id, requested, available in short),
        expires_at,
    )
