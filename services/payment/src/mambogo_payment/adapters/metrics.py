"""The business metrics: money taken, declined and given back; counted after the commit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from mambogo_chassis.metrics import Metrics

from mambogo_payment.adapters.tables import Backlog
from mambogo_payment.domain.payment import Change, Told

OPERATIONS: Final = ("find", "authorise", "capture", "refund", "close")
WEBHOOKS: Final = ("hint", "settled", "unknown", "refused")


class PaymentMetrics:
    """What this process did; `payments_waiting` and its like are of the database: take `max` over pods."""

    def __init__(self, metrics: Metrics) -> None:
        self._ended = metrics.counter(
            "payments", "What became of payments.", outcome=tuple(what.value for what in Told)
        )
        self._revenue = metrics.counter(
            "payment_revenue_minor", "Money captured, in minor units.", currency=()
        )
        self._given_back = metrics.counter(
            "payment_refunded_minor", "Money given back, in minor units.", currency=()
        )
        self._calls = metrics.counter(
            "payment_provider_calls",
            "Calls to the payment provider.",
            operation=OPERATIONS,
            outcome=("ok", "refused", "unknown", "unavailable"),
        )
        self._webhooks = metrics.counter("payment_webhooks", "Webhooks that came.", outcome=WEBHOOKS)
        self._backlog: Backlog | None = None
        for name, text, read in (
            ("payments_waiting", "Payments that the provider has to be turned to for.", self._waiting),
            ("payment_unknown_outcomes", "Payments whose last call had no answer.", self._unknown),
            ("payment_oldest_waiting_seconds", "Age of the oldest of those that wait.", self._oldest),
        ):
            metrics.gauge_callback(name, text, read)

    def count(self, changes: Iterable[Change]) -> None:
        """Count what a transaction changed; repetitions change nothing."""
        for change in changes:
            if change.is_new:
                for what in change.told:
                    self._count(change, what)

    def called(self, operation: str, outcome: str) -> None:
        """A call to the provider ended."""
        self._calls.labels(operation=operation, outcome=outcome).inc()

    def webhook(self, outcome: str) -> None:
        """A webhook came."""
        self._webhooks.labels(outcome=outcome).inc()

    def show(self, backlog: Backlog | None) -> None:
        """What waits, as it was read last; None when it could not be read."""
        self._backlog = backlog

    def _count(self, change: Change, what: Told) -> None:
        self._ended.labels(outcome=what.value).inc()
        money = change.payment.money
        if money is None:
            return
        if what is Told.CAPTURED:
            self._revenue.labels(currency=money.currency).inc(money.amount_minor)
        elif what is Told.REFUNDED:
            self._given_back.labels(currency=money.currency).inc(money.amount_minor)

    def _waiting(self) -> float:
        return self._backlog.waiting if self._backlog is not None else math.nan

    def _unknown(self) -> float:
        return self._backlog.unknown if self._backlog is not None else math.nan

    def _oldest(self) -> float:
        return self._backlog.oldest_seconds if self._backlog is not None else math.nan
