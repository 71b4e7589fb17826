"""What administrators do: say how much there is of a product, or correct it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from mambogo_chassis.database import Connection, Database

from mambogo_inventory.adapters import tables
from mambogo_inventory.domain.stock import Stock


class UnknownProductError(Exception):
    """Nobody ever said how much there is of it."""


async def set_initial(database: Database, product_id: UUID, initial: int) -> tuple[Stock, bool]:
    """The stock with `initial` units, and whether the product is new; raises StockRefusedError."""
    async with database.transaction() as connection:
        is_new = await tables.open_stock(connection, product_id)
        stock = await _change(connection, product_id, lambda stock: stock.with_initial(initial), "initial")
    return stock, is_new


async def adjust(connection: Connection, product_id: UUID, quantity: int) -> Stock:
    """`quantity` more or fewer on hand; raises StockRefusedError, UnknownProductError."""
    return await _change(connection, product_id, lambda stock: stock.adjusted(quantity), "adjust")


async def find(database: Database, product_id: UUID) -> Stock:
    """A product's stock; raises UnknownProductError."""
    async with database.connection() as connection:
        stock = await tables.find_stock(connection, product_id)
    if stock is None:
        raise UnknownProductError(str(product_id))
    return stock


async def _change(
    connection: Connection, product_id: UUID, change: Callable[[Stock], Stock], kind: str
) -> Stock:
    before = await tables.lock_one(connection, product_id)
    if before is None:
        raise UnknownProductError(str(product_id))
    after = change(before)
    await tables.write_stock(connection, before, after, kind=kind)
    return after
