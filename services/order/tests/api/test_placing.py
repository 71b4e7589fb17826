"""POST /api/orders against real PostgreSQL and a real (small) product-service."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from mambogo_testkit.peers import PeerReply, PeerRequest
from support.catalogue import PRICE_MINOR
from support.shop import ALICE, BOB, Shop

BUYERS = 32


def line(product_id: object, quantity: object = 1, **more: Any) -> dict[str, Any]:
    return {"product_id": str(product_id), "quantity": quantity, **more}


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["type"].removeprefix("urn:mambogo:problem:")


async def test_an_order_costs_what_the_products_cost(orders: Shop) -> None:
    mug, bowl = orders.products.add(1250), orders.products.add(399)
    answer = await orders.place(line(mug, 2), line(bowl, 3))
    assert answer.status_code == 201
    placed = answer.json()
    assert (placed["state"], placed["currency"], placed["total_minor"]) == ("PENDING", "EUR", 3697)
    assert answer.headers["location"] == f"/api/orders/{placed['order_id']}"
    assert (await orders.get(placed["order_id"])).json() == placed


async def test_an_order_and_its_event_are_there_together(orders: Shop) -> None:
    order_id = await orders.placed()
    [(value,)] = await orders.rows("SELECT value FROM outbox")
    event = json.loads(value)
    assert (event["type"], event["subject"]) == ("com.mambogo.order.placed.v1", str(order_id))
    data = event["data"]
    assert (data["sequence"], data["user_id"], data["total_minor"]) == (1, ALICE, PRICE_MINOR)
    assert [(row["quantity"], row["unit_price_minor"]) for row in data["lines"]] == [(1, PRICE_MINOR)]


async def test_many_posts_with_one_key_make_one_order(orders: Shop) -> None:
    wanted = line(orders.products.add())
    answers = await asyncio.gather(*(orders.place(wanted, key="the-key") for _ in range(BUYERS)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["order_id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert await orders.rows("SELECT count(*) FROM orders") == [(1,)]
    assert await orders.rows("SELECT count(*) FROM outbox") == [(1,)]
    assert orders.metric("orders_total", state="pending") == 1


async def test_a_repetition_gets_the_first_answer_even_when_prices_have_changed(orders: Shop) -> None:
    mug = orders.products.add(1000)
    first = await orders.place(line(mug), key="the-key")
    orders.products.products[str(mug)] = (2000, "EUR", "ACTIVE")
    again = await orders.place(line(mug), key="the-key")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_key_of_another_request_is_refused(orders: Shop) -> None:
    mug = orders.products.add()
    await orders.place(line(mug), key="the-key")
    assert problem(await orders.place(line(mug, 2), key="the-key")) == (422, "idempotency-key-reused")


async def test_a_key_of_another_user_is_another_key(orders: Shop) -> None:
    mug = line(orders.products.add())
    mine = await orders.place(mug, key="the-key")
    theirs = await orders.place(mug, user=BOB, key="the-key")
    assert theirs.status_code == 201
    assert theirs.json()["order_id"] != mine.json()["order_id"]


async def test_an_order_without_a_key_is_refused(orders: Shop) -> None:
    answer = await orders.client.post(
        "/api/orders", json={"lines": [line(orders.products.add())]}, headers=orders.as_user(ALICE)
    )
    assert problem(answer) == (400, "idempotency-key-invalid")


@pytest.mark.parametrize("expected", [PRICE_MINOR, None])
async def test_a_price_that_was_expected_is_taken(orders: Shop, expected: int | None) -> None:
    wanted = line(orders.products.add(), expected_unit_price_minor=expected)
    assert (await orders.place(wanted)).status_code == 201


async def test_another_price_than_expected_is_refused_until_it_is_expected(orders: Shop) -> None:
    mug = orders.products.add(1000)
    refused = await orders.place(line(mug, expected_unit_price_minor=999), key="the-key")
    assert problem(refused) == (409, "price-changed")
    accepted = await orders.place(line(mug, expected_unit_price_minor=1000), key="the-key")
    assert accepted.status_code == 201


async def test_what_is_not_on_sale_is_refused(orders: Shop) -> None:
    gone = orders.products.add(status="DISCONTINUED")
    assert problem(await orders.place(line(gone))) == (409, "product-unavailable")
    assert problem(await orders.place(line(uuid4()))) == (409, "product-unavailable")


async def test_products_of_two_currencies_are_no_order(orders: Shop) -> None:
    answer = await orders.place(line(orders.products.add()), line(orders.products.add(currency="USD")))
    assert problem(answer) == (409, "currency-mismatch")


async def test_another_currency_than_the_products_is_refused(orders: Shop) -> None:
    answer = await orders.place(line(orders.products.add()), currency="CHF")
    assert problem(answer) == (409, "currency-mismatch")


async def test_a_total_that_no_integer_holds_is_refused(orders: Shop) -> None:
    answer = await orders.place(line(orders.products.add(9_007_199_254_740_991), 2))
    assert problem(answer) == (409, "total-too-large")


async def test_a_product_may_be_named_once(orders: Shop) -> None:
    mug = orders.products.add()
    assert problem(await orders.place(line(mug), line(str(mug).upper()))) == (409, "product-repeated")
    assert orders.products.server.requests == []


@pytest.mark.parametrize(
    "reply",
    [
        PeerReply(503),
        PeerReply(500),
        PeerReply(404),
        PeerReply(200, {"items": [{"product_id": "x"}]}),
        PeerReply(200, "no quotes"),
    ],
    ids=["unavailable", "broken", "missing", "malformed", "other"],
)
async def test_without_quotes_nothing_is_placed_and_the_client_may_come_again(
    orders: Shop, reply: PeerReply
) -> None:
    wanted = line(orders.products.add())
    orders.products.behave(lambda request: reply)
    answer = await orders.place(wanted, key="the-key")
    assert problem(answer) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    orders.products.behave(orders.products.answer)
    assert (await orders.place(wanted, key="the-key")).status_code == 201


async def test_an_absent_database_is_answered_503(orders: Shop) -> None:
    await orders.parts.database.close()
    answer = await orders.place()
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


BAD_BODIES: dict[str, Any] = {
    "no-lines": {"lines": []},
    "null": None,
    "a-list": [],
    "lines-no-list": {"lines": {"product_id": str(uuid4()), "quantity": 1}},
    "10000-lines": {"lines": [line(uuid4()) for _ in range(10_000)]},
    "101-lines": {"lines": [line(uuid4()) for _ in range(101)]},
    "no-uuid": {"lines": [line("mug")]},
    "overlong-id": {"lines": [line("a" * 100_000)]},
    "zero": {"lines": [line(uuid4(), 0)]},
    "negative": {"lines": [line(uuid4(), -1)]},
    "too-many": {"lines": [line(uuid4(), 1001)]},
    "overflowing": {"lines": [line(uuid4(), 10**400)]},
    "text": {"lines": [line(uuid4(), "1")]},
    "bool": {"lines": [line(uuid4(), True)]},
    "fraction": {"lines": [line(uuid4(), 1.5)]},
    "negative-price": {"lines": [line(uuid4(), expected_unit_price_minor=-1)]},
    "currency-unknown": {"lines": [line(uuid4())], "currency": "XXX"},
    "currency-lower-case": {"lines": [line(uuid4())], "currency": "eur"},
    "own-price": {"lines": [line(uuid4(), unit_price_minor=1)]},
    "own-total": {"lines": [line(uuid4())], "total_minor": 1},
    "own-state": {"lines": [line(uuid4())], "state": "CONFIRMED"},
    "own-user": {"lines": [line(uuid4())], "user_id": BOB},
    "own-id": {"lines": [line(uuid4())], "order_id": str(uuid4())},
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_bad_input_is_refused_and_nothing_is_asked_or_stored(orders: Shop, name: str) -> None:
    answer = await send(orders, json.dumps(BAD_BODIES[name]).encode())
    assert problem(answer) == (422, "invalid-input")
    assert await nothing_was_done(orders)


PRODUCT = b'"product_id": "00000000-0000-4000-8000-000000000000"'
NO_SOUND_JSON: dict[str, tuple[bytes, int]] = {
    "broken": (b"{", 422),
    "nan": (b'{"lines": [{' + PRODUCT + b', "quantity": NaN}]}', 422),
    "infinity": (b'{"lines": [{' + PRODUCT + b', "quantity": 1e999}]}', 422),
    "deep": (b'{"lines": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400),
    "large": (b'{"lines": "' + b"a" * 1_100_000 + b'"}', 413),
    "no-utf8": (b"\xff\xfe", 422),
}


@pytest.mark.parametrize("name", NO_SOUND_JSON)
async def test_what_is_no_sound_json_is_refused(orders: Shop, name: str) -> None:
    raw, status = NO_SOUND_JSON[name]
    assert problem(await send(orders, raw))[0] == status
    assert await nothing_was_done(orders)


async def send(orders: Shop, raw: bytes) -> httpx.Response:
    headers = {**orders.as_user(ALICE), "Idempotency-Key": "k", "Content-Type": "application/json"}
    return await orders.client.post("/api/orders", content=raw, headers=headers)


async def nothing_was_done(orders: Shop) -> bool:
    stored = await orders.rows(
        "SELECT 1 FROM orders UNION ALL SELECT 1 FROM idempotency UNION ALL SELECT 1 FROM outbox"
    )
    return not stored and not orders.products.server.requests


@pytest.mark.parametrize("scopes", [(), ("orders:read",), ("carts:write",)])
async def test_placing_needs_its_scope(orders: Shop, scopes: tuple[str, ...]) -> None:
    token = orders.tokens.token(ALICE, *scopes)
    answer = await orders.client.post(
        "/api/orders",
        json={"lines": [line(orders.products.add())]},
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "k"},
    )
    assert problem(answer) == (403, "insufficient-scope")


async def test_a_request_whose_time_is_up_stores_nothing(orders: Shop) -> None:
    await orders.place()  # the signing key is known and the pool warm
    asked, release = threading.Event(), threading.Event()

    def slow(request: PeerRequest) -> PeerReply:
        asked.set()
        release.wait(20)
        return orders.products.answer(request)

    orders.products.behave(slow)
    deadline = str(int((time.time() + 1.0) * 1000))
    headers = {**orders.as_user(ALICE), "Idempotency-Key": "k", "X-Request-Deadline": deadline}
    body = {"lines": [line(orders.products.add())]}
    answer = await orders.client.post("/api/orders", json=body, headers=headers)
    release.set()
    assert asked.is_set()
    assert answer.status_code in (503, 504)
    assert await orders.rows("SELECT count(*) FROM orders") == [(1,)]
