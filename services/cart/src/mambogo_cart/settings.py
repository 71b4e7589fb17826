"""What cart-service can be told, besides the chassis' settings."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from mambogo_cart.domain.cart import MAX_LINES
from mambogo_chassis.redis import RedisSettings
from mambogo_chassis.settings import ServiceSettings, refreshable


class CartSettings(ServiceSettings, RedisSettings):
    """Settings of one cart-service process."""

    product_service: str = "product-service"
    order_service: str = "order-service"

    cart_max_lines: int = refreshable(50, ge=1, le=MAX_LINES)
    # Since its last change.
    cart_lifetime_seconds: float = refreshable(30 * 86_400.0, ge=60, le=366 * 86_400)
    # A price that was seen within this is shown without asking again; at checkout order-service asks anyway.
    price_fresh_seconds: float = refreshable(5.0, ge=0, le=3600)
    # A cart is shown with prices last seen rather than late.
    price_timeout_seconds: float = refreshable(0.5, gt=0, le=30)
    # A checkout of an empty cart within this after another one is its second click.
    checkout_remembered_seconds: float = refreshable(60.0, ge=1, le=3600)
    # As long as order-service remembers keys: until then every try of one version sends the same order.
    checkout_frozen_seconds: float = Field(default=86_400.0, ge=60, le=86_400)

    @property
    def cart_lifetime(self) -> timedelta:
        """How long a cart is kept."""
        return timedelta(seconds=self.cart_lifetime_seconds)
