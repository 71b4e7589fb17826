"""Refunds that an administrator asks for: of the whole amount, this platform knows no partial ones."""

from __future__ import annotations

from uuid import UUID, uuid4

from mambogo_chassis.database import Connection

from mambogo_payment.adapters import tables
from mambogo_payment.domain import payment as rules
from mambogo_payment.domain.payment import Payment


class UnknownPaymentError(Exception):
    """There is no such payment."""


async def refund(connection: Connection, payment_id: UUID) -> Payment:
    """The payment, whose money is on its way back; raises UnknownPaymentError, RefundRefusedError."""
    payment = await tables.lock_one(connection, payment_id)
    if payment is None or payment.money is None:
        raise UnknownPaymentError(str(payment_id))
    change = rules.refund_wanted(payment, uuid4())
    await tables.write(connection, change.payment, is_due=change.is_work)
    return change.payment
