"""Carts and last seen prices in Redis.

Every change is one script (`scripts`), so that two tabs can never leave half of each behind. What Redis
raises passes through: without it there are no carts, and clients are told to come again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID, uuid4

import msgspec

from mambogo_cart.adapters import scripts
from mambogo_cart.domain.cart import Cart, Item, Price
from mambogo_chassis.redis import Redis

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_PRICES: Final = "cart-prices"
# Prices that nobody has seen for so long are of products that nobody puts into carts any more.
_PRICES_LIFETIME_MS: Final = 7 * 86_400_000


class _StoredPrice(msgspec.Struct, array_like=True):
    # An array with the time first: a script reads the leading digits.
    seen_ms: int
    unit_price_minor: int
    currency: str
    is_on_sale: bool
    name: str


@dataclass(frozen=True, slots=True)
class Start:
    """What a checkout begins with: the cart, the body frozen for it, or the answer of the last one."""

    kind: Literal["open", "frozen", "last", "empty"]
    cart: Cart | None = None
    body: bytes = b""


class CartStore:
    """All users' carts."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._read = redis.register_script(scripts.READ)
        self._put = redis.register_script(scripts.PUT)
        self._remove = redis.register_script(scripts.REMOVE)
        self._begin = redis.register_script(scripts.BEGIN)
        self._freeze = redis.register_script(scripts.FREEZE)
        self._thaw = redis.register_script(scripts.THAW)
        self._finish = redis.register_script(scripts.FINISH)

    async def read(self, user: str) -> Cart:
        """The user's cart; an empty one where there is none."""
        return _cart(await self._read(keys=[_cart_key(user), _PRICES]))

    async def put(
        self,
        user: str,
        product_id: UUID,
        quantity: int,
        *,
        max_lines: int,
        lifetime: timedelta,
        oldest_price: datetime,
    ) -> Cart | Literal["price", "full"]:
        """Set the quantity of a product whose price was seen after `oldest_price`; else nothing is done."""
        arguments: list[str | int] = [
            str(product_id),
            quantity,
            str(uuid4()),
            max_lines,
            lifetime // _MILLISECOND,
            _milliseconds(oldest_price),
        ]
        answer = await self._put(keys=[_cart_key(user), _PRICES], args=arguments)
        match answer[0]:
            case b"price":
                return "price"
            case b"full":
                return "full"
            case _:
                return _cart(answer[1])

    async def remove(self, user: str, product_id: UUID) -> bool:
        """Take a product out; whether it was in."""
        return bool(await self._remove(keys=[_cart_key(user)], args=[str(product_id)]))

    async def clear(self, user: str) -> bool:
        """Empty the cart; whether there was one."""
        return bool(await self._redis.delete(_cart_key(user)))

    async def remember(self, prices: Mapping[UUID, Price]) -> None:
        """Keep prices for everybody who has these products in a cart."""
        if not prices:
            return
        stored: list[Any] = []
        for product_id, price in prices.items():
            stored += (str(product_id), _encoded(price))
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hset(_PRICES, items=stored)
            pipeline.pexpire(_PRICES, _PRICES_LIFETIME_MS)
            await pipeline.execute()

    async def begin(self, user: str) -> Start:
        """Look at the cart for a checkout."""
        answer = await self._begin(keys=[_cart_key(user), _PRICES, _frozen_key(user), _last_key(user)])
        match answer[0]:
            case b"open":
                return Start("open", _cart(answer[1]))
            case b"frozen":
                return Start("frozen", _cart(answer[1]), answer[2])
            case b"last":
                return Start("last", None, answer[1])
            case _:
                return Start("empty")

    async def freeze(self, user: str, cart: Cart, body: bytes, lifetime: timedelta) -> bytes | None:
        """Fix what this version is ordered with; what was fixed first, or None for a changed cart."""
        frozen: bytes | None = await self._freeze(
            keys=[_cart_key(user), _frozen_key(user)],
            args=[*_version(cart), body, lifetime // _MILLISECOND],
        )
        return frozen

    async def thaw(self, user: str, cart: Cart, body: bytes) -> None:
        """Forget what this version was to be ordered with."""
        await self._thaw(keys=[_frozen_key(user)], args=[*_version(cart), body])

    async def finish(self, user: str, cart: Cart, answer: bytes, remembered: timedelta) -> bool:
        """Empty an ordered cart unless it has changed, and remember the answer for a second click."""
        return bool(
            await self._finish(
                keys=[_cart_key(user), _frozen_key(user), _last_key(user)],
                args=[*_version(cart), answer, remembered // _MILLISECOND],
            )
        )


def _cart_key(user: str) -> str:
    return f"cart:{user}"


def _frozen_key(user: str) -> str:
    return f"cart-checkout:{user}"


def _last_key(user: str) -> str:
    return f"cart-ordered:{user}"


def _version(cart: Cart) -> tuple[str, int]:
    return str(cart.cart_id), cart.version


def _cart(answer: Sequence[Any]) -> Cart:
    cart_id, version, products, values, prices = answer
    rows = [
        (int(position), Item(UUID(product.decode()), int(quantity), _price(price)))
        for product, value, price in zip(products, values, prices, strict=True)
        for quantity, _, position in (value.partition(b":"),)
    ]
    rows.sort(key=lambda row: row[0])
    return Cart(UUID(cart_id.decode()) if cart_id else None, int(version), [item for _, item in rows])


def _price(raw: bytes | None) -> Price | None:
    if raw is None:
        return None
    stored = msgspec.json.decode(raw, type=_StoredPrice)
    return Price(
        stored.name,
        stored.currency,
        stored.unit_price_minor,
        stored.is_on_sale,
        _EPOCH + stored.seen_ms * _MILLISECOND,
    )


def _encoded(price: Price) -> bytes:
    return msgspec.json.encode(
        _StoredPrice(
            _milliseconds(price.seen_at),
            price.unit_price_minor,
            price.currency,
            price.is_on_sale,
            price.name,
        )
    )


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
