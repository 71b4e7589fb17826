"""From a cart to one order: double clicks, two tabs, changed prices, and an order-service that is away."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from mambogo_testkit.peers import PeerReply, PeerRequest
from support.shop import ALICE, BOB, PRICE_MINOR, Shop, problem

TABS = 16


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["type"].removeprefix("urn:mambogo:problem:")


async def test_a_checkout_orders_what_is_in_the_cart_at_the_prices_that_it_shows(carts: Shop) -> None:
    mug, bowl = await carts.filled(1000, 250)
    await carts.put(bowl, 4)
    answer = await carts.check_out()
    assert answer.status_code == 201
    assert answer.json()["total_minor"] == 2000
    assert answer.headers["location"] == f"/api/orders/{answer.json()['order_id']}"
    [request] = carts.orders.server.requests
    assert request.json() == {
        "lines": [
            {"product_id": str(mug), "quantity": 1, "expected_unit_price_minor": 1000},
            {"product_id": str(bowl), "quantity": 4, "expected_unit_price_minor": 250},
        ]
    }


async def test_the_order_is_placed_in_the_users_name(carts: Shop) -> None:
    await carts.filled()
    await carts.check_out()
    [request] = carts.orders.server.requests
    assert request.headers["authorization"] == carts.as_user(ALICE)["Authorization"]


async def test_an_acknowledged_order_empties_the_cart(carts: Shop) -> None:
    await carts.filled()
    await carts.check_out()
    assert (await carts.get())["items"] == []


async def test_an_empty_cart_cannot_be_ordered(carts: Shop) -> None:
    assert code(await carts.check_out()) == (409, "cart-empty")
    assert carts.orders.server.requests == []


async def test_many_clicks_at_once_make_one_order(carts: Shop) -> None:
    await carts.filled()
    answers = await asyncio.gather(*(carts.check_out() for _ in range(TABS)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["order_id"] for answer in answers}) == 1
    assert len(carts.orders.by_key) == 1


async def test_a_second_click_after_the_first_gets_the_same_order(carts: Shop) -> None:
    await carts.filled()
    first, second = await carts.check_out(), await carts.check_out()
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert len(carts.orders.server.requests) == 1


async def test_a_second_click_of_another_user_gets_nothing_of_the_first(carts: Shop) -> None:
    await carts.filled()
    await carts.check_out()
    assert code(await carts.check_out(BOB)) == (409, "cart-empty")


async def test_a_cart_that_is_filled_again_is_another_order(carts: Shop) -> None:
    await carts.filled()
    first = await carts.check_out()
    await carts.filled()
    second = await carts.check_out()
    assert first.json()["order_id"] != second.json()["order_id"]


async def test_a_price_that_changes_between_two_clicks_still_makes_one_order(carts: Shop) -> None:
    [mug] = await carts.filled(1000)
    carts.orders.instead = [PeerReply(503)] * 3  # unknown to the first click: was it placed, or not?
    assert (await carts.check_out()).status_code == 503
    carts.catalogue.products[str(mug)] = (2000, "EUR", "ACTIVE")
    await carts.get()
    carts.orders.instead = []
    carts.catalogue.products[str(mug)] = (1000, "EUR", "ACTIVE")
    assert (await carts.check_out()).json()["total_minor"] == 1000
    bodies = {request.body for request in carts.orders.server.requests}
    keys = {request.headers["idempotency-key"] for request in carts.orders.server.requests}
    assert (len(bodies), len(keys)) == (1, 1)


async def test_another_price_than_the_cart_shows_is_refused_shown_and_then_taken(carts: Shop) -> None:
    [mug] = await carts.filled(1000)
    carts.catalogue.products[str(mug)] = (2000, "EUR", "ACTIVE")
    assert code(await carts.check_out()) == (409, "price-changed")
    assert (await carts.get())["total_minor"] == 2000
    answer = await carts.check_out()
    assert (answer.status_code, answer.json()["total_minor"]) == (201, 2000)
    assert carts.metric("cart_checkouts_total", outcome="refused") == 1


@pytest.mark.parametrize(
    "reply",
    [PeerReply(503), PeerReply(500), PeerReply(502), PeerReply(429), PeerReply(201, "no order")],
    ids=["away", "broken", "bad-gateway", "limited", "malformed"],
)
async def test_without_an_answer_from_order_service_the_cart_stays_and_the_client_may_come_again(
    carts: Shop, reply: PeerReply
) -> None:
    await carts.filled()
    carts.orders.instead = [reply] * 10
    answer = await carts.check_out()
    assert code(answer) == (503, "unavailable")
    assert answer.headers["retry-after"]
    assert len((await carts.get())["items"]) == 1
    carts.orders.instead = []
    assert (await carts.check_out()).status_code == 201
    assert len(carts.orders.by_key) == 1


async def test_a_lost_answer_is_asked_for_again_and_is_the_same_order(carts: Shop) -> None:
    await carts.filled()
    placed = carts.orders.answer

    def lose(request: PeerRequest) -> PeerReply:
        placed(request)
        return PeerReply(503)

    carts.orders.server.behaviour = lose
    assert (await carts.check_out()).status_code == 503
    [(_, order)] = carts.orders.by_key.values()
    carts.orders.server.behaviour = placed
    assert (await carts.check_out()).json()["order_id"] == order["order_id"]
    assert (await carts.get())["items"] == []


async def test_a_cart_that_changes_while_it_is_ordered_is_kept(carts: Shop) -> None:
    [mug] = await carts.filled()
    asked, go_on = threading.Event(), threading.Event()
    placed = carts.orders.answer

    def slow(request: PeerRequest) -> PeerReply:
        asked.set()
        go_on.wait(30)
        return placed(request)

    carts.orders.server.behaviour = slow
    checkout = asyncio.create_task(carts.check_out())
    assert await asyncio.to_thread(asked.wait, 30)
    await carts.put(mug, 3)
    go_on.set()
    assert (await checkout).status_code == 201
    assert [row["quantity"] for row in (await carts.get())["items"]] == [3]
    assert carts.metric("cart_kept_after_order_total") == 1


@pytest.mark.parametrize(
    ("status", "reason", "answered"),
    [
        (401, "token-invalid", (401, "token-invalid")),
        (403, "insufficient-scope", (403, "insufficient-scope")),
        (409, "product-unavailable", (409, "product-unavailable")),
        (409, "idempotency-in-progress", (409, "idempotency-in-progress")),
        (422, "idempotency-key-reused", (409, "idempotency-key-reused")),
    ],
)
async def test_what_order_service_refuses_is_said_and_the_cart_stays(
    carts: Shop, status: int, reason: str, answered: tuple[int, str]
) -> None:
    await carts.filled()
    carts.orders.instead = [problem(status, reason)]
    assert code(await carts.check_out()) == answered
    assert len((await carts.get())["items"]) == 1


async def test_prices_that_were_evicted_are_asked_for_again(carts: Shop) -> None:
    await carts.filled()
    await carts.parts.redis.delete("cart-prices")
    assert (await carts.check_out()).json()["total_minor"] == PRICE_MINOR


async def test_without_any_price_nothing_is_ordered(carts: Shop) -> None:
    await carts.filled()
    await carts.parts.redis.delete("cart-prices")
    carts.catalogue.is_away = True
    assert code(await carts.check_out()) == (503, "unavailable")
    assert carts.orders.server.requests == []
