"""Products and prices in PostgreSQL, in the caller's transaction; some reads ask the database by themselves.

Callers may catch SkuTakenError; what `database.errors` says about the weather passes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from mambogo_chassis.database import Connection, Database
from psycopg import errors as pg

from mambogo_product.domain.products import Draft, PricePoint, Product, SkuTakenError
from mambogo_product.domain.words import document_of

_COLUMNS: Final = "id, version, sku, name, description, category, currency, price_minor, status"
_INSERT: Final = """
INSERT INTO product (id, version, sku, name, description, category, currency, price_minor, status, search)
VALUES (%(id)s, %(version)s, %(sku)s, %(name)s, %(description)s, %(category)s, %(currency)s, %(price_minor)s,
        %(status)s, array_to_tsvector(%(words)s::text[]))
"""
_UPDATE: Final = """
UPDATE product
SET version = %(version)s, sku = %(sku)s, name = %(name)s, description = %(description)s,
    category = %(category)s, currency = %(currency)s, price_minor = %(price_minor)s, status = %(status)s,
    search = array_to_tsvector(%(words)s::text[]), updated_at = now()
WHERE id = %(id)s
"""
_ADD_PRICE: Final = """
INSERT INTO price (product_id, currency, price_minor, product_version)
VALUES (%(id)s, %(currency)s, %(price_minor)s, %(version)s)
"""
_FIND: Final = f"SELECT {_COLUMNS} FROM product WHERE id = %s"  # noqa: S608 - a constant of this module
_FIND_ALL: Final = f"SELECT {_COLUMNS} FROM product WHERE id = ANY(%s)"  # noqa: S608 - as above
_PRICES: Final = """
SELECT id, currency, price_minor, valid_from FROM price
WHERE product_id = %(id)s AND id < %(before)s ORDER BY id DESC LIMIT %(count)s
"""
_CATEGORIES: Final = """
SELECT category, count(*) FROM product WHERE status = 'ACTIVE' GROUP BY category ORDER BY category
"""


async def insert(connection: Connection, product: Product) -> None:
    """Add a product and its first price. Raises SkuTakenError."""
    await _write(connection, _INSERT, product)
    await connection.execute(_ADD_PRICE, _parameters(product))


async def update(connection: Connection, product: Product, *, is_new_price: bool) -> None:
    """Write a version over the one before, whose row the caller has locked. Raises SkuTakenError."""
    await _write(connection, _UPDATE, product)
    if is_new_price:
        await connection.execute(_ADD_PRICE, _parameters(product))


async def find(connection: Connection, product_id: UUID, *, for_update: bool = False) -> Product | None:
    """One product, its row locked until the transaction's end if it is to be changed."""
    cursor = await connection.execute(_FIND + (" FOR UPDATE" if for_update else ""), (product_id,))
    row = await cursor.fetchone()
    return _product(row) if row else None


async def find_all(database: Database, product_ids: Sequence[UUID]) -> dict[UUID, Product]:
    """Those of the named products that exist."""
    return {row[0]: _product(row) for row in await database.read(_FIND_ALL, (list(product_ids),))}


async def page(
    connection: Connection, *, before: int, count: int, category: str | None, query: str | None
) -> list[tuple[int, Product]]:
    """Active products with their positions, the newest first, from the one before position `before`.

    `query` is a `tsquery`.
    """
    conditions = ["status = 'ACTIVE'", "position < %(before)s"]
    if category is not None:
        conditions.append("category = %(category)s")
    if query is not None:
        conditions.append("search @@ %(query)s::tsquery")
    rows = f"SELECT position, {_COLUMNS} FROM product WHERE {' AND '.join(conditions)}"  # noqa: S608 - constants
    if query is not None:
        # OFFSET 0 keeps the planner from walking the list in order and testing each row: it takes every
        # beginning of a word for frequent, and a rare one would then cost the whole table.
        rows = f"SELECT * FROM ({rows} OFFSET 0) AS found"  # noqa: S608 - as above
    statement = f"{rows} ORDER BY position DESC LIMIT %(count)s"
    parameters = {"before": before, "count": count, "category": category, "query": query}
    cursor = await connection.execute(statement, parameters)
    return [(row[0], _product(row[1:])) for row in await cursor.fetchall()]


async def categories(database: Database) -> list[tuple[str, int]]:
    """Each category with the number of its active products."""
    return [(row[0], row[1]) for row in await database.read(_CATEGORIES)]


async def prices(connection: Connection, product_id: UUID, *, before: int, count: int) -> list[PricePoint]:
    """A product's prices, the newest first, from the one before id `before`."""
    cursor = await connection.execute(_PRICES, {"id": product_id, "before": before, "count": count})
    return [PricePoint(*row) for row in await cursor.fetchall()]


async def _write(connection: Connection, statement: str, product: Product) -> None:
    try:
        await connection.execute(statement, _parameters(product))
    except pg.UniqueViolation as error:
        if error.diag.constraint_name != "product_sku_once":
            raise
        raise SkuTakenError(product.draft.sku) from error


def _parameters(product: Product) -> dict[str, Any]:
    draft = product.draft
    return {
        "id": product.id,
        "version": product.version,
        "sku": draft.sku,
        "name": draft.name,
        "description": draft.description,
        "category": draft.category,
        "currency": draft.currency,
        "price_minor": draft.price_minor,
        "status": draft.status,
        "words": document_of(draft),
    }


def _product(row: Sequence[Any]) -> Product:
    return Product(row[0], row[1], Draft(*row[2:]))
