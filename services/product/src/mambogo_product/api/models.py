"""What clients send and get. The constraints here are those that the document publishes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from mambogo_chassis.http.pagination import PageQuery
from mambogo_chassis.http.types import JSON_INTEGER, NO_NUL, Body, QueryModel, Text, View
from pydantic import Field

from mambogo_product.domain.products import MAX_PRICE_MINOR, Currency, Draft, Product, Status

# A cart has at most as many lines.
MAX_QUOTES: Final = 100

Sku = Annotated[str, Field(pattern=r"^[A-Z0-9]+(-[A-Z0-9]+)*$", min_length=4, max_length=40)]
Category = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40, examples=["tents"])]
Name = Annotated[str, Field(pattern=NO_NUL, min_length=1, max_length=200)]
PriceMinor = Annotated[int, Field(ge=1, le=MAX_PRICE_MINOR), JSON_INTEGER]


class ProductBody(Body):
    """What an administrator decides about a product."""

    sku: Sku
    name: Name
    description: Text = ""
    category: Category
    currency: Currency
    price_minor: PriceMinor
    status: Status = "ACTIVE"

    def draft(self) -> Draft:
        """As the domain has it."""
        return Draft(**self.model_dump())


class ProductView(View):
    """A product."""

    id: UUID
    sku: str
    name: str
    description: str
    category: str
    currency: Currency
    price_minor: int
    status: Status
    version: int

    @classmethod
    def of(cls, product: Product) -> ProductView:
        """As clients get it."""
        draft = product.draft
        return cls(
            id=product.id,
            sku=draft.sku,
            name=draft.name,
            description=draft.description,
            category=draft.category,
            currency=draft.currency,
            price_minor=draft.price_minor,
            status=draft.status,
            version=product.version,
        )


class ProductQuery(PageQuery):
    """Which products to list."""

    q: Annotated[str, Field(pattern=NO_NUL, max_length=200, examples=["tent"])] | None = None
    category: Category | None = None


class CategoryView(View):
    """A category, and how many active products it has."""

    category: str
    products: int


class Categories(View):
    """All categories that have active products."""

    items: list[CategoryView]


class PriceView(View):
    """A price, and from when on it held."""

    currency: str
    price_minor: int
    valid_from: datetime


class QuotesQuery(QueryModel):
    """Which products to quote."""

    product_id: Annotated[list[UUID], Field(min_length=1, max_length=MAX_QUOTES)]


class QuoteView(View):
    """What a product costs now."""

    product_id: UUID
    sku: str
    name: str
    currency: Currency
    price_minor: PriceMinor
    status: Status

    @classmethod
    def of(cls, product: Product) -> QuoteView:
        """As other services get it."""
        draft = product.draft
        return cls(
            product_id=product.id,
            sku=draft.sku,
            name=draft.name,
            currency=draft.currency,
            price_minor=draft.price_minor,
            status=draft.status,
        )


class Quotes(View):
    """Quotes in the order asked for, each once, and the ids that are no product's."""

    items: list[QuoteView]
    unknown: list[UUID]


def encode(product: Product) -> bytes:
    """The body of a product's answer, as the cache keeps it."""
    return ProductView.of(product).model_dump_json().encode()
