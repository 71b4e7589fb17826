"""The provider's webhooks: hints that are verified, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any
from uuid import uuid4

import pytest
from mambogo_chassis.database import Database
from mambogo_testkit.serving import rows

from support.data import payment_id, reserved, state, told, until
from support.pod import Pod
from support.running import Running
from support.sandbox import WEBHOOK_SECRET, Sandbox

PATH = "/api/payments/webhooks/provider"


def signature(body: bytes, *, secret: str = WEBHOOK_SECRET, age_seconds: int = 0) -> str:
    at = int(time.time()) - age_seconds
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def webhook(reference: object, status: str = "captured") -> bytes:
    data = {"reference": str(reference), "status": status, "id": "pay_1", "amount_minor": 5}
    return json.dumps({"id": "evt_1", "type": f"payment.{status}", "created": 1, "data": data}).encode()


async def post(service: Running, body: bytes, header: str | None) -> Any:
    headers = {"Content-Type": "application/json"}
    if header is not None:
        headers["Provider-Signature"] = header
    return await service.client.post(PATH, content=body, headers=headers)


async def outcome(service: Running, name: str) -> float:
    shown = (await service.client.get("/actuator/prometheus")).text
    [line] = [line for line in shown.splitlines() if f'payment_webhooks_total{{outcome="{name}"}}' in line]
    return float(line.split()[-1])


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1,v1=00",
        signature(webhook(1), secret="wrong"),
        signature(b"other"),
        signature(webhook(1), age_seconds=3600),
    ],
    ids=["empty", "nonsense", "wrong-secret", "other-body", "replayed-later"],
)
async def test_a_forged_webhook_is_refused(service: Running, header: str) -> None:
    refused = await post(service, webhook(1), header)
    assert (refused.status_code, refused.json()["type"]) == (401, "urn:mambogo:problem:signature-invalid")


async def test_a_webhook_without_a_signature_is_refused(service: Running) -> None:
    assert (await post(service, webhook(1), None)).status_code == 422


async def test_a_webhook_of_an_open_payment_captures_nothing_by_itself(
    service: Running, database: Database, pod: Pod, sandbox: Sandbox
) -> None:
    sandbox.switch(decline=True)
    order = uuid4()
    await pod.take(reserved(order))
    payment = await payment_id(database, order)
    body = webhook(payment)
    for _ in range(3):
        assert (await post(service, body, signature(body))).status_code == 204
    await until(database, order, "declined")
    assert await told(database, order) == ["declined"]


async def test_a_webhook_of_a_settled_or_unknown_payment_changes_nothing(
    service: Running, database: Database, pod: Pod
) -> None:
    order = uuid4()
    await pod.take(reserved(order))
    await until(database, order, "captured")
    payment = await payment_id(database, order)
    for body in (webhook(payment), webhook(payment, "voided"), webhook(uuid4()), webhook("no-uuid")):
        assert (await post(service, body, signature(body))).status_code == 204
    assert await state(database, order) == "captured"
    assert await outcome(service, "settled") == 3
    assert await outcome(service, "unknown") == 1


async def test_a_webhook_makes_a_doubt_be_asked_about_at_once(
    service: Running, database: Database, pod: Pod, sandbox: Sandbox
) -> None:
    order = uuid4()
    # As after a call without an answer, whose next attempt is far away.
    await pod.take(reserved(order))
    await until(database, order, "captured")
    await rows(
        database,
        "UPDATE payment SET state = 'open', outcome_unknown = true, due_at = 'infinity' RETURNING 1",
    )
    payment = await payment_id(database, order)
    body = webhook(payment)
    assert (await post(service, body, signature(body))).status_code == 204
    await until(database, order, "captured")
    assert await outcome(service, "hint") == 1
    assert sandbox.kinds(payment) == ["authorised", "captured"]


async def test_money_that_was_taken_for_a_voided_payment_is_given_back(
    service: Running, database: Database, pod: Pod, sandbox: Sandbox
) -> None:
    order = uuid4()
    await pod.take(reserved(order))
    await until(database, order, "captured")
    await rows(database, "UPDATE payment SET state = 'voided', due_at = NULL RETURNING 1")
    payment = await payment_id(database, order)
    body = webhook(payment)
    await post(service, body, signature(body))
    await until(database, order, "refunded")
    assert sandbox.kinds(payment) == ["authorised", "captured", "refunded"]
