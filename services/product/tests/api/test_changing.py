"""What administrators may change, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from mambogo_testkit.dependencies.kafka import TopicSpace
from support.data import eventually
from support.issuer import Issuer
from support.pipeline import read_all
from support.running import Running

from catalogue_support import body, create


async def events(kafka_topics: TopicSpace, number: int) -> list[dict[str, Any]]:
    async def enough() -> list[dict[str, Any]]:
        found = await asyncio.to_thread(
            read_all, kafka_topics.bootstrap_servers, kafka_topics.name("products")
        )
        return [json.loads(record.value or b"") for record in found] if len(found) >= number else []

    return await eventually(f"{number} events", enough)


async def test_every_version_is_an_event(
    shop: Running, administrator: dict[str, str], kafka_topics: TopicSpace
) -> None:
    product = await create(shop, administrator)
    path = f"/api/products/{product['id']}"
    for price in (100, 100, 200):
        await shop.client.put(path, json=body(price_minor=price), headers={**administrator, "If-Match": "*"})
    found = await events(kafka_topics, 3)
    assert [event["type"] for event in found] == ["com.mambogo.product.changed.v1"] * 3
    assert [event["subject"] for event in found] == [product["id"]] * 3
    assert [(event["data"]["version"], event["data"]["price_minor"]) for event in found] == [
        (1, 24_900),
        (2, 100),
        (3, 200),
    ]
    assert found[0]["data"] == {
        "product_id": product["id"],
        **{name: value for name, value in body().items() if name != "description"},
        "version": 1,
    }


async def test_a_change_is_seen_by_the_next_read(shop: Running, administrator: dict[str, str]) -> None:
    path = f"/api/products/{(await create(shop, administrator))['id']}"
    for version in range(1, 4):
        before = await shop.client.get(path)
        changed = await shop.client.put(
            path,
            json=body(name=f"Tent {version}"),
            headers={**administrator, "If-Match": before.headers["etag"]},
        )
        after = await shop.client.get(path)
        assert after.json() == changed.json()
        assert after.headers["etag"] == changed.headers["etag"] == f'"{version + 1}"'


async def test_of_two_who_read_the_same_version_one_is_refused(
    shop: Running, administrator: dict[str, str]
) -> None:
    path = f"/api/products/{(await create(shop, administrator))['id']}"
    headers = {**administrator, "If-Match": '"1"'}
    writing = [shop.client.put(path, json=body(name=f"Tent {n}"), headers=headers) for n in range(8)]
    answers = await asyncio.gather(*writing)
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 7]
    assert (await shop.client.get(path)).json()["version"] == 2


async def test_the_same_data_again_changes_nothing(shop: Running, administrator: dict[str, str]) -> None:
    product = await create(shop, administrator)
    again = await shop.client.put(
        f"/api/products/{product['id']}", json=body(), headers={**administrator, "If-Match": '"1"'}
    )
    assert (again.json(), again.headers["etag"]) == (product, '"1"')


async def test_a_sku_belongs_to_one_product(shop: Running, administrator: dict[str, str]) -> None:
    await create(shop, administrator)
    other = await create(shop, administrator, sku="OTHER")
    created = await shop.client.post("/api/products", json=body(), headers=administrator)
    replaced = await shop.client.put(
        f"/api/products/{other['id']}", json=body(), headers={**administrator, "If-Match": "*"}
    )
    assert [created.status_code, replaced.status_code] == [409, 409]
    assert created.json()["type"] == "urn:mambogo:problem:sku-taken"
    assert (await shop.client.get(f"/api/products/{other['id']}")).json() == other


async def test_a_refused_change_leaves_price_and_events_alone(
    shop: Running, administrator: dict[str, str], kafka_topics: TopicSpace
) -> None:
    product = await create(shop, administrator)
    path = f"/api/products/{product['id']}"
    refused = await shop.client.put(
        path, json=body(price_minor=1), headers={**administrator, "If-Match": '"9"'}
    )
    assert refused.status_code == 412
    assert len((await shop.client.get(f"{path}/prices")).json()["items"]) == 1
    await create(shop, administrator, sku="LATER")
    assert [event["data"]["version"] for event in await events(kafka_topics, 2)] == [1, 1]


async def test_what_does_not_exist_is_not_replaced(shop: Running, administrator: dict[str, str]) -> None:
    missing = await shop.client.put(
        f"/api/products/{uuid4()}", json=body(), headers={**administrator, "If-Match": "*"}
    )
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        (None, 401),
        ({"scope": "orders:write", "realm_access": {"roles": ["shop-admin"]}}, 403),
        ({"scope": "products:write", "realm_access": {"roles": ["customer"]}}, 403),
    ],
    ids=["nobody", "without-scope", "shopper"],
)
async def test_only_administrators_change_the_catalogue(
    shop: Running, tokens: Issuer, administrator: dict[str, str], claims: dict[str, Any] | None, status: int
) -> None:
    path = f"/api/products/{(await create(shop, administrator))['id']}"
    sent = {} if claims is None else {"Authorization": f"Bearer {tokens.token(**claims)}"}
    created = await shop.client.post("/api/products", json=body(sku="NEW-1"), headers=sent)
    replaced = await shop.client.put(path, json=body(price_minor=1), headers={**sent, "If-Match": "*"})
    assert (created.status_code, replaced.status_code) == (status, status)


WRONG: list[dict[str, Any]] = [
    {"price_minor": 0},
    {"price_minor": -1},
    {"price_minor": 2**63},
    {"price_minor": 1_000_000_001},
    {"price_minor": 1.5},
    {"price_minor": "100"},
    {"price_minor": True},
    {"price_minor": None},
    {"currency": "XXX"},
    {"currency": "eur"},
    {"status": "SOLD"},
    {"name": ""},
    {"name": "x" * 201},
    {"name": "a\x00b"},
    {"name": {"nested": []}},
    {"sku": "lower"},
    {"sku": "A" * 41},
    {"sku": "ABC"},
    {"category": "Tents"},
    {"version": 7},
    {"id": str(uuid4())},
]


async def test_wrong_data_is_a_problem_and_nothing_happens(
    shop: Running, administrator: dict[str, str]
) -> None:
    accepted = []
    for wrong in WRONG:
        answer = await shop.client.post("/api/products", json={**body(), **wrong}, headers=administrator)
        if (answer.status_code, answer.headers["content-type"]) != (422, "application/problem+json"):
            accepted.append((wrong, answer.status_code))
    assert accepted == []
    assert (await shop.client.get("/api/products")).json()["items"] == []


async def test_not_a_number_is_no_price(shop: Running, administrator: dict[str, str]) -> None:
    for text in ("NaN", "Infinity", "1e999", "-" + "9" * 5000):
        content = json.dumps(body()).replace("24900", text)
        refused = await shop.client.post(
            "/api/products", content=content, headers={**administrator, "Content-Type": "application/json"}
        )
        assert refused.status_code in (400, 422), text


async def test_deep_nesting_is_refused(shop: Running, administrator: dict[str, str]) -> None:
    content = '{"name":' + "[" * 50_000 + "]" * 50_000 + "}"
    refused = await shop.client.post(
        "/api/products", content=content, headers={**administrator, "Content-Type": "application/json"}
    )
    assert refused.status_code in (400, 422)


async def test_the_business_sees_what_was_changed(shop: Running, administrator: dict[str, str]) -> None:
    path = f"/api/products/{(await create(shop, administrator))['id']}"
    await shop.client.put(path, json=body(price_minor=1), headers={**administrator, "If-Match": "*"})
    await shop.client.put(path, json=body(price_minor=1), headers={**administrator, "If-Match": "*"})
    shown = (await shop.client.get("/actuator/prometheus")).text
    for line in (
        'products_changed_total{kind="created"} 1.0',
        'products_changed_total{kind="changed"} 1.0',
        'products_changed_total{kind="unchanged"} 1.0',
        "product_price_changes_total 1.0",
        'product_cache_reads_total{outcome="hit"} 0.0',
        "product_cache_away 0.0",
    ):
        assert f"\n{line}\n" in shown, line
