"""A cart, its items and the prices that they were last seen at, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

# Order-service's bounds: what a cart holds can be ordered.
MAX_QUANTITY: Final = 1000
MAX_LINES: Final = 100


@dataclass(frozen=True, slots=True)
class Price:
    """What product-service last said about a product, and when."""

    name: str
    currency: str
    unit_price_minor: int
    is_on_sale: bool
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Item:
    """So many of one product; `price` is None where none was ever seen."""

    product_id: UUID
    quantity: int
    price: Price | None


@dataclass(frozen=True, slots=True)
class Cart:
    """One user's cart. `version` grows with every change; an empty cart that was never filled has no id."""

    cart_id: UUID | None
    version: int
    items: Sequence[Item]

    @property
    def total(self) -> tuple[str, int] | None:
        """Currency and sum; None where a price is not known or there is no one currency."""
        prices = [item.price for item in self.items if item.price is not None]
        currencies = {price.currency for price in prices}
        if len(prices) < len(self.items) or len(currencies) != 1:
            return None
        total = sum(
            item.quantity * item.price.unit_price_minor for item in self.items if item.price is not None
        )
        return currencies.pop(), total

    def without_prices_since(self, oldest: datetime) -> list[UUID]:
        """Products whose price was last seen before `oldest`, or never."""
        return [item.product_id for item in self.items if item.price is None or item.price.seen_at < oldest]


def order_lines(cart: Cart) -> list[dict[str, object]]:
    """The lines of the order that a cart asks for, at the prices that it shows; all have to be known."""
    return [
        {
            "product_id": str(item.product_id),
            "quantity": item.quantity,
            "expected_unit_price_minor": _price_of(item),
        }
        for item in cart.items
    ]


def _price_of(item: Item) -> int:
    if item.price is None:
        raise ValueError(f"no price of {item.product_id} was ever seen")
    return item.price.unit_price_minor
