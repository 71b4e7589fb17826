"""Shoppers' own payments and administrators' refunds over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from mambogo_chassis.database import Database
from mambogo_chassis.http import pagination

from support.data import cancelled, payment_id, reserved, told, until
from support.pod import Pod
from support.running import Running
from support.sandbox import Sandbox


async def captured(pod: Pod, database: Database, order: UUID | None = None, *, user: str = "anna") -> UUID:
    """The payment of a new order, captured."""
    order = order or uuid4()
    await pod.take(reserved(order, user=user))
    await until(database, order, "captured")
    return await payment_id(database, order)


async def refund(service: Running, payment: object, key: str = "k1", body: object = None) -> Any:
    return await service.client.post(
        f"/api/payments/{payment}/refunds",
        json={"reason": "broken"} if body is None else body,
        headers=service.administrator(key),
    )


async def test_a_payment_is_shown_to_its_user(service: Running, pod: Pod, database: Database) -> None:
    order = uuid4()
    payment = await captured(pod, database, order)
    shown = (await service.client.get(f"/api/payments/{payment}", headers=service.reader())).json()
    assert shown.pop("created_at") <= shown.pop("updated_at")
    assert shown == {
        **{"payment_id": str(payment), "order_id": str(order), "amount_minor": 1999, "currency": "EUR"},
        **{"state": "captured", "decline_reason": None},
    }


async def test_another_users_payment_does_not_exist(service: Running, pod: Pod, database: Database) -> None:
    payment = await captured(pod, database, user="bert")
    foreign = await service.client.get(f"/api/payments/{payment}", headers=service.reader())
    absent = await service.client.get(f"/api/payments/{uuid4()}", headers=service.reader())
    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert foreign.json()["detail"] == absent.json()["detail"]
    listed = await service.client.get("/api/payments", headers=service.reader())
    assert listed.json() == {"items": [], "next_cursor": None}


async def test_an_order_that_was_never_reserved_shows_no_payment(
    service: Running, pod: Pod, database: Database
) -> None:
    order = uuid4()
    await pod.take(cancelled(order))
    payment = await payment_id(database, order)
    assert (await service.client.get(f"/api/payments/{payment}", headers=service.reader())).status_code == 404
    assert (await refund(service, payment)).status_code == 404


async def test_lists_are_read_page_by_page_and_by_order(
    service: Running, pod: Pod, database: Database
) -> None:
    orders = [uuid4() for _ in range(5)]
    await pod.take(*(reserved(order) for order in orders), reserved(uuid4(), user="bert"))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (
            await service.client.get(
                "/api/payments", params={"limit": "2"} | cursor, headers=service.reader()
            )
        ).json()
        seen += [item["order_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [str(order) for order in reversed(orders)]
    one = await service.client.get(
        "/api/payments", params={"order_id": str(orders[2])}, headers=service.reader()
    )
    assert [item["order_id"] for item in one.json()["items"]] == [str(orders[2])]


@pytest.mark.parametrize("key", [-1, 2**63, 10**40, "text", [1]])
async def test_a_cursor_that_was_never_given_out_is_404(service: Running, key: object) -> None:
    answer = await service.client.get(
        "/api/payments", params={"cursor": pagination.encode_cursor(str(key))}, headers=service.reader()
    )
    assert answer.status_code == 404


async def test_a_refund_is_made_once(
    service: Running, pod: Pod, database: Database, sandbox: Sandbox
) -> None:
    order = uuid4()
    payment = await captured(pod, database, order)
    first = await refund(service, payment)
    assert (first.status_code, first.json()["state"]) == (202, "pending")
    again = await refund(service, payment)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    await until(database, order, "refunded")
    other = await refund(service, payment, "k2")
    assert (other.status_code, other.json()["type"]) == (409, "urn:mambogo:problem:already-refunded")
    assert sandbox.kinds(payment).count("refunded") == 1
    assert await told(database, order) == ["captured", "refunded"]


async def test_refunds_at_once_are_one_refund(
    service: Running, pod: Pod, database: Database, sandbox: Sandbox
) -> None:
    order = uuid4()
    payment = await captured(pod, database, order)
    answers = await asyncio.gather(*(refund(service, payment, f"k{number}") for number in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 7
    await pod.take(cancelled(order))
    await until(database, order, "refunded")
    assert sandbox.kinds(payment).count("refunded") == 1


@pytest.mark.parametrize(
    "body",
    [{}, {"reason": ""}, {"reason": "x", "amount_minor": 1}, {"reason": "x", "state": "refunded"}, [], "x"],
)
async def test_a_refund_that_is_none_is_refused(service: Running, body: object) -> None:
    refused = await refund(service, uuid4(), body=body)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("scopes", "roles"), [(("payments:read",), ("shop-admin",)), (("payments:write",), ())]
)
async def test_only_administrators_refund(
    service: Running, scopes: tuple[str, ...], roles: tuple[str, ...]
) -> None:
    refused = await service.client.post(
        f"/api/payments/{uuid4()}/refunds",
        json={"reason": "x"},
        headers=service.bearer("u", *scopes, roles=roles) | {"Idempotency-Key": "k"},
    )
    assert refused.status_code == 403
