"""The catalogue's use cases. HTTP is `api`'s, SQL and Redis are `adapters`'.

A change is one transaction: the row, its price, its event. The cache is told twice, before the commit (nobody
may be answered the old version from then on) and after it (with the new one).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from mambogo_chassis.database import Connection, Database
from mambogo_chassis.events import Outbox
from mambogo_chassis.metrics import Metrics

from mambogo_product.adapters import events, tables
from mambogo_product.adapters.cache import ProductCache
from mambogo_product.adapters.entries import Entry
from mambogo_product.domain.products import Change, Draft, PricePoint, Product, replace
from mambogo_product.domain.words import query_of

Encode = Callable[[Product], bytes]


@dataclass(frozen=True, slots=True)
class Quotes:
    """Current products in the order asked for, and the ids that are none's."""

    products: list[Product]
    unknown: list[UUID]


class CatalogueMetrics:
    """What the business looks at."""

    def __init__(self, metrics: Metrics) -> None:
        self.changes = metrics.counter(
            "products_changed", "Products by what a write came to.", kind=("created", "changed", "unchanged")
        )
        self.price_changes = metrics.counter("product_price_changes", "Prices that were changed.")
        self.searches = metrics.counter(
            "product_searches", "First pages of searches.", outcome=("found", "empty")
        )
        self.quotes = metrics.counter(
            "product_quotes", "Products that quotes were asked for.", outcome=("known", "unknown")
        )


class Catalogue:
    """Reads and changes. `encode` makes the body that a product is answered with."""

    def __init__(
        self, database: Database, outbox: Outbox, cache: ProductCache, *, encode: Encode, metrics: Metrics
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._cache = cache
        self._encode = encode
        self._metrics = CatalogueMetrics(metrics)

    async def get(self, product_id: UUID) -> Entry | None:
        """A product as it is answered, from the cache if that has it."""
        return await self._cache.get(product_id)

    async def page(
        self, *, before: int, count: int, category: str | None = None, text: str | None = None
    ) -> list[tuple[int, Product]]:
        """Active products before a position, the newest first; `text` is what somebody searches for."""
        query = query_of(text) if text is not None else None
        found: list[tuple[int, Product]] = []
        if text is None or query is not None:
            async with self._database.transaction() as connection:
                found = await tables.page(
                    connection, before=before, count=count, category=category, query=query
                )
        if text is not None:
            self._metrics.searches.labels(outcome="found" if found else "empty").inc()
        return found

    async def categories(self) -> list[tuple[str, int]]:
        """Each category with the number of its active products."""
        return await tables.categories(self._database)

    async def prices(self, product_id: UUID, *, before: int, count: int) -> list[PricePoint] | None:
        """A page of a product's prices, the newest first; None if there is no such product."""
        async with self._database.transaction() as connection:
            found = await tables.prices(connection, product_id, before=before, count=count)
            if not found and await tables.find(connection, product_id) is None:
                return None
        return found

    async def quotes(self, product_ids: Sequence[UUID]) -> Quotes:
        """What the products cost now: from the database and not from the cache, because money follows."""
        asked = list(dict.fromkeys(product_ids))
        found = await tables.find_all(self._database, asked)
        quotes = Quotes(
            [found[product_id] for product_id in asked if product_id in found],
            [product_id for product_id in asked if product_id not in found],
        )
        self._metrics.quotes.labels(outcome="known").inc(len(quotes.products))
        self._metrics.quotes.labels(outcome="unknown").inc(len(quotes.unknown))
        return quotes

    async def create(self, draft: Draft) -> Product:
        """Add a product. Raises SkuTakenError."""
        product = Product(uuid4(), 1, draft)
        async with self._database.transaction() as connection:
            await tables.insert(connection, product)
            await self._outbox.append(connection, events.changed(product), subject=str(product.id))
        self._metrics.changes.labels(kind="created").inc()
        await self._cache.changed(product.id, self._entry(product))
        return product

    async def replace(
        self, product_id: UUID, draft: Draft, *, check: Callable[[int], None]
    ) -> Product | None:
        """Replace a product's data if `check` lets its version pass; None if there is no such product.

        Raises SkuTakenError and whatever `check` raises.
        """
        async with self._database.transaction() as connection:
            current = await tables.find(connection, product_id, for_update=True)
            if current is None:
                return None
            check(current.version)
            change = replace(current, draft)
            if change.is_new_version:
                await self._write(connection, change)
        await self._note(change)
        return change.product

    async def _write(self, connection: Connection, change: Change) -> None:
        product = change.product
        await tables.update(connection, product, is_new_price=change.is_new_price)
        await self._outbox.append(connection, events.changed(product), subject=str(product.id))
        await self._cache.mark_changing(product.id, product.version)

    async def _note(self, change: Change) -> None:
        if not change.is_new_version:
            self._metrics.changes.labels(kind="unchanged").inc()
            return
        self._metrics.changes.labels(kind="changed").inc()
        if change.is_new_price:
            self._metrics.price_changes.labels().inc()
        await self._cache.changed(change.product.id, self._entry(change.product))

    def _entry(self, product: Product) -> Entry:
        return Entry(product.version, self._encode(product))
