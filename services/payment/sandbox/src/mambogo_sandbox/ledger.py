"""The provider's books: payments, refunds and an append-only ledger in one SQLite file.

Every operation is one transaction, its idempotency key and its webhook included: a provider that is killed
has done an operation wholly or not at all. Calls are synchronous and short; the program has one thread.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from mambogo_sandbox.model import (
    CURRENCIES,
    Entry,
    Payment,
    PaymentRequest,
    Refund,
    RefundRequest,
    RefusedError,
    Switches,
    Webhook,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that every repetition of its request gets again."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class DueWebhook:
    """A webhook that is to be sent now, for the `attempts`-th time after the first."""

    id: str
    body: bytes
    attempts: int


class Ledger:
    """All of the provider's memory; survives the process."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute("PRAGMA foreign_keys = ON")
        self._database.executescript(resources.files("mambogo_sandbox").joinpath("schema.sql").read_text())
        self.switches = Switches()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def once(self, operation: str, key: str, request: bytes, work: Callable[[], Payment]) -> Answer:
        """Do `work` for the first request with `key`, and answer every other one alike.

        Raises RefusedError for another request under the same key. A refusal is an answer as well.
        """
        with self._transaction():
            known = self._row("SELECT * FROM answer WHERE operation = ? AND key = ?", operation, key)
            if known is not None:
                if known["request"] != request:
                    raise RefusedError(422, "key-reused")
                return Answer(known["status"], known["body"])
            try:
                answer = Answer(200, msgspec.json.encode(work()))
            except RefusedError as refusal:
                answer = refused(refusal)
            self._database.execute(
                "INSERT INTO answer VALUES (?, ?, ?, ?, ?)",
                (operation, key, request, answer.status, answer.body),
            )
        return answer

    def authorise(self, request: PaymentRequest, key: str) -> Payment:
        """A new payment, authorised or declined; raises RefusedError."""
        if request.currency not in CURRENCIES:
            raise RefusedError(422, "unknown-currency")
        reason = self._decline_reason(request)
        status = "authorised" if reason is None else "declined"
        payment_id = f"pay_{uuid.uuid4().hex}"
        self._database.execute(
            "INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?)",
            (payment_id, request.reference, request.amount_minor, request.currency, status, reason),
        )
        return self._entered(payment_id, status, key)

    def capture(self, payment_id: str, key: str) -> Payment:
        """Take the money of an authorised payment; raises RefusedError."""
        return self._move(payment_id, "authorised", "captured", key)

    def refund(self, payment_id: str, request: RefundRequest, key: str) -> Payment:
        """Give money back, together never more than was taken; raises RefusedError."""
        payment = self.payment(payment_id)
        if payment.status not in ("captured", "refunded"):
            raise RefusedError(409, "not-captured", payment)
        given = sum(refund.amount_minor for refund in payment.refunds)
        if given + request.amount_minor > payment.amount_minor:
            raise RefusedError(409, "more-than-captured", payment)
        self._database.execute(
            "INSERT INTO refund VALUES (?, ?, ?, ?)",
            (f"ref_{uuid.uuid4().hex}", payment_id, request.reference, request.amount_minor),
        )
        if given + request.amount_minor == payment.amount_minor:
            self._database.execute("UPDATE payment SET status = 'refunded' WHERE id = ?", (payment_id,))
        return self._entered(payment_id, "refunded", key, amount_minor=request.amount_minor)

    def close_reference(self, reference: str) -> list[Payment]:
        """Void what is authorised under a reference, and decline whatever comes under it from now on."""
        with self._transaction():
            made = self._database.execute("INSERT OR IGNORE INTO closed_reference VALUES (?)", (reference,))
            if made.rowcount:
                self._enter("closed", None, reference, 0, "", None)
            for payment in self.payments(reference):
                if payment.status == "authorised":
                    self._move(payment.id, "authorised", "voided", None)
        return self.payments(reference)

    def payment(self, payment_id: str) -> Payment:
        """One payment; raises RefusedError."""
        row = self._row("SELECT * FROM payment WHERE id = ?", payment_id)
        if row is None:
            raise RefusedError(404, "unknown-payment")
        return self._payment(row)

    def payments(self, reference: str) -> list[Payment]:
        """Everything under a merchant's reference, in the order of its coming."""
        rows = self._database.execute(
            "SELECT * FROM payment WHERE reference = ? ORDER BY rowid", (reference,)
        ).fetchall()
        return [self._payment(row) for row in rows]

    def entries(self, after: int) -> list[Entry]:
        """The ledger from the entry after number `after` on."""
        rows = self._database.execute("SELECT * FROM ledger WHERE number > ? ORDER BY number", (after,))
        return [Entry(**dict(row)) for row in rows]

    def due_webhooks(self, limit: int) -> list[DueWebhook]:
        """Webhooks that are to be sent now."""
        order = "DESC" if self.switches.reorder_webhooks else "ASC"
        rows = self._database.execute(
            f"SELECT * FROM webhook WHERE due_at <= ? ORDER BY rowid {order} LIMIT ?",  # noqa: S608 - two words
            (time.time(), limit),
        )
        return [DueWebhook(row["id"], row["body"], row["attempts"]) for row in rows.fetchall()]

    def webhook_sent(self, webhook_id: str) -> None:
        """The merchant has it."""
        self._database.execute("DELETE FROM webhook WHERE id = ?", (webhook_id,))

    def webhook_failed(self, webhook_id: str, pause_seconds: float) -> None:
        """The merchant does not have it; again later."""
        self._database.execute(
            "UPDATE webhook SET attempts = attempts + 1, due_at = ? WHERE id = ?",
            (time.time() + pause_seconds, webhook_id),
        )

    def _decline_reason(self, request: PaymentRequest) -> str | None:
        if self._row("SELECT 1 FROM closed_reference WHERE reference = ?", request.reference) is not None:
            return "reference-closed"
        return "insufficient-funds" if self.switches.declines(request.amount_minor) else None

    def _move(self, payment_id: str, expected: str, status: str, key: str | None) -> Payment:
        payment = self.payment(payment_id)
        if payment.status != expected:
            raise RefusedError(409, f"not-{expected}", payment)
        self._database.execute("UPDATE payment SET status = ? WHERE id = ?", (status, payment_id))
        return self._entered(payment_id, status, key)

    def _entered(
        self, payment_id: str, kind: str, key: str | None, *, amount_minor: int | None = None
    ) -> Payment:
        """The payment after a change that is entered into the ledger and told to the merchant."""
        payment = self.payment(payment_id)
        amount = payment.amount_minor if amount_minor is None else amount_minor
        self._enter(kind, payment.id, payment.reference, amount, payment.currency, key)
        if self.switches.webhooks:
            for _ in range(1 + self.switches.duplicate_webhooks):
                self._queue_webhook(kind, payment)
        return payment

    def _enter(
        self,
        kind: str,
        payment_id: str | None,
        reference: str,
        amount_minor: int,
        currency: str,
        key: str | None,
    ) -> None:
        self._database.execute(
            "INSERT INTO ledger (at, kind, payment_id, reference, amount_minor, currency, idempotency_key)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (time.time(), kind, payment_id, reference, amount_minor, currency, key),
        )

    def _queue_webhook(self, kind: str, payment: Payment) -> None:
        webhook = Webhook(f"evt_{uuid.uuid4().hex}", f"payment.{kind}", int(time.time()), payment)
        due_at = time.time() + self.switches.webhook_delay_seconds
        self._database.execute(
            "INSERT INTO webhook (id, body, due_at) VALUES (?, ?, ?)",
            (webhook.id, msgspec.json.encode(webhook), due_at),
        )

    def _payment(self, row: sqlite3.Row) -> Payment:
        refunds = self._database.execute(
            "SELECT id, reference, amount_minor FROM refund WHERE payment_id = ? ORDER BY rowid", (row["id"],)
        )
        return Payment(**dict(row), refunds=tuple(Refund(**dict(refund)) for refund in refunds))

    def _row(self, query: str, *parameters: object) -> Any:
        return self._database.execute(query, parameters).fetchone()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def refused(refusal: RefusedError) -> Answer:
    """The answer to what is not carried out, with the payment as it is where there is one."""
    body = msgspec.json.encode({"error": refusal.code, "payment": refusal.payment})
    return Answer(refusal.status, body)
