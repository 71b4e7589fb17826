"""A payment's states, and what each fact makes of them.

```
open ------> captured ---> refunding ---> refunded
  |  \\-----> declined         ^
  v                           |
cancelling -------------------+
  \\--------> voided
```

Facts come from two sides: the order (it ended) and the provider (what it did). They race, and each may come
again or late. A payment never goes back, and money that the provider has taken for an ended order is always
given back, however late that is learnt.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

ProviderStatus = Literal["authorised", "declined", "captured", "voided", "refunded"]


class State(enum.Enum):
    """Where a payment stands."""

    OPEN = "open"
    CANCELLING = "cancelling"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    REFUNDING = "refunding"
    REFUNDED = "refunded"


class Told(enum.Enum):
    """What the order is told."""

    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    REFUNDED = "refunded"


# In these the provider has to do something; in the others it has been done.
WORKING = frozenset({State.OPEN, State.CANCELLING, State.REFUNDING})
_ANSWERS = {
    State.CAPTURED: Told.CAPTURED,
    State.DECLINED: Told.DECLINED,
    State.VOIDED: Told.VOIDED,
    State.REFUNDED: Told.REFUNDED,
}


class RefundRefusedError(Exception):
    """This payment has nothing to give back. `code` names why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of an ISO 4217 currency."""

    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Payment:
    """One order's payment. Without `money` it stands for an order that ended before it was ever reserved.

    `attempts` counts how often the provider was turned to; 0 means that it surely knows nothing.
    """

    payment_id: UUID
    order_id: UUID
    user_id: str
    money: Money | None
    state: State
    decline_reason: str | None = None
    refund_id: UUID | None = None
    attempts: int = 0

    @property
    def reference(self) -> str:
        """The provider's name for it, and the key of everything that is asked of the provider once."""
        return str(self.payment_id)


@dataclass(frozen=True, slots=True)
class Fact:
    """What the provider says about a payment."""

    provider_id: str
    status: ProviderStatus
    decline_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A payment after something was learnt, and what the order is told. `is_new`: it has changed."""

    payment: Payment
    told: tuple[Told, ...] = ()
    is_new: bool = False

    @property
    def is_work(self) -> bool:
        """Whether the provider has to be turned to again."""
        return self.payment.state in WORKING


def reserved(existing: Payment, money: Money) -> Change:
    """The order asks for its money again, or for the first time after it ended."""
    if existing.money is None:
        return Change(replace(existing, money=money), (Told.VOIDED,), is_new=True)
    answer = _ANSWERS.get(existing.state)
    return Change(existing, (answer,) if answer is not None else ())


def order_ended(existing: Payment, refund_id: UUID) -> Change:
    """The order was rejected or cancelled: void what is not captured, give back what is."""
    match existing.state:
        case State.OPEN if existing.attempts == 0:
            return Change(replace(existing, state=State.VOIDED), (Told.VOIDED,), is_new=True)
        case State.OPEN:
            return Change(replace(existing, state=State.CANCELLING), is_new=True)
        case State.CAPTURED:
            return Change(_refunding(existing, refund_id), is_new=True)
        case State.VOIDED | State.REFUNDED if existing.money is not None:
            return Change(existing, (_ANSWERS[existing.state],))
        case _:
            return Change(existing)


def refund_wanted(existing: Payment, refund_id: UUID) -> Change:
    """An administrator gives the money back; raises RefundRefusedError."""
    if existing.state in (State.REFUNDING, State.REFUNDED):
        raise RefundRefusedError("already-refunded", "The payment is refunded already, or is being refunded.")
    if existing.state is not State.CAPTURED:
        raise RefundRefusedError("not-captured", "Only a captured payment can be refunded.")
    return Change(_refunding(existing, refund_id), is_new=True)


def standing(facts: Sequence[Fact]) -> Fact | None:
    """The one of several that counts: taken money first, then what can still become it."""
    ranks: tuple[ProviderStatus, ...] = ("captured", "refunded", "authorised", "voided", "declined")
    return min(facts, key=lambda fact: ranks.index(fact.status), default=None)


def learnt(existing: Payment, fact: Fact | None, refund_id: UUID) -> Change:
    """What the provider has done, or that it knows of nothing; `refund_id` is for a refund that becomes due.

    A fact that leaves things as they are, or that is late, changes nothing.
    """
    status = fact.status if fact is not None else None
    match existing.state, status:
        case State.OPEN, "captured":
            return Change(replace(existing, state=State.CAPTURED), (Told.CAPTURED,), is_new=True)
        case State.OPEN, "declined" | "voided" | "refunded":
            reason = fact.decline_reason if fact is not None else None
            return _declined(existing, reason or f"{status}-by-provider")
        case ((State.CANCELLING | State.DECLINED | State.VOIDED), "captured"):
            return Change(_refunding(existing, refund_id), (Told.CAPTURED,), is_new=True)
        case State.CANCELLING, "declined" | "voided" | "refunded" | None:
            return Change(replace(existing, state=State.VOIDED), (Told.VOIDED,), is_new=True)
        case State.REFUNDING, "refunded":
            return Change(replace(existing, state=State.REFUNDED), (Told.REFUNDED,), is_new=True)
        case _:
            return Change(existing)


def _declined(existing: Payment, reason: str) -> Change:
    declined = replace(existing, state=State.DECLINED, decline_reason=reason)
    return Change(declined, (Told.DECLINED,), is_new=True)


def _refunding(existing: Payment, refund_id: UUID) -> Payment:
    return replace(existing, state=State.REFUNDING, refund_id=refund_id)
