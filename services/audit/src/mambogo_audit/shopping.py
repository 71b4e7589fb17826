"""Shoppers: many at once, each with several accounts, who buy what `planning` says and see how it ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp
from mambogo_testkit.issuing import Issuer
from rehearsal.chaos.proving.operations import CANCEL, LOOK, PLACE, STOCK
from rehearsal.chaos.proving.snapshot import ENDED
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.history import History

from mambogo_audit.asking import PATIENCE_SECONDS, TIMEOUT_SECONDS, Asker, Entry, Request
from mambogo_audit.planning import Cancel, Plan, Stall, plan_of

ACCOUNTS: Final = 3
_FIRST_LOOK_SECONDS: Final = 0.2
_LAST_LOOK_SECONDS: Final = 2.0
_SCOPES: Final = ("carts:write", "orders:read", "orders:write", "inventory:read", "payments:read")
# Whoever asks for a price of their own asks for this one.
_DREAM_PRICE_MINOR: Final = 1
_STOCK_PROCESSES: Final = ("inventory", "inventory-2")


@dataclass
class Market:
    """Where everybody shops, and writes down what they saw."""

    urls: Mapping[str, str]
    issuer: Issuer
    history: History
    stall: Stall
    # Captured payments whose buyers want their money back.
    unhappy: list[str] = field(default_factory=list)

    async def run(self, numbers: range, *, clients: int, seed: int, more: Callable[[int], bool]) -> int:
        """Place these orders, and further ones while `more` says so of the next; how many they were."""
        left = _numbers(numbers, more)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        done = 0
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:

            async def shop(client: int) -> None:
                nonlocal done
                shopper = _Shopper(self, session, client)
                for number in left:
                    await shopper.buy(plan_of(number, seed, self.stall, ACCOUNTS))
                    done += 1

            async with asyncio.TaskGroup() as group:
                for client in range(clients):
                    group.create_task(shop(client))
        return done


def _numbers(numbers: range, more: Callable[[int], bool]) -> Iterator[int]:
    yield from numbers
    number = numbers.stop
    while more(number):
        yield number
        number += 1


@dataclass(frozen=True, slots=True)
class _Account:
    """One user: at most two requests of one are under way at once, from two tabs."""

    user: str
    asker: Asker
    tab: Asker


@dataclass(frozen=True, slots=True)
class _Purchase:
    """What makes the order: the same history entry and request each time."""

    entry: Entry
    request: Request


class _Shopper:
    """One of them: one order after the other."""

    def __init__(self, market: Market, session: aiohttp.ClientSession, client: int) -> None:
        self._market = market
        self._accounts = [self._account(session, client, number) for number in range(ACCOUNTS)]

    def _account(self, session: aiohttp.ClientSession, client: int, number: int) -> _Account:
        market = self._market
        user = str(UUID(int=client * ACCOUNTS + number + 1))
        token = market.issuer.token(user, *_SCOPES, seconds=86_400)
        name, attempts = f"shopper-{client}.{number}", count(1)
        asker, tab = (
            Asker(session, market.urls, market.history, process=process, token=token, attempts=attempts)
            for process in (name, f"{name} tab")
        )
        return _Account(user, asker, tab)

    async def buy(self, plan: Plan) -> None:
        account = self._accounts[plan.account]
        op_id = f"order-{plan.number}"
        if plan.by_cart:
            purchase = await self._fill_cart(account, op_id, plan)
            if purchase is None:
                return
        else:
            purchase = _directly(account.user, op_id, str(uuid4()), plan.lines)
        placed = await _click(account, purchase, plan.clicks)
        if plan.haggles:
            await self._haggle(account, op_id, plan)
        if placed.kind is Kind.OK:
            await self._follow(account, op_id, plan, purchase, str(placed.body["order_id"]))
        if plan.is_rush:
            await self._look_at_stock(account, op_id, plan.lines[0][0])

    async def _follow(
        self, account: _Account, op_id: str, plan: Plan, purchase: _Purchase, order_id: str
    ) -> None:
        """All that happens to an order that was acknowledged."""
        if plan.repeats:
            await account.asker.ask(purchase.entry, purchase.request)
        if not plan.by_cart:
            await self._play_with_key(account, op_id, plan, purchase.request.key)
        if plan.cancel is Cancel.AT_ONCE:
            await _cancel(account, op_id, order_id)
        seen = await _see_it_end(account, op_id, order_id)
        if seen.body.get("state") != "CONFIRMED":
            return
        if plan.cancel is Cancel.WHEN_CONFIRMED:
            await _cancel(account, op_id, order_id)
            await _see_it_end(account, op_id, order_id)
        elif plan.wants_refund:
            self._market.unhappy.append(str(seen.body["payment_id"]))

    async def _play_with_key(self, account: _Account, op_id: str, plan: Plan, key: str) -> None:
        if plan.reuses_key:
            other = _directly(account.user, op_id, key, ((plan.lines[0][0], 999),))
            await account.asker.ask(other.entry, other.request)
        if plan.shares_key:
            friend = self._accounts[(plan.account + 1) % ACCOUNTS]
            same = _directly(friend.user, f"{op_id}-friend", key, plan.lines)
            placed = await _click(friend, same, 1)
            if placed.kind is Kind.OK:
                await _see_it_end(friend, same.entry.op_id, str(placed.body["order_id"]))

    async def _fill_cart(self, account: _Account, op_id: str, plan: Plan) -> _Purchase | None:
        """Put everything in; the checkout of what is then there, or None where the cart cannot be had."""
        for product_id, quantity in plan.lines:
            asked = {"product_id": product_id, "quantity": quantity}
            path = f"/api/carts/current/items/{product_id}"
            request = Request("PUT", "cart", path, {"quantity": quantity})
            await account.asker.until_clear(Entry("put_item", op_id, asked), request)
        look = Entry("get_cart", op_id, {})
        cart = await account.asker.until_clear(look, Request("GET", "cart", "/api/carts/current"))
        if cart.kind is not Kind.OK or not cart.body["items"]:
            return None
        # Another version of it would be another order; nobody but this shopper changes it.
        key = f"{account.user}/cart-{cart.body['cart_id']}"
        lines = [[item["product_id"], item["quantity"]] for item in cart.body["items"]]
        entry = Entry(PLACE, op_id, {"lines": lines, "via": "cart"}, key)
        return _Purchase(entry, Request("POST", "cart", "/api/carts/current/checkout"))

    async def _haggle(self, account: _Account, op_id: str, plan: Plan) -> None:
        """Ask for the same at a price of one's own, once; the shop has to refuse."""
        key = str(uuid4())
        lines = [
            {"product_id": one, "quantity": many, "expected_unit_price_minor": _DREAM_PRICE_MINOR}
            for one, many in plan.lines
        ]
        asked = {"lines": [[one, many] for one, many in plan.lines], "price": _DREAM_PRICE_MINOR}
        entry = Entry(PLACE, f"{op_id}-haggle", asked, f"{account.user}/{key}")
        request = Request("POST", "order", "/api/orders", {"lines": lines}, key)
        await account.asker.ask(entry, request)

    async def _look_at_stock(self, account: _Account, op_id: str, product_id: str) -> None:
        process = random.Random(op_id).choice(_STOCK_PROCESSES)  # noqa: S311 - spreads the looks, no secret
        entry = Entry(STOCK, op_id, {"product_id": product_id})
        await account.asker.ask(entry, Request("GET", process, f"/api/inventory/{product_id}"))


