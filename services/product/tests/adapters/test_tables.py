"""Products and prices in a real PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

import pytest
from mambogo_chassis.database import Connection, Database

from catalogue_support import draft
from mambogo_product.adapters import tables
from mambogo_product.domain.products import Product, SkuTakenError
from mambogo_product.domain.words import query_of

END = 2**63 - 1


async def insert(database: Database, *drafts: Any) -> list[Product]:
    products = [Product(uuid4(), 1, one) for one in drafts]
    async with database.transaction() as connection:
        for product in products:
            await tables.insert(connection, product)
    return products


async def names(database: Database, **filters: Any) -> list[str]:
    used = {"before": END, "count": 100, "category": None, "query": None, **filters}
    async with database.transaction() as connection:
        return [product.draft.name for _, product in await tables.page(connection, **used)]


async def test_what_was_inserted_is_found(database: Database) -> None:
    (product,) = await insert(database, draft(name="Zelt für Übermütige"))
    async with database.transaction() as connection:
        assert await tables.find(connection, product.id) == product


async def test_a_second_product_cannot_have_a_sku(database: Database) -> None:
    await insert(database, draft())
    with pytest.raises(SkuTakenError):
        await insert(database, draft())


async def test_the_price_history_has_one_entry_for_each_price(database: Database) -> None:
    (product,) = await insert(database, draft())
    for version, (price, is_new) in enumerate([(100, True), (100, False), (300, True)], start=2):
        changed = Product(product.id, version, draft(price_minor=price, name=f"Version {version}"))
        async with database.transaction() as connection:
            await tables.update(connection, changed, is_new_price=is_new)
    async with database.transaction() as connection:
        found = await tables.prices(connection, product.id, before=END, count=10)
    assert [price.price_minor for price in found] == [300, 100, 24_900]


async def test_each_word_has_to_begin_a_word_of_the_product(database: Database) -> None:
    await insert(
        database,
        draft(),
        draft(sku="TENT-2P", name="Tent for two"),
        draft(sku="GAS-1", name="Stove", category="cooking"),
    )
    expected = {
        "tent": ["Tent for two", "Tent for four"],
        "TÉNT two": ["Tent for two"],
        "fou": ["Tent for four"],
        "our": [],
        "for tent": ["Tent for two", "Tent for four"],
        "stove tent": [],
        "GAS-1": ["Stove"],
        "cooking": ["Stove"],
    }
    assert {text: await names(database, query=query_of(text)) for text in expected} == expected


async def test_discontinued_products_are_not_listed(database: Database) -> None:
    await insert(database, draft(), draft(sku="OLD", name="Old tent", status="DISCONTINUED"))
    assert await names(database) == ["Tent for four"]
    assert await tables.categories(database) == [("tents", 1)]


@pytest.fixture
async def many(database: Database) -> Database:
    """Enough products that reading them all is what a planner avoids."""
    async with database.transaction(timeout_seconds=60) as connection:
        await connection.execute(
            """
            INSERT INTO product (id, version, sku, name, description, category, currency, price_minor,
                                 status, search)
            SELECT gen_random_uuid(), 1, 'SKU-' || n, 'Product ' || n, '', 'category-' || n % 500, 'EUR', 1,
                   'ACTIVE', array_to_tsvector(ARRAY['product', 'w' || n])
            FROM generate_series(1, 20000) AS n
            """
        )
        await connection.execute("ANALYZE product")
    return database


async def _plan(connection: Connection, statement: str, parameters: Any) -> set[str]:
    cursor = await connection.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
    row = await cursor.fetchone()
    assert row is not None
    return set(_indexes(row[0] if isinstance(row[0], list) else json.loads(row[0])))


def _indexes(node: Any) -> Iterable[str]:
    if isinstance(node, list):
        for part in node:
            yield from _indexes(part)
    elif isinstance(node, dict):
        if node.get("Node Type") == "Seq Scan":
            yield "Seq Scan"
        if "Index Name" in node:
            yield node["Index Name"]
        for part in node.values():
            yield from _indexes(part)


class Recording:
    """A connection that explains instead of executing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.indexes: set[str] = set()

    async def execute(self, statement: str, parameters: Any = None) -> Any:
        self.indexes |= await _plan(self._connection, statement, parameters)
        return await self._connection.execute(statement, parameters)


async def test_a_list_reads_an_index_and_not_the_table(many: Database) -> None:
    used: dict[str, set[str]] = {}
    asked: dict[str, dict[str, Any]] = {
        "search": {"query": "'w19':*"},
        "category": {"category": "category-77"},
        "list": {},
        "deep page": {"before": 5_000},
    }
    for name, filters in asked.items():
        arguments: dict[str, Any] = {"before": END, "count": 21, "category": None, "query": None}
        async with many.transaction() as connection:
            recording: Any = Recording(connection)
            assert await tables.page(recording, **{**arguments, **filters})
        used[name] = recording.indexes
    assert used == {
        "search": {"product_search"},
        "category": {"product_category"},
        "list": {"product_list"},
        "deep page": {"product_list"},
    }


async def test_a_price_page_reads_an_index(many: Database) -> None:
    async with many.transaction() as connection:
        await connection.execute(
            "INSERT INTO price (product_id, currency, price_minor, product_version) "
            "SELECT id, 'EUR', 1, 1 FROM product"
        )
        await connection.execute("ANALYZE price")
        recording: Any = Recording(connection)
        await tables.prices(recording, UUID(int=0), before=END, count=21)
    assert recording.indexes == {"price_history"}
