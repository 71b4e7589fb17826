"""Reading and writing payments; every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from mambogo_chassis.database import Connection

from mambogo_payment.domain.payment import Money, Payment, State

_COLUMNS: Final = (
    "payment_id, order_id, user_id, amount_minor, currency, state, decline_reason, refund_id, attempts"
)
_INSERT: Final = """
INSERT INTO payment (
    payment_id, order_id, user_id, amount_minor, currency, state, due_at, traceparent
) VALUES (
    %(payment_id)s, %(order_id)s, %(user_id)s, %(amount_minor)s, %(currency)s, %(state)s,
    CASE WHEN %(is_due)s THEN now() END, %(traceparent)s
)
"""
# All of them in one sequence, so that two transactions cannot wait for each other in a circle.
_LOCK: Final = f"""
SELECT {_COLUMNS} FROM payment WHERE order_id = ANY(%s) ORDER BY order_id FOR UPDATE
"""  # noqa: S608 - a constant
_LOCK_ONE: Final = f"SELECT {_COLUMNS} FROM payment WHERE payment_id = %s FOR UPDATE"  # noqa: S608 - a constant
# What changes is where the payment stands, and that somebody has to look at once, or never again.
_WRITE: Final = """
UPDATE payment
SET amount_minor = %(amount_minor)s, currency = %(currency)s, state = %(state)s,
    decline_reason = %(decline_reason)s, refund_id = %(refund_id)s,
    due_at = CASE WHEN %(is_due)s THEN now() END, outcome_unknown = false, updated_at = now()
WHERE payment_id = %(payment_id)s
"""
# The lease is the time at which somebody else would look. `attempts` commits before the provider is called.
_CLAIM: Final = f"""
UPDATE payment SET due_at = now() + %(lease_seconds)s * interval '1 second', attempts = attempts + 1
WHERE payment_id IN (
    SELECT payment_id FROM payment WHERE due_at <= now() ORDER BY due_at
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) RETURNING {_COLUMNS}, traceparent
"""  # noqa: S608 - a constant
# Only while nothing else was learnt meanwhile: a change of state has set its own time.
_POSTPONE: Final = """
UPDATE payment
SET due_at = now() + %(pause_seconds)s * interval '1 second',
    outcome_unknown = outcome_unknown OR %(is_unknown)s
WHERE payment_id = %(payment_id)s AND state = %(state)s AND due_at IS NOT NULL
"""
_SETTLE: Final = """
UPDATE payment SET due_at = NULL, outcome_unknown = false
WHERE payment_id = %(payment_id)s AND state = %(state)s
"""
# While a call is on its way its own answer comes first; and what is settled is looked at again only where the
# provider says that it took money which is thought not to be taken.
_HINT: Final = """
UPDATE payment SET due_at = now()
WHERE payment_id = %(payment_id)s AND amount_minor IS NOT NULL
    AND (outcome_unknown OR (%(says_captured)s AND state IN ('declined', 'voided')))
"""
_BACKLOG: Final = """
SELECT count(*), count(*) FILTER (WHERE outcome_unknown),
    coalesce(extract(epoch FROM now() - min(created_at)), 0)
FROM payment WHERE due_at IS NOT NULL
"""
_SHOWN: Final = f"{_COLUMNS}, created_at, updated_at, number"
_FIND: Final = f"SELECT {_SHOWN} FROM payment WHERE payment_id = %s AND amount_minor IS NOT NULL"  # noqa: S608
_LIST: Final = f"""
SELECT {_SHOWN} FROM payment
WHERE user_id = %(user_id)s AND amount_minor IS NOT NULL
    AND (%(order_id)s::uuid IS NULL OR order_id = %(order_id)s)
    AND (%(before)s::bigint IS NULL OR number < %(before)s)
