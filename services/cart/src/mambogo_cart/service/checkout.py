"""From a cart to one order, however often and from however many tabs it is asked for.

One version of one cart is one order: the key that order-service gets is made of both, and what is sent under
it is fixed by whoever comes first, because prices may be seen anew between two clicks. The cart is emptied
when the order was acknowledged, and only if nobody has changed it meanwhile. Wherever this dies, the cart is
still there, and the next click gets the same order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec

from mambogo_cart.adapters.metrics import CartMetrics
from mambogo_cart.adapters.orders import OrderService, OrdersUnavailableError, Placed, Refusal, encoded
from mambogo_cart.adapters.quotes import QuotesUnavailableError
from mambogo_cart.adapters.store import CartStore
from mambogo_cart.domain.cart import Cart, order_lines
from mambogo_cart.service.carts import Carts
from mambogo_cart.settings import CartSettings
from mambogo_chassis import failpoints

# A cart that changes under each of so many looks is being filled, not bought.
_LOOKS: Final = 3

logger = logging.getLogger(__name__)


class EmptyCartError(Exception):
    """There is nothing to order."""


class CartChangedError(Exception):
    """The cart was changed while it was being ordered; nothing was ordered."""


class OrderRefusedError(Exception):
    """Order-service will not take the order as it is."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Ordered:
    """The order; `is_repeated` where an earlier click made it."""

    order: Placed
    is_repeated: bool


class Checkout:
    """Turns carts into orders."""

    def __init__(
        self,
        store: CartStore,
        carts: Carts,
        orders: OrderService,
        *,
        metrics: CartMetrics,
        settings: Callable[[], CartSettings],
    ) -> None:
        self._store = store
        self._carts = carts
        self._orders = orders
        self._metrics = metrics
        self._settings = settings

    async def order(self, user: str, token: str) -> Ordered:
        """Order what is in the cart, in the user's name.

        Raises EmptyCartError, CartChangedError, OrderRefusedError, OrdersUnavailableError and
        QuotesUnavailableError.
        """
        for _ in range(_LOOKS):
            start = await self._store.begin(user)
            if start.kind == "last":
                self._metrics.checked_out("repeated")
                return Ordered(msgspec.json.decode(start.body, type=Placed), is_repeated=True)
            if start.cart is None:
                raise EmptyCartError("The cart is empty.")
            body = start.body if start.kind == "frozen" else await self._freeze(user, start.cart)
            if body is not None:
                return Ordered(await self._place(user, start.cart, body, token), is_repeated=False)
        raise CartChangedError("The cart was changed meanwhile; nothing was ordered.")

    async def _freeze(self, user: str, cart: Cart) -> bytes | None:
        unseen = [item.product_id for item in cart.items if item.price is None]
        if unseen:
            # Prices are shared and may have been evicted; the next look finds them.
            learnt = await self._carts.learn(cart, unseen)
            if len(learnt) < len(unseen):
                raise QuotesUnavailableError("a product of the cart was never seen and does not exist")
            return None
        body = encoded(order_lines(cart))
        lifetime = timedelta(seconds=self._settings().checkout_frozen_seconds)
        frozen = await self._store.freeze(user, cart, body, lifetime)
        await failpoints.reach("checkout.frozen")
        return frozen

    async def _place(self, user: str, cart: Cart, body: bytes, token: str) -> Placed:
        try:
            answer = await self._orders.place(body, key=f"cart-{cart.cart_id}-{cart.version}", token=token)
        except OrdersUnavailableError:
            self._metrics.checked_out("unavailable")
            raise
        if isinstance(answer, Refusal):
            await self._refused(user, cart, body, answer)
            raise OrderRefusedError(answer)
        await failpoints.reach("checkout.acknowledged")
        remembered = timedelta(seconds=self._settings().checkout_remembered_seconds)
        if not await self._store.finish(user, cart, msgspec.json.encode(answer), remembered):
            self._metrics.kept()
        self._metrics.checked_out("ordered")
        return answer

    async def _refused(self, user: str, cart: Cart, body: bytes, refusal: Refusal) -> None:
        """Nothing was ordered: let the next checkout take the prices of that moment."""
        self._metrics.checked_out("refused")
        if refusal.status != 409 or refusal.code == "idempotency-in-progress":
            return
        await self._store.thaw(user, cart, body)
        try:
            await self._carts.learn(cart, [item.product_id for item in cart.items])
        except QuotesUnavailableError as error:
            logger.info("prices were not seen anew: %s", error)
