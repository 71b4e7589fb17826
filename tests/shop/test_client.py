"""The shop by HTTP and in memory: the same operations come to the same answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop.answers import Answer, Kind, kind_of
from rehearsal.shop.client import ADMINISTRATOR, HttpShop, Line, Shop, http_client
from rehearsal.shop.tokens import Account, PasswordTokens, Realm

from tests.shop.fakes import PASSWORD, SILENT, FakeShop, Served, refusing, serving

pytestmark = pytest.mark.enable_socket

T = TypeVar("T")
Ask = Callable[[Callable[[Shop], Awaitable[T]]], T]
LINES = [Line("p-1", 2)]
ACCOUNTS = {name: Account(name, PASSWORD, "openid") for name in ("anna", "ben", ADMINISTRATOR)}


@pytest.fixture
def fake() -> FakeShop:
    """Return the shop that is asked."""
    return FakeShop()


@pytest.fixture(params=["memory", "http"])
def ask(request: pytest.FixtureRequest, fake: FakeShop) -> Iterator[Ask[Answer]]:
    """Return what asks the shop: directly, and through the adapter."""
    if request.param == "memory":
        yield lambda question: asyncio.run(_awaited(question(fake)))
        return
    with serving(fake) as served:
        yield lambda question: asyncio.run(_by_http(served, question))


async def _awaited(question: Awaitable[T]) -> T:
    return await question


async def _by_http(served: Served, question: Callable[[HttpShop], Awaitable[T]]) -> T:
    async with http_client(served.base_url) as client:
        return await question(
            HttpShop(client, PasswordTokens(client, Realm(served.token_url, "x"), ACCOUNTS))
        )


def test_order_is_placed_once_under_a_key(ask: Ask[Answer], fake: FakeShop) -> None:
    first, second = (ask(lambda shop: shop.place_order("anna", LINES, key="k")) for _ in range(2))

    assert (first.kind, first.body["order_id"]) == (Kind.OK, second.body["order_id"])
    assert len(fake.stored) == 1


def test_own_order_is_found_and_anothers_is_not(ask: Ask[Answer]) -> None:
    order_id = ask(lambda shop: shop.place_order("anna", LINES, key="k")).body["order_id"]

    assert ask(lambda shop: shop.order("anna", order_id)).kind is Kind.OK
    assert ask(lambda shop: shop.order("ben", order_id)).status == 404


def test_list_goes_on_at_its_cursor(ask: Ask[Answer]) -> None:
    for key in "abc":
        ask(lambda shop, key=key: shop.place_order("anna", LINES, key=key))  # type: ignore[misc]
    first = ask(lambda shop: shop.orders("anna"))
    second = ask(lambda shop: shop.orders("anna", first.body["next_cursor"]))

    assert (len(first.body["items"]), len(second.body["items"])) == (2, 1)
    assert second.body["next_cursor"] is None


def test_refusal_keeps_its_status_and_its_patience(ask: Ask[Answer], fake: FakeShop) -> None:
    fake.trouble = lambda number: refusing(503, retry_after_seconds=2)
    answer = ask(lambda shop: shop.place_order("anna", LINES, key="k"))

    assert (answer.kind, answer.status, answer.retry_after_seconds) == (Kind.INFO, 503, 2)


def test_answer_that_does_not_come_is_no_exception(ask: Ask[Answer], fake: FakeShop) -> None:
    fake.trouble = lambda number: SILENT
    answer = ask(lambda shop: shop.place_order("anna", LINES, key="k"))

    assert (answer.kind, answer.status) == (Kind.INFO, None)
    assert answer.error


def test_token_is_kept_while_it_is_good(fake: FakeShop) -> None:
    async def twice(shop: HttpShop) -> None:
        await shop.orders("anna")
        await shop.orders("anna")

    with serving(fake) as served:
        asyncio.run(_by_http(served, twice))
        assert served.tokens_given == ["anna"]


def test_wrong_password_is_an_environment_that_is_not_ready(fake: FakeShop) -> None:
    async def fetch(served: Served) -> str:
        async with http_client("") as client:
            wrong = {"anna": Account("anna", "wrong", "openid")}
            return await PasswordTokens(client, Realm(served.token_url, "x"), wrong).bearer("anna")

    with serving(fake) as served, pytest.raises(EnvironmentNotReadyError, match="anna"):
        asyncio.run(fetch(served))


def test_request_without_a_token_is_possible(fake: FakeShop) -> None:
    with serving(fake) as served:
        answer = asyncio.run(_by_http(served, lambda shop: shop.anonymous("GET", "/api/orders")))

    assert answer.status == 401


@pytest.mark.parametrize("status", [200, 201, 204])
def test_operation_with_a_good_status_happened(status: int) -> None:
    assert kind_of(status) is Kind.OK


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_operation_that_was_refused_did_not_happen(status: int) -> None:
    assert kind_of(status) is Kind.FAIL


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_operation_without_a_clear_status_may_have_happened(status: int) -> None:
    assert kind_of(status) is Kind.INFO
