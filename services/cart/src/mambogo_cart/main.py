"""Puts cart-service together: `python -m mambogo_cart.main`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter

from mambogo_cart.adapters.metrics import CartMetrics
from mambogo_cart.adapters.orders import OrderService
from mambogo_cart.adapters.quotes import ProductQuotes
from mambogo_cart.adapters.store import CartStore
from mambogo_cart.api.operations import Operations
from mambogo_cart.service.carts import Carts
from mambogo_cart.service.checkout import Checkout
from mambogo_cart.settings import CartSettings
from mambogo_chassis.redis import Redis, use_redis
from mambogo_chassis.service import Service

NAME: Final = "cart-service"
TITLE: Final = "Carts"


@dataclass(frozen=True, slots=True)
class Parts:
    """What cart-service consists of."""

    redis: Redis
    routers: list[APIRouter]


def assemble(service: Service[CartSettings]) -> Parts:
    """Register every part of cart-service."""

    def settings() -> CartSettings:
        return service.settings.current

    redis = use_redis(service)
    store = CartStore(redis)
    metrics = CartMetrics(service.metrics)
    quotes = ProductQuotes(
        service.client(settings().product_service), lambda: settings().price_timeout_seconds
    )
    orders = OrderService(service.client(settings().order_service))
    carts = Carts(store, quotes, metrics=metrics, settings=settings)
    checkout = Checkout(store, carts, orders, metrics=metrics, settings=settings)
    return Parts(redis, [Operations(carts, checkout).router()])


def main() -> None:
    """Serve until SIGTERM."""
    service = Service.load(CartSettings, NAME)
    service.run(title=TITLE, routers=assemble(service).routers)


if __name__ == "__main__":
    main()
