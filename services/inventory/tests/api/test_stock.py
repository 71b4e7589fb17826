"""The operations over HTTP, in a service without Kafka: stock is read and changed all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
from mambogo_chassis.database import Database
from mambogo_chassis.http.app import create_app
from mambogo_chassis.http.openapi import lint
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.issuing import Issuer, issuer

from mambogo_inventory.api.stock import routes
from mambogo_inventory.domain.stock import MAX_UNITS
from support.data import Pod, audit, placed
from support.running import Running, running, settings_for


@pytest.fixture
def tokens() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.fixture
async def service(tokens: Issuer, postgres_database: FreshDatabase) -> AsyncIterator[Running]:
    async with running(settings_for(tokens, postgres_database), tokens) as made:
        yield made


async def put(service: Running, product: object, initial: object) -> Any:
    return await service.client.put(
        f"/api/inventory/{product}", json={"initial": initial}, headers=service.administrator()
    )


async def adjust(service: Running, product: object, quantity: object, key: str = "k1") -> Any:
    return await service.client.post(
        f"/api/inventory/{product}/adjustments",
        json={"quantity": quantity, "reason": "counted"},
        headers=service.administrator(key),
    )


async def test_stock_is_created_replaced_and_read(service: Running, database: Database) -> None:
    product = uuid4()
    created = await put(service, product, 7)
    assert (created.status_code, created.headers["location"]) == (201, f"/api/inventory/{product}")
    replaced = await put(service, product, 9)
    assert replaced.status_code == 200
    found = await service.client.get(f"/api/inventory/{product}", headers=service.reader())
    assert found.json() == replaced.json()
    assert found.json() == {
        **{"product_id": str(product), "initial": 9, "on_hand": 9},
        **{"reserved": 0, "sold": 0, "version": 2},
    }
    await audit(database)


async def test_an_adjustment_happens_once_per_key(service: Running, database: Database) -> None:
    product = uuid4()
    await put(service, product, 7)
    first, again = await adjust(service, product, -2), await adjust(service, product, -2)
    assert first.json()["on_hand"] == 5
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert (await adjust(service, product, -3)).status_code == 422
    await audit(database)


async def test_one_key_at_once_is_one_adjustment(service: Running) -> None:
    product = uuid4()
    await put(service, product, 100)
    answers = await asyncio.gather(*(adjust(service, product, -1) for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    found = await service.client.get(f"/api/inventory/{product}", headers=service.reader())
    assert found.json()["on_hand"] == 99


async def test_what_is_reserved_cannot_be_taken_away(service: Running, database: Database) -> None:
    product = uuid4()
    await put(service, product, 5)
    await Pod(database).take(placed(uuid4(), (product, 4)))
    for refused in (await put(service, product, 3), await adjust(service, product, -2)):
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:mambogo:problem:stock-too-low")
    assert (await put(service, product, 4)).json()["on_hand"] == 0
    await audit(database)


async def test_more_than_can_be_kept_is_refused(service: Running) -> None:
    product = uuid4()
    await put(service, product, MAX_UNITS)
    assert (await adjust(service, product, 1)).json()["type"] == "urn:mambogo:problem:stock-too-high"


async def test_an_unknown_product_is_404(service: Running) -> None:
    product = uuid4()
    found = await service.client.get(f"/api/inventory/{product}", headers=service.reader())
    assert (found.status_code, (await adjust(service, product, 1)).status_code) == (404, 404)


@pytest.mark.parametrize(
    "initial", [-1, MAX_UNITS + 1, 10**30, 1.5, "5", True, None, [], {"a": 1}, float("nan")]
)
async def test_a_number_that_is_none_is_refused(service: Running, initial: object) -> None:
    product = uuid4()
    # As text: an honest client could not even write NaN.
    body = str({"initial": initial}).replace("'", '"').replace("True", "true").replace("None", "null")
    refused = await service.client.put(
        f"/api/inventory/{product}",
        content=body.replace("nan", "NaN"),
        headers={**service.administrator(), "Content-Type": "application/json"},
    )
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    found = await service.client.get(f"/api/inventory/{product}", headers=service.reader())
    assert found.status_code == 404


@pytest.mark.parametrize("member", ["on_hand", "reserved", "sold", "version", "product_id"])
async def test_members_that_are_not_the_clients_are_refused(service: Running, member: str) -> None:
    refused = await service.client.put(
        f"/api/inventory/{uuid4()}", json={"initial": 1, member: 1}, headers=service.administrator()
    )
    assert refused.status_code == 422


@pytest.mark.parametrize(
    ("scopes", "roles", "status"),
    [
        (("inventory:read",), ("shop-admin",), 403),
        (("inventory:write",), (), 403),
        (("inventory:write",), ("shop-admin",), 201),
    ],
    ids=["no-scope", "no-role", "both"],
)
async def test_only_administrators_change_stock(
    service: Running, scopes: tuple[str, ...], roles: tuple[str, ...], status: int
) -> None:
    answer = await service.client.put(
        f"/api/inventory/{uuid4()}", json={"initial": 1}, headers=service.bearer("u", *scopes, roles=roles)
    )
    assert answer.status_code == status


async def test_nothing_is_shown_without_a_token(service: Running) -> None:
    assert (await service.client.get(f"/api/inventory/{uuid4()}")).status_code == 401


def test_the_document_is_sound() -> None:
    app = create_app(title="Inventory", version="0", routers=[routes(None, None)])  # type: ignore[arg-type] # only documented
    assert lint(app.openapi()) == []
