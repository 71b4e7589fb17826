"""The business metrics of cart-service."""

from __future__ import annotations

from typing import Final, Literal

from mambogo_chassis.metrics import Metrics

Outcome = Literal["ordered", "repeated", "refused", "unavailable"]
OUTCOMES: Final = ("ordered", "repeated", "refused", "unavailable")


class CartMetrics:
    """Declares them, and counts."""

    def __init__(self, metrics: Metrics) -> None:
        self._checkouts = metrics.counter("cart_checkouts", "Checkouts by how they ended.", outcome=OUTCOMES)
        self._changed = metrics.counter(
            "cart_kept_after_order", "Carts that had changed while they were ordered, and were kept."
        ).labels()
        self._old_prices = metrics.counter(
            "cart_old_prices_shown", "Carts shown with prices last seen: product-service was away."
        ).labels()

    def checked_out(self, outcome: Outcome) -> None:
        """A checkout ended."""
        self._checkouts.labels(outcome=outcome).inc()

    def kept(self) -> None:
        """An ordered cart was not emptied."""
        self._changed.inc()

    def showed_old_prices(self) -> None:
        """A cart was shown without asking for prices."""
        self._old_prices.inc()
