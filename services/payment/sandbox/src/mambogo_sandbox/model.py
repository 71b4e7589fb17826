"""What the provider takes and gives, and the switches that tests turn."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

# ISO 4217, as far as this provider deals in it.
CURRENCIES: Final = frozenset({"CHF", "EUR", "GBP", "JPY", "SEK", "USD"})
Status = Literal["authorised", "declined", "captured", "voided", "refunded"]
Amount = Annotated[int, msgspec.Meta(ge=1, le=999_999_999_999)]
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


class PaymentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An authorisation that a merchant asks for. `reference` is the merchant's own and need not be unique."""

    reference: Reference
    amount_minor: Amount
    currency: str


class RefundRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Give back this much of a captured payment."""

    reference: Reference
    amount_minor: Amount


class Refund(msgspec.Struct, frozen=True):
    """A refund that was made."""

    id: str
    reference: str
    amount_minor: int


class Payment(msgspec.Struct, frozen=True):
    """A payment as the merchant sees it."""

    id: str
    reference: str
    amount_minor: int
    currency: str
    status: Status
    decline_reason: str | None = None
    refunds: tuple[Refund, ...] = ()


class Entry(msgspec.Struct, frozen=True):
    """A line of the ledger: what was done with money, or refused, in the order in which it was."""

    number: int
    at: float
    kind: Literal["authorised", "declined", "captured", "voided", "refunded", "closed"]
    payment_id: str | None
    reference: str
    amount_minor: int
    currency: str
    idempotency_key: str | None


class Switches(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the provider misbehaves; all off by default."""

    # The reply comes this much later; the work is done at once.
    slow_seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] = 0.0
    # Every n-th call that changes something does its work and loses its reply; 0: none.
    lost_reply_every: Annotated[int, msgspec.Meta(ge=0)] = 0
    # Calls are cut off before anything is done.
    down: bool = False
    # Authorisations are declined: all of them, or those whose amount ends in these digits.
    decline: bool = False
    decline_amounts_ending: tuple[Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,12}$")], ...] = ()
    webhooks: bool = True
    # Copies of each webhook beyond the first.
    duplicate_webhooks: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    # Webhooks that are due together are sent newest first.
    reorder_webhooks: bool = False
    webhook_delay_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0

    def declines(self, amount_minor: int) -> bool:
        """Whether an authorisation of this amount is declined."""
        return self.decline or str(amount_minor).endswith(self.decline_amounts_ending)


class Webhook(msgspec.Struct, frozen=True):
    """What is posted to the merchant."""

    id: str
    type: str
    created: int
    data: Payment


class RefusedError(Exception):
    """A request that the provider does not carry out."""

    def __init__(self, status: int, code: str, payment: Payment | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.payment = payment