ORDER BY number DESC LIMIT %(limit)s
"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class Claim:
    """A payment that is this worker's until its lease ends, and the trace that it began in."""

    payment: Payment
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A payment with what lists need."""

    payment: Payment
    created_at: datetime
    updated_at: datetime
    number: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """Payments that the provider has to be turned to for."""

    waiting: int
    unknown: int
    oldest_seconds: float


async def lock(connection: Connection, order_ids: Iterable[UUID]) -> dict[UUID, Payment]:
    """Those that the orders have, by order; nobody else can change them until the end of the transaction."""
    cursor = await connection.execute(_LOCK, (sorted(set(order_ids)),))
    return {payment.order_id: payment for payment in map(_payment, await cursor.fetchall())}


async def lock_one(connection: Connection, payment_id: UUID) -> Payment | None:
    """A payment that nobody else can change until the end of the transaction."""
    row = await (await connection.execute(_LOCK_ONE, (payment_id,))).fetchone()
    return _payment(row) if row is not None else None


async def add(connection: Connection, payment: Payment, *, is_due: bool, traceparent: str | None) -> None:
    """The payment of an order that has none; psycopg's UniqueViolation where somebody was faster."""
    await connection.execute(_INSERT, {**_parameters(payment), "is_due": is_due, "traceparent": traceparent})


async def write(connection: Connection, payment: Payment, *, is_due: bool) -> None:
    """Where it stands now."""
    await connection.execute(_WRITE, {**_parameters(payment), "is_due": is_due})


async def claim(connection: Connection, *, limit: int, lease_seconds: float) -> list[Claim]:
    """Payments that are due, for this worker alone until the lease ends."""
    cursor = await connection.execute(_CLAIM, {"limit": limit, "lease_seconds": lease_seconds})
    return [Claim(_payment(row), row[-1]) for row in await cursor.fetchall()]


async def postpone(
    connection: Connection, payment: Payment, *, pause_seconds: float, is_unknown: bool
) -> None:
    """Somebody looks again after the pause."""
    await connection.execute(
        _POSTPONE,
        {
            "payment_id": payment.payment_id,
            "state": payment.state.value,
            "pause_seconds": pause_seconds,
            "is_unknown": is_unknown,
        },
    )


async def settle(connection: Connection, payment: Payment) -> None:
    """Nobody has to look any more."""
    await connection.execute(_SETTLE, {"payment_id": payment.payment_id, "state": payment.state.value})


async def hint(connection: Connection, payment_id: UUID, *, says_captured: bool) -> bool:
    """Somebody should look at once, if what is known leaves a doubt; whether it does."""
    parameters = {"payment_id": payment_id, "says_captured": says_captured}
    return (await connection.execute(_HINT, parameters)).rowcount == 1


async def backlog(connection: Connection) -> Backlog:
    """How much is to be done at the provider."""
    row = await (await connection.execute(_BACKLOG)).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return Backlog(row[0], row[1], float(row[2]))


async def find(connection: Connection, payment_id: UUID) -> Shown | None:
    """A payment as it is committed."""
    row = await (await connection.execute(_FIND, (payment_id,))).fetchone()
    return _shown(row) if row is not None else None


async def list_own(
    connection: Connection, *, user_id: str, order_id: UUID | None, before: int | None, limit: int
) -> list[Shown]:
    """A user's payments, the newest first."""
    parameters = {"user_id": user_id, "order_id": order_id, "before": before, "limit": limit}
    return [_shown(row) for row in await (await connection.execute(_LIST, parameters)).fetchall()]


def _parameters(payment: Payment) -> dict[str, Any]:
    return {
        "payment_id": payment.payment_id,
        "order_id": payment.order_id,
        "user_id": payment.user_id,
        "amount_minor": payment.money.amount_minor if payment.money is not None else None,
        "currency": payment.money.currency if payment.money is not None else None,
        "state": payment.state.value,
        "decline_reason": payment.decline_reason,
        "refund_id": payment.refund_id,
    }


def _payment(row: Sequence[Any]) -> Payment:
    payment_id, order_id, user_id, amount_minor, currency, state, decline_reason, refund_id, attempts = row[
        :9
    ]
    money = Money(amount_minor, currency) if amount_minor is not None else None
    return Payment(payment_id, order_id, user_id, money, State(state), decline_reason, refund_id, attempts)


def _shown(row: Sequence[Any]) -> Shown:
    return Shown(_payment(row), *row[9:12])
