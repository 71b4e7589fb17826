"""What everybody may read."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.running import Running

from catalogue_support import body, create


async def pages(shop: Running, path: str, **query: Any) -> list[list[dict[str, Any]]]:
    """All pages from the first on."""
    found = []
    while True:
        page = (await shop.client.get(path, params=query)).json()
        found.append(page["items"])
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


async def test_a_product_is_answered_with_what_caches_need(
    shop: Running, administrator: dict[str, str]
) -> None:
    product = await create(shop, administrator)
    for _ in ("from PostgreSQL or Redis", "from Redis"):
        found = await shop.client.get(f"/api/products/{product['id']}")
        assert found.json() == product
        assert found.headers["etag"] == '"1"'
        assert found.headers["cache-control"] == "public, max-age=10, stale-if-error=300"


async def test_who_has_the_version_gets_no_body(shop: Running, administrator: dict[str, str]) -> None:
    product = await create(shop, administrator)
    path = f"/api/products/{product['id']}"
    known = await shop.client.get(path, headers={"If-None-Match": '"1"'})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", '"1"')
    assert "cache-control" in known.headers
    assert (await shop.client.get(path, headers={"If-None-Match": '"2"'})).status_code == 200


async def test_what_does_not_exist_is_not_found(shop: Running) -> None:
    for path in ("", "/prices"):
        missing = await shop.client.get(f"/api/products/{uuid4()}{path}")
        assert missing.status_code == 404
        assert missing.headers["content-type"] == "application/problem+json"


async def test_discontinued_products_are_found_by_id_and_listed_nowhere(
    shop: Running, administrator: dict[str, str]
) -> None:
    product = await create(shop, administrator, status="DISCONTINUED")
    assert (await shop.client.get(f"/api/products/{product['id']}")).json() == product
    assert (await shop.client.get("/api/products")).json()["items"] == []
    assert (await shop.client.get("/api/categories")).json() == {"items": []}


async def test_a_search_can_be_narrowed_to_a_category(shop: Running, administrator: dict[str, str]) -> None:
    tent = await create(shop, administrator)
    await create(shop, administrator, sku="PEGS", name="Tent pegs", category="accessories")
    for query, found in (({"q": "tent"}, 2), ({"q": "tent", "category": "tents"}, 1), ({"q": "?"}, 0)):
        listed = (await shop.client.get("/api/products", params=query)).json()["items"]
        assert len(listed) == found
    assert listed == []
    (only,) = (await shop.client.get("/api/products", params={"q": "te fo"})).json()["items"]
    assert only == tent


async def test_categories_say_how_many_products_they_have(
    shop: Running, administrator: dict[str, str]
) -> None:
    for number in range(3):
        await create(shop, administrator, sku=f"TENT-{number}")
    await create(shop, administrator, sku="PEGS", category="accessories")
    assert (await shop.client.get("/api/categories")).json()["items"] == [
        {"category": "accessories", "products": 1},
        {"category": "tents", "products": 3},
    ]


async def test_prices_are_listed_from_the_newest_on(shop: Running, administrator: dict[str, str]) -> None:
    product = await create(shop, administrator, price_minor=1)
    for version, price in enumerate((2, 2, 3, 4), start=1):
        changed = await shop.client.put(
            f"/api/products/{product['id']}",
            json=body(price_minor=price, name=f"Tent {version}"),
            headers={**administrator, "If-Match": "*"},
        )
        assert changed.status_code == 200
    found = await pages(shop, f"/api/products/{product['id']}/prices", limit=3)
    assert [[price["price_minor"] for price in page] for page in found] == [[4, 3, 2], [1]]


@given(
    before=st.integers(0, 12),
    steps=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=10),
)
@hypothesis_settings(
    max_examples=10,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_pages_neither_repeat_nor_skip_whatever_is_added_meanwhile(
    shop: Running, administrator: dict[str, str], before: int, steps: list[tuple[int, int]]
) -> None:
    category = f"c{uuid4().hex}"

    async def add() -> dict[str, Any]:
        return await create(shop, administrator, sku=uuid4().hex.upper(), category=category)

    there = [(await add())["id"] for _ in range(before)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    # As many pages as it takes; the last step is repeated.
    for limit, added in [*steps, *([(steps[-1][0], 0)] * 15)]:
        params = {"category": category, "limit": str(limit), **cursor}
        page = (await shop.client.get("/api/products", params=params)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        for _ in range(added):
            await add()
    assert seen == there[::-1]


async def test_a_cursor_that_no_list_made_is_unknown(shop: Running) -> None:
    for cursor in ("x", "WzBd", "Wy0xXQ", "WzkyMjMzNzIwMzY4NTQ3NzU4MDhd", "WyIxIl0", "MQ"):
        refused = await shop.client.get("/api/products", params={"cursor": cursor})
        assert (refused.status_code, refused.json()["type"]) == (404, "urn:mambogo:problem:cursor-unknown")


async def test_quotes_come_in_the_order_asked_for_each_once(
    shop: Running, administrator: dict[str, str]
) -> None:
    first = await create(shop, administrator)
    second = await create(shop, administrator, sku="OLD-1", status="DISCONTINUED")
    unknown = str(uuid4())
    asked = [second["id"], unknown, first["id"], second["id"], unknown]
    found = (await shop.client.get("/api/quotes", params={"product_id": asked})).json()
    assert found["unknown"] == [unknown]
    assert [quote["product_id"] for quote in found["items"]] == [second["id"], first["id"]]
    assert found["items"][0] == {
        "product_id": second["id"],
        "sku": "OLD-1",
        "name": "Tent for four",
        "currency": "EUR",
        "price_minor": 24_900,
        "status": "DISCONTINUED",
    }


async def test_quotes_are_for_1_to_100_products(shop: Running) -> None:
    statuses = {}
    for count in (0, 1, 100, 101):
        asked = [str(uuid4()) for _ in range(count)]
        answer = await shop.client.get("/api/quotes", params={"product_id": asked})
        statuses[count] = answer.status_code
    assert statuses == {0: 422, 1: 200, 100: 200, 101: 422}