def _directly(user: str, op_id: str, key: str, lines: tuple[tuple[str, int], ...]) -> _Purchase:
    body: dict[str, Any] = {"lines": [{"product_id": one, "quantity": many} for one, many in lines]}
    entry = Entry(PLACE, op_id, {"lines": [list(line) for line in lines]}, f"{user}/{key}")
    return _Purchase(entry, Request("POST", "order", "/api/orders", body, key))


async def _click(account: _Account, purchase: _Purchase, clicks: int) -> Answer:
    """Once or twice at the same moment, and until it is clear."""
    tabs = (account.asker, account.tab)[:clicks]
    answers = await asyncio.gather(*(tab.until_clear(purchase.entry, purchase.request) for tab in tabs))
    return min(answers, key=lambda answer: answer.kind is not Kind.OK)


async def _cancel(account: _Account, op_id: str, order_id: str) -> Answer:
    request = Request("POST", "order", f"/api/orders/{order_id}/cancellation")
    return await account.asker.ask(Entry(CANCEL, op_id, {"order_id": order_id}), request)


async def _see_it_end(account: _Account, op_id: str, order_id: str) -> Answer:
    """Look until it has, or until patience has; the last answer."""
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + PATIENCE_SECONDS, _FIRST_LOOK_SECONDS
    entry, request = (
        Entry(LOOK, op_id, {"order_id": order_id}),
        Request("GET", "order", f"/api/orders/{order_id}"),
    )
    while True:
        await asyncio.sleep(pause)
        answer = await account.asker.ask(entry, request)
        if answer.body.get("state") in ENDED or loop.time() > end:
            return answer
        pause = min(pause * 1.5, _LAST_LOOK_SECONDS)
