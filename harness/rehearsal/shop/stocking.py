"""Products and stock of a run's own: no stage disturbs another's numbers.

Nothing is judged here, so an unclear answer is asked again, a few times, and each time is said: right after a
fault an instance of the gateway may still know an address that is gone.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Emit, Level, Notice
from rehearsal.shop.answers import Answer, Kind, id_of
from rehearsal.shop.client import NewProduct, Shop

_PRICE_MINOR = 1299  # arbitrary; what the payment sandbox declines is by other amounts
# Together half a minute: longer than stale addresses live, shorter than anybody calls a shop well again.
_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0)


async def stock_up(shop: Shop, prefix: str, *, products: int, units: int, emit: Emit) -> tuple[str, ...]:
    """Make products with so many units each and return their ids.

    Raises EnvironmentNotReadyError when the shop refuses, or gives no clear answer however often it is asked:
    without goods nothing can be looked at.
    """
    return tuple(
        [
            await stock_one(shop, prefix, f"{prefix} {number}", _PRICE_MINOR, units, emit)
            for number in range(products)
        ]
    )


async def stock_one(shop: Shop, prefix: str, name: str, price_minor: int, units: int, emit: Emit) -> str:
    """Make one product with so many units and return its id; raises as `stock_up` does."""

    async def create() -> Answer:
        # A run may be repeated on a kept cluster, with the same seed: a SKU must not. Nor when asked again:
        # the product may have been made. One that nobody knows of has no stock, and is in nobody's way.
        sku = f"{prefix}-{uuid.uuid4().hex[:8]}".upper()
        return await shop.create_product(NewProduct(sku, name, price_minor))

    product_id = id_of(await _taken(create, f"a product of {prefix}", emit), name)
    await _taken(lambda: shop.set_stock(product_id, units), f"the stock of {name}", emit)
    return product_id


async def _taken(ask: Callable[[], Awaitable[Answer]], what: str, emit: Emit) -> Answer:
    """Ask until the answer is clear, or the last pause is over."""
    answer = await ask()
    for pause in _PAUSES_SECONDS:
        if answer.kind is not Kind.INFO:
            break
        emit(Notice(Level.WARNING, f"the shop does not take {what}: {answer}; it is asked again"))
        await asyncio.sleep(pause)
        answer = await ask()
    if answer.kind is not Kind.OK:
        raise EnvironmentNotReadyError(
            "SHOP_NOT_STOCKED",
            f"the shop does not take {what}: {answer}",
            hint="`kubectl get pods -A` shows which service is down.",
        )
    return answer
