"""What operations are asked for: products, an order, its payment, a cart with something in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import httpx

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Emit
from rehearsal.load.weighing.operations import Goods
from rehearsal.shop.answers import Answer
from rehearsal.shop.client import Line, Shop
from rehearsal.shop.stocking import stock_up

_UNITS: Final = 10  # for one order
_LOOK_SECONDS: Final = 0.25
_CONFIRMED: Final = "CONFIRMED"
_CART: Final = "/api/carts/current"


class PaidShop(Shop, Protocol):
    """A shop of which payments can be asked for, too."""

    async def payments_of(self, user: str, order_id: str) -> Answer:
        """Get the payments of an order."""


async def prepare(shop: PaidShop, user: str, end_seconds: float, emit: Emit) -> Goods:
    """Make what the operations ask for, as one user's.

    Raises EnvironmentNotReadyError when the shop makes no products or confirms no order.
    """
    (product_id,) = await stock_up(shop, "weigh", products=1, units=_UNITS, emit=emit)
    (sold_out_id,) = await stock_up(shop, "weigh", products=1, units=0, emit=emit)
    placed = await shop.place_order(user, [Line(product_id, 1)], key=f"weigh-{product_id}")
    order_id = str(placed.body.get("order_id", ""))
    last, until = placed, asyncio.get_running_loop().time() + end_seconds
    while order_id and asyncio.get_running_loop().time() < until:
        last = await shop.order(user, order_id)
        if last.body.get("state") == _CONFIRMED:
            paid = await shop.payments_of(user, order_id)
            return Goods(product_id, sold_out_id, order_id, str(paid.body["items"][0]["payment_id"]))
        await asyncio.sleep(_LOOK_SECONDS)
    raise EnvironmentNotReadyError(
        "NO_ORDER_TO_WEIGH",
        f"an order was not confirmed: {last} {last.body.get('state', '')}".rstrip(),
        hint="`rehearsal shop` follows one order through the shop.",
    )


@contextmanager
def filled_cart(client: httpx.Client, goods: Goods) -> Iterator[None]:
    """Have one product in the user's cart for the length of the block; afterwards it is empty.

    Raises EnvironmentNotReadyError when the cart does not take it.
    """
    try:
        client.put(f"{_CART}/items/{goods.product_id}", json={"quantity": 1}).raise_for_status()
    except httpx.HTTPError as error:
        raise EnvironmentNotReadyError(
            "CART_NOT_FILLED",
            f"nothing could be put into a cart: {error}",
            hint="`kubectl logs -n mambogo-production deployment/cart-service` says why.",
        ) from error
    try:
        yield
    finally:
        client.delete(_CART)
