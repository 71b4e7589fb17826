"""What consumers take for granted of providers and no schema says, asked of the live services.

Each expectation asks as its consumer does (services/*/src/*/adapters), directly, and looks for what the
consumer's code stands on. Shoppers of the fuzzer's own place its orders: what the audit of a run judges is
others'.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from rehearsal.contract.checks import EXPECTATIONS
from rehearsal.core.checks import Check
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop.accounts import OF_FUZZING
from rehearsal.shop.client import ADMINISTRATOR

PRODUCTS, ORDERS, STOCK = "product-service", "order-service", "inventory-service"
_PROBLEM = "urn:mambogo:problem:"
_MANY = 100  # ids in one question for quotes, as many as there may be
_SOURCE = "services/README.md"
_PRICE_MINOR = 1299  # arbitrary; what the payment sandbox declines is by other amounts
_TIMEOUT_SECONDS = 15.0  # longer than a service's longest deadline


class UnansweredError(Exception):
    """A provider gave no answer, or refused what had to be there first: nothing can be said."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider answered."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.body.get('detail') or self.body.get('title') or ''}".strip()


class Providers:
    """The live services, each at an address of its own, asked as somebody."""

    def __init__(self, client: httpx.AsyncClient, urls: Mapping[str, str], tokens: Mapping[str, str]) -> None:
        self._client = client
        self._urls = urls
        self._tokens = tokens

    async def ask(
        self, provider: str, method: str, path: str, *, user: str = "", content: Any = None, **headers: str
    ) -> Reply:
        """Return the answer. Raises UnansweredError when none comes, or 5xx."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if user:
            named["Authorization"] = f"Bearer {self._tokens[user]}"
        try:
            answer = await self._client.request(
                method, self._urls[provider] + path, json=content, headers=named
            )
        except httpx.HTTPError as error:
            raise UnansweredError(f"{provider} gives no answer: {type(error).__name__}: {error}") from error
        try:
            body = answer.json() if answer.content else {}
        except ValueError:
            body = {}
        reply = Reply(answer.status_code, body if isinstance(body, dict) else {}, answer.headers)
        if reply.status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise UnansweredError(f"{provider} answers {reply}")
        return reply

    async def quotes(self, product_ids: Sequence[str]) -> Reply:
        """Ask for quotes, as cart-service and order-service do."""
        query = httpx.QueryParams([("product_id", one) for one in product_ids])
        return await self.ask(PRODUCTS, "GET", f"/api/quotes?{query}")

    async def place(self, user: str, lines: Sequence[Mapping[str, Any]], key: str = "") -> Reply:
        """Place an order, as cart-service does."""
        return await self.ask(
            ORDERS,
            "POST",
            "/api/orders",
            user=user,
            content={"lines": list(lines)},
            Idempotency_Key=key or str(uuid.uuid4()),
        )


@dataclass(frozen=True, slots=True)
class Goods:
    """What expectations are tried with: two products in one currency, one in another, one withdrawn."""

    shopper: str
    first: str
    second: str
    foreign: str
    withdrawn: str
    price_minor: int

    def line(self, product_id: str, quantity: int = 1, *, price_minor: int = 0) -> Mapping[str, Any]:
        """Return a line of an order at the price that a cart shows."""
        price = price_minor or self.price_minor
        return {"product_id": product_id, "quantity": quantity, "expected_unit_price_minor": price}


Ask = Callable[[Providers, Goods], Awaitable[str]]  # what is wrong; empty when nothing is


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a consumer takes for granted."""

    consumer: str
    provider: str
    sentence: str
    ask: Ask

    @property
    def subject(self) -> str:
        """Whose expectation it is of whom, and which."""
        return f"{self.consumer} of {self.provider} ({self.sentence})"


async def _quotes_are_prices(providers: Providers, goods: Goods) -> str:
    reply = await providers.quotes([goods.first])
    found = {one["product_id"]: one for one in reply.body.get("items", ())}
    said = found.get(goods.first, {})
    if (said.get("price_minor"), said.get("currency"), said.get("status")) == (
        goods.price_minor,
        "EUR",
        "ACTIVE",
    ):
        return ""
    return f"a product at {goods.price_minor} EUR on sale is quoted as {said or reply}"


