"""What is weighed: operations that can be repeated.

The gateway is not among the services: it asks others for everything, and limits how often it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True, slots=True)
class Goods:
    """Ids of what is asked for; it belongs to who asks."""

    product_id: str
    sold_out_id: str  # of a product without stock: an order of it is rejected, and leaves nothing behind
    order_id: str
    payment_id: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a service, as its document names it, and how many of it are one batch."""

    service: str
    method: str
    path: str
    times: int
    query: str = ""
    # Its events are others' work after the answer, in whichever pod of the service that falls to.
    places_orders: bool = False

    @property
    def key(self) -> str:
        """What it is called within its service."""
        return f"{self.method} {self.path}"

    @property
    def name(self) -> str:
        """What it is called in what is found."""
        return f"{self.service} {self.key}"

    def url(self, goods: Goods) -> str:
        """Return what is asked for: path and query with the ids of what there is."""
        ids = {one.name: getattr(goods, one.name) for one in fields(Goods)}
        query = f"?{self.query}" if self.query else ""
        return f"{self.path}{query}".format_map(ids)


_READS: Final = 100  # an eighth of a second of CPU: what a pod does besides is little of it
_ORDERS: Final = 24  # what waits for their end costs two reads: a fortieth of what they do


# Pages are of five: so many there are on a new cluster, too.
OPERATIONS: Final = (
    Operation("order-service", "GET", "/api/orders/{order_id}", _READS),
    Operation("order-service", "GET", "/api/orders", _READS, query="limit=5"),
    Operation("order-service", "POST", "/api/orders", _ORDERS, places_orders=True),
    Operation("product-service", "GET", "/api/products/{product_id}", _READS),
    Operation("product-service", "GET", "/api/products", _READS, query="category=rehearsal&limit=5"),
    Operation("cart-service", "GET", "/api/carts/current", _READS),
    Operation("inventory-service", "GET", "/api/inventory/{product_id}", _READS),
    Operation("payment-service", "GET", "/api/payments", _READS, query="order_id={order_id}"),
    Operation("payment-service", "GET", "/api/payments/{payment_id}", _READS),
)
SERVICES: Final = tuple(dict.fromkeys(one.service for one in OPERATIONS))


def of(service: str) -> tuple[Operation, ...]:
    """Return the operations of a service that are weighed."""
    return tuple(one for one in OPERATIONS if one.service == service)
