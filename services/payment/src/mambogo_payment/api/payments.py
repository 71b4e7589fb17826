"""Shoppers' own payments, and the refunds of administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from mambogo_chassis.auth import Principal, ensure_owner, requires
from mambogo_chassis.database import Connection, Database
from mambogo_chassis.http import pagination
from mambogo_chassis.http.problems import Problem, conflict, errors, not_found
from mambogo_chassis.http.types import Body, Text, View
from mambogo_chassis.idempotency import Answer, IdempotencyStore, Keyed, answer, keyed_responses, respond
from pydantic import Field

from mambogo_payment.adapters import tables
from mambogo_payment.adapters.tables import Shown
from mambogo_payment.domain.payment import Money, Payment, RefundRefusedError, State
from mambogo_payment.service.refunding import UnknownPaymentError, refund
from mambogo_payment.service.working import Worker

ADMINISTRATOR: Final = "shop-admin"
# PostgreSQL's bigint: a cursor beyond it was never given out.
_MAX_NUMBER: Final = 2**63 - 1
Reader = Annotated[Principal, requires("payments:read")]
Administrator = Annotated[Principal, requires("payments:write", any_role=[ADMINISTRATOR])]

# What a shopper sees: how the provider is being talked to is nobody's business.
ShownState = Literal["pending", "captured", "declined", "voided", "refunding", "refunded"]
_STATES: Final[dict[State, ShownState]] = {
    State.OPEN: "pending",
    State.CANCELLING: "pending",
    State.CAPTURED: "captured",
    State.DECLINED: "declined",
    State.VOIDED: "voided",
    State.REFUNDING: "refunding",
    State.REFUNDED: "refunded",
}


class PaymentsQuery(pagination.PageQuery):
    """`?order_id=` besides the page."""

    order_id: UUID | None = None


class PaymentView(View):
    """A payment. `decline_reason` is there for declined ones."""

    payment_id: UUID
    order_id: UUID
    amount_minor: int
    currency: str
    state: ShownState
    decline_reason: str | None
    created_at: datetime
    updated_at: datetime


class RefundBody(Body):
    """The whole amount is given back; there are no partial refunds."""

    reason: Annotated[Text, Field(min_length=1, max_length=200)]


class RefundView(View):
    """A refund on its way; the payment says when it has arrived."""

    refund_id: UUID
    payment_id: UUID
    amount_minor: int
    currency: str
    state: Literal["pending"] = "pending"


def routes(database: Database, keys: IdempotencyStore, worker: Worker) -> APIRouter:
    """The operations, on the parts that they use."""
    router = APIRouter(prefix="/api/payments", tags=["payments"])

    @router.get("", operation_id="listPayments", responses=errors(404))
    async def list_payments(
        query: Annotated[PaymentsQuery, Query()], principal: Reader
    ) -> pagination.Page[PaymentView]:
        """List the caller's payments, the newest first."""
        before = _number_in(query.cursor)
        async with database.connection() as connection:
            found = await tables.list_own(
                connection,
                user_id=principal.subject,
                order_id=query.order_id,
                before=before,
                limit=query.limit + 1,
            )
        items, more = pagination.page_of(found, query.limit)
        cursor = pagination.encode_cursor(items[-1].number) if more else None
        return pagination.Page[PaymentView](items=[_view(shown) for shown in items], next_cursor=cursor)

    @router.get("/{payment_id}", operation_id="getPayment", responses=errors(404))
    async def get_payment(payment_id: UUID, principal: Reader) -> PaymentView:
        """Get one of the caller's payments."""
        async with database.connection() as connection:
            shown = await tables.find(connection, payment_id)
        if shown is None:
            raise not_found("payment")
        ensure_owner(principal, shown.payment.user_id, "payment")
        return _view(shown)

    @router.post(
        "/{payment_id}/refunds",
        status_code=202,
        operation_id="refundPayment",
        response_model=RefundView,
        responses={**keyed_responses(202), **errors(404)},
    )
    async def refund_payment(
        payment_id: UUID, body: RefundBody, principal: Administrator, keyed: Keyed
    ) -> Response:
        """Give a captured payment back, once per key."""

        async def work(connection: Connection) -> Answer:
            try:
                payment = await refund(connection, payment_id)
            except RefundRefusedError as error:
                raise conflict(error.code, str(error)) from error
            except UnknownPaymentError as error:
                raise not_found("payment") from error
            return answer(202, _refund_view(payment))

        done = await keys.execute(keyed.by(principal.subject), work)
        worker.wake()
        return respond(done)

    return router


def _number_in(cursor: str | None) -> int | None:
    number = pagination.decode_cursor(cursor, int)
    if number is not None and not 0 <= number <= _MAX_NUMBER:
        raise Problem(404, "cursor-unknown", "The cursor is none of this list's.")
    return number


def _view(shown: Shown) -> PaymentView:
    payment = shown.payment
    money = _money(payment)
    return PaymentView(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        amount_minor=money.amount_minor,
        currency=money.currency,
        state=_STATES[payment.state],
        decline_reason=payment.decline_reason,
        created_at=shown.created_at,
        updated_at=shown.updated_at,
    )


def _refund_view(payment: Payment) -> RefundView:
    money = _money(payment)
    assert payment.refund_id is not None  # noqa: S101 - set together with the state
    return RefundView(
        refund_id=payment.refund_id,
        payment_id=payment.payment_id,
        amount_minor=money.amount_minor,
        currency=money.currency,
    )


def _money(payment: Payment) -> Money:
    assert payment.money is not None  # noqa: S101 - only such payments are read
    return payment.money