async def _unknown_is_named(providers: Providers, goods: Goods) -> str:
    nobodys = str(uuid.uuid4())
    reply = await providers.quotes([goods.first, nobodys])
    known = [one["product_id"] for one in reply.body.get("items", ())]
    if known == [goods.first] and reply.body.get("unknown") == [nobodys]:
        return ""
    return f"one known and one unknown product are answered {reply}: {reply.body}"


async def _many_at_once(providers: Providers, goods: Goods) -> str:
    wanted = [goods.first, *(str(uuid.uuid4()) for _ in range(_MANY - 1))]
    reply = await providers.quotes(wanted)
    found = len(reply.body.get("items", ())) + len(reply.body.get("unknown", ()))
    return "" if found == _MANY else f"{_MANY} products are answered {reply} with {found} of them"


async def _withdrawn_is_said(providers: Providers, goods: Goods) -> str:
    reply = await providers.quotes([goods.withdrawn])
    if reply.status != httpx.codes.OK:
        return f"a product that was withdrawn is answered {reply}"
    states = [one["status"] for one in reply.body["items"]]
    return "" if "ACTIVE" not in states else "a product that was withdrawn is quoted as on sale"


async def _one_key_one_order(providers: Providers, goods: Goods) -> str:
    key, lines = str(uuid.uuid4()), [goods.line(goods.first)]
    first, again = [await providers.place(goods.shopper, lines, key) for _ in range(2)]
    ids = [one.body.get("order_id") for one in (first, again)]
    if first.status == again.status == httpx.codes.CREATED and ids[0] is not None and ids[0] == ids[1]:
        return ""
    return f"the same request twice is answered {first} with order {ids[0]}, {again} with order {ids[1]}"


async def _key_is_one_request(providers: Providers, goods: Goods) -> str:
    key = str(uuid.uuid4())
    first = await providers.place(goods.shopper, [goods.line(goods.first)], key)
    other = await providers.place(goods.shopper, [goods.line(goods.second)], key)
    if (first.status, other.status) == (httpx.codes.CREATED, httpx.codes.UNPROCESSABLE_ENTITY):
        return ""
    return f"two requests under one key are answered {first}, then {other}; 422 is what the second must get"


async def _costs_its_lines(providers: Providers, goods: Goods) -> str:
    lines = [goods.line(goods.first, 2), goods.line(goods.second, 3)]
    reply = await providers.place(goods.shopper, lines)
    if reply.body.get("total_minor") == 5 * goods.price_minor:
        return ""
    return f"five pieces at {goods.price_minor} cost {reply.body.get('total_minor')} ({reply})"


def _refused(code: str, lines: Callable[[Goods], Sequence[Mapping[str, Any]]]) -> Ask:
    async def ask(providers: Providers, goods: Goods) -> str:
        reply = await providers.place(goods.shopper, lines(goods))
        said = str(reply.body.get("type", "")).removeprefix(_PROBLEM)
        if (reply.status, said) == (httpx.codes.CONFLICT, code):
            return ""
        return f"it is answered {reply} ({said or 'no problem named'}) instead of 409 {code}"

    return ask


CART, ORDER = "cart-service", "order-service"
ALL = (
    Expectation(CART, PRODUCTS, "a quote is the product's price", _quotes_are_prices),
    Expectation(CART, PRODUCTS, "what nobody knows is named, and the rest answered", _unknown_is_named),
    Expectation(CART, PRODUCTS, "a hundred products are answered at once", _many_at_once),
    Expectation(ORDER, PRODUCTS, "what was withdrawn is not quoted as on sale", _withdrawn_is_said),
    Expectation(ORDER, PRODUCTS, "what nobody knows is no error", _unknown_is_named),
    Expectation(CART, ORDERS, "one key is one order, however often it is sent", _one_key_one_order),
    Expectation(CART, ORDERS, "another request under a key is refused", _key_is_one_request),
    Expectation(CART, ORDERS, "an order costs what its lines cost", _costs_its_lines),
    Expectation(
        CART,
        ORDERS,
        "another price than the cart showed is refused by name",
        _refused("price-changed", lambda goods: [goods.line(goods.first, price_minor=goods.price_minor + 1)]),
    ),
    Expectation(
        CART,
        ORDERS,
        "what is not on sale is refused by name",
        _refused("product-unavailable", lambda goods: [goods.line(goods.withdrawn)]),
    ),
    Expectation(
        CART,
        ORDERS,
        "goods in two currencies are refused by name",
        _refused("currency-mismatch", lambda goods: [goods.line(goods.first), goods.line(goods.foreign)]),
    ),
)


