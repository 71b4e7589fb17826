"""Shoppers as Locust users: what they ask, in which order, and what they expect of the answers.

A request is due when the answer before it came and its shopper has thought; the first when the shopper was
due. Locust's own times begin when a request is sent, and so leave out what waited for a stalled shop.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

import gevent
from locust.contrib.fasthttp import FastHttpUser

from rehearsal.load.journeys.plan import CHECKOUT, Arrival, JourneyPlan
from rehearsal.load.journeys.records import Asked, Ordered, Record
from rehearsal.shop.answers import Kind, kind_of
from rehearsal.shop.history import History

ENDS = ("CONFIRMED", "REJECTED", "CANCELLED")
_TIMEOUT_SECONDS = 12.0  # longer than the gateway's longest deadline: it is the one to answer
_OK = range(200, 300)
_DOUBLE_CLICK_SHARE = 0.25  # of those who buy
_NOTED = ("order_id", "state", "total_minor", "currency", "code")

Body = Mapping[str, Any]
Expected = Callable[[Body], str]  # what is wrong with an answer; empty when nothing is


class GaveUpError(Exception):
    """A shopper got another answer than the promised one, and goes."""


@dataclass(frozen=True, slots=True)
class _Basket:
    cart_id: str
    lines: tuple[tuple[str, int], ...]
    total_minor: int


@dataclass(frozen=True, slots=True)
class _Got:
    status: int | None  # none came
    body: Body
    wrong: str
    pod: str


class Guide(Protocol):
    """Who lends users, so that no two shoppers share a cart, and writes down what happened."""

    plan: JourneyPlan
    history: History  # of orders, for the audit
    began: float  # by the monotonic clock

    def bearer(self, user: str) -> str:
        """Return a token of a user."""

    def record(self, record: Record) -> None:
        """Write a record down."""


class Shopper(FastHttpUser):
    """One shopper on one journey."""

    network_timeout = _TIMEOUT_SECONDS
    connection_timeout = _TIMEOUT_SECONDS
    max_retries = 0  # what fails is seen

    def __init__(
        self,
        environment: Any,
        guide: Guide,
        arrival: Arrival,
        user: str,
        give_back: Callable[[], None],  # called once, when the user's cart is not needed any more
    ) -> None:
        self.host = guide.plan.base_url
        super().__init__(environment)
        self._guide = guide
        self._arrival = arrival
        self._draw = random.Random(arrival.seed)  # noqa: S311 - a load, no secret
        self._due = guide.began + arrival.due
        self._user = user
        self._give_back: Callable[[], None] | None = give_back

    def go(self) -> None:
        """Go the way of the journey, to its end or to the first wrong answer."""
        ways = {"browse": self._browse, "search": self._search, "fill a cart": self._fill, "buy": self._buy}
        try:
            ways[self._arrival.journey]()
        except GaveUpError:
            pass
        finally:
            self._release()
            self.client.client.close()

    def _release(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back:
            give_back()

    def _browse(self) -> None:
        self._ask("GET /api/categories", "/api/categories", lambda body: _some(body, "category"))
        self._ask("GET /api/products", "/api/products?limit=20", lambda body: _some(body, "product"))
        self._product()

    def _search(self) -> None:
        product = self._product()
        wanted = f"/api/products?q={product['sku']}"
        self._ask("GET /api/products", wanted, lambda body: _found(body, product["id"]))
        self._product(str(product["id"]))

    def _fill(self) -> _Basket:
        product = self._product()
        quantity = self._draw.randint(1, 3)
        total = quantity * int(product["price_minor"])
        path = f"/api/carts/current/items/{product['id']}"
        operation = "PUT /api/carts/current/items/{product_id}"
        # What an earlier shopper left in the cart is none of this one's business.
        self._ask("DELETE /api/carts/current", "/api/carts/current", lambda body: "", method="DELETE")
        self._ask(
            operation, path, lambda body: _total(body, total), method="PUT", json={"quantity": quantity}
        )
        cart = self._ask("GET /api/carts/current", "/api/carts/current", lambda body: _total(body, total))
        return _Basket(str(cart["cart_id"]), ((str(product["id"]), quantity),), total)

    def _buy(self) -> None:
        basket = self._fill()
        order = self._check_out(basket, 1, lambda body: _total(body, basket.total_minor))
        order_id = str(order["order_id"])
        if self._draw.random() < _DOUBLE_CLICK_SHARE:
            self._check_out(basket, 2, lambda body: _is(body, order_id))
        self._release()
        self._follow(order_id, str(order["state"]))

    def _check_out(self, basket: _Basket, attempt: int, expected: Expected) -> Body:
        digest = hashlib.sha256(repr(basket.lines).encode()).hexdigest()
        # One cart is one order, however often it is checked out.
        said = {
            "f": "place_order",
            "attempt": attempt,
            "req_hash": digest,
            "idem_key": f"cart-{basket.cart_id}",
        }
        with self._noted(said, {"lines": basket.lines}) as note:
            got = self._send(CHECKOUT, "/api/carts/current/checkout", expected, method="POST")
            note(got)
        return self._taken(got)

    def _follow(self, order_id: str, state: str) -> None:
        acknowledged = monotonic()
        plan = self._guide.plan
        attempt = 0
        while state not in ENDS and monotonic() - acknowledged < plan.end_seconds:
            gevent.sleep(plan.poll_seconds)
            attempt += 1
            self._due = monotonic()
            with self._noted({"f": "get_order", "attempt": attempt}, {"order_id": order_id}) as note:
                path = f"/api/orders/{order_id}"
                got = self._send("GET /api/orders/{order_id}", path, lambda body: _is(body, order_id))
                note(got)
            state = str(got.body.get("state", state))
        ended = monotonic() - acknowledged if state in ENDS else None
        self._guide.record(Ordered(self._arrival.number, order_id, state, ended))

    @contextmanager
    def _noted(self, said: Mapping[str, Any], value: Body) -> Iterator[Callable[[_Got], None]]:
        """Note an operation on an order for the audit: before it is sent, and what came of it."""
        who = {"process": self._user, "op_id": f"{self._guide.plan.name}-{self._arrival.number}", **said}
        self._guide.history.append(type="invoke", value=value, **who)

        def note(got: _Got) -> None:
            kind = kind_of(got.status) if got.status else Kind.INFO
            answered = {name: got.body[name] for name in _NOTED if name in got.body}
            self._guide.history.append(
                type=kind.value, value=answered, http_status=got.status, pod=got.pod, **who
            )

        yield note

    def _product(self, product_id: str = "") -> Body:
        wanted = product_id or self._draw.choice(self._guide.plan.products)
        path = f"/api/products/{wanted}"
        return self._ask("GET /api/products/{product_id}", path, lambda body: _is(body, wanted, "id"))

    def _ask(
        self, operation: str, path: str, expected: Expected, *, method: str = "GET", json: Body | None = None
    ) -> Body:
        return self._taken(self._send(operation, path, expected, method=method, json=json))

    def _taken(self, got: _Got) -> Body:
        if got.wrong:
            raise GaveUpError
        gevent.sleep(self._guide.plan.think_seconds)
        return got.body

    def _send(
        self, operation: str, path: str, expected: Expected, *, method: str = "GET", json: Body | None = None
    ) -> _Got:
        headers = {"Authorization": f"Bearer {self._guide.bearer(self._user)}"} if self._user else {}
        with self.client.request(
            method, path, name=operation, headers=headers, json=json, catch_response=True
        ) as answer:
            body, wrong = _read(answer)
            wrong = wrong or expected(body)
            # Locust's own statistics count from the intended time, too.
            answer.request_meta["response_time"] = 1000 * (monotonic() - self._due)
            answer.failure(wrong) if wrong else answer.success()
            status = answer.status_code or None
            pod = str(answer.headers.get("X-Served-By", "")) if status else ""
        now, due = monotonic(), self._due
        said = Asked(self._arrival.number, operation, due - self._guide.began, now - due, status, wrong, pod)
        self._guide.record(said)
        self._due = now + self._guide.plan.think_seconds
        return _Got(status, body, wrong, pod)


def _read(answer: Any) -> tuple[Body, str]:
    status = answer.status_code
    if not status:
        return {}, f"no answer: {answer.error}"
    try:
        content = answer.json() if answer.text else {}
    except ValueError:
        return {}, f"{status}, and no JSON"
    body = content if isinstance(content, dict) else {}
    wrong = "" if status in _OK else f"{status} {body.get('detail') or body.get('title') or ''}".strip()
    return body, wrong


def _some(body: Body, what: str) -> str:
    return "" if body.get("items") else f"no {what} in the answer"


def _found(body: Body, product_id: Any) -> str:
    found = [one.get("id") for one in body.get("items", ())]
    return "" if product_id in found else "the product is not among what the search for its SKU finds"


def _is(body: Body, wanted: str, key: str = "order_id") -> str:
    return "" if body.get(key) == wanted else f"{key} is {body.get(key)}, not the one that was asked for"


def _total(body: Body, total: int) -> str:
    said = body.get("total_minor")
    return "" if said == total else f"the total is {said}, and the product's page promised {total}"
