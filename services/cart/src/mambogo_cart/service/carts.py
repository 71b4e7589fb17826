"""Keeps carts and shows them with product-service's prices, or with those last seen while it is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from mambogo_cart.adapters.metrics import CartMetrics
from mambogo_cart.adapters.quotes import ProductQuotes, QuotesUnavailableError
from mambogo_cart.adapters.store import CartStore
from mambogo_cart.domain.cart import Cart, Price
from mambogo_cart.settings import CartSettings

# Before any price was seen: any price will do.
_ANY: Final = datetime(1970, 1, 1, tzinfo=UTC)

logger = logging.getLogger(__name__)


class UnknownProductError(Exception):
    """There is no such product."""


class NotOnSaleError(Exception):
    """The product is not sold any more."""


class CartFullError(Exception):
    """The cart holds as many different products as it may."""


class Carts:
    """Everything but the checkout."""

    def __init__(
        self,
        store: CartStore,
        quotes: ProductQuotes,
        *,
        metrics: CartMetrics,
        settings: Callable[[], CartSettings],
    ) -> None:
        self._store = store
        self._quotes = quotes
        self._metrics = metrics
        self._settings = settings

    async def show(self, user: str) -> Cart:
        """The user's cart; prices that are not fresh are asked for, and shown as last seen if that fails."""
        cart = await self._store.read(user)
        stale = cart.without_prices_since(self._oldest_fresh())
        if not stale:
            return cart
        try:
            fresh = await self.learn(cart, stale)
        except QuotesUnavailableError as error:
            logger.info("prices last seen are shown: %s", error)
            self._metrics.showed_old_prices()
            return cart
        return _with_prices(cart, fresh)

    async def put(self, user: str, product_id: UUID, quantity: int) -> Cart:
        """Set the quantity of a product.

        Raises UnknownProductError, NotOnSaleError, CartFullError; QuotesUnavailableError for a product that
        nobody has seen yet.
        """
        cart = await self._put(user, product_id, quantity, self._oldest_fresh())
        if cart is None:
            oldest = await self._look_at(product_id)
            cart = await self._put(user, product_id, quantity, oldest)
        if cart is None:
            raise QuotesUnavailableError(f"no price of {product_id} was ever seen")
        return cart

    async def remove(self, user: str, product_id: UUID) -> bool:
        """Take a product out; whether it was in."""
        return await self._store.remove(user, product_id)

    async def clear(self, user: str) -> bool:
        """Empty the cart; whether there was one."""
        return await self._store.clear(user)

    async def learn(self, cart: Cart, product_ids: list[UUID]) -> dict[UUID, Price]:
        """Ask for prices and remember them; what has ceased to exist is not on sale any more.

        Raises QuotesUnavailableError.
        """
        prices = dict(await self._quotes.ask(product_ids))
        now = datetime.now(UTC)
        for item in cart.items:
            if item.product_id in product_ids and item.product_id not in prices and item.price is not None:
                prices[item.product_id] = replace(item.price, is_on_sale=False, seen_at=now)
        await self._store.remember(prices)
        return prices

    async def _put(self, user: str, product_id: UUID, quantity: int, oldest_price: datetime) -> Cart | None:
        settings = self._settings()
        answer = await self._store.put(
            user,
            product_id,
            quantity,
            max_lines=settings.cart_max_lines,
            lifetime=settings.cart_lifetime,
            oldest_price=oldest_price,
        )
        if answer == "full":
            raise CartFullError(f"A cart holds at most {settings.cart_max_lines} products.")
        return answer if isinstance(answer, Cart) else None

    async def _look_at(self, product_id: UUID) -> datetime:
        """Ask for one product; the oldest price that will do from now on."""
        try:
            prices = await self._quotes.ask([product_id])
        except QuotesUnavailableError as error:
            logger.info("a price last seen has to do: %s", error)
            return _ANY
        if product_id not in prices:
            raise UnknownProductError(f"There is no product {product_id}.")
        if not prices[product_id].is_on_sale:
            raise NotOnSaleError(f"Product {product_id} is not on sale.")
        await self._store.remember(prices)
        return _ANY

    def _oldest_fresh(self) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self._settings().price_fresh_seconds)


def _with_prices(cart: Cart, prices: dict[UUID, Price]) -> Cart:
    return replace(
        cart,
        items=[replace(item, price=prices.get(item.product_id, item.price)) for item in cart.items],
    )
