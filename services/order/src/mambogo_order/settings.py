"""What order-service can be told, besides the chassis' settings."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from mambogo_chassis.database import DatabaseSettings
from mambogo_chassis.events import EventSettings
from mambogo_chassis.settings import ServiceSettings, refreshable
from mambogo_order.domain.sweeping import Patience


class OrderSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """Settings of one order-service process."""

    product_service: str = "product-service"
    # What placing takes after the quotes: a request with less left is refused before anything is stored.
    placement_reserve_seconds: float = refreshable(0.05, ge=0, le=5)

    sweep_interval_seconds: float = refreshable(5.0, gt=0, le=300)
    # One transaction's worth: each order costs three statements, and all have to fit into its 5 s.
    sweep_batch_orders: int = Field(default=100, ge=1, le=1000)
    # Far above what an order takes when all is well (0.3 s); below what a shopper waits.
    order_resend_after_seconds: float = refreshable(15.0, gt=0, le=3600)
    # Pauses double up to this: an hour's outage must not fill outbox and topic with repetitions.
    order_resend_every_max_seconds: float = refreshable(60.0, gt=0, le=3600)
    # Past it an order is cancelled. Ten minutes outlive a node's loss and a broker's restart.
    order_give_up_after_seconds: float = refreshable(600.0, gt=0, le=86_400)

    @property
    def patience(self) -> Patience:
        """The sweeper's bounds."""
        return Patience(
            timedelta(seconds=self.order_resend_after_seconds),
            timedelta(seconds=self.order_resend_every_max_seconds),
            timedelta(seconds=self.order_give_up_after_seconds),
        )
