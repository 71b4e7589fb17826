"""A product-service as order-service sees it: quotes over real HTTP, or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from mambogo_testkit.peers import Behaviour, Peer, PeerReply, PeerRequest, peer

PRICE_MINOR = 1250


@dataclass
class Catalogue:
    """Its products by id, as (price, currency, status)."""

    server: Peer
    products: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    def add(self, price_minor: int = PRICE_MINOR, currency: str = "EUR", status: str = "ACTIVE") -> UUID:
        """A product."""
        product_id = uuid4()
        self.products[str(product_id)] = (price_minor, currency, status)
        return product_id

    def answer(self, request: PeerRequest) -> PeerReply:
        """What product-service answers to a request for quotes."""
        asked = request.query["product_id"]
        known = [product_id for product_id in asked if product_id in self.products]
        items = [quote(product_id, *self.products[product_id]) for product_id in known]
        return PeerReply(200, {"items": items, "unknown": [name for name in asked if name not in known]})

    def behave(self, behaviour: Behaviour) -> None:
        """Answer otherwise from now on."""
        self.server.behaviour = behaviour


def quote(
    product_id: str, price_minor: int = PRICE_MINOR, currency: str = "EUR", status: str = "ACTIVE"
) -> dict[str, object]:
    """A quote as product-service writes it."""
    return {
        "product_id": product_id,
        "sku": f"SKU-{product_id[:8]}",
        "name": "Mug",
        "currency": currency,
        "price_minor": price_minor,
        "status": status,
    }


@contextmanager
def catalogue() -> Iterator[Catalogue]:
    """A product-service for the length of the block."""
    with peer(lambda request: PeerReply(503)) as server:
        made = Catalogue(server)
        made.behave(made.answer)
        yield made
