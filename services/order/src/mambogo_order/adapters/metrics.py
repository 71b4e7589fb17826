"""The business metrics of order-service.

What was done is counted after its commit, and not by a process that dies before. Sums of money that have to
be right are read from the database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from mambogo_chassis.metrics import Metrics
from mambogo_order.domain.model import CURRENCIES, Order, State
from mambogo_order.domain.sweeping import Action

# The goal is 0.3 s at p99; from there on to where the sweeper gives up.
_CONFIRMATION_BUCKETS_SECONDS: Final = (
    0.05,
    0.1,
    0.2,
    0.3,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    600.0,
)
_OUTCOMES: Final = tuple(state.value.lower() for state in State)
# What is sold, and what of it was taken back.
_KINDS: Final = ("confirmed", "reversed")


class OrderMetrics:
    """Declares them, and counts."""

    def __init__(self, metrics: Metrics) -> None:
        self._orders = metrics.counter("orders", "Orders that came to a state.", state=_OUTCOMES)
        self._revenue = metrics.counter(
            "orders_revenue_minor",
            "Minor units of confirmed orders, and of those that were cancelled afterwards.",
            currency=CURRENCIES,
            kind=_KINDS,
        )
        self._confirmation = metrics.histogram(
            "order_confirmation_seconds",
            "From placement to confirmation.",
            buckets=_CONFIRMATION_BUCKETS_SECONDS,
        ).labels()
        self._passed = metrics.counter(
            "order_facts_passed_over", "Events that came again or too late."
        ).labels()
        self._sweeps = metrics.counter(
            "order_sweeps", "Waiting orders that were due.", action=tuple(action.value for action in Action)
        )

    def placed(self) -> None:
        """An order was placed."""
        self._orders.labels(state=State.PENDING.lower()).inc()

    def moved(self, before: State, order: Order) -> None:
        """An order came from `before` to where it is."""
        self._orders.labels(state=order.state.lower()).inc()
        if order.state is State.CONFIRMED:
            self._revenue.labels(currency=order.currency, kind="confirmed").inc(order.total_minor)
            # By the database's clock and this pod's: their difference is far below the smallest bucket.
            self._confirmation.observe(max((datetime.now(UTC) - order.placed_at).total_seconds(), 0.0))
        elif before is State.CONFIRMED:
            self._revenue.labels(currency=order.currency, kind="reversed").inc(order.total_minor)

    def passed_over(self) -> None:
        """An event changed nothing."""
        self._passed.inc()

    def swept(self, action: Action) -> None:
        """The sweeper did something for an order."""
        self._sweeps.labels(action=action.value).inc()
