"""The provider's webhooks. One is a hint and never a fact: what it says is asked for, where there is a doubt.

So it does not matter how often they come, in which order, or how late. One without a valid signature is
refused without a look at its content's meaning.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Request
from mambogo_chassis.auth import PUBLIC
from mambogo_chassis.database import Database
from mambogo_chassis.http.problems import Problem, errors
from pydantic import BaseModel, ConfigDict, Field

from mambogo_payment.adapters import tables
from mambogo_payment.adapters.metrics import PaymentMetrics
from mambogo_payment.domain.signature import is_signed
from mambogo_payment.service.working import Worker
from mambogo_payment.settings import Settings

_MAX_CHARACTERS: Final = 255
_CHALLENGE: Final = {"WWW-Authenticate": 'Signature realm="provider"'}

Name = Annotated[str, Field(max_length=_MAX_CHARACTERS)]
Signature = Annotated[
    str,
    Header(
        alias="Provider-Signature",
        max_length=1024,
        description='`t=<Unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`.',
        examples=["t=1795435200,v1=" + "0" * 64],
    ),
]


class _Open(BaseModel):
    """The provider may send more than is used here, and more tomorrow."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)


class WebhookPayment(_Open):
    """What is used of the payment that a webhook is about."""

    reference: Name
    status: Name


class WebhookBody(_Open):
    """What is used of a webhook."""

    id: Name
    type: Name
    data: WebhookPayment


def routes(database: Database, worker: Worker, metrics: PaymentMetrics, settings: Settings) -> APIRouter:
    """The operation that the provider calls."""
    router = APIRouter(prefix="/api/payments/webhooks", tags=["webhooks"])
    secrets = [
        secret.get_secret_value()
        for secret in (settings.provider_webhook_secret, settings.provider_webhook_secret_before)
        if secret is not None
    ]

    @router.post(
        "/provider",
        status_code=204,
        operation_id="takeProviderWebhook",
        openapi_extra=PUBLIC,
        responses=errors(401),
    )
    async def take_webhook(request: Request, body: WebhookBody, signature: Signature) -> None:
        """Take a webhook of the payment provider."""
        raw: bytes = await request.body()
        window_seconds = settings.webhook_window_seconds
        if not is_signed(signature, raw, secrets=secrets, now=time.time(), window_seconds=window_seconds):
            metrics.webhook("refused")
            raise Problem(401, "signature-invalid", headers=_CHALLENGE)
        metrics.webhook(await _hear(body.data))

    async def _hear(data: WebhookPayment) -> str:
        payment_id = _payment_id(data.reference)
        if payment_id is None:
            return "unknown"
        async with database.connection() as connection:
            is_doubt = await tables.hint(connection, payment_id, says_captured=data.status == "captured")
        if not is_doubt:
            return "settled"
        worker.wake()
        return "hint"

    return router


def _payment_id(reference: Any) -> UUID | None:
    try:
        return UUID(reference)
    except ValueError:
        return None
