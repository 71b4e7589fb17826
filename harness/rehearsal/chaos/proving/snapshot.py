"""What is left when all is quiet: rows of the services' databases, the topics, the provider's ledger.

Each part is None where it was not collected: who needs it then says INVALID. Order ids, product ids and event
ids are text; money is in minor units. What is looked up by the million is a tuple, whose hash is C's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

State: TypeAlias = Literal["PENDING", "RESERVED", "CONFIRMED", "REJECTED", "CANCELLED"]
# services/README.md, "An order's way".
MOVES: Final[dict[str, frozenset[str]]] = {
    "": frozenset({"PENDING"}),
    "PENDING": frozenset({"RESERVED", "REJECTED", "CANCELLED"}),
    "RESERVED": frozenset({"CONFIRMED", "REJECTED", "CANCELLED"}),
    "CONFIRMED": frozenset({"CANCELLED"}),
    "REJECTED": frozenset(),
    "CANCELLED": frozenset(),
}
ENDED: Final = frozenset({"CONFIRMED", "REJECTED", "CANCELLED"})


class Line(NamedTuple):
    """So many of a product, at the price that the order has it at."""

    product_id: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as order-service has it."""

    order_id: str
    key: str  # the idempotency key that made it
    state: str
    currency: str
    total_minor: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class PriceRow:
    """What a product cost from a moment on, as product-service has it; the clock is the history's."""

    product_id: str
    price_minor: int
    since_ns: int


@dataclass(frozen=True, slots=True)
class StockRow:
    """A product as inventory-service has it."""

    product_id: str
    initial: int
    on_hand: int
    reserved: int
    sold: int


@dataclass(frozen=True, slots=True)
class Money:
    """One movement in the provider's ledger, which is an outside company's."""

    order_id: str
    kind: Literal["capture", "refund"]
    amount_minor: int
    currency: str


class EventRef(NamedTuple):
    """An event, in an outbox or in a topic."""

    topic: str
    event_id: str


class Effect(NamedTuple):
    """What a consumer did for an event, or with one; one of these for each time that it did it."""

    consumer: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of an order's history, by the number that its event carries."""

    order_id: str
    sequence: int
    state: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that was collected. `deliveries` says which consumer had to take which event."""

    quiet_seconds: float  # since the last fault was undone
    orders: tuple[OrderRow, ...] | None = None
    prices: tuple[PriceRow, ...] | None = None
    stock: tuple[StockRow, ...] | None = None
    money: tuple[Money, ...] | None = None
    outbox: tuple[EventRef, ...] | None = None
    published: tuple[EventRef, ...] | None = None
    deliveries: tuple[Effect, ...] | None = None
    effects: tuple[Effect, ...] | None = None
    # Events that a consumer has acknowledged, and those that it knows to have taken.
    acknowledged: tuple[Effect, ...] | None = None
    taken: tuple[Effect, ...] | None = None
    transitions: tuple[Transition, ...] | None = None
    # Products of which every sale and every look is in the history, with what there was at its beginning.
    raced: dict[str, int] | None = field(default=None)
