"""The business metrics: what was reserved, refused, sold, given back; counted after the commit."""

from __future__ import annotations

from collections.abc import Iterable

from mambogo_chassis.metrics import Metrics

from mambogo_inventory.domain.reservation import Decision, State

_ENDS = (State.SOLD, State.RELEASED, State.EXPIRED, State.LOST)


class InventoryMetrics:
    """What became of reservations in this process."""

    def __init__(self, metrics: Metrics) -> None:
        self._placed = metrics.counter(
            "inventory_reservations",
            "Orders that asked for stock.",
            outcome=("reserved", "out-of-stock", "unknown-product"),
        )
        self._prevented = metrics.counter(
            "inventory_oversell_prevented", "Orders refused because less was on hand than they asked for."
        )
        self._ended = metrics.counter(
            "inventory_reservations_ended",
            "Reservations that were sold, given back, not used in time, or confirmed too late.",
            state=tuple(state.value for state in _ENDS),
        )

    def count(self, decisions: Iterable[Decision]) -> None:
        """Count what a transaction decided; repetitions decide nothing new."""
        for decision in decisions:
            if decision.is_new:
                self._count(decision)

    def _count(self, decision: Decision) -> None:
        reservation = decision.reservation
        if reservation.state in _ENDS:
            self._ended.labels(state=reservation.state.value).inc()
            return
        outcome = "reserved" if reservation.state is State.RESERVED else reservation.reason
        self._placed.labels(outcome=outcome).inc()
        if outcome == "out-of-stock":
            self._prevented.labels().inc()
