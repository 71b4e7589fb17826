"""Places orders: prices first, outside of any transaction; then order, lines and event in one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from mambogo_chassis import failpoints
from mambogo_chassis.database import Connection, pipelined
from mambogo_chassis.events import Outbox
from mambogo_order.adapters import orders
from mambogo_order.adapters.events import event_of
from mambogo_order.domain.model import Order, State
from mambogo_order.domain.placing import Draft, Quote, Wish, draft, require_distinct
from mambogo_order.domain.sweeping import Patience


class Quotes(Protocol):
    """Who knows what products cost; `adapters.quotes.ProductQuotes` in life."""

    async def ask(self, product_ids: Sequence[UUID]) -> Mapping[UUID, Quote]: ...


class Placer:
    """Makes orders out of wishes."""

    def __init__(self, quotes: Quotes, outbox: Outbox, patience: Callable[[], Patience]) -> None:
        self._quotes = quotes
        self._outbox = outbox
        self._patience = patience

    async def price(self, wishes: Sequence[Wish], currency: str | None) -> Draft:
        """Ask for the prices of `wishes`. Raises the PlacementErrors, and what the quotes raise."""
        require_distinct(wishes)
        quotes = await self._quotes.ask([wish.product_id for wish in wishes])
        await failpoints.reach("order.priced")
        return draft(wishes, quotes, currency)

    async def place(self, connection: Connection, user_id: str, wanted: Draft) -> Order:
        """Store a priced order and its event in the caller's transaction."""
        now = datetime.now(UTC)
        order = Order(uuid4(), user_id, State.PENDING, 1, wanted.currency, wanted.total_minor, now, now)
        event = event_of(order, wanted.lines)
        # The event waits for the order's statement: both are one round trip.
        async with pipelined(connection):
            await self._outbox.append(connection, event, subject=str(order.order_id))
            sweep_after = self._patience().resend_after
            order = await orders.insert(connection, order, wanted.lines, sweep_after=sweep_after)
        await failpoints.reach("order.inserted")
        return order
