"""An order, its lines and its states, as values.

How a state follows another is `moving`'s, how an order comes to be `placing`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

MAX_LINES: Final = 100
MAX_QUANTITY: Final = 1000
# 2^53 - 1: past it readers that keep numbers as doubles disagree (RFC 8259, section 6); bigint holds it.
MAX_TOTAL_MINOR: Final = 9_007_199_254_740_991
# Those that the shop sells in (services/README.md); all have minor units that fit an integer.
CURRENCIES: Final = ("EUR", "USD", "GBP", "CHF", "JPY")


class State(StrEnum):
    """Where an order stands."""

    PENDING = "PENDING"
    RESERVED = "RESERVED"
    CONFIRMED = "CONFIRMED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


# In these an order waits for somebody else; no order may stay there for ever.
WAITING: Final = frozenset({State.PENDING, State.RESERVED})
ENDED: Final = frozenset({State.REJECTED, State.CANCELLED})


class Reason(StrEnum):
    """Why an order was rejected or cancelled."""

    OUT_OF_STOCK = "out-of-stock"
    PAYMENT_DECLINED = "payment-declined"
    BY_USER = "by-user"
    RESERVATION_EXPIRED = "reservation-expired"
    STOCK_LOST = "stock-lost"
    REFUNDED = "refunded"
    GIVEN_UP = "given-up"


@dataclass(frozen=True, slots=True)
class Line:
    """So many of one product at the price of the moment of placement."""

    product_id: UUID
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stands; `sequence` is that of the last event about it."""

    order_id: UUID
    user_id: str
    state: State
    sequence: int
    currency: str
    total_minor: int
    placed_at: datetime
    updated_at: datetime
    reason: Reason | None = None
    payment_id: UUID | None = None
    refunded_minor: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of an order's history: the state that began then, and the event that said so."""

    sequence: int
    state: State
    reason: Reason | None
    at: datetime
