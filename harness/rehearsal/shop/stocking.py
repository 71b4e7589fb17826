"""Products and stock of a run's own: no stage disturbs another's numbers."""

from __future__ import annotations

import uuid

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.client import NewProduct, Shop

_PRICE_MINOR = 1299  # arbitrary; what the payment sandbox declines is by other amounts


async def stock_up(shop: Shop, prefix: str, *, products: int, units: int) -> tuple[str, ...]:
    """Make products with so many units each and return their ids.

    Raises EnvironmentNotReadyError when the shop refuses: without goods nothing can be looked at.
    """
    ids: list[str] = []
    for number in range(products):
        # A run may be repeated on a kept cluster, with the same seed: a SKU must not.
        sku = f"{prefix}-{uuid.uuid4().hex[:8]}".upper()
        made = _taken(await shop.create_product(NewProduct(sku, f"{prefix} {number}", _PRICE_MINOR)), sku)
        product_id = str(made.body["id"])
        _taken(await shop.set_stock(product_id, units), f"stock of {sku}")
        ids.append(product_id)
    return tuple(ids)


def _taken(answer: Answer, what: str) -> Answer:
    if answer.kind is not Kind.OK:
        raise EnvironmentNotReadyError(
            "SHOP_NOT_STOCKED",
            f"the shop does not take {what}: {answer}",
            hint="`kubectl get pods -A` shows which service is down.",
        )
    return answer
