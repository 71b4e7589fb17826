"""The state machine: what a fact does to an order. Pure; it decides, others store and tell.

A fact is applied where its rule says so, passed over where it comes again or too late, and contradicts the
order everywhere else. The table in the database (migration 0001) allows the same moves and no others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias
from uuid import UUID

from mambogo_order.domain.model import ENDED, WAITING, Order, Reason, State


@dataclass(frozen=True, slots=True)
class StockReserved:
    """All lines are reserved."""


@dataclass(frozen=True, slots=True)
class StockRefused:
    """No line is reserved: there is not enough of all."""


@dataclass(frozen=True, slots=True)
class StockExpired:
    """The reservation ran out before the order was confirmed."""


@dataclass(frozen=True, slots=True)
class StockLost:
    """The order was confirmed after its reservation had run out, and the goods are gone."""


@dataclass(frozen=True, slots=True)
class PaymentCaptured:
    """The money is there."""

    payment_id: UUID
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class PaymentDeclined:
    """There will be no money."""


@dataclass(frozen=True, slots=True)
class PaymentRefunded:
    """Some of the money went back; all that ever did is `refunded_minor`, this refund included."""

    refunded_minor: int


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The user does not want it any more."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Nobody answered within the bound."""


Fact: TypeAlias = (
    StockReserved
    | StockRefused
    | StockExpired
    | StockLost
    | PaymentCaptured
    | PaymentDeclined
    | PaymentRefunded
    | CancelAsked
    | GivenUp
)


@dataclass(frozen=True, slots=True)
class Move:
    """The next state; `payment_id` where it became known."""

    to: State
    reason: Reason | None = None
    payment_id: UUID | None = None


class ContradictionError(Exception):
    """This cannot have happened to this order. The message holds states and ids, nothing of a person."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """From which states a fact moves an order to `to`, and in which it says nothing new."""

    to: State
    moves: frozenset[State]
    passes: frozenset[State]
    reason: Reason | None = field(default=None)


_RULES: Final[dict[type[Fact], _Rule]] = {
    StockReserved: _Rule(
        State.RESERVED, frozenset({State.PENDING}), ENDED | {State.RESERVED, State.CONFIRMED}
    ),
    StockRefused: _Rule(State.REJECTED, frozenset({State.PENDING}), ENDED, Reason.OUT_OF_STOCK),
    # CONFIRMED: inventory takes the stock again when it reads order.confirmed, or says that it is lost.
    StockExpired: _Rule(State.CANCELLED, WAITING, ENDED | {State.CONFIRMED}, Reason.RESERVATION_EXPIRED),
    StockLost: _Rule(State.CANCELLED, frozenset({State.CONFIRMED}), ENDED, Reason.STOCK_LOST),
    # Ended: payment refunds it when it reads order.cancelled or order.rejected.
    PaymentCaptured: _Rule(State.CONFIRMED, frozenset({State.RESERVED}), ENDED | {State.CONFIRMED}),
    PaymentDeclined: _Rule(State.REJECTED, frozenset({State.RESERVED}), ENDED, Reason.PAYMENT_DECLINED),
    PaymentRefunded: _Rule(State.CANCELLED, frozenset({State.CONFIRMED}), ENDED, Reason.REFUNDED),
    CancelAsked: _Rule(
        State.CANCELLED, WAITING | {State.CONFIRMED}, frozenset({State.CANCELLED}), Reason.BY_USER
    ),
    GivenUp: _Rule(State.CANCELLED, WAITING, ENDED | {State.CONFIRMED}, Reason.GIVEN_UP),
}

TRANSITIONS: Final = frozenset((before, rule.to) for rule in _RULES.values() for before in rule.moves)


def decide(order: Order, fact: Fact) -> Move | None:
    """What `fact` does to `order`; None when it changes nothing. Raises ContradictionError."""
    rule = _RULES[type(fact)]
    if order.state in rule.passes:
        if isinstance(fact, PaymentCaptured) and order.state is State.CONFIRMED:
            _require_same_payment(order, fact)
        return None
    if order.state not in rule.moves:
        raise ContradictionError(f"the order is {order.state}: {type(fact).__name__} cannot be true of it")
    if isinstance(fact, PaymentCaptured):
        _require_total(order, fact)
        return Move(rule.to, rule.reason, fact.payment_id)
    if isinstance(fact, PaymentRefunded) and fact.refunded_minor < order.total_minor:
        return None
    return Move(rule.to, rule.reason)


def _require_same_payment(order: Order, fact: PaymentCaptured) -> None:
    if fact.payment_id != order.payment_id:
        raise ContradictionError(f"both {order.payment_id} and {fact.payment_id} are said to be captured")


def _require_total(order: Order, fact: PaymentCaptured) -> None:
    if (fact.amount_minor, fact.currency) != (order.total_minor, order.currency):
        raise ContradictionError(f"payment {fact.payment_id} is not of the order's amount")
