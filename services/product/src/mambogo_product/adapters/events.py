"""What product-service tells others."""

from __future__ import annotations

from uuid import UUID

from mambogo_chassis.events import EventData, EventRegistry

from mambogo_product.domain.products import Currency, Product, Status

registry = EventRegistry()


@registry.event("com.mambogo.product.changed.v1", topic="products")
class ProductChanged(EventData):
    """A product as it is from `version` on; the first version says that there is a new one."""

    product_id: UUID
    sku: str
    name: str
    category: str
    currency: Currency
    price_minor: int
    status: Status
    version: int


def changed(product: Product) -> ProductChanged:
    """The event of this version."""
    draft = product.draft
    return ProductChanged(
        product_id=product.id,
        sku=draft.sku,
        name=draft.name,
        category=draft.category,
        currency=draft.currency,
        price_minor=draft.price_minor,
        status=draft.status,
        version=product.version,
    )
