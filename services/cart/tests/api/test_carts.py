"""One's own cart: what is in it, what it costs, and what holds when several tabs are open."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from mambogo_testkit.dependencies.redis import RedisSpace
from mambogo_testkit.issuing import Issuer
from support.shop import ALICE, BOB, PRICE_MINOR, Neighbours, Shop, settings_for, shop


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["type"].removeprefix("urn:mambogo:problem:")


async def test_a_cart_begins_empty(carts: Shop) -> None:
    cart = await carts.get()
    assert cart == {"cart_id": None, "version": 0, "items": [], "currency": None, "total_minor": None}


async def test_a_cart_shows_its_products_in_the_order_in_which_they_came_with_their_prices(
    carts: Shop,
) -> None:
    mug, bowl = carts.catalogue.add(1250), carts.catalogue.add(399)
    await carts.put(bowl, 1)
    await carts.put(mug, 2)
    answer = await carts.put(bowl, 3)
    assert answer.json() == await carts.get() | {"items": answer.json()["items"]}
    cart = answer.json()
    assert [(row["product_id"], row["quantity"], row["unit_price_minor"]) for row in cart["items"]] == [
        (str(bowl), 3, 399),
        (str(mug), 2, 1250),
    ]
    assert (cart["currency"], cart["total_minor"]) == ("EUR", 3697)


async def test_a_price_that_changes_shows_at_once(carts: Shop) -> None:
    [mug] = await carts.filled(1000)
    carts.catalogue.products[str(mug)] = (2000, "EUR", "ACTIVE")
    assert (await carts.get())["total_minor"] == 2000


async def test_a_price_that_is_fresh_is_not_asked_for_again(
    redis_space: RedisSpace, tokens: Issuer, near: Neighbours
) -> None:
    settings = settings_for(redis_space.url, tokens, near.addresses, price_fresh_seconds=3600)
    async with shop(settings, tokens, near) as carts:
        [mug] = await carts.filled()
        await carts.put(mug, 2)
        await carts.get()
    assert len(near.catalogue.server.requests) == 1


async def test_without_product_service_prices_are_shown_as_last_seen(carts: Shop) -> None:
    await carts.filled()
    before = (await carts.get())["items"][0]
    carts.catalogue.is_away = True
    after = (await carts.get())["items"][0]
    assert after == before
    assert after["unit_price_minor"] == PRICE_MINOR
    assert carts.metric("cart_old_prices_shown_total") == 1


async def test_without_product_service_what_was_seen_can_still_be_put(carts: Shop) -> None:
    [mug] = await carts.filled()
    carts.catalogue.is_away = True
    assert (await carts.put(mug, 5, user=BOB)).json()["total_minor"] == 5 * PRICE_MINOR


async def test_without_product_service_what_was_never_seen_is_answered_503(carts: Shop) -> None:
    carts.catalogue.is_away = True
    answer = await carts.put(uuid4())
    assert code(answer) == (503, "unavailable")
    assert answer.headers["retry-after"]


async def test_a_product_that_does_not_exist_is_not_found(carts: Shop) -> None:
    assert code(await carts.put(uuid4())) == (404, "not-found")
    assert (await carts.get())["items"] == []


async def test_a_product_that_is_not_on_sale_is_refused(carts: Shop) -> None:
    gone = carts.catalogue.add(status="DISCONTINUED")
    assert code(await carts.put(gone)) == (409, "product-unavailable")


@pytest.mark.parametrize("how", ["discontinued", "deleted"])
async def test_what_is_sold_no_longer_stays_visible_and_says_so(carts: Shop, how: str) -> None:
    [mug] = await carts.filled()
    if how == "deleted":
        del carts.catalogue.products[str(mug)]
    else:
        carts.catalogue.products[str(mug)] = (PRICE_MINOR, "EUR", "DISCONTINUED")
    item = (await carts.get())["items"][0]
    assert (item["product_id"], item["is_on_sale"]) == (str(mug), False)


async def test_products_of_two_currencies_have_no_total(carts: Shop) -> None:
    await carts.filled()
    answer = await carts.put(carts.catalogue.add(currency="USD"))
    assert (answer.json()["currency"], answer.json()["total_minor"]) == (None, None)


async def test_putting_the_same_again_changes_nothing(carts: Shop) -> None:
    [mug] = await carts.filled()
    first = await carts.get()
    assert (await carts.put(mug, 1)).json()["version"] == first["version"]
    assert (await carts.put(mug, 2)).json()["version"] == first["version"] + 1


async def test_a_product_can_be_taken_out_once(carts: Shop) -> None:
    mug, bowl = await carts.filled(1, 2)
    assert await carts.remove(mug) == 204
    assert await carts.remove(mug) == 404
    assert [row["product_id"] for row in (await carts.get())["items"]] == [str(bowl)]


async def test_a_cart_that_was_emptied_and_filled_again_is_another_cart(carts: Shop) -> None:
    await carts.filled()
    first = await carts.get()
    answer = await carts.client.delete("/api/carts/current", headers=carts.as_user(ALICE))
    assert answer.status_code == 204
    assert (await carts.get())["items"] == []
    await carts.filled()
    assert (await carts.get())["cart_id"] != first["cart_id"]


async def test_a_cart_is_its_users_alone(carts: Shop) -> None:
    [mug] = await carts.filled()
    assert (await carts.get(BOB))["items"] == []
    assert await carts.remove(mug, BOB) == 404
    assert len((await carts.get())["items"]) == 1


async def test_a_cart_takes_so_many_products_and_no_more_from_however_many_tabs(carts: Shop) -> None:
    products = [carts.catalogue.add() for _ in range(60)]
    answers = await asyncio.gather(*(carts.put(product_id) for product_id in products))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 50 + [409] * 10
    assert len((await carts.get())["items"]) == 50


async def test_a_full_cart_can_still_be_changed(carts: Shop) -> None:
    products = await carts.filled(*[PRICE_MINOR] * 50)
    assert code(await carts.put(carts.catalogue.add())) == (409, "cart-full")
    assert (await carts.put(products[0], 7)).status_code == 200


async def test_changes_from_many_tabs_are_all_kept(carts: Shop) -> None:
    products = [carts.catalogue.add() for _ in range(8)]
    await asyncio.gather(*(carts.put(product_id, n + 1) for n in range(8) for product_id in products))
    cart = await carts.get()
    assert {row["product_id"] for row in cart["items"]} == {str(product_id) for product_id in products}
    assert all(1 <= row["quantity"] <= 8 for row in cart["items"])


async def test_a_cart_is_forgotten_after_its_lifetime(carts: Shop) -> None:
    await carts.filled()

    remaining = await carts.parts.redis.pttl(f"cart:{ALICE}")
    assert 0 < remaining <= 30 * 86_400_000


BAD_BODIES: dict[str, Any] = {
    "zero": {"quantity": 0},
    "negative": {"quantity": -1},
    "too-many": {"quantity": 1001},
    "overflowing": {"quantity": 10**400},
    "text": {"quantity": "1"},
    "bool": {"quantity": True},
    "fraction": {"quantity": 1.5},
    "nothing": {},
    "null": None,
    "nested": {"quantity": {"quantity": 1}},
    "own-price": {"quantity": 1, "unit_price_minor": 1},
    "own-user": {"quantity": 1, "user_id": BOB},
}


async def test_bad_input_is_refused_and_nothing_is_kept(carts: Shop) -> None:
    mug = carts.catalogue.add()
    raw = {name: json.dumps(body).encode() for name, body in BAD_BODIES.items()}
    raw |= {"nan": b'{"quantity": NaN}', "deep": b"[" * 100_000, "broken": b"{", "overlong": b"9" * 500_000}
    statuses = {}
    for name, content in raw.items():
        answer = await carts.client.put(
            f"/api/carts/current/items/{mug}",
            content=content,
            headers={**carts.as_user(ALICE), "Content-Type": "application/json"},
        )
        statuses[name] = code(answer)[0]
    assert {name: status for name, status in statuses.items() if status not in (400, 422)} == {}
    assert (await carts.get())["items"] == []


@pytest.mark.parametrize("product_id", ["mug", "1", "x" * 4000])
async def test_what_is_no_id_is_invalid_input(carts: Shop, product_id: str) -> None:
    assert code(await carts.put(product_id)) == (422, "invalid-input")


@pytest.mark.parametrize(
    ("method", "path", "scopes"),
    [
        ("GET", "/api/carts/current", ("orders:read",)),
        ("DELETE", "/api/carts/current", ("orders:write",)),
        ("POST", "/api/carts/current/checkout", ("carts:write",)),
        ("POST", "/api/carts/current/checkout", ("orders:write",)),
    ],
)
async def test_each_operation_needs_its_scopes(
    carts: Shop, method: str, path: str, scopes: tuple[str, ...]
) -> None:
    headers = {"Authorization": f"Bearer {carts.tokens.token(ALICE, *scopes)}"}
    assert code(await carts.client.request(method, path, headers=headers)) == (403, "insufficient-scope")


async def test_without_redis_a_client_is_told_to_come_again(tokens: Issuer, near: Neighbours) -> None:
    settings = settings_for("redis://127.0.0.1:9/0", tokens, near.addresses)
    async with shop(settings, tokens, near) as carts:
        answer = await carts.client.get("/api/carts/current", headers=carts.as_user(ALICE))
    assert code(answer) == (503, "redis-unavailable")
    assert answer.headers["retry-after"]
