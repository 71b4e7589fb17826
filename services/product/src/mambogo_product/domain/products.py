"""Products, and what changing one means. Storing them is `adapters.tables`'."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

Status: TypeAlias = Literal["ACTIVE", "DISCONTINUED"]
# What the shop sells in.
Currency: TypeAlias = Literal["CHF", "EUR", "GBP", "JPY", "USD"]

# Ten million of most currencies. A line of 1,000 and an order of 100 lines stay below 2^53 with it.
MAX_PRICE_MINOR: Final = 1_000_000_000


class SkuTakenError(Exception):
    """Another product has this SKU."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything about a product that an administrator decides."""

    sku: str
    name: str
    description: str
    category: str
    currency: Currency
    price_minor: int
    status: Status


@dataclass(frozen=True, slots=True)
class Product:
    """One product in one version."""

    id: UUID
    version: int
    draft: Draft


@dataclass(frozen=True, slots=True)
class PricePoint:
    """A price, from when on it held, and its place in the history."""

    id: int
    currency: str
    price_minor: int
    valid_from: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What replacing a product's data comes to."""

    product: Product
    is_new_version: bool
    is_new_price: bool


def replace(current: Product, draft: Draft) -> Change:
    """The next version; the same one when nothing differs, so that a repetition has no effect."""
    if draft == current.draft:
        return Change(current, is_new_version=False, is_new_price=False)
    before = current.draft
    is_new_price = (before.currency, before.price_minor) != (draft.currency, draft.price_minor)
    product = Product(current.id, current.version + 1, draft)
    return Change(product, is_new_version=True, is_new_price=is_new_price)