async def stock(providers: Providers, administrator: str, shopper: str, price_minor: int) -> Goods:
    """Make the goods. Raises UnansweredError when they are not taken."""
    ids = [await _made(providers, administrator, price_minor, currency) for currency in ("EUR", "EUR", "USD")]
    withdrawn = await _made(providers, administrator, price_minor, "EUR", status="DISCONTINUED")
    for product_id in (*ids, withdrawn):
        path, content = f"/api/inventory/{product_id}", {"initial": 1000}
        taken = await providers.ask(STOCK, "PUT", path, user=administrator, content=content)
        _need(taken, (httpx.codes.OK, httpx.codes.CREATED), "stock")
    return Goods(shopper, ids[0], ids[1], ids[2], withdrawn, price_minor)


async def _made(
    providers: Providers, administrator: str, price_minor: int, currency: str, status: str = "ACTIVE"
) -> str:
    sku = f"EXPECTED-{uuid.uuid4().hex[:8]}".upper()
    content = {
        "sku": sku,
        "name": "expected",
        "category": "rehearsal",
        "currency": currency,
        "price_minor": price_minor,
        "status": status,
    }
    made = await providers.ask(PRODUCTS, "POST", "/api/products", user=administrator, content=content)
    _need(made, (httpx.codes.CREATED,), f"product {sku}")
    if "id" not in made.body:
        raise UnansweredError(f"product {sku} is taken, and its id not said")
    return str(made.body["id"])


def _need(reply: Reply, wanted: Sequence[int], what: str) -> None:
    if reply.status not in wanted:
        raise UnansweredError(f"{what} is not taken: {reply}")


Open = Callable[[str, Path], AbstractContextManager[str]]  # the address of a service; the file is its log
Tokens = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]  # fresh ones, by account


async def judge_expectations(
    open_: Open, tokens: Tokens, folder: Path, expectations: Sequence[Expectation] = ALL
) -> list[Check]:
    """Ask the live services, and return one check for each expectation."""
    shopper = OF_FUZZING[0]
    try:
        with ExitStack() as stack:
            urls = {
                name: stack.enter_context(open_(name, folder / f"expected-of-{name}.way.txt"))
                for name in (PRODUCTS, ORDERS, STOCK)
            }
            known = await tokens((ADMINISTRATOR, shopper))
            # No proxy of this machine stands between.
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
                providers = Providers(client, urls, known)
                goods = await stock(providers, ADMINISTRATOR, shopper, _PRICE_MINOR)
                return [check async for check in replay(providers, goods, expectations)]
    except (EnvironmentNotReadyError, UnansweredError) as error:
        return [EXPECTATIONS.invalid(one.subject, str(error)) for one in expectations]


async def replay(
    providers: Providers, goods: Goods, expectations: Sequence[Expectation] = ALL
) -> AsyncIterator[Check]:
    """Yield one check for each expectation."""
    for one in expectations:
        try:
            wrong = await one.ask(providers, goods)
        except UnansweredError as error:
            yield EXPECTATIONS.invalid(one.subject, str(error))
            continue
        except (AttributeError, LookupError, TypeError) as error:
            # The consumer's code would stumble over the same field.
            wrong = f"an answer has not the form that its document says: {type(error).__name__}: {error}"
        if wrong:
            yield EXPECTATIONS.failed(
                one.subject,
                wrong,
                expected=one.sentence,
                observed=wrong,
                reproduce="rehearsal e2e --stages contract",
                source=_SOURCE,
            )
        else:
            yield EXPECTATIONS.passed(one.subject, f"it holds: {one.sentence}")
