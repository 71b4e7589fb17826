"""What clients send and get, validated exactly as it is published."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from mambogo_cart.adapters.orders import Placed
from mambogo_cart.domain.cart import MAX_QUANTITY, Cart, Item
from mambogo_chassis.http.types import JSON_INTEGER, Body, View


class ItemBody(Body):
    """How many of a product; prices are never the client's to say."""

    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY), JSON_INTEGER]


class ItemView(View):
    """A product in the cart, with what was last seen of it; nothing of that where it was never seen."""

    product_id: UUID
    quantity: int
    name: str | None
    currency: str | None
    unit_price_minor: int | None
    is_on_sale: bool | None
    price_seen_at: datetime | None


class CartView(View):
    """A cart. `total_minor` is null where a price is not known or products have different currencies."""

    cart_id: UUID | None
    version: int
    items: list[ItemView]
    currency: str | None
    total_minor: int | None


class OrderedView(View):
    """The order that a checkout made; all of it is at its `Location`."""

    order_id: UUID
    state: str
    currency: str
    total_minor: int


def view(cart: Cart) -> CartView:
    """A cart as clients see it."""
    currency, total_minor = cart.total or (None, None)
    return CartView(
        cart_id=cart.cart_id,
        version=cart.version,
        items=[_item(item) for item in cart.items],
        currency=currency,
        total_minor=total_minor,
    )


def ordered(order: Placed) -> OrderedView:
    """An order as the cart's user sees it."""
    return OrderedView(
        order_id=order.order_id, state=order.state, currency=order.currency, total_minor=order.total_minor
    )


def _item(item: Item) -> ItemView:
    price = item.price
    return ItemView(
        product_id=item.product_id,
        quantity=item.quantity,
        name=price.name if price else None,
        currency=price.currency if price else None,
        unit_price_minor=price.unit_price_minor if price else None,
        is_on_sale=price.is_on_sale if price else None,
        price_seen_at=price.seen_at if price else None,
    )
