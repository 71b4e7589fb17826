"""What clients send and get, validated exactly as it is published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from mambogo_chassis.http.types import JSON_INTEGER, Body, NonNegativeInt, View
from mambogo_order.domain.model import MAX_LINES, MAX_QUANTITY, Line, Order, Reason, State, Step
from mambogo_order.domain.placing import Wish

Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY), JSON_INTEGER]
# The same as domain.model.CURRENCIES; a Literal cannot be computed, a test compares them.
Currency = Literal["EUR", "USD", "GBP", "CHF", "JPY"]


class LineBody(Body):
    """A line of a new order."""

    product_id: UUID
    quantity: Quantity
    expected_unit_price_minor: Annotated[
        NonNegativeInt | None,
        Field(description="The price that was shown; the order is refused when it is another now."),
    ] = None

    def wish(self) -> Wish:
        """Free of the framework."""
        return Wish(self.product_id, self.quantity, self.expected_unit_price_minor)


class OrderBody(Body):
    """A new order. Prices, totals, owner and state are never the client's to say."""

    lines: Annotated[list[LineBody], Field(min_length=1, max_length=MAX_LINES)]
    currency: Annotated[Currency | None, Field(description="The currency that is expected, if any.")] = None


class LineView(View):
    """A line at the price of the moment of placement."""

    product_id: UUID
    quantity: int
    unit_price_minor: int


class StepView(View):
    """A state, and when and why it began; `sequence` is that of its event."""

    sequence: int
    state: State
    reason: Reason | None
    at: datetime


class OrderSummary(View):
    """An order in a list."""

    order_id: UUID
    state: State
    reason: Reason | None
    currency: str
    total_minor: int
    refunded_minor: int
    payment_id: UUID | None
    placed_at: datetime
    updated_at: datetime


class OrderView(OrderSummary):
    """An order, whole."""

    lines: list[LineView]
    history: list[StepView]


def summary(order: Order) -> OrderSummary:
    """An order for a list."""
    return OrderSummary(
        order_id=order.order_id,
        state=order.state,
        reason=order.reason,
        currency=order.currency,
        total_minor=order.total_minor,
        refunded_minor=order.refunded_minor,
        payment_id=order.payment_id,
        placed_at=order.placed_at,
        updated_at=order.updated_at,
    )


def view(order: Order, lines: Sequence[Line], history: Sequence[Step]) -> OrderView:
    """An order with all that belongs to it."""
    return OrderView(
        order_id=order.order_id,
        state=order.state,
        reason=order.reason,
        currency=order.currency,
        total_minor=order.total_minor,
        refunded_minor=order.refunded_minor,
        payment_id=order.payment_id,
        placed_at=order.placed_at,
        updated_at=order.updated_at,
        lines=[
            LineView(
                product_id=line.product_id, quantity=line.quantity, unit_price_minor=line.unit_price_minor
            )
            for line in lines
        ],
        history=[
            StepView(sequence=step.sequence, state=step.state, reason=step.reason, at=step.at)
            for step in history
        ],
    )
